"""Runs of two jobs with one fault each between them, at a random point: site_faults.py TWAIN RUNS [SEED]

In an empty folder. Each turn takes a fresh input and one of the faults below; then an honest run of another input must
succeed without any repair. What must hold is what fault_runs.py says, and:

  - both jobs end in time. Each that fails says one line with its reason, and what became of its slots: the ledger agrees
  - a job ends with 0, 5, 7 or 12, or by the signal that it got; only with 5 or 12 where the other one is not what it should be
  - nobody's slot is used where the fault is before the handshake's end"""

import collections
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from between import Between  # noqa: E402
from fault_kinds import Failed  # noqa: E402
from fault_runs import LEDGERS, LIMIT, TURNS_PER_KEY, World, self_test  # noqa: E402

REASON = re.compile(r"^twain: party (\d) on \S+: (.*); (no key slot was used|used up: key slots [\d, and more-]+)$", re.M)
BY_PERSON = re.compile(r"^twain: party \d on \S+: ended by a signal", re.M)
STRANGERS = [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-OpenSSH_9.2\r\n", b""]


class Job:
    def __init__(self, world, party, *words):
        self.party, self.said = party, tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [world.program, "run", "n", "--party", str(party), "--site", f"site{party}", "--ledger", LEDGERS[party], "--force",
             "--allow-test-keys", *words], stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL)

    def words(self):
        self.said.seek(0)
        return self.said.read()

    def port(self):
        end = time.monotonic() + LIMIT
        while not (found := re.search(r"waits for party \d on port (\d+), .*\n", self.words())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"party {self.party} does not listen: {self.words()}")
            time.sleep(0.01)
        return int(found[1])

    def end(self):
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"party {self.party} hangs: {self.words()}") from None


class Sites(World):
    def __init__(self, twain, chance):
        super().__init__(twain, "", chance)
        for name, role in (("site0", 0), ("site1", 1), ("other0", 0), ("other1", 1)):
            self.must("site", "init", name, "--role", str(role), "-q")
        self.peers = ["site1/site.pem", "site0/site.pem"]
        self.lengths = {}  # of an honest run: (connection, way): bytes
        self.kept = {}

    def meet(self, kind="carry", where=(), peers=None, streams=(1, 1), silence=20.0, wait=20.0, during=None):
        """Codes of both, what each said, and who was in between."""
        listener = self.chance.randrange(2)
        peers = peers or self.peers
        self.before = set(self.marks())

        def words(party):
            return ["--peer", peers[party], "--streams", str(streams[party]), "--silence-limit", str(silence), "--wait-limit",
                    str(wait)]

        jobs = {listener: Job(self, listener, "--listen", "127.0.0.1:0", *words(listener))}
        between = Between(jobs[listener].port(), kind, *where)
        jobs[1 - listener] = Job(self, 1 - listener, "--connect", f"127.0.0.1:{between.port}", *words(1 - listener))
        if during:
            during(jobs)
        codes = [jobs[party].end() for party in (0, 1)]
        said = [jobs[party].words() for party in (0, 1)]
        between.close()
        self.tell_slots(codes, said)
        return codes, said, between

    def tell_slots(self, codes, said):
        new = set(self.marks()) - self.before
        for party, (code, words) in enumerate(zip(codes, said)):
            # before its handler of signals is there, a process says nothing
            if code in (0, -signal.SIGKILL) or code == -signal.SIGTERM and (BY_PERSON.search(words) or not words):
                continue
            lines = REASON.findall(words)
            if len(lines) != 1 or int(lines[0][0]) != party:
                raise Failed(f"party {party} ends with {code} and has {len(lines)} reasons: {words}")
            if any(owner == party for owner, _, _ in new) and "used up" not in lines[0][2]:
                raise Failed(f"party {party} has marked slots and does not say so: {words}")

    def run(self, **how):
        """As World's: for the honest runs."""
        codes, said, between = self.meet(kind="keep")
        self.lengths, self.kept = dict(between.carried), between.kept
        return max(codes, key=abs), "".join(said)

    def faulty(self, allowed, spends=True, **how):
        codes, said, between = self.meet(**how)
        for party in (0, 1):
            if codes[party] not in allowed:
                raise Failed(f"party {party} ends with {codes[party]}, not one of {sorted(allowed)}: {said}")
        self.codes.update(codes)
        if not spends and set(self.marks()) != self.before:
            raise Failed(f"a slot is marked: {said}")
        self.look(False)
        revealed, why = self.deliver()
        if codes == [0, 0] and revealed:
            raise Failed(f"both end with 0, their result is not to be had: {revealed}: {why}")
        return codes, between

    def point(self):
        """Of a run: connection, way, bytes."""
        where = self.chance.choice(sorted(self.lengths))
        most = self.lengths[where]
        return (*where, self.chance.randrange(min(most, 12000) if self.chance.random() < 0.5 else most))


FAULTS = {}


def fault(weight=1):
    def note(act):
        FAULTS[act.__name__.replace("_", " ")] = act, weight
        return act

    return note


def on_the_line(kind, **how):
    def act(world, told):
        where = world.point()
        told += where
        _, between = world.faulty({0, 7, 12}, kind=kind, where=where, silence=how.get("silence", 20.0))
        told.append("done" if between.done else "not reached")

    act.__name__ = kind
    return act


for each, often in (("cut", 3), ("flip", 3), ("insert", 1), ("drop", 1)):
    fault(often)(on_the_line(each))
fault(2)(on_the_line("freeze", silence=1.5))


@fault(2)
def small_pieces(world, told):
    streams = world.chance.randint(1, 3)
    told.append(streams)
    world.faulty({0}, kind="drip", streams=(streams, streams))


@fault(3)
def signal_to_a_party(world, told):
    party = world.chance.randrange(2)
    number = world.chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
    after = world.chance.random() * world.usual
    told += [party, number, after]

    def during(jobs):
        time.sleep(after)
        jobs[party].process.send_signal(number)
        if number == signal.SIGSTOP:
            jobs[1 - party].end()
            jobs[party].process.send_signal(signal.SIGCONT)

    codes, _ = world.faulty({0, 7, 11, -number}, during=during, silence=1.5, wait=3.0)
    if codes[1 - party] not in (0, 7, 11):
        raise Failed(f"the other party ends with {codes}")


@fault()
def another_peer(world, told):
    party = world.chance.randrange(2)
    told.append(party)
    peers = list(world.peers)
    peers[party] = f"other{1 - party}/site.pem"
    world.faulty({12}, spends=False, peers=peers)


@fault()
def other_streams(world, told):
    world.faulty({5}, spends=False, streams=world.chance.choice([(1, 2), (3, 1)]))


def alone(world, talk, allowed):
    """A job, and something else that connects to it."""
    party = world.chance.randrange(2)
    world.before = set(world.marks())
    job = Job(world, party, "--listen", "127.0.0.1:0", "--peer", world.peers[party], "--silence-limit", "1.5", "--wait-limit", "3")
    with socket.create_connection(("127.0.0.1", job.port())) as line:
        line.settimeout(LIMIT)
        try:
            talk(line)
            while line.recv(9999):
                pass
        except OSError:
            pass
        code = job.end()
    world.tell_slots([code if p == party else 0 for p in (0, 1)], [job.words() if p == party else "" for p in (0, 1)])
    if code not in allowed or set(world.marks()) != world.before:
        raise Failed(f"ends with {code}: {job.words()}")
    world.codes[code] += 1
    world.look(False)


@fault()
def stranger(world, told):
    words = world.chance.choice(STRANGERS + [os.urandom(3000)])
    told.append(words[:20])
    alone(world, lambda line: line.sendall(words), {7, 12})


@fault()
def stranger_that_leaves(world, told):
    alone(world, lambda line: line.shutdown(socket.SHUT_RDWR), {7})


@fault(2)
def replayed_bytes(world, told):
    """What the dialling end of an earlier run sent on its first connection."""
    alone(world, lambda line: line.sendall(bytes(world.kept[0, "up"])), {12})


def turn(world, number):
    name = world.chance.choices(list(FAULTS), [weight for _, weight in FAULTS.values()])[0]
    if number % TURNS_PER_KEY == 0:
        world.deal()
    world.fresh_input()
    told = []
    try:
        FAULTS[name][0](world, told)
        world.honest()
    except Failed as why:
        raise Failed(f"turn {number}, {name} ({', '.join(map(str, told))}): {why}") from None
    return name


def main():
    twain, turns = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    counts = collections.Counter()
    start = time.monotonic()
    try:
        world = Sites(twain, random.Random(seed))
        world.honest(deal=True)
        self_test(world)
        before = time.monotonic()
        world.honest()
        world.usual = time.monotonic() - before
        for number in range(turns):
            counts[turn(world, number)] += 1
    except Failed as why:
        sys.exit(f"FAILED (choices of seed {seed}): {why}")
    print(f"{turns} runs of two jobs with a fault (seed {seed}): exit codes of parties "
          + ", ".join(f"{c}: {n}" for c, n in sorted(world.codes.items()))
          + f"; {len(world.notes)} marks, {len(world.taken)} slots in results, none twice; no wrong result, no hang, every cause "
          f"named; {time.monotonic() - start:.0f} s\nfaults: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    main()
