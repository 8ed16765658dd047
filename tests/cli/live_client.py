"""Parties that do not follow the words of a live dealer: live_client.py PORT FOLDER PLAN_JSON MODEL_JSON.

FOLDER holds the sites s0, s1 and t0, t1, of two pairs, and stranger. Words: jobs/parties/live_words.h, as they lie in
the memory of a 64-bit machine. The first pair has most_runs 2, most_sequences 3, most_inferences 8.
"""
import json
import os
import socket
import ssl
import struct
import sys
import time

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
PLAN, MODEL = (json.load(open(f)) for f in sys.argv[3:5])
MAGIC, CHUNK = b"twain live keys\0", 1 << 20
USED, MISMATCH, PEER, IDENTITY = 6, 5, 7, 12


def find(tree, name):
    """The first value of that name, wherever it stands."""
    if isinstance(tree, dict):
        if name in tree:
            return tree[name]
        tree = list(tree.values())
    for entry in tree if isinstance(tree, list) else []:
        found = find(entry, name)
        if found is not None:
            return found
    return None


PLAN_DIGEST, MODEL_ID = find(PLAN, "digest"), find(MODEL, "model_id")


class Client:
    def __init__(self, site, certificate=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(f"{FOLDER}/{site}/site.pem", f"{FOLDER}/{site}/site.key")
        raw = socket.create_connection(("127.0.0.1", PORT), timeout=20)
        self.tls = context.wrap_socket(raw)

    def get(self, n):
        data = b""
        while len(data) < n:
            part = self.tls.recv(n - len(data))
            if not part:
                raise EOFError(f"{len(data)} of {n} bytes")
            data += part
        return data

    def hello(self, stream=0, version=2, plan=PLAN_DIGEST, model=MODEL_ID, magic=MAGIC):
        words = struct.pack("<16sII33s65s", magic, version, stream, model.encode(), plan.encode())
        self.tls.sendall(words.ljust(512, b"\0"))
        magic, _, found, message, self.slot_bytes, streams = struct.unpack_from("<16sIi400sQI", self.get(512))
        assert magic == MAGIC and streams == 4
        return found, message.split(b"\0")[0].decode()

    def ask(self, run, count=1, streams=1, stream=0):
        self.tls.sendall(struct.pack("<16s32sIII", MAGIC, run, count, streams, stream).ljust(256, b"\0"))
        magic, found, message, key, first = struct.unpack_from("<16si400s33s3xQ", self.get(512))
        assert magic == MAGIC
        self.stream, self.streams = stream, streams
        if found == 0 and stream == 0:
            self.key, self.first, self.count = key, first, count
            self.seeds = self.get(32 * count)
        return found, message.split(b"\0")[0].decode()

    def go(self, first=None):
        self.tls.sendall(struct.pack("<16sQ", MAGIC, self.first if first is None else first).ljust(256, b"\0"))

    def chunks(self):
        """All of them: {(sequence, number): bytes}; or the status and message of the dealer's last words."""
        came = {}
        places = range(self.stream, self.count * -(-self.slot_bytes // CHUNK), self.streams)
        while len(came) < len(places):
            sequence, size, number = struct.unpack("<IIQ", self.get(16))
            if sequence == 0xFFFFFFFF:
                found, message = struct.unpack_from("<16xi400s", self.get(512))
                return found, message.split(b"\0")[0].decode()
            assert number * self.count + sequence == places[len(came)]
            came[sequence, number] = self.get(size)
        return came

    def close(self):
        self.tls.close()


def party(site, run=None, count=1):
    c = Client(site)
    assert c.hello() == (0, "")
    if run is not None:
        found = c.ask(run, count)
        assert found == (0, ""), found
    return c


def number():
    return os.urandom(32)


def refused(found, code, text):
    assert found[0] == code and text in found[1], found


def strangers():
    for site, certificate in ("stranger", True), ("s0", False), ("dealer", True):
        try:
            Client(site, certificate).hello()
        except (OSError, EOFError):
            continue  # ssl.SSLError is an OSError: the alert
        raise AssertionError(f"{site} was let in")


def streams():
    """Each certificate gets its own stream, of the right length, and never the same twice."""
    seen = set()
    for _ in range(2):
        run = number()
        a, b = party("s0", run, 2), party("s1", run, 2)
        assert (a.key, a.first) == (b.key, b.first)
        assert a.slot_bytes != b.slot_bytes, "party 0 has more to read in every plan of today"
        a.go()
        b.go()
        for c in a, b:
            came = c.chunks()
            assert sum(map(len, came.values())) == 2 * c.slot_bytes
            seen.update(bytes(x) for x in came.values())
        seen.update(s.seeds[32 * i : 32 * i + 32] for s in (a, b) for i in range(2))
        a.close()
        b.close()
    assert len(seen) == 2 * (2 * 2 + 2 * 2), len(seen)


def once():
    """A run's slots are given once to each party; another pair's run of the same number is another run."""
    run = number()
    a = party("s0", run)
    again = party("s0")
    refused(again.ask(run), USED, "asked for before")
    b = party("s1")
    refused(b.ask(run, 2), MISMATCH, "the other party asked for 1 slots of this run, this one asks for 2")
    other = party("t0", run)
    assert other.key != a.key and other.seeds != a.seeds
    b = party("s1", run)
    a.go()
    refused(party("s1").ask(run), USED, "asked for before")
    b.go(first=b.first + 1)  # slots of another run
    refused(a.chunks(), IDENTITY, "party 1 has left the dealer")
    for c in a, b, again, other:
        c.close()


def join(first, stream, run, count=1, streams=3):
    c = Client(first)
    assert c.hello(stream=stream) == (0, "")
    c.count = count
    return c, c.ask(run, count, streams, stream)


def further():
    """Streams of one run: each once, of the party's own run alone, all of them before it goes."""
    run = number()
    a, b = Client("t0"), Client("t1")
    for c, streams in (a, 3), (b, 1):
        assert c.hello() == (0, "") and c.ask(run, 2, streams) == (0, "")
    for site, stream, which, count, streams in (("t0", 1, number(), 2, 3), ("t1", 1, run, 2, 1), ("s0", 1, run, 2, 3),
                                                ("t0", 3, run, 2, 3), ("t0", 1, run, 1, 3), ("t0", 1, run, 2, 4)):
        c, found = join(site, stream, which, count, streams)
        refused(found, IDENTITY, f"stream {stream} belongs to no run that lacks it")
        c.close()
    one, found = join("t0", 1, run, 2)
    assert found == (0, ""), found
    refused(join("t0", 1, run, 2)[1], IDENTITY, "belongs to no run")
    other = Client("t0")
    assert other.hello(stream=2) == (0, "")
    refused(other.ask(run, 2, 3, 1), IDENTITY, "no twain says")
    refused(Client("t0").hello(stream=16), IDENTITY, "no twain says")
    other, found = join("t0", 2, run, 2)
    assert found == (0, ""), found
    a.go()
    b.go()
    parts = [c.chunks() for c in (a, one, other)]
    whole = b.chunks()
    assert len(whole) == 2 * -(-b.slot_bytes // CHUNK)
    assert sum(len(p) for p in parts) == len(set().union(*parts)) == 2 * -(-a.slot_bytes // CHUNK)
    assert sum(len(data) for p in parts for data in p.values()) == 2 * a.slot_bytes
    refused(join("t0", 1, run, 2)[1], IDENTITY, "belongs to no run")  # it has gone
    for c in a, b, one, other:
        c.close()
    run = number()  # goes too early
    a, b = Client("t0"), party("t1", run)
    assert a.hello() == (0, "") and a.ask(run, 1, 2) == (0, "")
    a.go()
    refused(a.chunks(), IDENTITY, "not all of its 2 streams have come")
    b.go()
    refused(b.chunks(), IDENTITY, "party 0 has left the dealer")
    for c in a, b:
        c.close()
    refused(party("t0").ask(number(), 1, 5), MISMATCH, "5 streams for one run: the dealer gives this pair 1 to 4")


def words():
    refused(Client("s0").hello(version=7), MISMATCH, "version of live keys: the party has 7, the dealer 2")
    refused(Client("s0").hello(plan="0" * 64), MISMATCH, "differ in the plan")
    refused(Client("s0").hello(model="f" * 32), MISMATCH, "differ in the model")
    refused(Client("s0").hello(magic=b"something else"), IDENTITY, "no twain says")
    refused(Client("s0").hello(plan="g" * 64), IDENTITY, "no twain says")


def limits():
    run = number()
    refused(party("s0").ask(run, 4), MISMATCH, "slots for 1 to 3 at once")
    refused(party("s0").ask(run, 0), MISMATCH, "slots for 1 to 3 at once")
    a, b = party("s0", number()), party("s0", number())
    refused(party("s0").ask(number()), PEER, "2 runs under way")
    refused(party("s1").ask(number()), PEER, "2 runs under way")
    t = party("t0", number())  # another pair's concern
    more = [Client("t0") for _ in range(3)]
    for c in more:
        assert c.hello() == (0, "")
    refused(Client("t0").hello(), PEER, "4 connections of this party are there already, for 2 runs")
    for c in a, b, t, *more:
        c.close()
    time.sleep(0.5)
    a = Client("s0")
    a.hello()
    refused(a.ask(number(), 3), USED, "slots for 8 inferences, of which")
    a.close()


def leaving():
    run = number()
    a, b = party("t0", run), party("t1", run)
    a.go()
    b.close()
    refused(a.chunks(), PEER, "party 1 has left the dealer")
    a.close()
    run = number()  # the next one has nothing of it
    a, b = party("t0", run), party("t1", run)
    a.go()
    b.go()
    assert isinstance(a.chunks(), dict) and isinstance(b.chunks(), dict)
    a.close()
    b.close()


for test in strangers, words, streams, once, further, limits, leaving:
    test()
    print(f"{test.__name__}: done", flush=True)
