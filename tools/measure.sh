#!/usr/bin/env bash
# The measurements of docs/performance.md on two GPUs of one host, a record (docs/records.md) each:
#   tools/measure.sh TWAIN FOLDER     TWAIN: the program, built with CUDA; FOLDER: for NAME.json and NAME.log
# Six minutes at most, the most needed first. What would begin after SECONDS_LEFT (default 330) is left out and named.
# Then, where Python is: tools/measured.py keep FOLDER docs/measured/h200x2; tools/measured.py tables;
# tools/plot_measured.py
set -uo pipefail
twain=${1:?usage: tools/measure.sh TWAIN FOLDER} folder=${2:?usage: tools/measure.sh TWAIN FOLDER}
limit=${SECONDS_LEFT:-330}
source "$(dirname "${BASH_SOURCE[0]}")/measure.bash"

gpus=(--device cuda --prepare before --json)
model() { # NAME MODEL OPTION...
  measure "model-$1" "${pair[@]}" "$twain" bench model --shape "$2" --seq 128 "${gpus[@]}" "${@:3}"
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
model bert-base bert-base --repeat 20
model bert-tiny bert-tiny --repeat 20
model bert-large bert-large --repeat 10
model bert-base-guard bert-base --repeat 20 --guard
for way in peer nccl host-window host-relay; do
  measure "opens-$way" "${pair[@]}" "$twain" bench opens --device cuda --transport "$way" --json
done
measure deal-bert-base "$twain" bench deal --shape bert-base --seq 128 --device cuda --repeat 10 --json
model bert-base-batch-4 bert-base --batch 4 --repeat 5 --keys resident
model bert-base-batch-16 bert-base --batch 16 --repeat 2 --keys resident
model bert-base-resident bert-base --repeat 10 --keys resident
measure steps-bert-base "${pair[@]}" "$twain" bench model --shape bert-base --seq 128 "${gpus[@]}" -v --repeat 10
for way in nccl host-window host-relay; do model "bert-base-$way" bert-base --repeat 5 --transport "$way"; done
model bert-tiny-guard bert-tiny --repeat 20 --guard
model bert-large-guard bert-large --repeat 5 --guard
model bert-base-file bert-base --repeat 10 --keys file
model bert-base-batch-16-streamed bert-base --batch 16 --repeat 2
finish
