"""What plain sockets see of a line relay: relay_clients.py TWAIN. Says what it did; fails with a traceback.

Clients on 127.0.0.1 and 127.0.0.2 stand for two hosts of one side.
"""
import hashlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

TWAIN = sys.argv[1]


class Relay:
    def __init__(self, *options, allow=("127.0.0.0/8", "127.0.0.0/8")):
        command = [TWAIN, "relay", "--port-0", "127.0.0.1:0", "--port-1", "127.0.0.1:0"]
        command += ["--allow-0", allow[0], "--allow-1", allow[1], *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search(r"party 0 comes to port (\d+), party 1 to port (\d+)", line)
        assert found, line
        self.ports = [int(p) for p in found.groups()]
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr))
        self.reader.start()

    def dial(self, party, source="127.0.0.1"):
        s = socket.create_connection(("127.0.0.1", self.ports[party]), timeout=20, source_address=(source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def pair(self):
        return self.dial(0), self.dial(1)

    def memory(self):  # resident, in KiB
        text = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self, seconds=10):
        code = self.process.wait(seconds)
        self.reader.join()
        assert code == 0, (code, self.lines)
        return "".join(self.lines)

    def said(self, text, seconds=5):
        end = time.monotonic() + seconds
        while not any(re.search(text, line) for line in self.lines):
            assert time.monotonic() < end, (text, self.lines)
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()


def read_all(s):
    parts = []
    while part := s.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def read_just(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, f"ended after {len(data)} of {n} bytes"
        data += part
    return data


def is_closed(s, seconds=5):
    """True once the other end has closed s; nothing may come over it."""
    s.settimeout(seconds)
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def talk(a, b, word=b"word"):
    a.sendall(word)
    assert read_just(b, len(word)) == word
    b.sendall(word[::-1])
    assert read_just(a, len(word)) == word[::-1]


def both_ways_and_half_close():
    with Relay() as r:
        a, b = r.pair()
        data = [os.urandom(8 << 20), os.urandom((5 << 20) + 3)]
        senders = [threading.Thread(target=lambda s, d: (s.sendall(d), s.shutdown(socket.SHUT_WR)), args=x)
                   for x in ((a, data[0]), (b, data[1]))]
        for t in senders:
            t.start()
        got = {}
        readers = [threading.Thread(target=lambda k, s: got.update({k: read_all(s)}), args=x) for x in ((1, a), (0, b))]
        for t in readers:
            t.start()
        for t in senders + readers:
            t.join()
        assert got[0] == data[0] and got[1] == data[1]
        r.said("the run has ended: 1 connections, %d bytes" % sum(map(len, data)))
        # an end that has said everything still hears the other, as late as that likes
        a, b = r.pair()
        a.sendall(b"question")
        a.shutdown(socket.SHUT_WR)
        assert read_all(b) == b"question"
        time.sleep(0.3)
        b.sendall(b"answer" * 1000)
        b.close()
        assert read_all(a) == b"answer" * 1000


def order_and_places():
    with Relay("--connections", "3") as r:
        firsts = []
        for i in range(3):  # as the streams of a run come: one after the other
            pair = r.pair()
            talk(*pair, b"number %d" % i)
            firsts.append(pair)
        assert is_closed(r.dial(0)), "one more than --connections"
        assert is_closed(r.dial(1, "127.0.0.2")), "another host during a run"
        for i, pair in enumerate(firsts):
            talk(*pair, b"still %d" % i)
            pair[0].close()
            assert is_closed(pair[1])
            pair[1].close()
        r.said("the run has ended: 3 connections")
        waits = r.dial(0)
        assert is_closed(r.dial(0)), "two wait at one port"
        talk(waits, r.dial(1, "127.0.0.2"))
    with Relay(allow=("127.0.0.1", "127.0.0.2/32,::1")) as r:
        assert is_closed(r.dial(0, "127.0.0.2")) and is_closed(r.dial(1, "127.0.0.1"))
        talk(r.dial(0), r.dial(1, "127.0.0.2"))
        r.said("refused 127.0.0.2 at the port of party 0: its address is not allowed")


def all_counted():
    with Relay(allow=("127.0.0.1", "127.0.0.1")) as r:
        for _ in range(7):
            assert is_closed(r.dial(0, "127.0.0.2"))
        r.said("refused 127.0.0.2 at")
        r.said(r"refused \d+ more, the last one 127.0.0.2 at the port of party 0: its address is not allowed")
        assert is_closed(r.dial(1, "127.0.0.2"))
        r.signal()
        said = r.ended()
        assert said.count("refused 127.0.0.2") + sum(map(int, re.findall(r"refused (\d+) more", said))) == 8, said


def nobody_reads():
    """Who read its log has gone: it goes on."""
    command = [TWAIN, "relay", "--port-0", "127.0.0.1:0", "--port-1", "127.0.0.1:0", "--allow-0", "::1", "--allow-1", "::1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        port = int(re.search(r"port (\d+)", process.stderr.readline()).group(1))
        process.stderr.close()
        for _ in range(2):
            assert is_closed(socket.create_connection(("127.0.0.1", port), timeout=20))
            time.sleep(1.2)  # a line each
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def nobody_comes():
    with Relay("--complete-limit", "0.5") as r:
        start = time.monotonic()
        assert is_closed(r.dial(0)) and 0.4 < time.monotonic() - start < 2
        r.dial(1).close()  # who is gone holds no place
        time.sleep(0.1)
        a, b = r.pair()
        time.sleep(1)
        talk(a, b)  # a joined one has no such limit


def slow_reader():
    with Relay() as r:
        a, b = r.pair()
        talk(a, b)
        before, sent, digest = r.memory(), 0, hashlib.sha256()
        block = os.urandom(1 << 16)
        a.setblocking(False)
        while select.select([], [a], [], 1)[1]:  # until nothing goes for a second
            n = a.send(block)
            digest.update(block[:n])
            sent += n
            assert sent < 1 << 28, "nobody reads, and nothing holds the sender back"
        b.sendall(b"the other way is free")
        a.setblocking(True)
        assert read_just(a, 21) == b"the other way is free"
        assert r.memory() < before + 1024, (before, r.memory())
        a.shutdown(socket.SHUT_WR)
        data = read_all(b)
        assert len(data) == sent and hashlib.sha256(data).digest() == digest.digest()


def floods_and_garbage():
    with Relay() as r:
        a, b = r.pair()
        talk(a, b)
        before, descriptors, knocks = r.memory(), r.descriptors(), 1500
        for i in range(knocks):
            try:
                s = r.dial(i % 2, "127.0.0.2")
                s.sendall(os.urandom(100))
                s.close()
            except OSError:
                pass
            if i % 100 == 0:
                talk(a, b)
        assert r.memory() < before + 1024, (before, r.memory())
        held = []
        for i in range(300):  # and a host of the run that does not go away by itself: at most --connections pairs
            try:
                held.append(r.dial(i % 2))
            except OSError:
                pass
        talk(a, b)
        assert r.memory() < before + 32 * 256 + 1024, (before, r.memory())
        assert r.descriptors() < descriptors + 70, r.descriptors()
        assert len(r.lines) < 20, f"{len(r.lines)} lines for {knocks} knocks"


def last_words():
    with Relay() as r:
        a, b = r.pair()
        talk(a, b)
        b.sendall(b"I stop")  # while the other end is sending, and does not read
        b.close()
        try:
            for _ in range(200):
                a.sendall(bytes(1 << 16))
                time.sleep(0.001)
        except OSError:
            pass
        assert a.recv(6) == b"I stop"
        a.close()
        r.said("the run has ended")
        a, b = r.pair()
        talk(a, b)
        a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        a.close()  # reset
        assert is_closed(b)


def limits():
    for option, value, steps in (("--silence-limit", "0.7", 0), ("--time-limit", "1", 50), ("--byte-limit", "100000", 50)):
        with Relay(option, value) as r:
            a, b = r.pair()
            start = time.monotonic()
            talk(a, b)
            try:
                for _ in range(steps):
                    talk(a, b, os.urandom(4000))
                    time.sleep(0.05)
            except (OSError, AssertionError):
                pass
            assert is_closed(a) and is_closed(b)
            assert time.monotonic() - start < 4
            r.said(f"the run has ended by {option}")
            talk(*r.pair())  # for the next ones it begins anew


def stops():
    with Relay() as r:
        r.signal()
        assert "stopped" in r.ended()
    with Relay() as r:
        a, b = r.pair()
        talk(a, b)
        r.signal()
        r.said("stops when the run that is under way has ended")
        talk(a, b)
        for party in 0, 1:
            try:
                r.dial(party)
                raise AssertionError("listens although it stops")
            except ConnectionRefusedError:
                pass
        a.close()
        assert is_closed(b)
        b.close()
        r.ended()
    with Relay() as r:
        a, b = r.pair()
        talk(a, b)
        r.signal()
        r.said("a second signal ends it")
        r.signal()
        assert is_closed(a) and is_closed(b)
        assert "the run has ended by a signal" in r.ended()


for test in (both_ways_and_half_close, order_and_places, all_counted, nobody_reads, nobody_comes, slow_reader, floods_and_garbage, last_words, limits,
             stops):
    start = time.monotonic()
    test()
    print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
