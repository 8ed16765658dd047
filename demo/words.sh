#!/usr/bin/env bash
# A language model on secret shares, in a fresh folder: demo/words.sh TWAIN MODEL [--generate], where MODEL is a Hugging
# Face folder or --synthetic. The parties read prompts and give the client the likeliest next words of each. With
# --generate they write 16 tokens behind each of two prompts, which neither of them can read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077

twain=$1
model=$2
if [ "${3:-}" = --generate ]; then
  prompts=examples/beginnings.txt what=texts options=(--seq 12 --generate 16)
  plan="plan prompts of up to 12 tokens and 16 tokens behind them"
  run="16 tokens, each from all tokens before it"
  result="the texts"
  check="what the plain model writes behind the same prompts, in floating point"
else
  prompts=examples/prompts.txt what=prompts options=(--seq 16)
  plan="choose number formats for prompts of up to 16 tokens"
  run="30 layers on secret shares"
  result="the likeliest next words, and how likely they are"
  check="every logit against the plain model in floating point"
fi
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

title "2. Model owner: $plan, split the weights between the parties"
show "$twain" plan "$name" "${options[@]}" -q
show "$twain" share "$name"

title "3. Dealer: one-time keys for $count $what, before any prompt exists"
show "$twain" deal "$name" -n "$count"

title "4. Client: turn $count prompts into inputs, split them between the parties"
show "$twain" encode "$name" --file "$prompts"
show "$twain" share "$name" --input

title "5. The two parties: a ledger of used keys (made once), and $run"
show "$twain" ledger --new "$work/ledger"
show_to "$work/run.txt" mpirun -np 2 "$twain" run "$name" --ledger "$work/ledger"
grep -E '^([0-9]+ sequences|set-up|preparation|online) ' "$work/run.txt" | sed 's/^/  /'

title "6. Client: join the two halves of the result: $result"
show "$twain" reveal "$name" --show-texts

title "7. Check: $check"
show "$twain" check "$name"

done_in
