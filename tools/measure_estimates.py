#!/usr/bin/env python3
"""Whether `twain plan` foretells what a run takes, and chooses well: for each model and link the plan's estimate, then
runs over the emulated link by what it chose, by every next best form, and by what it chooses on one host. By digits:
tools/measure_engines.py compares engines.

    tools/measure_estimates.py TWAIN RAW [DEVICE]     records to RAW/estimate-MODEL-LINK.json, for tools/measured.py keep

Two cores; where other work shares them, `chrt -f 1` (as root) in front of the parties, by the variable BEFORE."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

MODELS = ["bert-tiny", "minilm"]
LINKS = {"near": ["25us", "10Gbit/s"], "far": ["2ms", "3.2Gbit/s"], "farther": ["10ms", "1Gbit/s"]}
REPEATS = {"near": "15"}  # the first inferences of a process take longer than the later ones
CHOICES = re.compile(r"groups ([\d,]+), nodes of (\d), windows in (\d) levels?, norms (with|without) a mean")


def records(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def by_hand(choices):
    groups, nodes, windows, means = CHOICES.match(choices).groups()
    return ["--maximum-groups", groups, "--node-arity", nodes, "--window-levels", windows, "--norm-means",
            str(int(means == "with"))]


def others(plan, usual):
    """What the plan chose with one form replaced, and one host's choice."""
    chosen = plan["choices"]
    found = [chosen] + [chosen.replace(s["chosen"], s["instead"]) for s in plan["saved"]] + [usual]
    return list(dict.fromkeys(found))


def main(twain, raw, device="epyc"):
    Path(raw).mkdir(parents=True, exist_ok=True)
    before = os.environ.get("BEFORE", "").split()
    for model in MODELS:
        usual, = records(twain, "plan", "--shape", model, "--json")
        for name, (latency, rate) in LINKS.items():
            link = ["--link-latency", latency, "--link-rate", rate]
            plan, = records(twain, "plan", "--shape", model, *link, "--device", device, "--engine", "digit", "--json")
            found = [plan]
            for choices in others(plan, usual["choices"]):
                found += records("mpirun", "-np", "2", *before, twain, "bench", "model", "--shape", model, "--device", "cpu",
                                 "--prepare", "before", "--repeat", REPEATS.get(name, "7"), *link, *by_hand(choices), "--json")
            if found[1]["plan_digest"] != plan["plan_digest"]:
                sys.exit(f"{model}, {name}: said by hand, the choice is another plan")
            kept = [{k: v for k, v in r.items() if not k.startswith("step")} for r in found]  # many, and not needed
            Path(raw, f"estimate-{model}-{name}.json").write_text(json.dumps(kept))
            took = [r["online_median_ns"] for r in found[1:]]
            print(f"{model} {name}: estimate {plan['estimated_online_ns'] / 1e6:.1f} ms, took {took[0] / 1e6:.1f} ms, "
                  f"the best {min(took) / 1e6:.1f} ms: {found[1 + took.index(min(took))]['choices']}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
