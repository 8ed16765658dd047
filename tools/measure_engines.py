#!/usr/bin/env python3
"""Which engine wins on which link: for a model and the six links of docs/engines.md what `twain plan` foretells by each
engine and by `auto`, then runs over the emulated link by each of these plans.

    tools/measure_engines.py TWAIN RAW [SHAPE [DEVICE [BENCH-DEVICE]]]
                              records to RAW/engines-SHAPE-LINK.json, for tools/measured.py keep; SHAPE: minilm, DEVICE of
                              rates: epyc, BENCH-DEVICE: cpu
    tools/measure_engines.py map TWAIN RAW [SHAPE [DEVICE]]
                              what `auto` chooses and foretells on a grid of links, to RAW/engines-map-SHAPE.json

Two cores, or two GPUs. BEFORE: a command in front of the parties, such as `chrt -f 1`, as root, where other work shares
the cores. LINKS: only these of 1 to 6. REPEAT: inferences, of all links alike. BUDGET: most bytes of keys."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from measure_estimates import records

LINKS = [["1us", "270GB/s"], ["25us", "10Gbit/s"], ["500us", "10Gbit/s"], ["2ms", "3.2Gbit/s"], ["10ms", "1Gbit/s"],
         ["30ms", "100Mbit/s"]]
REPEATS = [9, 9, 7, 5, 3, 3]
CHOICES = re.compile(r"(?:engine (\S+), )?groups ([\d,]+), nodes of (\d), windows in (\d) levels?, norms (with|without) a mean")


def by_hand(choices):
    engine, groups, nodes, windows, means = CHOICES.match(choices).groups()
    return ["--engine", engine or "digit", "--maximum-groups", groups, "--node-arity", nodes, "--window-levels", windows,
            "--norm-means", str(int(means == "with"))]


def budget_words():
    return ["--key-budget", os.environ["BUDGET"]] if os.environ.get("BUDGET") else []


def plans_of(twain, shape, device, link):
    """One for each engine that keeps the budget, and what was chosen among all."""
    budget, found = budget_words(), {}
    for engine in ["digit", "pfss-rows", "pfss", "auto"]:
        command = [twain, "plan", "--shape", shape, *link, "--device", device, "--engine", engine, *budget, "--json"]
        if engine == "pfss" and budget and subprocess.run(command, capture_output=True).returncode == 8:
            continue
        found[engine], = records(*command)
    return found


GRID = [["1us", "25us", "100us", "500us", "2ms", "10ms", "30ms", "100ms"],
        ["100Mbit/s", "1Gbit/s", "3.2Gbit/s", "10Gbit/s", "270GB/s"]]
SHOWN = ["command_line", "git_commit", "git_dirty", "twain_version", "date", "cpu", "model", "choices", "link_latency_ns",
         "link_rate_bits_per_second", "rates_device", "estimated_online_ns", "key_bytes", "sent_bytes", "rounds"]


def chart(twain, raw, shape="minilm", device="epyc"):
    Path(raw).mkdir(parents=True, exist_ok=True)
    found = []
    for rate in GRID[1]:
        for latency in GRID[0]:
            plan, = records(twain, "plan", "--shape", shape, "--link-latency", latency, "--link-rate", rate, "--device",
                            device, *budget_words(), "--json")
            found.append({k: v for k, v in plan.items() if k in SHOWN})
    Path(raw, f"engines-map-{shape}.json").write_text(json.dumps(found))


def main(twain, raw, shape="minilm", device="epyc", bench="cpu"):
    Path(raw).mkdir(parents=True, exist_ok=True)
    before = os.environ.get("BEFORE", "").split()
    for i in [int(n) - 1 for n in os.environ.get("LINKS", "1 2 3 4 5 6").split()]:
        latency, rate = LINKS[i]
        link = ["--link-latency", latency, "--link-rate", rate]
        kept, took = [], {}
        for engine, plan in plans_of(twain, shape, device, link).items():
            kept.append({**plan, "asked_engine": engine})
            digest = plan["plan_digest"]
            if digest not in took:
                run, = records("mpirun", "-np", "2", *before, twain, "bench", "model", "--shape", shape, "--device", bench,
                               "--prepare", "before", "--repeat", os.environ.get("REPEAT", str(REPEATS[i])), *link, *by_hand(plan["choices"]), "--json")
                if run["plan_digest"] != digest:
                    sys.exit(f"{shape}, link {i + 1}: said by hand, the choice is another plan")
                took[digest] = run["online_median_ns"]
                kept.append(run)
            print(f"{shape}, link {i + 1}, {engine}: estimate {plan['estimated_online_ns'] / 1e6:.1f} ms, took "
                  f"{took[digest] / 1e6:.1f} ms: {plan['choices']}", flush=True)
        Path(raw, f"engines-{shape}-{i + 1}.json").write_text(
            json.dumps([{k: v for k, v in r.items() if not k.startswith("step")} for r in kept]))


if sys.argv[1:2] == ["map"]:
    chart(*sys.argv[2:])
else:
    main(*sys.argv[1:])
