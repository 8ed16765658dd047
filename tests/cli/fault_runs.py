"""Inferences with one fault each, at a random point: fault_runs.py TWAIN PRELOAD RUNS [SEED]

In an empty folder; PRELOAD is the folder of preload_peer.so, or "" (then no party lies). Where the user may mount, in a mount
namespace of its own, the folder becomes a small file system that can be full. Each turn takes a fresh input and one of the
faults below (FAULTS), and looks at what came of it. Then the fault is taken away, and an honest run of another input must
succeed without any repair. What must hold, else the script ends with 1 and the seed of its choices:

  - a result that `reveal` gives out is that of this turn's input and equals the emulator's, bit for bit (TEST keys)
  - no slot serves two runs; a slot of a result is marked in both ledgers, and was not before its run; no mark goes or
    changes; no seed is erased without a mark, and after an honest run no marked slot has a seed left
  - every command ends in time, and one that fails says why: the code and the words that the fault's table has (CAUSES)
  - nothing unfinished is left after the honest run"""

import collections
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time

import h5py

sys.dont_write_bytecode = True
import fault_kinds  # noqa: E402
from fault_kinds import CAUSES, FAULTS, Failed  # noqa: E402

BATCH, SLOTS, TURNS_PER_KEY = 2, 40, 6
LIMIT = 240  # seconds for one command; a busy machine is slow
LEDGERS = ("ledger0", "ledger1")


class World:
    """One model, the files of all parties in one folder, a ledger for each party."""

    def __init__(self, twain, preload, chance):
        self.program, self.preload, self.chance = twain, preload, chance
        self.notes = {}  # path of a mark: what it says
        self.taken = {}  # (key, slot): the run whose result has it
        self.runs = set()  # of results that were looked at
        self.codes = collections.Counter()  # of the runs with a fault
        self.usual = 1.0  # seconds of a run
        self.can_mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", "."],
                                        capture_output=True).returncode == 0
        if self.can_mount:
            os.chdir(os.getcwd())
        for args in (["import", "--shape", "1x24x3x40", "-o", "n"], ["plan", "n", "--seq", "7"], ["share", "n"],
                     *(["ledger", "--new", name] for name in (*LEDGERS, "another"))):
            self.must(*args, "-q")

    # ---- commands

    def command(self, *args, limit=LIMIT, **how):
        """Exit code and what was said."""
        try:
            done = subprocess.run([*how.pop("wrap", []), self.program, *args], capture_output=True, text=True, errors="replace",
                                  timeout=limit, stdin=subprocess.DEVNULL, **how)
        except subprocess.TimeoutExpired:
            raise Failed(f"twain {' '.join(args)} hangs") from None
        self.printed = done.stdout
        return done.returncode, done.stdout + done.stderr

    def must(self, *args):
        code, said = self.command(*args)
        if code:
            raise Failed(f"twain {' '.join(args)}: {code}: {said}")
        return self.printed

    def deal(self):
        self.test_seed = self.chance.randrange(1 << 50)
        self.must("deal", "n", "-n", str(SLOTS), "--test-seed", str(self.test_seed), "-q", "--force")

    def fresh_input(self):
        self.texts = [" ".join(secrets.token_hex(2) for _ in range(self.chance.randint(1, 2))) for _ in range(BATCH)]
        self.must("encode", "n", *self.texts, "-q", "--force")
        self.must("share", "n", "--input", "-q", "--force")

    # ---- runs

    def start(self, options=((), ()), settings=(None, None), wrap=((), ()), ledgers=LEDGERS, common=()):
        """Both parties; of each: more options, environment variables, what it is started by, its ledger."""
        line = ["mpirun"]
        for party in (0, 1):
            line += [":"] if party else []
            line += ["-np", "1"]
            for name, value in (settings[party] or {}).items():
                line += ["-x", f"{name}={value}"]
            line += [*wrap[party], self.program, "run", "n", "--ledger", ledgers[party], "-q", "--force", "--allow-test-keys",
                     *common, *options[party]]
        self.before = set(self.marks())
        self.said = tempfile.TemporaryFile("w+", errors="replace")  # not where the disk is full
        return subprocess.Popen(line, stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL)

    def words(self):
        self.said.seek(0)
        return self.said.read()

    def end(self, run):
        """Exit code of a run, and what it said; with all of its parties gone."""
        parties = getattr(run, "parties", {})
        try:
            code = run.wait(LIMIT)
        except subprocess.TimeoutExpired:
            run.kill()
            raise Failed(f"a run hangs: {self.words()}") from None
        end = time.monotonic() + LIMIT
        while any(fault_kinds.is_party(pid) for pid in parties.values()):
            if time.monotonic() > end:
                raise Failed("a party that lost its launcher goes on for ever")
            time.sleep(0.01)
        return code, self.words()

    def run(self, during=None, **how):
        started = self.start(**how)
        if during:
            during(started)
        return self.end(started)

    # ---- what must hold

    def judge(self, kind, code, said):
        """The code is one that the fault may have, and its cause is named."""
        table = CAUSES[kind]
        if code not in table:
            raise Failed(f"exit code {code}, not one of {list(table)}: {said}")
        if code == 0:
            return
        if not any(re.search(table[code], line) for line in said.splitlines()
                   if "WARNING" not in line and line.startswith(("twain: ", "mpirun noticed"))) and table[code]:
            raise Failed(f"no cause for exit code {code}; wanted '{table[code]}': {said}")

    def marks(self):
        found = {}
        for party, ledger in enumerate(LEDGERS):
            for folder, _, files in os.walk(f"{ledger}/p{party}"):
                for file in files:
                    if file.isdigit():
                        found[party, os.path.basename(folder), int(file)] = open(os.path.join(folder, file)).read()
        return found

    def look(self, honest):
        marks = self.marks()
        for where, note in self.notes.items():
            if not marks.get(where, "").startswith(note):  # a note may be completed, by a party that lost its launcher
                raise Failed(f"the mark {where} has changed: {note!r}, {marks.get(where)!r}")
        self.notes = marks
        for party in (0, 1):
            self.look_at_seeds(party, {slot for r, key, slot in marks if r == party and key == self.key_id(party)}, honest)
            if os.path.exists(f"n.result.p{party}.h5"):
                self.look_at_result(party)

    def key_id(self, party):
        with h5py.File(f"n.keys.p{party}.h5") as f:
            return text(f.attrs["key_id"])

    def look_at_seeds(self, party, marked, honest):
        with h5py.File(f"n.keys.p{party}.h5") as f:
            pairs = list(zip(f["seeds"][()], f["seed_tags"][()]))
        erased = {slot for slot, (seed, tag) in enumerate(pairs) if not seed.any() and not tag.any()}
        if not erased <= marked:
            raise Failed(f"party {party}: slots {erased - marked} are erased, not marked")
        if honest and erased != marked:
            raise Failed(f"party {party}: slots {marked - erased} are marked and have a seed still")

    def look_at_result(self, party):
        with h5py.File(f"n.result.p{party}.h5") as f:
            run, key, slots = text(f.attrs["run_id"]), text(f.attrs["key_id"]), [int(s) for s in f["slots"][()]]
        if len(set(slots)) != BATCH:
            raise Failed(f"a result with slots {slots}")
        for slot in slots:
            if self.taken.setdefault((key, slot), run) != run:
                raise Failed(f"slot {slot} of key {key} serves two runs")
            for owner in (0, 1):
                if (owner, key, slot) not in self.notes:
                    raise Failed(f"slot {slot} of a result is not marked by party {owner}")
                if run not in self.runs and (owner, key, slot) in self.before:
                    raise Failed(f"slot {slot} was marked by party {owner} before the run that has it")
        self.runs.add(run)

    def deliver(self):
        """Reveals. Given out is the right result of this turn's input, or none."""
        code, said = self.command("reveal", "n", "-q", "--force")
        if code:
            return code, said
        with h5py.File("n.result.h5") as result, h5py.File("n.input.h5") as given:
            if text(result.attrs["input_id"]) != text(given.attrs["input_id"]):
                raise Failed("a result of another input was revealed")
            if [text(t) for t in given["texts"][()]] != self.texts:
                raise Failed("an input of other texts")
        self.must("check", "n", "--exact", "--test-seed", str(self.test_seed), "-q")
        return 0, said

    def honest(self, deal=False):
        """A run without fault, of a fresh input."""
        if deal:
            self.deal()
        self.fresh_input()
        code, said = self.run()
        if code:
            raise Failed(f"the honest run ends with {code}: {said}")
        self.look(True)
        code, said = self.deliver()
        if code:
            raise Failed(f"the honest run's result: {code}: {said}")
        left = [f for f in os.listdir(".") if f.endswith((".partial", ".replaced"))]
        if left:
            raise Failed(f"left behind: {left}")

    def faulty_run(self, kind, must_fail=False, undo=None, **how):
        """The run with the fault, judged; then, the fault taken away, what became of its result."""
        try:
            code, said = self.run(**how)
        finally:
            if undo:
                undo()
        self.judge(kind, code, said)
        self.codes[code] += 1
        if must_fail and not code:
            raise Failed(f"the run succeeds: {said}")
        self.look(False)
        revealed, said = self.deliver()
        if code == 0 and revealed:
            raise Failed(f"a run ends with 0, its result is not to be had: {revealed}: {said}")
        if revealed:
            self.judge("no result", revealed, said)
        return code


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def self_test(world):
    """The oracle can tell: other TEST keys' values are not these."""
    if world.command("check", "n", "--exact", "--test-seed", str(world.test_seed + 1), "-q")[0] != 10:
        raise Failed("check --exact takes any value for right")


def turn(world, number):
    names = [k for k, f in FAULTS.items() if world.preload or not f.lies]
    name = world.chance.choices(names, [FAULTS[k].weight for k in names])[0]
    # the first use of a key may meet the fault, too, where the fault does not want a key in use
    if number % TURNS_PER_KEY == 0:
        world.deal()
        if FAULTS[name].used:
            world.honest()
    world.fresh_input()
    told = []
    try:
        FAULTS[name].act(world, told)
        world.honest(deal="new keys" in told)
    except Failed as why:
        raise Failed(f"turn {number}, {name} ({', '.join(map(str, told))}): {why}") from None
    return name


def main():
    twain, preload, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 32)
    counts = collections.Counter()
    start = time.monotonic()
    try:
        world = World(twain, preload, random.Random(seed))
        world.honest(deal=True)
        self_test(world)
        before = time.monotonic()
        world.honest()
        world.usual = 0.6 * (time.monotonic() - before)
        for number in range(turns):
            counts[turn(world, number)] += 1
            if sys.stdout.isatty():
                print(number, counts, flush=True)
        listed = sum(k["used"] for name in LEDGERS for k in json.loads(world.must("ledger", name, "--json"))["keys"])
        if listed != len(world.notes):
            raise Failed(f"twain ledger lists {listed} marks, there are {len(world.notes)}")
    except Failed as why:
        sys.exit(f"FAILED (choices of seed {seed}): {why}")
    print(f"{turns} runs with a fault (seed {seed}): exit codes "
          + ", ".join(f"{c}: {n}" for c, n in sorted(world.codes.items()))
          + f"; {listed} marks, {len(world.taken)} slots in results, none twice; no wrong result, no hang, every cause named; "
          f"{time.monotonic() - start:.0f} s\nfaults: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items()))
          + ("" if world.can_mount else "; no file system was full (mounting is not allowed)")
          + ("" if preload else "; no party lied (no library to load)"))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    main()
