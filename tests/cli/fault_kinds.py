"""The faults of fault_runs.py, and what may come of each.

CAUSES: kind: exit code: what one of the lines `twain: ...` says ("": nobody is left to say it)."""

import collections
import os
import re
import signal
import subprocess
import time

import h5py


class Failed(Exception):
    pass


Fault = collections.namedtuple("Fault", "act used lies weight")
FAULTS = {}

DAMAGED = r"damaged|checksum|CRC|digest|malformed|not a|cannot|differ|unreadable|HDF5|JSON|is \[|holds|wrong|unknown|missing|expected"
STOPPED = r"stopped: |ended|hung|died|nothing moved|gone"
BY_SIGNAL = r"exited on signal|ended by a signal|" + STOPPED
FILES = r"n\.(keys|model|input|result|client|plan)\.|ledger\.json|key file|plan"

CAUSES = {
    "signal to a party": {0: "", 7: STOPPED, 11: "stopped by a signal", 137: BY_SIGNAL, 143: BY_SIGNAL},
    "TERM to the launcher": {0: "", 1: "a signal", 11: "stopped by a signal", 143: "a signal", 7: STOPPED},
    "TERM to the launcher, perhaps alone": {0: "", 1: "", 11: "", 143: "", 7: ""},
    "KILL to the launcher": {0: "", -9: ""},
    "full disk": {0: "", 3: r"No space|full|space|are free|files limited|File too large|cannot (be )?(written|made|reserve)"},
    "slot again": {6: r"was used before"},
    "copied keys": {0: ""},
    "copied keys, another ledger": {5: r"ledger"},
    "no such ledger": {3: r"no such ledger"},
    "another ledger": {5: r"ledger"},
    "an open ledger": {3: r"mode 0\d+ lets group or world write.*chmod go-w"},
    "read-only": {3: r"[Rr]ead-only|Permission denied"},
    "flipped byte": {0: "", 3: FILES, 4: FILES, 5: FILES + "|model|input"},
    "flipped ledger": {0: "", 3: "ledger", 4: "ledger", 5: "ledger"},
    "lie about status": {**{c: "stopped: " for c in range(1, 11)}, 7: "its status", 0: ""},
    "lie about version": {5: "differ in protocol version"},
    "lie about terms": {0: "", 5: "differ in plan", 7: "is not hexadecimal"},
    "lie about words": {7: "a word without end"},
    "lie about cut": {7: "another size|stopped|differ", 5: "protocol version"},
    "lie about hardware": {7: "a description of its hardware that no twain sends"},
    "lie about cores": {7: "a list of cores that no twain sends"},
    "lie about sequence": {0: "", 7: "the sequence number is"},
    "lie about length": {0: "", 7: "another size|the payload length"},
    "lie about checksum": {0: "", 7: "checksum|CRC|damaged"},
    "lie about values": {0: "", 7: "opened different values"},
    "lie about transcript": {7: "opened different values"},
    "drip": {0: "", 7: r"--time-limit"},
    "silent": {0: "", 7: r"nothing moved|does not say|" + STOPPED},
    # of `reveal` after a run that failed, or was cut short before its result
    "no result": {3: r"no such file|No such file|does not exist|is missing", 5: r"is of input|but the result is of|of run|differ in run_id"},
    "the killed command again": {0: "", 3: r"\.partial: exists: .*was killed; .* remove it|was killed.*: (mv|rm) "},
    # of commands that read what a killed one left
    "after a killed command": {0: "", 3: r"[Nn]o such file|exists|another command", 4: FILES, 5: r"dealt for|shared for|differ|is of|but the result|parties"},
}


def fault(used=False, lies=False, weight=1):
    """used: of a key that was used before. lies: needs the library. weight: how often, beside the others."""

    def note(act):
        FAULTS[act.__name__.replace("_", " ")] = Fault(act, used, lies, weight)
        return act

    return note


# ---- processes


def is_party(pid):
    try:
        status = open(f"/proc/{pid}/status").read()
        return "\nState:\tZ" not in status and b"OMPI_COMM_WORLD_RANK=" in open(f"/proc/{pid}/environ", "rb").read()
    except OSError:
        return False


def parties_of(launcher):
    """Party: process, of those parties that are there."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"\nPPid:\t{launcher}\n" not in open(f"/proc/{pid}/status").read():
                continue
            party = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d)\0", open(f"/proc/{pid}/environ", "rb").read())
        except OSError:
            continue
        if party:
            found[int(party[1])] = int(pid)
    return found


def send(number, pids):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def wait_for_news(world, run, news):
    """Until so many new files lie in the ledgers: the lock, the records, marks."""

    def count():
        return sum(len(files) for ledger in ("ledger0", "ledger1") for _, _, files in os.walk(ledger))

    before, end = count(), time.monotonic() + 60
    while count() < before + news and run.poll() is None and time.monotonic() < end:
        pass


@fault(weight=4)
def killed(world, told):
    chance = world.chance
    who, number = chance.choice(["party 0", "party 1", "both", "launcher"]), chance.choice([signal.SIGKILL, signal.SIGTERM])
    aimed = chance.random() < 0.6
    news, delay = chance.randrange(1, 8), chance.uniform(0, 0.01 if aimed else world.usual)
    told += [who, number.name, f"after {delay:.4f} s" + (f" and {news} files" if aimed else "")]

    def strike(run):
        run.parties, end = {}, time.monotonic() + 60
        begin = time.monotonic()
        while len(run.parties) < 2 and run.poll() is None and time.monotonic() < end:
            run.parties = {**run.parties, **parties_of(run.pid)}
            if not aimed and time.monotonic() - begin > delay:
                break
        if aimed:
            wait_for_news(world, run, news)
            time.sleep(delay)
        else:
            time.sleep(max(0, begin + delay - time.monotonic()))
        run.parties = {**run.parties, **parties_of(run.pid)} if run.poll() is None else run.parties
        pids = {"party 0": [0], "party 1": [1], "both": [0, 1]}.get(who)
        send(number, [run.parties[r] for r in pids if r in run.parties] if pids else [run.pid])

    kind = f"{number.name[3:]} to the launcher" if who == "launcher" else "signal to a party"
    if kind == "TERM to the launcher" and not aimed:
        kind += ", perhaps alone"  # no party may be there yet to say it
    world.faulty_run(kind, during=strike)


# ---- disks


def fill(left):
    """All of the file system but so many bytes."""
    room = os.statvfs(".")
    size = room.f_bavail * room.f_frsize - left
    with open("filler", "ab") as f:
        if size > 0:
            os.posix_fallocate(f.fileno(), f.tell(), size)


@fault(weight=2)
def full_disk(world, told):
    chance = world.chance
    if not world.can_mount or chance.random() < 0.25:
        party, blocks = chance.randrange(2), chance.choice([0, 1, 8, 64, 256, 512, 1024])
        told += [f"files of party {party} limited to {blocks} KiB"]
        limited = ("bash", "-c", f'ulimit -f {blocks}; trap "" XFSZ; exec "$@"', "limited")
        world.faulty_run("full disk", wrap=(limited, ()) if party == 0 else ((), limited))
        return
    if chance.random() < 0.5:
        left = int(2 ** chance.uniform(12, 21))
        told += [f"{left} bytes free"]
        fill(left)
        during = None
    else:
        delay = chance.uniform(0, world.usual)
        told += [f"full after {delay:.3f} s"]

        def during(run):
            time.sleep(delay)
            try:
                fill(0)
            except OSError:
                pass  # the run was first

    world.faulty_run("full disk", during=during, undo=lambda: os.path.exists("filler") and os.remove("filler"))


# ---- key files and ledgers


def copy(name):
    with open(name, "rb") as f:
        return f.read()


def put_back(name, content):
    with open(name, "wb") as f:
        f.write(content)


@fault(weight=2)
def copied_keys(world, told):
    """Copies from before a run, perhaps from before the first use, of one side or both."""
    chance = world.chance
    sides = chance.choice([(0,), (1,), (0, 1)])
    names = [f"n.keys.p{r}.h5" for r in sides]
    copies = [copy(name) for name in names]
    world.honest()
    key = world.key_id(0)
    used = sorted(slot for party, k, slot in world.marks() if party == 0 and k == key)
    for name, content in zip(names, copies):
        put_back(name, content)
    world.fresh_input()
    way = chance.choice(["slot", "free", "ledger"])
    told += [f"sides {sides}", way]
    if way == "slot":
        world.faulty_run("slot again", must_fail=True, common=("--slot", str(chance.choice(used))))
    elif way == "free":
        world.faulty_run("copied keys")
    else:
        ledgers = chance.choice([("another", "ledger1"), ("ledger0", "another")])
        world.faulty_run("copied keys, another ledger", must_fail=True, ledgers=ledgers)


@fault(used=True)
def mistyped_ledger(world, told):
    ledgers = world.chance.choice([("ledger", "ledger1"), ("ledger0", "ledger"), ("leger", "leger")])
    told += ledgers
    world.faulty_run("no such ledger", must_fail=True, ledgers=ledgers)


@fault(used=True)
def other_ledger(world, told):
    if not any(key == world.key_id(0) for _, key, _ in world.marks()):
        world.honest()
        world.fresh_input()
    ledgers = world.chance.choice([("another", "ledger1"), ("ledger0", "another"), ("another", "another"), ("ledger1", "ledger0")])
    told += ledgers
    world.faulty_run("another ledger", must_fail=True, ledgers=ledgers)


@fault(used=True)
def open_ledger(world, told):
    party = world.chance.randrange(2)
    parts = [f"ledger{party}", f"ledger{party}/ledger.json", f"ledger{party}/p{party}", f"ledger{party}/p{party}/{world.key_id(party)}"]
    part = world.chance.choice([p for p in parts if os.path.exists(p)])
    was = os.stat(part).st_mode & 0o777
    mode = was | world.chance.choice([0o020, 0o002, 0o022])
    told += [part, oct(mode)]
    os.chmod(part, mode)
    world.faulty_run("an open ledger", must_fail=True, undo=lambda: os.chmod(part, was))


@fault(used=True)
def read_only_ledger(world, told):
    ledger = f"ledger{world.chance.randrange(2)}"
    told += [ledger]
    if world.can_mount:
        subprocess.run(["mount", "--bind", ledger, ledger], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", ledger], check=True)
    elif os.geteuid() == 0:
        told += ["left out: root writes everywhere"]
        return
    else:
        for folder, _, _ in os.walk(ledger):
            os.chmod(folder, 0o500)

    def undo():
        if world.can_mount:
            subprocess.run(["umount", ledger], check=True)
        for folder, _, _ in os.walk(ledger):
            os.chmod(folder, 0o700)

    world.faulty_run("read-only", must_fail=True, undo=undo)


# ---- bytes


class Flip:
    """One byte of a file is another; taken back unless something else was written there."""

    def __init__(self, chance, path, at=None):
        size = os.path.getsize(path)
        first, last = chance.choice([(0, size), (0, min(size, 4096)), (max(0, size - 4096), size)])
        self.path, self.at = path, chance.randrange(first, last) if at is None else at
        with open(path, "r+b") as f:
            f.seek(self.at)
            self.was = f.read(1)[0]
            self.now = self.was ^ (1 << chance.randrange(8))
            f.seek(self.at)
            f.write(bytes([self.now]))

    def __str__(self):
        return f"byte {self.at} of {self.path} is {self.now}, was {self.was}"

    def back(self):
        with open(self.path, "r+b") as f:
            f.seek(self.at)
            if f.read(1)[0] == self.now:
                f.seek(self.at)
                f.write(bytes([self.was]))


def byte_of_next_slot(world, path):
    """Of key file `path`: one that the next run reads for its first sequence."""
    marked = {slot for r, key, slot in world.marks() if key == world.key_id(r)}
    slot = next(s for s in range(len(marked) + 1) if s not in marked)
    with h5py.File(path) as f:
        rows = f[world.chance.choice(["seeds", "seed_tags", "chunk_crc32c", "corrections"])]
        bytes_of_row = rows.dtype.itemsize * rows.shape[1]
        return rows.id.get_offset() + slot * bytes_of_row + world.chance.randrange(bytes_of_row)


@fault(weight=2)
def flipped_byte(world, told):
    """In a file that a run reads."""
    chance = world.chance
    ledger = chance.random() < 0.1
    path = f"ledger{chance.randrange(2)}/ledger.json" if ledger else chance.choice(
        [f"n.{part}.p{party}.h5" for part in ("keys", "keys", "model", "input") for party in (0, 1)] + ["n.plan.json"])
    flip = Flip(chance, path, byte_of_next_slot(world, path) if "keys" in path and chance.random() < 0.5 else None)
    told += [flip]
    world.faulty_run("flipped ledger" if ledger else "flipped byte", undo=flip.back)


@fault()
def flipped_result(world, told):
    """In a file that `reveal` and `check` read."""
    code, said = world.run()
    world.judge("copied keys", code, said)
    world.look(True)
    path = world.chance.choice([f"n.result.p{party}.h5" for party in (0, 1)] * 3 + ["n.input.h5", "n.model.json", "n.plan.json"])
    flip = Flip(world.chance, path)
    told += [flip]
    try:
        code, said = world.command("reveal", "n", "-q", "--force")
        world.judge("flipped byte", code, said)
        if code == 0:
            code, said = world.command("check", "n", "--exact", "--test-seed", str(world.test_seed), "-q")
            world.judge("flipped byte", code, said)
        world.codes[code] += 1
    finally:
        flip.back()
    code, said = world.deliver()
    if code:
        raise Failed(f"the result is gone with the damage: {said}")


# ---- a party that lies


def lie(world, told, about, at, value, kind=None, must_fail=False, common=(), words=""):
    liar = world.chance.randrange(2)
    told += [f"party {liar} about {about}", f"message {at}", f"value {value}"]
    settings = {"LD_PRELOAD": f"{world.preload}/preload_peer.so", "TWAIN_PEER_LIE": about, "TWAIN_PEER_AT": at,
                "TWAIN_PEER_VALUE": value, "TWAIN_PEER_TEXT": words}
    world.faulty_run(kind or f"lie about {about}", must_fail=must_fail, common=common,
                     settings=(settings, None) if liar == 0 else (None, settings))


GREETINGS = 11  # of a run: up to the last word, number 10
MESSAGES = 45  # more than a run of this plan has: a lie may come too late


@fault(lies=True)
def lie_in_a_greeting(world, told):
    chance = world.chance
    about = chance.choice(["status", "version", "terms", "words", "cut"])
    value = {"status": chance.choice([*range(1, 11), 11, 256, -1, -2, 1 << 30]), "version": chance.choice([0, 1, 3, 77]),
             "cut": chance.randrange(1, 400)}.get(about, 0)
    lie(world, told, about, chance.randrange(GREETINGS), value, must_fail=about != "terms", words="a reason")


@fault(lies=True)
def lie_about_hardware(world, told):
    lie(world, told, world.chance.choice(["hardware", "cores"]), 0, 0, must_fail=True)


@fault(lies=True, weight=2)
def lie_in_an_opening(world, told):
    lie(world, told, world.chance.choice(["sequence", "length", "checksum", "values"]), world.chance.randrange(MESSAGES), 0)


@fault(lies=True)
def lie_about_the_transcript(world, told):
    lie(world, told, "transcript", 0, 0, must_fail=True)


@fault(lies=True)
def slow_party(world, told):
    late = world.chance.choice([1, 5, 60, 120])
    lie(world, told, "drip", 0, late, kind="drip", common=("--time-limit", "3") if late > 5 else ())


@fault(lies=True)
def silent_party(world, told):
    lie(world, told, "silent", world.chance.randrange(MESSAGES + GREETINGS + 10), 0, kind="silent", common=("--silence-limit", "1"))


# ---- commands that are cut short


def follow_remedies(world, command):
    """What a killed command left in the way is named, with the way out, until the command succeeds."""
    for _ in range(6):
        code, said = world.command(*command)
        world.judge("the killed command again", code, said)
        if code == 0:
            return
        partial, remedy = re.search(r"twain: (\S+\.partial): exists", said), re.search(r": ((mv|rm) n\..*)", said)
        if partial:
            os.remove(partial[1])
        elif remedy:
            subprocess.run(remedy[1], shell=True, check=True)
    raise Failed(f"no remedy helps: {said}")


@fault()
def killed_command(world, told):
    """What another command left is taken by no later one for whole."""
    chance = world.chance
    world.run()
    seed = world.test_seed
    commands = {"encode": ["encode", "n", *world.texts], "share --input": ["share", "n", "--input"],
                "deal": ["deal", "n", "-n", "40", "--test-seed", str(seed)], "reveal": ["reveal", "n"]}
    name = chance.choice(list(commands))
    how = chance.choice(["KILL", "TERM", "ulimit"] + ["full"] * world.can_mount)
    amount = chance.uniform(0, 0.15 if name == "deal" else 0.05)
    blocks = chance.choice([0, 1, 4, 16, 256])
    told += [name, how, f"{amount:.4f} s" if how in ("KILL", "TERM") else f"{blocks} KiB"]
    line = [world.program, *commands[name], "-q", "--force"]
    if how == "full":
        fill(1024 * blocks)
    if how == "ulimit":
        line = ["bash", "-c", f'ulimit -f {blocks}; trap "" XFSZ; exec "$@"', "limited", *line]
    done = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    if how in ("KILL", "TERM"):
        time.sleep(amount)
        send(signal.SIGKILL if how == "KILL" else signal.SIGTERM, [done.pid])
    said, _ = done.communicate(timeout=120)
    if how == "full":
        os.remove("filler")
    if how in ("full", "ulimit"):
        world.judge("full disk", done.returncode, said)
    elif how == "TERM" and done.returncode not in (0, -signal.SIGTERM):
        raise Failed(f"SIGTERM ends in {done.returncode}: {said}")
    left = [f for f in os.listdir(".") if f.endswith((".partial", ".replaced"))]
    if left and how != "KILL":
        raise Failed(f"left behind: {left}")
    for step in (["share", "n", "--input", "-q", "--force"], None, ["reveal", "n", "-q", "--force"]):
        code, said = world.command(*step) if step else world.run()
        world.judge("after a killed command", code, said)
        if step is None:
            world.codes[code] += 1
    if code == 0:
        world.must("check", "n", "--exact", "--test-seed", str(seed), "-q")
    follow_remedies(world, [*commands[name], "-q", "--force"])
    if name == "deal":
        told += ["new keys"]
