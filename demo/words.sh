#!/usr/bin/env bash
# A language model on secret shares, in a fresh folder: demo/words.sh TWAIN MODEL, where MODEL is a Hugging Face folder or
# --synthetic. The parties read prompts and give the client the likeliest next words of each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077

twain=$1
model=$2
prompts=examples/prompts.txt
work=$(mktemp -d "demo-$(date +%Y%m%d-%H%M%S)-XXXX")
name=$work/smollm2
count=$(grep -c '[^[:space:]]' "$prompts")
started=$SECONDS

source demo/show.bash

if [ "$model" = --synthetic ]; then
  title "1. Model owner: make a model of SmolLM2-135M's shape with SYNTHETIC weights"
  show "$twain" import --shape smollm2-135m -o "$name"
else
  title "1. Model owner: import the model"
  show "$twain" import "$model" -o "$name"
fi

title "2. Model owner: choose number formats for prompts of up to 16 tokens, split the weights between the parties"
show "$twain" plan "$name" --seq 16 -q
show "$twain" share "$name"

title "3. Dealer: one-time keys for $count prompts, before any of them exists"
show "$twain" deal "$name" -n "$count"

title "4. Client: turn $count prompts into inputs, split them between the parties"
show "$twain" encode "$name" --file "$prompts"
show "$twain" share "$name" --input

title "5. The two parties: a ledger of used keys (made once), and 30 layers on secret shares"
show "$twain" ledger --new "$work/ledger"
show_to "$work/run.txt" mpirun -np 2 "$twain" run "$name" --ledger "$work/ledger"
grep -E '^([0-9]+ sequences|set-up|preparation|online) ' "$work/run.txt" | sed 's/^/  /'

title "6. Client: join the two halves of the result: the likeliest next words, and how likely they are"
show "$twain" reveal "$name"

title "7. Check: every logit against the plain model in floating point"
show "$twain" check "$name"

done_in
