#!/usr/bin/env python3
"""Whether the forecast of `plan`, `status` and `run` holds: memory and time of a party's run, by model, length and batch.

    tools/measure_forecast.py TWAIN RAW     records to RAW/forecast-MODEL-SEQ-BATCH.json, for tools/measured.py keep

Two cores; where other work shares them, `chrt -f 1` (as root) in front of the parties, by the variable BEFORE. Models
have random weights. Keys lie in files, below TMPDIR: 3 GB at most. The time is that of preparation and online phase of
one batch, in a process that does it once, as `run` does without --batch; the median of REPEATS (default 3) runs."""
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from parties import call

CASES = [("bert-tiny", 32, (1, 8, 32)), ("bert-tiny", 128, (1, 8)), ("minilm", 32, (1, 8)), ("minilm", 128, (1, 8)),
         ("gpt2", 16, (1, 8)), ("smollm2-135m", 16, (1, 8))]


def run(twain, model, seq, batch, foretold):
    """The record of the median run, with what was foretold."""
    text = "\n".join(f"text {i}" for i in range(batch))
    Path("texts").write_text(text + "\n")
    call(twain, "encode", "m", "--file", "texts", "--share", "-q", "--force")
    repeats, found = int(os.environ.get("REPEATS", "3")), []
    for _ in range(repeats):
        call(twain, "deal", "m", "-n", str(batch), "-q", "--force")
        record, = json.loads(call("mpirun", "-np", "2", *os.environ.get("BEFORE", "").split(), twain, "run", "m", "--ledger",
                                  "ledger", "--device", "cpu", "--json", "-q", "--force"))
        record["took_ns"] = record["preparation_ns"][0] + record["online_ns"][0]
        found.append(record)
    found.sort(key=lambda r: r["took_ns"])
    record = found[len(found) // 2]
    record["took_median_ns"] = statistics.median(r["took_ns"] for r in found)
    record["forecast_memory_bytes"], record["forecast_ns"] = foretold["memory_bytes"], foretold["all_ns"]
    record["model"] = model  # as --shape says it
    return {k: v for k, v in record.items() if not k.startswith("step")}


def main(twain, raw):
    twain, raw = Path(twain).resolve(), Path(raw).resolve()
    raw.mkdir(parents=True, exist_ok=True)
    for model, seq, batches in CASES:
        with tempfile.TemporaryDirectory() as work:
            os.chdir(work)
            call(twain, "import", "--shape", model, "-o", "m", "-q")
            plan, = json.loads(call(twain, "plan", "m", "--seq", str(seq), "--json"))
            call(twain, "share", "m", "-q")
            call(twain, "ledger", "--new", "ledger", "-q")
            for batch in batches:
                foretold = next(f for f in plan["forecast"] if f["batch"] == batch)
                record = run(twain, model, seq, batch, foretold)
                Path(raw, f"forecast-{model}-{seq}-{batch}.json").write_text(json.dumps([record]))
                memory, time = (record["host_memory_peak_bytes"] / foretold["memory_bytes"],
                                record["took_ns"] / foretold["all_ns"])
                print(f"{model}, {seq} tokens, {batch} at once: {1e-6 * foretold['memory_bytes']:.0f} MB foretold, x {memory:.3f}; "
                      f"{1e-6 * foretold['all_ns']:.1f} ms foretold, x {time:.2f} "
                      f"({1e-6 * record['preparation_ns'][0]:.1f} + {1e-6 * record['online_ns'][0]:.1f})", flush=True)
            os.chdir("/")


if len(sys.argv) != 3:
    sys.exit(__doc__.split("\n\n")[1])
main(*sys.argv[1:])
