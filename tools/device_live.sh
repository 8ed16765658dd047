#!/usr/bin/env bash
# A live dealer on a GPU, and lines between two sites, each number beside its bar; one GPU, 16 cores, no network:
#   tools/device_live.sh FOLDER     FOLDER: where twain was built with CUDA; two to four minutes
# What misses its bar or fails is named; the rest goes on, and the exit code says so.
set -uo pipefail
folder=${1:?the build folder is needed}
twain=$folder/twain work=$(mktemp -d) failed=0
trap 'rm -rf "$work"' EXIT

# value FILE EXPRESSION over the records r: a number
value() { python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/$1.json" "$2"; }

measure() { # NAME COMMAND...
  local name=$1 begin=$SECONDS
  shift
  if ! timeout 75 "$@" --json >"$work/$name.json" 2>"$work/$name.log"; then
    echo "FAILED: $*"
    tail -n 5 "$work/$name.log"
    failed=1
    return 1
  fi
  grep WARNING "$work/$name.log"
  echo "   $name: $((SECONDS - begin)) s"
}

bar() { # WHAT VALUE BAR
  local said=reached
  awk -v x="$2" -v y="$3" 'BEGIN { exit !(x >= y) }' || { said=MISSED; failed=1; }
  printf '%-70s %8.2f   at least %6.2f   %s\n' "$1" "$2" "$3" "$said"
}
note() { printf '%-70s %8.2f\n' "$1" "$2"; }

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
nproc

slots='r[0]["line_bytes"] / (2 * r[0]["key_bytes"])'  # both halves have nearly the same length
if measure alone "$twain" bench deal --shape bert-base --device cuda --repeat 20; then
  bar "the dealer alone, inferences a second (best)" "$(value alone '1e9 / r[0]["time_min_ns"]')" 60
  note "  median" "$(value alone '1e9 / r[0]["time_median_ns"]')"
  note "  limit by copies to page-locked memory" \
    "$(value alone 'r[0]["copy_bytes_per_second"] / (2 * r[0]["key_bytes"])')"
fi

live() { # NAME BAR OPTION...
  local name=$1 least=$2
  shift 2
  measure "$name" "$twain" bench live --shape bert-base --device cuda --repeat 5 "$@" || return
  if [ "$least" = 0 ]; then
    note "live, $*: inferences a second (best)" "$(value "$name" "1e9 * $slots / r[0]['time_min_ns']")"
  else
    bar "live, $*: inferences a second (best)" "$(value "$name" "1e9 * $slots / r[0]['time_min_ns']")" "$least"
  fi
  note "  median" "$(value "$name" "1e9 * $slots / r[0]['time_median_ns']")"
  note "  GB/s (best)" "$(value "$name" "r[0]['line_bytes'] / r[0]['time_min_ns']")"
  note "  of its limit ($(value "$name" "r[0]['limited_by']")), per cent" \
    "$(value "$name" "100 * r[0]['limit_ns'] / r[0]['time_min_ns']")"
}
live memory-1 0 --through memory --streams 1
live memory-2 30 --through memory --streams 2
for streams in 1 2; do live "tls-$streams" 0 --through tls --streams "$streams"; done
live tls-4 8 --through tls --streams 4
live tls-8 0 --through tls --streams 8

# The cipher as OpenSSL measures it, where its program is, and as twain does.
cipher=$(timeout 20 openssl speed -mr -seconds 2 -bytes 16384 -evp aes-128-gcm 2>/dev/null |
  awk -F: '/^\+F:/ { print $NF / 1e9 }')
if measure line "$twain" bench line --streams 4 --repeat 25; then
  rate='r[%d]["line_bytes"] / r[%d]["time_min_ns"]'
  tcp=$(value line "${rate//%d/0}") own=$(value line "${rate//%d/1}") tls=$(value line "${rate//%d/2}")
  note "plain TCP, one connection, GB/s" "$tcp"
  note "AES-128-GCM, one core, GB/s: twain" "$own"
  note "AES-128-GCM, one core, GB/s: openssl speed" "${cipher:-0}"
  bar "one TLS stream, per cent of 1 / (1 / TCP + 1 / AES)" \
    "$(python3 -c 'import sys; t, a, x = map(float, sys.argv[1:]); print(100 * x * (1 / t + 1 / a))' \
      "$tcp" "${cipher:-$own}" "$tls")" 90
  note "one TLS stream one way, GB/s" "$tls"
  bar "four TLS streams both ways, times one (medians)" \
    "$(value line 'r[3]["time_median_ns"] / r[4]["time_median_ns"]')" 3
  note "  GB/s each way, four streams" "$(value line "${rate//%d/4}")"
  note "  GB/s each way, one stream" "$(value line "${rate//%d/3}")"
fi
exit "$failed"
