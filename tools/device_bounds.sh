#!/usr/bin/env bash
# Whole models at many lengths, with and without the guard, each equal to the emulator bit for bit; both parties may share
# one GPU. Values out of bound would be named.
#   tools/device_bounds.sh TWAIN [cpu|cuda]     about four minutes on an H200 and 16 cores
set -uo pipefail
twain=$1 device=${2:-cuda} failed=0
source "$(dirname "${BASH_SOURCE[0]}")/parties.bash"

same() { # MODEL SEQ OPTION...
  local model=$1 seq=$2 begin=$SECONDS said
  shift 2
  said=$(timeout 400 mpirun -np 2 "$twain" bench model --shape "$model" --seq "$seq" --repeat 1 --device "$device" \
    --json "$@" 2>&1)
  local code=$?
  printf '%-10s %3d %-22s exit %d, %s, %d s\n' "$model" "$seq" "$*" "$code" \
    "$(grep -oE '"(verified|out_of_bound|online_seconds)": [a-z0-9.e-]+' <<<"$said" | tr -d '"' | paste -sd' ')" \
    $((SECONDS - begin))
  [ "$code" = 0 ] || { failed=1; tail -n 5 <<<"$said"; }
}

for seq in 16 128 384 512; do same minilm "$seq" --guard; done
for seq in 16 128 384 512; do same bert-base "$seq" --keys file; done
same bert-base 128 --guard
same bert-base 512 --guard
same bert-large 256 --keys file
same bert-tiny 37 --guard --batch 3 --split-batch always
exit "$failed"
