"""Somebody between two sites, who carries their bytes and does one thing to them.

    between.py PORT KIND [CONNECTION WAY AT]    listens at a free port of 127.0.0.1, which it says, and dials PORT, until
                                                SIGTERM

WAY is `up`, from the end that dials, or `down`. KIND, on that connection behind AT bytes that way:

  carry     nothing
  keep      nothing; what went by is kept in files CONNECTION.WAY of the folder that stands behind the word
  cut       both ends are hung up
  freeze    nothing goes on, in neither way, and both ends stay open
  flip      one bit of the next byte is another
  insert    a byte more
  drop      a byte less
  drip      small pieces, with pauses

Class Between is the same for other scripts. Connections are counted in the order in which they come."""

import random
import signal
import socket
import sys
import threading
import time

WAYS = ("up", "down")


class Between:
    def __init__(self, target, kind="carry", connection=0, way="up", at=0):
        """target: port, or a function that gives it for a connection's number."""
        self.target = target if callable(target) else lambda number: target
        self.kind, self.connection, self.way, self.at = kind, connection, way, at
        self.kept = {}  # (connection, way): bytes, where they are kept
        self.done = False  # the thing was done
        self.carried = {}
        self.ends = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        for number in range(1 << 30):
            try:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target(number)))
            except OSError:
                return
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.ends += [near, far]
            frozen = threading.Event()
            for way, source, sink in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self.carry, args=(number, way, source, sink, frozen), daemon=True).start()

    def carry(self, number, way, source, sink, frozen):
        mine = number == self.connection and way == self.way
        seen = 0
        try:
            while data := source.recv(1 << 16):
                if self.kind == "keep":
                    self.kept.setdefault((number, way), bytearray()).extend(data)
                begin, seen = seen, seen + len(data)
                if mine and begin <= self.at < seen and self.kind not in ("carry", "keep", "drip"):
                    data = self.act(data, self.at - begin, source, sink, frozen)
                if frozen.is_set():
                    return
                self.send(sink, data)
                self.carried[number, way] = seen
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            hang_up(source, sink)

    def send(self, sink, data):
        if self.kind != "drip":
            sink.sendall(data)
            return
        while data:
            count = random.choice((1, 7, 100, 1400, 20000))
            sink.sendall(data[:count])
            data = data[count:]
            if random.random() < 0.05:
                time.sleep(0.001)

    def act(self, data, at, source, sink, frozen):
        self.done = True
        if self.kind == "cut":
            sink.sendall(data[:at])
            hang_up(source, sink)
            raise OSError
        if self.kind == "freeze":
            frozen.set()
            sink.sendall(data[:at])
        if self.kind == "flip":
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1:]
        if self.kind == "insert":
            return data[:at] + random.randbytes(1) + data[at:]
        return data[:at] + data[at + 1:]

    def close(self):
        hang_up(self.listener)
        self.listener.close()
        for end in self.ends:
            end.close()


def hang_up(*ends):
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    port, kind = int(sys.argv[1]), sys.argv[2]
    where = (int(sys.argv[3]), sys.argv[4], int(sys.argv[5])) if len(sys.argv) == 6 else ()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    between = Between(port, kind, *where)
    print(between.port, flush=True)
    try:
        signal.pause()
    finally:
        for (number, way), data in between.kept.items():
            with open(f"{sys.argv[3]}/{number}.{way}", "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
