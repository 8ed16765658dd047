#!/usr/bin/env bash
# The whole chain on real keys, in a fresh folder: demo/run.sh TWAIN MODEL [VECTORS], where MODEL is a Hugging Face
# folder or --synthetic, and VECTORS holds embeddings of the sentences by an independent implementation. Every command
# is shown before it runs; the first one that fails ends the demonstration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077

twain=$1
model=$2
vectors=${3:-}
sentences=examples/sentences.txt
work=$(mktemp -d "demo-$(date +%Y%m%d-%H%M%S)-XXXX")
name=$work/minilm
count=$(grep -c '[^[:space:]]' "$sentences")
started=$SECONDS

source demo/show.bash

if [ "$model" = --synthetic ]; then
  title "1. Model owner: make a model of all-MiniLM-L6-v2's shape with SYNTHETIC weights"
  show "$twain" import --shape minilm -o "$name"
else
  title "1. Model owner: import the model"
  show "$twain" import "$model" -o "$name"
fi

title "2. Model owner: choose number formats for sequences of 128 tokens, split the weights between the parties"
show "$twain" plan "$name" --seq 128 --result pooled
show "$twain" share "$name"

title "3. Dealer: one-time keys for $count inferences, before any input exists"
show "$twain" deal "$name" -n "$count"

title "4. Client: turn $count sentences into inputs, split them between the parties"
show "$twain" encode "$name" --file "$sentences"
show "$twain" share "$name" --input

title "5. The two parties: a ledger of used keys (made once), and the inference on secret shares"
show "$twain" ledger --new "$work/ledger"
show_to "$work/run.txt" mpirun -np 2 "$twain" run "$name" --ledger "$work/ledger"

title "6. Client: join the two halves of the result"
show "$twain" reveal "$name"

title "7. Check: against the plain model in floating point"
show "$twain" check "$name" --show-texts
if [ -n "$vectors" ]; then
  python=python3
  "$python" -c 'import h5py' 2>/dev/null || python=/usr/bin/python3
  printf '\n'
  show "$python" demo/reference.py "$name" "$vectors"
fi

title "8. Report: where time, keys and traffic went"
show "$twain" report "$name"

done_in
