#!/usr/bin/env bash
# The measurements of decoders in docs/performance.md on two GPUs of one host, a record (docs/records.md) each:
#   tools/measure_decoders.sh TWAIN FOLDER     as tools/measure.sh; 256 GiB of host memory for LLaMA-2-7B
# Ten minutes at most, the most needed first. What would begin after SECONDS_LEFT (default 560) is left out and named.
set -uo pipefail
twain=${1:?usage: tools/measure_decoders.sh TWAIN FOLDER} folder=${2:?usage: tools/measure_decoders.sh TWAIN FOLDER}
limit=${SECONDS_LEFT:-560}
source "$(dirname "${BASH_SOURCE[0]}")/measure.bash"

model() { # NAME MODEL OPTION...: logits of the last row
  measure "model-$1" "${pair[@]}" "$twain" bench model --shape "$2" --result logits --device cuda --prepare before \
    --json "${@:3}"
}
text() { # NAME MODEL OPTION...: a text behind the prompt
  measure "generate-$1" "${pair[@]}" "$twain" bench model --shape "$2" --seq 128 --device cuda --prepare before \
    --unchecked --json "${@:3}"
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
model gpt2 gpt2 --repeat 10
model smollm2-135m smollm2-135m --repeat 10
model llama-2-7b-two-layers llama-2-7b --layers 2 --repeat 3
model llama-2-7b llama-2-7b --repeat 3 --unchecked
model gpt-neo-1.3b gpt-neo-1.3b --repeat 3
text gpt2 gpt2 --generate 9 --repeat 3
text smollm2-135m smollm2-135m --generate 9 --repeat 3
text gpt2-batch-16 gpt2 --generate 9 --repeat 2 --batch 16
text smollm2-135m-batch-16 smollm2-135m --generate 9 --repeat 2 --batch 16
text llama-2-7b llama-2-7b --generate 5 --repeat 2
model smollm2-135m-2048 smollm2-135m --seq 2048 --repeat 1 --unchecked
model smollm2-135m-2048-two-layers smollm2-135m --seq 2048 --layers 2 --repeat 1
finish
