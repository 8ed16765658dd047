#!/usr/bin/env bash
# The measurements of docs/performance.md on the processor alone, a record (docs/records.md) each:
#   tools/measure_cpu.sh TWAIN FOLDER     FOLDER: for NAME.json and NAME.log
# A few minutes on two cores that do nothing else. What would begin after SECONDS_LEFT (default 600) is left out.
# Then: tools/measured.py keep FOLDER docs/measured/cpu2, tools/measured.py tables, tools/plot_measured.py
set -uo pipefail
twain=${1:?usage: tools/measure_cpu.sh TWAIN FOLDER} folder=${2:?usage: tools/measure_cpu.sh TWAIN FOLDER}
limit=${SECONDS_LEFT:-600}
source "$(dirname "${BASH_SOURCE[0]}")/measure.bash"

lan=(--link-latency 100us --link-rate 10Gbit/s) wan=(--link-latency 20ms --link-rate 200Mbit/s)
model() { # NAME MODEL OPTION...
  measure "model-$1" "${pair[@]}" "$twain" bench model --shape "$2" --seq 128 --device cpu --prepare before --json "${@:3}"
}

for name in bert-tiny minilm bert-base; do
  model "$name-none" "$name" --repeat 5
  model "$name-lan" "$name" --repeat 5 "${lan[@]}"
  model "$name-wan" "$name" --repeat 1 "${wan[@]}"
done
model bert-base-guard bert-base --repeat 5 --guard
measure deal-bert-base "$twain" bench deal --shape bert-base --seq 128 --device cpu --json
measure plan-bert-base "$twain" plan --shape bert-base --seq 128 --json
finish
