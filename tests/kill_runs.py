"""Kills runs at random moments and looks at what they leave: kill_runs.py TWAIN KILLS [SEED]

In an empty folder. Each round starts a run and kills rank 0, rank 1, both, or the launcher with SIGKILL: after a random
time, or a moment after something new lies in the ledger (the lock, the records, a mark). Then, without any repair, the next
run must succeed. After each run: no slot is used twice, no mark has changed, no seed is erased without a mark, and after a
run that succeeded no marked slot has a seed left. Key files are fresh every few rounds, so that first uses are killed, too.
Ends with 1 and the seed of its choices when anything is wrong."""

import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py

TWAIN, KILLS = sys.argv[1], int(sys.argv[2])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
chance = random.Random(SEED)
BATCH, ROUNDS_PER_KEY = 3, 5
LIMIT = 240  # seconds for a run that is not killed
folder = os.getcwd()


def stop(why):
    sys.exit(f"FAILED (choices of seed {SEED}): {why}")


def twain(*args):
    done = subprocess.run([TWAIN, *args], capture_output=True, text=True)
    if done.returncode:
        stop(f"twain {' '.join(args)}: {done.returncode}: {done.stderr}")
    return done.stdout


def start(name):
    os.mkdir(name)
    for f in glob.glob("n.*"):
        os.symlink(os.path.join(folder, f), os.path.join(name, f))
    with open(f"{name}/said", "w") as said:
        return subprocess.Popen(["mpirun", "-np", "2", TWAIN, "run", f"{name}/n", "--ledger", "ledger", "-q", "--timeout", "60"],
                                stdout=said, stderr=said, stdin=subprocess.DEVNULL)


def ranks_of(launcher):
    """Rank: process, of those ranks that are there."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if f"\nPPid:\t{launcher}\n" not in open(f"{path}/status").read():
                continue
            rank = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d)\0", open(f"{path}/environ", "rb").read())
        except OSError:
            continue
        if rank:
            found[int(rank[1])] = int(path.split("/")[-1])
    return found


def entries():
    return sum(len(files) + len(folders) for _, folders, files in os.walk("ledger"))


def kill(run, who, aimed, delay):
    """Waits for the moment and sends the signals. False: the run had ended before."""
    ranks, before = {}, entries()
    end = time.monotonic() + 60
    while len(ranks) < 2 and run.poll() is None and time.monotonic() < end:
        ranks = ranks_of(run.pid)
    if aimed:
        news = chance.randrange(1, 2 * BATCH + 6)  # so many new things in the ledger
        while entries() < before + news and run.poll() is None and time.monotonic() < end:
            pass
    time.sleep(delay)
    for pid in {"rank 0": [ranks.get(0)], "rank 1": [ranks.get(1)], "both": list(ranks.values()), "launcher": [run.pid]}[who]:
        try:
            if pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return run.poll() is None


def key_id(rank):
    with h5py.File(f"n.keys.p{rank}.h5") as f:
        id = f.attrs["key_id"]
        return id.decode() if isinstance(id, bytes) else id


def live_seeds(rank):
    with h5py.File(f"n.keys.p{rank}.h5") as f:
        return [s for s, (seed, tag) in enumerate(zip(f["seeds"][()], f["seed_tags"][()])) if seed.any() or tag.any()], len(f["seeds"])


notes = {}  # path of a mark: its note
taken = {}  # (key, slot): the run whose result has it


def look(name, succeeded):
    for rank in (0, 1):
        marks = set()
        for path in glob.glob(f"ledger/p{rank}/{key_id(rank)}/[0-9]*"):
            note = open(path).read()
            marks.add(int(path.split("/")[-1]))
            if not note.startswith(notes.get(path, "")):  # a note may be completed, by a rank that lost its launcher
                stop(f"{name}: the mark {path} has changed: {notes[path]!r}, {note!r}")
            notes[path] = note
        live, count = live_seeds(rank)
        erased = set(range(count)) - set(live)
        if not erased <= marks:
            stop(f"{name}: rank {rank}: slots {erased - marks} are erased, not marked")
        if succeeded and erased != marks:
            stop(f"{name}: rank {rank}: slots {marks - erased} are marked and have a seed still")
    results = [f"{name}/n.result.p{rank}.h5" for rank in (0, 1)]
    if not all(map(os.path.exists, results)):
        return
    a, b = (list(map(int, h5py.File(r)["slots"][()])) for r in results)
    if a != b or len(set(a)) != BATCH:
        stop(f"{name}: slots {a} and {b}")
    for slot in a:
        if (key_id(0), slot) in taken:
            stop(f"{name}: slot {slot} served {taken[key_id(0), slot]}, too")
        taken[key_id(0), slot] = name


def wait(run, name):
    try:
        return run.wait(LIMIT)
    except subprocess.TimeoutExpired:
        run.kill()
        stop(f"{name} hangs: {open(name + '/said').read()}")


twain("import", "--synthetic", "1x24x3x40", "-o", "n", "-q")
twain("plan", "n", "--seq", "7", "-q")
twain("share", "n", "-q")
twain("encode", "n", "an input of words", "b", "and more", "-q")
twain("share", "n", "--input", "-q")
twain("ledger", "--new", "ledger", "-q")
hit = marked = 0
for number in range(KILLS):
    if number % ROUNDS_PER_KEY == 0:
        twain("deal", "n", "-n", str(2 * BATCH * ROUNDS_PER_KEY), "-q", "--force")
        os.makedirs("runs", exist_ok=True)
    who = chance.choice(["rank 0", "rank 1", "both", "launcher"])
    aimed = chance.random() < 0.75
    delay = chance.uniform(0, 0.01) if aimed else chance.uniform(0, 0.6)
    name, before = f"runs/{number}", len(notes)
    run = start(name)
    hit += kill(run, who, aimed, delay)
    code = wait(run, name)
    look(name, False)  # a rank that lost its launcher may be at work still: that, too, must leave what is allowed
    marked += len(notes) > before
    name = f"runs/{number}.next"
    if wait(start(name), name):
        stop(f"{name}, after {who} was killed: {open(name + '/said').read()}")
    look(name, True)
    shutil.rmtree(f"runs/{number}")
    shutil.rmtree(f"runs/{number}.next")
listed = json.loads(twain("ledger", "ledger", "--json"))["keys"]
if sum(k["used"] for k in listed) != len(notes):
    stop("twain ledger lists other marks than there are")
print(f"{KILLS} runs killed ({hit} before they ended, {marked} after a mark), {KILLS} runs after them: {len(notes)} marks, "
      f"{len(taken)} slots in results, none twice")
