#!/usr/bin/env bash
# The comparisons of docs/accuracy.md: fixed point beside the float model, by the emulator, which equals the parties bit for
# bit; and a few sentences by two parties, compared with both.
#   tools/measure_accuracy.sh TWAIN FOLDER [PERCENT]     FOLDER: for NAME.json, what `check --json` says, and NAME.csv
# Sentences are those of tools/make_sentences.py, seed 2026. PERCENT of the sentences below, 100 where it is not given;
# 25 take 24 minutes on two cores that do other work, too. Model folders lie in ~/.cache/twain, as
# tools/fetch_minilm.sh and tools/fetch_smollm2.sh put them there; what is missing is left out, by name.
# Then: tools/measured.py keep FOLDER docs/measured/accuracy, tools/measured.py tables
set -euo pipefail
twain=$(realpath "${1:?usage: tools/measure_accuracy.sh TWAIN FOLDER [PERCENT]}")
mkdir -p "${2:?usage: tools/measure_accuracy.sh TWAIN FOLDER [PERCENT]}"
folder=$(realpath "$2") percent=${3:-100} cache=${TWAIN_CACHE:-$HOME/.cache/twain}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
source "$source/tools/parties.bash"
python=python3
"$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3

sentences() { # COUNT: so many percent of it, at least two, into `lines`
  local count=$(($1 * percent / 100))
  "$python" "$source/tools/make_sentences.py" $((count < 2 ? 2 : count)) 2026 >lines
}
keep() { # NAME COMMAND...: its JSON; what is not within the tolerance is a finding, too
  local name=$1 status=0
  shift
  "$@" --json >part 2>log || status=$?
  if [ "$status" != 0 ] && [ "$status" != 10 ]; then cat log >&2; exit "$status"; fi
  mv part "$folder/$name.json"
  echo "$name: $SECONDS s"
}
emulate() { # NAME COUNT OPTION...: of the model m
  local name=$1 mode
  sentences "$2"
  for mode in dithered faithful-output faithful; do
    "$twain" plan m --rounding $mode "${@:3}" -q --force
    "$twain" encode m --file lines --truncate -q --force 2>>log
    keep "$name-$mode" "$twain" check m --emulate --test-seed 2026
  done
}
parties() { # NAME COUNT OPTION...
  head -n "$2" "$source/examples/sentences.txt" >few
  "$twain" plan m "${@:3}" -q --force
  "$twain" share m -q --force
  "$twain" deal m -n "$(wc -l <few)" --test-seed 2026 -q --force 2>>log
  "$twain" encode m --file few --truncate --share -q --force
  [ -d ledger ] || "$twain" ledger --new ledger -q
  mpirun -np 2 "$twain" run m --ledger ledger --allow-test-keys --device cpu -q --force 2>>log
  "$twain" reveal m -q --force
  keep "$1-parties" "$twain" check m --exact --test-seed 2026
}
import() { # FOLDER: a folder of the cache; fails where it is not there
  rm -f m.*
  [ -d "$cache/$1" ] || { echo "left out: $cache/$1 is not there"; return 1; }
  "$twain" import "$cache/$1" -o m -q
}

if import all-MiniLM-L6-v2; then
  parties minilm 8 --seq 32 --result pooled
  emulate minilm 1000 --seq 32 --result pooled
fi
rm -f m.*
PYTHONPATH="$source/tests/cli" "$python" "$source/tests/cli/families.py" distilbert-classes classifier
"$twain" import classifier -o m -q
emulate classifier 1000 --seq 48
rm -f m.*
"$twain" import --shape bert-base -o m -q
emulate bert-base 40 --seq 16 --result cls
if import SmolLM2-135M-Instruct; then
  emulate smollm2 20 --seq 16 --result all-logits
  sentences 8
  "$twain" plan m --seq 12 --generate 8 -q --force
  "$twain" encode m --file lines --truncate -q --force 2>>log
  keep smollm2-text "$twain" check m --emulate --test-seed 2026
fi
