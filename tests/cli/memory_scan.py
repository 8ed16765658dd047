"""Where secrets lie in the memory of twain's processes: in a stopped process, every place that holds a seed must be out
of core dumps and locked, every place that holds a share of the input or a correction out of dumps.

memory_scan.py deal | share | run NAME: starts that command (TWAIN is the binary) and stops it several times. Exits 1
with the places that are wrong, and when no secret was found anywhere: then nothing was looked at.
"""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

TWAIN = os.environ["TWAIN"]
PIECE = 16  # bytes of a seed that are looked for


def regions(pid):
    """(first, end, name, out of dumps, locked) of the memory that a process may have written."""
    found = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+\s*(.*)", line)
        if head:
            found.append([int(head[1], 16), int(head[2], 16), head[4] or "anonymous", head[3], []])
        elif line.startswith("VmFlags"):
            found[-1][4] = line.split()[1:]
    return [(a, b, name, "dd" in flags, "lo" in flags) for a, b, name, access, flags in found
            if access.startswith("rw") and not name.startswith("[v")]


def snapshot(pid):
    """Memory of a process that is stopped meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "TtZ":
            time.sleep(0.001)
        places = regions(pid)
        taken = []
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for first, end, name, hidden, locked in places:
                try:
                    memory.seek(first)
                    taken.append((name, hidden, locked, memory.read(end - first)))
                except OSError:  # a device's memory
                    pass
        return taken
    finally:
        os.kill(pid, signal.SIGCONT)


def pieces(secret):
    return [secret[i:i + PIECE] for i in range(0, len(secret) - PIECE + 1, PIECE)]


class Verdict:
    def __init__(self):
        self.wrong, self.seen = set(), set()

    def seeds(self, taken, what, secrets):
        """Each must be out of dumps and locked."""
        for name, hidden, locked, memory in taken:
            for secret in secrets:
                for piece in pieces(secret):
                    if memory.find(piece) < 0:
                        continue
                    self.seen.add(what)
                    if not hidden or not locked:
                        self.wrong.add(f"{what}: in {name}, {'' if hidden else 'DUMPABLE '}{'' if locked else 'NOT LOCKED'}")

    def words(self, taken, what, words):
        """Of these 64-bit words none may lie where dumps would have it, at any byte."""
        table = np.zeros(1 << 16, dtype=bool)  # of low halfwords: most of the memory is passed over quickly
        table[words & 0xFFFF] = True
        for name, hidden, _, memory in taken:
            count = 0
            for shift in range(8 if not hidden else 1):
                part = np.frombuffer(memory, "<u8", (len(memory) - shift) // 8, shift)
                part = part[table[part & 0xFFFF]]
                count += int(np.isin(part, words).sum())
            if count:
                self.seen.add(what)
                if not hidden:
                    self.wrong.add(f"{what}: {count} words in {name}, DUMPABLE")

    def end(self, expected):
        for what in sorted(self.wrong):
            print(what)
        for what in sorted(set(expected) - self.seen):
            print(f"{what}: never found, so nothing was looked at")
        return 1 if self.wrong or set(expected) - self.seen else 0


def dataset(path, name):
    with h5py.File(path, "r", locking=False) as file:
        return file[name][()]


def rows(array):
    return [bytes(row) for row in array if any(row)]


def wait_for(pattern, process):
    end = time.time() + 60
    while not list(Path(".").glob(pattern)):
        if process.poll() is not None or time.time() > end:
            sys.exit(f"{pattern} did not appear; the command ended with {process.returncode}")
        time.sleep(0.001)


def unreadable(pid):
    """A process that hides its memory from others of the same user is not looked at further, except by root."""
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return False
    except PermissionError:
        return True


def alone(arguments, pattern, stops, ready=None):
    """Snapshots of one process, from when a file that fits the pattern is there and `ready` returns."""
    process = subprocess.Popen([TWAIN, *arguments], stdout=subprocess.DEVNULL)
    wait_for(pattern, process)
    if os.geteuid() != 0:
        if not unreadable(process.pid):
            sys.exit("any process of this user may read the memory")
        return process, None
    if ready:
        ready()
    taken = []
    while len(taken) < stops and process.poll() is None:
        try:
            taken.append(snapshot(process.pid))
        except ProcessLookupError:  # it has just ended; what was seen of it counts
            break
        time.sleep(0.02)
    return process, taken


def dealt_seeds(name):
    """Of the slots so far, once both files have their layout."""
    for _ in range(1000):
        try:
            seeds = [rows(dataset(f"{name}.keys.p{party}.h5.partial", "seeds")) for party in "01"]
            if all(seeds):
                return seeds[0] + seeds[1]
        except OSError:
            pass
        time.sleep(0.01)
    sys.exit("no seeds in unfinished key files")


def scan_deal(name):
    process, taken = alone(["deal", name, "-n", "2000", "-q", "--device", "cpu"], f"{name}.keys.p1.h5.partial", 6,
                           lambda: dealt_seeds(name))
    seeds = [] if taken is None else dealt_seeds(name)
    process.terminate()
    process.wait()
    if taken is None:
        return 0
    verdict, masks = Verdict(), rows(dataset(f"{name}.model.dealer.h5", "mask_seeds"))
    for memory in taken:
        verdict.seeds(memory, "mask seeds of the model", masks)
        verdict.seeds(memory, "seeds of slots", seeds)
    return verdict.end(["mask seeds of the model", "seeds of slots"])


def scan_share(name):
    process, taken = alone(["share", name, "-q", "--force"], f"{name}.model.p*.h5.partial", 6)
    if process.wait() != 0:
        sys.exit("share failed")
    if taken is None:
        return 0
    verdict, masks = Verdict(), rows(dataset(f"{name}.model.dealer.h5", "mask_seeds"))
    for memory in taken:
        verdict.seeds(memory, "mask seeds of the model", masks)
    return verdict.end(["mask seeds of the model"])


def parties_below(launcher):
    """Processes of the two parties, by party."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"\nPPid:\t{launcher}\n" not in (folder / "status").read_text():
                continue
            party = re.search(rb"\0OMPI_COMM_WORLD_RANK=(\d)\0", b"\0" + (folder / "environ").read_bytes())
        except OSError:
            continue
        if party:
            found[int(party[1])] = int(folder.name)
    return found


def scan_run(name):
    words = [np.unique(dataset(f"{name}.input.p{party}.h5", "share")) for party in "01"]
    words = [w[w > 1 << 40] for w in words]  # a small number may be anything
    seeds = [rows(dataset(f"{name}.keys.p{party}.h5", "seeds")) for party in "01"]
    masks = [[bytes(dataset(f"{name}.model.p{party}.h5", "mask_seed"))] for party in "01"]
    keys = [np.unique(dataset(f"{name}.keys.p{party}.h5", "corrections").view("<u8")) for party in "01"]
    keys = [k[(k > 1 << 56) & (k < (1 << 64) - (1 << 56))] for k in keys]
    keys = [np.sort(k[np.random.permutation(len(k))[:4000]]) for k in keys]
    process = subprocess.Popen(["mpirun", "-np", "2", TWAIN, "run", name, "--ledger", "ledger", "-q", "--device", "cpu"])
    wait_for("ledger/p1/*/[0-9]*", process)
    verdict, all_taken = Verdict(), []
    pids = parties_below(process.pid)
    for _ in range(3):
        for party, pid in pids.items():
            try:
                all_taken.append((party, snapshot(pid)))
            except (OSError, IndexError):  # it has ended
                pass
        time.sleep(0.02)
    if process.wait() != 0:
        sys.exit("run failed")
    for party, taken in all_taken:
        verdict.seeds(taken, f"mask seed of party {party}", masks[party])
        verdict.seeds(taken, f"slot seeds of party {party}", seeds[party])
        verdict.words(taken, f"input share of party {party}", words[party])
        verdict.words(taken, f"corrections of party {party}", keys[party])
    return verdict.end([f"{what} of party {party}" for party in (0, 1)
                        for what in ("mask seed", "slot seeds", "input share")])


sys.exit({"deal": scan_deal, "share": scan_share, "run": scan_run}[sys.argv[1]](sys.argv[2]))
