"""What stands between two sites in the tests of detours.

    detours.py proxy MODE         an HTTP proxy; says its port. MODE: good, late (finds nobody, three times), 407, 403, 500,
                                  garbage, endless, cut, silent, early (says more than the head at once)
    detours.py pipe HOST PORT     standard input and output to HOST:PORT, as `ssh -W` does
    detours.py pass WHAT A... -- B...   commands A and B, of which A listens and B connects by inherited sockets. In
                                  their words FD becomes the number of a socket. WHAT: listening, or the number of
                                  connected ones. Ends with the larger of their exit codes
"""
import os
import select
import socket
import subprocess
import sys
import threading


def carry(a, b):
    ends = {a: b, b: a}
    while ends:
        for s in select.select(list(ends), [], [])[0]:
            try:
                data = s.recv(1 << 16)
                if data:
                    ends[s].sendall(data)
            except OSError:
                data = b""
            if not data:
                to = ends.pop(s)
                try:
                    to.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
    a.close()
    b.close()


def read_head(s):
    head = b""
    while b"\r\n\r\n" not in head:
        part = s.recv(1)
        if not part:
            raise OSError
        head += part
    return head.decode()


class Proxy:
    def __init__(self, mode):
        self.mode, self.asked = mode, 0
        self.answers = {
            "407": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\nno",
            "403": b"HTTP/1.1 403 Forb\x1b[31midden\r\n\r\n<html>",
            "500": b"HTTP/1.1 500 Broken\r\n\r\n",
            "garbage": os.urandom(64),
            "endless": b"HTTP/1.1 200 OK\r\n" + b"X-Long: 1\r\n" * 5000,
            "cut": b"HTTP/1.1 2",
        }

    def serve(self, s):
        try:
            head = read_head(s)
            self.asked += 1
            if self.mode == "silent":
                threading.Event().wait()
            if self.mode in self.answers:
                s.sendall(self.answers[self.mode])
                s.shutdown(socket.SHUT_WR)
                while s.recv(1 << 16):
                    pass
                return
            words = head.split()
            assert words[0] == "CONNECT" and words[2] == "HTTP/1.1" and words[3:] == ["Host:", words[1]], head
            host, port = words[1].rsplit(":", 1)
            if self.mode == "late" and self.asked <= 3:
                s.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                return
            try:
                to = socket.create_connection((host.strip("[]"), int(port)))
            except OSError:
                s.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
                return
            for piece in b"HTTP/1.0 200 Connection established\r\nVia: 1.1 ", b"somebody\r\n\r", b"\n":
                s.sendall(piece)
            carry(s, to)
        except OSError:
            pass  # twain has seen enough
        finally:
            s.close()

    def run(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        print(listener.getsockname()[1], flush=True)
        while True:
            s = listener.accept()[0]
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()


def pipe(host, port):
    with socket.create_connection((host, int(port))) as s:
        ends = True
        while True:
            for ready in select.select([s, 0] if ends else [s], [], [])[0]:
                data = s.recv(1 << 16) if ready is s else os.read(0, 1 << 16)
                if ready is s and not data:
                    return
                if ready is s:
                    while data:
                        data = data[os.write(1, data):]
                elif data:
                    s.sendall(data)
                else:
                    s.shutdown(socket.SHUT_WR)
                    ends = False


def with_sockets(what, words):
    cut = words.index("--")
    if what == "listening":
        listener = socket.create_server(("127.0.0.1", 0))
        lists = [listener], None
        text = str(listener.fileno()), f"127.0.0.1:{listener.getsockname()[1]}"
    else:
        pairs = [socket.socketpair() for _ in range(int(what))]
        lists = [a for a, _ in pairs], [b for _, b in pairs]
        text = [",".join(str(s.fileno()) for s in ends) for ends in lists]
    processes = []
    for command, sockets, numbers in zip((words[:cut], words[cut + 1:]), lists, text):
        command = [word.replace("FD", numbers) for word in command]
        processes.append(subprocess.Popen(command, pass_fds=[s.fileno() for s in sockets or []]))
    for ends in lists:
        for s in ends or []:
            s.close()
    sys.exit(max(p.wait() for p in processes))


if sys.argv[1] == "proxy":
    Proxy(sys.argv[2]).run()
elif sys.argv[1] == "pipe":
    pipe(*sys.argv[2:])
else:
    with_sockets(sys.argv[2], sys.argv[3:])
