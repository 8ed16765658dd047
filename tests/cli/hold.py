"""Holds a run in batches between two of them: hold.py CLAIMS PARTS COUNT LAUNCHER. As soon as the folder PARTS has so
many finished batches it takes the lock that the run's processes take between batches, in the folder CLAIMS of party 0,
and says "held"; a line, or the end, of its input lets go. Says "ended" where the launcher ends before. No process is
started between two looks, so a run does not get far meanwhile, however busy the machine is."""
import fcntl
import os
import sys
import time

claims, parts, count, launcher = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def runs():
    try:
        return open(f"/proc/{launcher}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def finished():
    try:
        return sum(name.endswith(".h5") for name in os.listdir(parts))
    except FileNotFoundError:
        return 0


while runs():
    try:
        rows = os.open(claims + "/rows", os.O_RDWR)
    except FileNotFoundError:
        rows = -1
    if rows >= 0:
        fcntl.flock(rows, fcntl.LOCK_EX)
        if finished() >= count:
            print("held", flush=True)
            sys.stdin.readline()
            sys.exit()
        os.close(rows)
    time.sleep(0.002)
print("ended", flush=True)
