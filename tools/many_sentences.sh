#!/usr/bin/env bash
# Many sentences through a whole model, against the float model, against the emulator, with the guard's count:
#   tools/many_sentences.sh TWAIN FOLDER COUNT [BATCH]     FOLDER: a Hugging Face model; batches of TEST keys, deleted after use
# Ends with the lowest cosine and the number of values out of bound. MiniLM at 64 tokens: 4 s a sentence on two cores.
set -euo pipefail
twain=$(realpath "$1") folder=$(realpath "$2") count=$3 batch=${4:-25}
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
source "$source/parties.bash"
python3 "$source/make_sentences.py" "$count" >all
"$twain" import "$folder" -o n -q
"$twain" plan n --seq 64 --result pooled -q --force
"$twain" share n -q
"$twain" ledger --new ledger
split -l "$batch" -d -a 4 all part.
for part in part.*; do
  lines=$(wc -l <"$part")
  "$twain" deal n -n "$lines" --test-seed 77 -q --force 2>/dev/null
  "$twain" encode n --file "$part" --truncate -q --force
  "$twain" share n --input -q --force
  mpirun -np 2 "$twain" run n --ledger ledger --allow-test-keys -q --force 2>/dev/null
  "$twain" reveal n -q --force
  "$twain" check n --exact --test-seed 77 --json >"$part.json"
  rm -f n.keys.p?.h5
  echo "$part: $lines sentences" >&2
done
python3 - part.*.json <<'P'
import json, sys
low, bad, differ, n = 1.0, 0, 0, 0
for name in sys.argv[1:]:
    j = json.load(open(name))
    n += len(j["sequences"])
    low = min([low] + [s["cosine"] for s in j["sequences"]])
    bad += j["exact"]["out_of_bound"]
    differ += j["exact"]["outputs_that_differ"] + (not j["exact"]["transcript_equal"])
print(f"{n} sentences: lowest cosine {low:.6f}, {bad} values out of bound, {differ} differences from the emulator")
sys.exit(low < 0.9999 or bad > 0 or differ > 0)
P
