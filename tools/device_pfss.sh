#!/usr/bin/env bash
# Keys of point functions on two GPUs: plans by them against the emulator, their kernels' rates, and what the planner
# chooses over emulated links beside digits.
#   tools/device_pfss.sh BUILD [OLD]     BUILD: a build folder with twain and cuda_kernels. OLD: an older twain, whose choice
#                                        (digits) is run over the third to the fifth link, too
# RAW: a folder for records, default raw. Ends with exit code 1 when an output differs or a rate is below what it should be.
set -euo pipefail
build=$1
old=${2:-}
raw=${RAW:-raw}
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/parties.bash"
mkdir -p "$raw"

"$build/cuda_kernels" check

# ---- against the emulator; verified is what bench model says of all outputs
model() { # NAME PROGRAM OPTION...: a record, and a line
  local name=$1 program=$2
  shift 2
  mpirun -np 2 "$program" bench model --device cuda --seq 128 --prepare before "$@" --json >"$raw/$name.json"
  python3 - "$raw/$name.json" "$name" <<'P'
import json, sys
r = json.load(open(sys.argv[1]))
r = r[0] if isinstance(r, list) else r
print(f"{sys.argv[2]}: {r['online_median_ns'] / 1e6:.2f} ms, {r['rounds']} rounds, {r['key_bytes'] / 1e6:.1f} MB of keys, "
      f"{r['transport']}, equal to the emulator: {r['verified']}", flush=True)
assert r["verified"] is True
P
}
for shape in bert-tiny bert-base; do
  for engine in digit pfss-rows pfss; do model "model-$shape-$engine" "$build/twain" --shape "$shape" --repeat 5 --engine "$engine"; done
done

# ---- rates: a thousand million evaluations of 20 bits a second, and 85 % of what a copy from pinned memory brings
"$build/twain" bench kernels --shape bert-base --device cuda --repeat 5 --json >"$raw/kernels.json"
python3 - "$raw/kernels.json" "$raw/kernels-keys.json" <<'P'
import json, sys
rows = [r for r in json.load(open(sys.argv[1])) if r["kernel"].startswith("key") or r["kernel"] == "thresholds"]
json.dump(rows, open(sys.argv[2], "w"))
rate = {}
for r in rows:
    seconds = r["time_median_ns"] / 1e9
    rate[r["kernel"]] = r["work"] / seconds, r["moved_bytes"] / seconds
    print(f"{r['kernel']}, {r['part']}, {r['size']}: {1e6 * seconds:.1f} us, {1e-9 * r['work'] / seconds:.2f} G/s, "
          f"{1e-9 * r['moved_bytes'] / seconds:.1f} GB/s")
part = rate["key stream"][1] / rate["key copy"][1]
print(f"evaluations of 20 bits: {rate['thresholds'][0] / 1e9:.2f} G/s; streamed keys: {100 * part:.0f} % of the copy's rate")
assert rate["thresholds"][0] >= 1e9 and part >= 0.85
P

# ---- over links
BUDGET=600000000 REPEAT=${REPEAT:-3} LINKS=${LINKS:-3 4 5} "$here/measure_engines.py" "$build/twain" "$raw" bert-base h200 cuda
if [ -n "$old" ]; then
  model old-3 "$old" --shape bert-base --repeat 3 --link-latency 500us --link-rate 10Gbit/s
  model old-4 "$old" --shape bert-base --repeat 3 --link-latency 2ms --link-rate 3.2Gbit/s
  model old-5 "$old" --shape bert-base --repeat 3 --link-latency 10ms --link-rate 1Gbit/s
  python3 - "$raw" <<'P'
import json, sys
from pathlib import Path
for link, most in ((3, 0.80), (4, 0.75), (5, 0.72)):
    found = json.loads(Path(sys.argv[1], f"engines-bert-base-{link}.json").read_text())
    runs = {r["plan_digest"]: r["online_median_ns"] for r in found if "asked_engine" not in r}
    took = next(runs[r["plan_digest"]] for r in found if r.get("asked_engine") == "auto")
    old = json.loads(Path(sys.argv[1], f"old-{link}.json").read_text())
    before = (old[0] if isinstance(old, list) else old)["online_median_ns"]
    print(f"link {link}: auto takes {took / before:.2f} of {before / 1e6:.0f} ms; at most {most:.2f}")
    assert took <= most * before
P
fi
