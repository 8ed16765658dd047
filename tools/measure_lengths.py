#!/usr/bin/env python3
"""Times a table of texts from CSV to CSV, by a plan whose lengths fit the texts and by one that pads them all.

    tools/measure_lengths.py TWAIN MODEL RAW [ROWS [PORTIONS]]     RAW: for lengths-fit.json and lengths-padded.json

MODEL is a folder as `twain import` reads it. The table is that of tools/make_csv.py: 3 to 600 words, log-uniform, cut at
128 tokens. Dealer, client, parties and client again have one command each, one after the other; what is done once a
model, import, plan and share, is not timed. Ids of every row are compared with the table's, and embeddings of both plans
with each other. ROWS is 200, of which the keys of the padded plan are 60 GB with MiniLM. So the padded table goes in
PORTIONS, 4, whose times are added up. Files lie below TMPDIR. Then: tools/measured.py keep RAW docs/measured/cpu2,
tools/measured.py tables
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parties import call

TOOLS = Path(__file__).resolve().parent
RECORD = ("twain_version", "git_commit", "git_dirty", "date", "cpu", "isa", "mpi", "model")


def timed(*command):
    begun = time.monotonic_ns()
    call(*command)
    return time.monotonic_ns() - begun


def rows_of(file):
    with open(file, newline="") as table:
        return list(csv.DictReader(table))


def write_rows(file, rows):
    with open(file, "w", newline="") as table:
        out = csv.DictWriter(table, rows[0].keys())
        out.writeheader()
        out.writerows(rows)


def inference(twain, rows):
    """Times of the four commands, bytes of a party's keys, and embeddings by id, in the order of the result."""
    write_rows("part.csv", rows)
    times = {
        "deal_ns": timed(twain, "deal", "m", "-n", str(len(rows)), "-q", "--force"),
        "encode_ns": timed(twain, "encode", "m", "--csv", "part.csv", "--text-column", "note", "--id-column", "note_id",
                           "--truncate", "--share", "-q", "--force"),
        "run_ns": timed("mpirun", "-np", "2", twain, "run", "m", "--ledger", "ledger", "-q", "--force"),
        "reveal_ns": timed(twain, "reveal", "m", "--csv", "out.csv", "-q", "--force"),
    }
    keys = sum(f.stat().st_size for f in Path().glob("m*.keys.p0.h5"))
    for file in Path().glob("m*.keys.p?.h5"):  # of fresh files, which nobody else has seen
        file.unlink()
    found = {r["id"]: [float(r[k]) for k in r if k[0] == "e"] for r in rows_of("out.csv")}
    if list(found) != [r["note_id"] for r in rows]:
        sys.exit("ids are not those of the table")
    return times, keys, found


def measure(twain, name, rows, portions, options):
    """A record, and the embeddings."""
    plan = json.loads(call(twain, "plan", "m", "--seq", "128", *options, "--json", "--force"))[0]
    call(twain, "share", "m", "-q", "--force")
    record = {"command": "measure lengths", **{k: plan[k] for k in RECORD}, "name": name, "rows": len(rows),
              "portions": portions, "cores_shared": f"the load was {os.getloadavg()[0]:.1f} before"}
    lengths = json.loads(Path("m.plan.json").read_text()).get("lengths") or [{"seq": 128, "texts": len(rows)}]
    record["lengths"] = {str(r["seq"]): r["texts"] for r in lengths}
    all_times, all_keys, all_found, each = {}, 0, {}, -(-len(rows) // portions)
    for first in range(0, len(rows), each):
        times, keys, found = inference(twain, rows[first:first + each])
        all_times = {k: all_times.get(k, 0) + v for k, v in times.items()}
        all_keys += keys
        all_found |= found
    return record | all_times | {"key_bytes": all_keys, "ids_equal": len(all_found),
                                 "all_ns": sum(all_times.values())}, all_found


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__.split("\n\n")[1])
    twain, model, raw = (str(Path(a).resolve()) for a in sys.argv[1:4])
    count, portions = (int(a) for a in (sys.argv[4:] + ["200", "4"][len(sys.argv) - 4:]))
    said = " ".join(["twain: tools/measure_lengths.py", "twain", Path(model).name, "raw", *sys.argv[4:]])
    Path(raw).mkdir(parents=True, exist_ok=True)
    table = subprocess.run([sys.executable, TOOLS / "make_csv.py", "--rows", str(count)], check=True,
                           stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        Path("notes.csv").write_bytes(table)
        rows = rows_of("notes.csv")
        call(twain, "import", model, "-o", "m", "-q")
        call(twain, "ledger", "--new", "ledger", "-q")
        found = {}
        for name, parts, options in (("fit", 1, ["--fit", "notes.csv", "--text-column", "note"]),
                                     ("padded", portions, [])):
            record, found[name] = measure(twain, name, rows, parts, options)
            record["command_line"] = said
            if len(found) == 2:  # outputs have length 1
                record["lowest_cosine"] = min(sum(a * b for a, b in zip(found["fit"][i], found["padded"][i]))
                                              for i in found["fit"])
            Path(raw, f"lengths-{name}.json").write_text(json.dumps([record]))
            print(json.dumps(record), flush=True)
        os.chdir("/")


main()
