"""Runs of two jobs and a live dealer with one fault each, at a random point: live_faults.py TWAIN RUNS [SEED]

In an empty folder. Each turn takes one of the faults below: a party or the dealer is killed, stopped for a while or told to
end; a party's line to the dealer is cut, frozen or damaged; a certificate that is none of the dealer's pairs comes. Then an
honest run must succeed without any repair. What must hold:

  - every job and the dealer end in time. Each that fails says one line with its reason, and what became of its slots: the
    ledger agrees
  - no slot serves two runs, and the dealer gives none twice; a slot of a result is marked in both ledgers
  - a party that ends with 0 has its result, another one has none, and nothing half written is left
  - the dealer outlives whatever parties and lines do, and has no thread and no connection left of them"""

import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import h5py

sys.dont_write_bytecode = True
from between import Between  # noqa: E402
from fault_kinds import Failed  # noqa: E402
from fault_runs import LEDGERS, LIMIT, text  # noqa: E402

REASON = re.compile(r"^twain: party (\d) on \S+: (.*); (no key slot was used|used up: key slots [\d, and more-]+)$", re.M)
GIVEN = re.compile(r"pair 0, party (\d) \(.*?\): key (\w+), slots? (\d+)(?:-(\d+))?:")
BATCH = 2


class Process:
    def __init__(self, name, *line):
        self.name, self.said = name, tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(line, stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL)

    def words(self):
        self.said.seek(0)
        return self.said.read()

    def until(self, pattern):
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.words())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"{self.name} does not say '{pattern}': {self.words()}")
            time.sleep(0.005)
        return found[1]

    def send(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self):
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"{self.name} hangs: {self.words()}") from None


class Live:
    def __init__(self, twain, chance):
        self.program, self.chance = twain, chance
        self.codes = collections.Counter()
        self.taken, self.given, self.dealer = {}, {}, None
        for args in (["import", "--shape", "1x64x2x128", "-o", "n"], ["plan", "n", "--seq", "16"], ["share", "n"],
                     ["encode", "n", "some words", "and others"], ["share", "n", "--input"],
                     *(["site", "init", f"site{role}", "--role", role] for role in ("0", "1", "dealer", "client")),
                     ["site", "init", "other0", "--role", "0"], *(["ledger", "--new", name] for name in LEDGERS)):
            self.must(*args, "-q")
        pins = [re.search(r"^pin (.*)$", self.must("site", "show", f"site{party}/site.pem"), re.M)[1] for party in (0, 1)]
        with open("pairs.json", "w") as file:
            file.write('{"format": "twain pairs", "version": 2, "pairs": [{"party_0": "%s", "party_1": "%s"}]}' % tuple(pins))

    def must(self, *args):
        done = subprocess.run([self.program, *args], capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed(f"twain {' '.join(args)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    # ---- the dealer

    def deal(self, silence):
        self.stop_dealer()
        self.silence = silence
        self.dealer = Process("the dealer", self.program, "deal", "n", "--serve", "127.0.0.1:0", "--site", "sitedealer",
                              "--pairs", "pairs.json", "--silence-limit", str(silence))
        self.port = int(self.dealer.until(r"on port (\d+), "))
        self.idle = self.size()

    def size(self):
        """Threads and descriptors."""
        pid = self.dealer.process.pid
        return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))

    def note_given(self):
        for party, key, first, last in GIVEN.findall(self.dealer.words()):
            for slot in range(int(first), int(last or first) + 1):
                self.given.setdefault((party, key, slot), []).append(id(self.dealer))
        twice = [where for where, times in self.given.items() if len(times) > 1]
        if twice:
            raise Failed(f"the dealer gives slots twice: {twice}: {self.dealer.words()}")

    def stop_dealer(self):
        if not self.dealer:
            return
        self.dealer.send(signal.SIGCONT)
        self.dealer.send(signal.SIGTERM)
        code = self.dealer.end()
        if code not in (0, -signal.SIGKILL):
            raise Failed(f"the dealer ends with {code}: {self.dealer.words()}")
        self.note_given()
        self.dealer = None

    def rest(self):
        """Nothing is left of the runs that ended: a guest is joined when the next one comes."""
        end = time.monotonic() + LIMIT
        while self.size()[0] > self.idle[0]:
            if time.monotonic() > end:
                raise Failed(f"the dealer keeps {self.size()} threads and descriptors, of {self.idle}: {self.dealer.words()}")
            time.sleep(0.02)

    # ---- runs

    def party(self, party, way, where, ports, options, sites):
        return Process(f"party {party}", self.program, "run", "n", "--party", str(party), "--site", sites[party], "--peer",
                       f"site{1 - party}/site.pem", "--ledger", LEDGERS[party], "--force", way, where, "--dealer",
                       f"127.0.0.1:{ports[party]}", "--dealer-peer", "sitedealer/site.pem", *options)

    def meet(self, between=None, during=None, silence=20.0, wait=20.0, sites=("site0", "site1"), latency="0s"):
        """between: (party, kind, where) of its line to the dealer. Codes of both, and what each said."""
        listener = self.chance.randrange(2)
        streams = str(self.chance.choice((1, 1, 2)))
        options = ["--silence-limit", str(silence), "--wait-limit", str(wait), "--link-latency", latency, "--streams", streams]
        ports, line = [self.port, self.port], None
        for party in (0, 1):
            if os.path.exists(f"n.result.p{party}.h5"):
                os.remove(f"n.result.p{party}.h5")
        if between:
            line = Between(self.port, between[1], *between[2])
            ports[between[0]] = line.port
        before = self.marks()
        jobs = {listener: self.party(listener, "--listen", "127.0.0.1:0", ports, options, sites)}
        port = jobs[listener].until(r"waits for party \d on port (\d+), ")
        jobs[1 - listener] = self.party(1 - listener, "--connect", f"127.0.0.1:{port}", ports, options, sites)
        if during:
            during(jobs)
        codes = [jobs[party].end() for party in (0, 1)]
        said = [jobs[party].words() for party in (0, 1)]
        if line:
            line.close()
        self.carried = dict(line.carried) if line else {}
        self.line = line
        self.look(codes, said, self.marks() - before)
        return codes, said

    def marks(self):
        return {(party, os.path.basename(folder), int(file)) for party, ledger in enumerate(LEDGERS)
                for folder, _, files in os.walk(f"{ledger}/p{party}") for file in files if file.isdigit()}

    def look(self, codes, said, new):
        for party, (code, words) in enumerate(zip(codes, said)):
            mine = [mark for mark in new if mark[0] == party]
            file = f"n.result.p{party}.h5"
            if os.path.exists(file) != (code == 0) and code >= 0:
                raise Failed(f"party {party} ends with {code}, its result is there: {os.path.exists(file)}: {words}")
            if code == 0:
                self.look_at_result(file, new)
            if code == 0 or code < 0:
                continue
            lines = REASON.findall(words)
            if len(lines) != 1 or int(lines[0][0]) != party:
                raise Failed(f"party {party} ends with {code} and has {len(lines)} reasons: {words}")
            if mine and "used up" not in lines[0][2]:
                raise Failed(f"party {party} has marked slots and does not say so: {words}")
        left = [f for f in os.listdir(".") if f.endswith((".partial", ".replaced"))]
        if left and -signal.SIGKILL not in codes:
            raise Failed(f"left behind: {left}: {codes}, {said}")

    def look_at_result(self, file, new):
        with h5py.File(file) as f:
            run, key, slots = text(f.attrs["run_id"]), text(f.attrs["key_id"]), [int(s) for s in f["slots"][()]]
        if len(set(slots)) != BATCH:
            raise Failed(f"a result with slots {slots}")
        for slot in slots:
            if self.taken.setdefault((key, slot), run) != run:
                raise Failed(f"slot {slot} of key {key} serves two runs")
            if not {(0, key, slot), (1, key, slot)} <= new:
                raise Failed(f"slot {slot} of a result is not marked by both parties, or was before")

    def deliver(self):
        self.must("reveal", "n", "-q", "--force")
        self.must("check", "n", "-q")

    def honest(self):
        codes, said = self.meet()
        if codes != [0, 0]:
            raise Failed(f"an honest run ends with {codes}: {said}; {self.dealer.words()}")
        left = [f for f in os.listdir(".") if f.endswith((".partial", ".replaced"))]
        if left:
            raise Failed(f"left behind: {left}")
        self.deliver()

    def faulty(self, allowed, **how):
        codes, said = self.meet(**how)
        for party in (0, 1):
            if codes[party] not in allowed:
                raise Failed(f"party {party} ends with {codes[party]}, not one of {sorted(allowed)}: {said}; {self.dealer.words()}")
        self.codes.update(codes)
        if codes == [0, 0]:
            self.deliver()
        return codes, said


FAULTS = {}


def fault(weight=1):
    def note(act):
        FAULTS[act.__name__.replace("_", " ")] = act, weight
        return act

    return note


def on_the_line(kind, **how):
    def act(world, told):
        party = world.chance.randrange(2)
        connection, way = world.chance.choice([where for where in world.lengths])
        most = world.lengths[connection, way]
        at = world.chance.randrange(min(most, 8000) if world.chance.random() < 0.4 else most)
        told += [party, connection, way, at]
        codes, said = world.faulty({0, 7, 12}, between=(party, kind, (connection, way, at)), **how)
        told.append("done" if world.line.done else "not reached")

    act.__name__ = kind + " to the dealer"
    return act


for each, often in (("cut", 3), ("flip", 2), ("insert", 1), ("drop", 1)):
    fault(often)(on_the_line(each))
fault(2)(on_the_line("freeze", silence=1.5))


@fault(4)
def signal_to_a_party(world, told):
    party = world.chance.randrange(2)
    number = world.chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
    after = world.chance.random() * world.usual
    told += [party, number, after]

    def during(jobs):
        time.sleep(after)
        jobs[party].send(number)
        if number == signal.SIGSTOP:
            jobs[1 - party].end()
            jobs[party].send(signal.SIGCONT)

    codes, _ = world.faulty({0, 7, 11, -number}, during=during, silence=1.5, wait=3.0, latency="2ms")
    if codes[1 - party] not in (0, 7, 11):
        raise Failed(f"the other party ends with {codes}")


@fault(4)
def signal_to_the_dealer(world, told):
    number = world.chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, "twice"])
    after = world.chance.random() * world.usual
    told += [number, after]

    def during(jobs):
        time.sleep(after)
        world.dealer.send(signal.SIGTERM if number == "twice" else number)
        if number == "twice":
            time.sleep(0.05 * world.chance.random())
            world.dealer.send(signal.SIGTERM)

    world.faulty({0, 7}, during=during, silence=1.5, wait=3.0, latency="2ms")
    world.deal(world.silence)


@fault()
def a_stranger_as_party_0(world, told):
    codes, said = world.meet(sites=("other0", "site1"))
    if 0 in codes:
        raise Failed(f"a stranger runs: {codes}, {said}")


def turn(world, number):
    name = world.chance.choices(list(FAULTS), [weight for _, weight in FAULTS.values()])[0]
    told = []
    try:
        FAULTS[name][0](world, told)
        world.honest()
        world.rest()
    except Failed as why:
        raise Failed(f"turn {number}, {name} ({', '.join(map(str, told))}): {why}") from None
    return name


def main():
    twain, turns = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    counts = collections.Counter()
    start = time.monotonic()
    world = None
    try:
        world = Live(twain, random.Random(seed))
        world.deal(5)
        world.honest()
        before = time.monotonic()
        world.meet(between=(0, "carry", ()), latency="2ms")
        world.usual = time.monotonic() - before
        world.lengths = world.carried
        for number in range(turns):
            counts[turn(world, number)] += 1
        world.stop_dealer()
    except Failed as why:
        if world and world.dealer:
            world.dealer.process.kill()
        sys.exit(f"FAILED (choices of seed {seed}): {why}")
    print(f"{turns} runs with a live dealer and a fault (seed {seed}): exit codes of parties "
          + ", ".join(f"{c}: {n}" for c, n in sorted(world.codes.items()))
          + f"; {len(world.taken)} slots in results, none twice; no hang, every cause named; {time.monotonic() - start:.0f} s\n"
          "faults: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    main()
