#!/usr/bin/env python3
"""Includes point one way: from a room to itself or to rooms before it, and two files never include each other in a
circle. The rooms stand in order below.    tools/check_includes.py; exit code 1 and a line for each include that is wrong"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOMS = ["include", "base", "kernels", "kernels/cpu", "kernels/cuda", "comm", "io", "jobs/program", "jobs/gates", "jobs/models",
         "jobs/plan", "jobs/keys", "jobs/engine", "jobs/parties", "jobs/api", "app", "tests"]
SIDES = {("comm", "io"), ("io", "comm"), ("io", "kernels"), ("io", "kernels/cpu"), ("io", "kernels/cuda")}  # neighbours: neither may include the other


def room(path):
    inside = [r for r in ROOMS if path.startswith(r + "/")]
    return max(inside, key=len) if inside else None


def includes(path):
    return re.findall(r'^\s*#include "([^"]+)"', Path(path).read_text(), re.M)


def circle(graph):
    """A path that comes back to where it began, or None."""
    state, trail = {}, []

    def visit(node):
        state[node] = 1
        trail.append(node)
        for target in graph.get(node, ()):
            if state.get(target) == 1:
                return trail[trail.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        trail.pop()
        state[node] = 2
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def main():
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h", "*.cu", "*.inc"], capture_output=True, text=True)
    os.chdir(root)
    files = [f for f in listed.stdout.split() if room(f)]
    find = lambda f, i: i if Path(i).exists() else str(Path(f).parent / i)
    graph = {f: [find(f, i) for i in includes(f) if Path(find(f, i)).exists()] for f in files}
    wrong = 0
    for f, targets in graph.items():
        for i in targets:
            a, b = room(f), room(i)
            if b is None or (a, b) in SIDES or ROOMS.index(b) > ROOMS.index(a):
                wrong += 1
                print(f"{f} includes {i}: {b} comes after {a}")
    loop = circle({f: t for f, t in graph.items() if f.endswith(".h")})
    if loop:
        wrong += 1
        print("a circle: " + " -> ".join(loop))
    print(f"{len(files)} files in {len(ROOMS)} rooms, {wrong} includes that point the wrong way")
    return wrong > 0


sys.exit(main())
