#!/usr/bin/env bash
# Fuzzes what reads files and messages of others:
#   tools/fuzz.sh MINUTES [TARGET...]    that much of a processor's time for each (default: all of the preset `fuzz`),
#                                        one after the other
#   tools/fuzz.sh --seconds S TARGET...  these executables, by the clock
# Each starts from its seeds in an empty folder. Ends with 1 when one found something: the input is kept in the folder
# that is named, and TARGET FILE runs it again.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

case ${1:-} in
  --seconds)
    [ $# -ge 3 ] || usage
    seconds=$2 by_clock=yes
    shift 2
    ;;
  [1-9]*)
    seconds=$(($1 * 60)) by_clock=
    shift
    [ $# -gt 0 ] || set -- build-fuzz/fuzz_*
    ;;
  *) usage ;;
esac
[ -x "$1" ] || { echo "no targets; cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_targets" >&2; exit 2; }

# Long enough for the largest plan on a busy machine; memory for the largest file a reader may take.
limits=(-timeout=100 -rss_limit_mb=3000 -max_len=300000 -print_final_stats=1)
export HDF5_USE_FILE_LOCKING=FALSE
TIMEFORMAT='%U %S'

# fuzz TARGET FOLDER: until its time is over, in several goes where other work takes the processor's; says it in `spent`.
fuzz() {
  spent=0
  "$1" --seeds="$2/seeds" >"$2/log" 2>&1 && [ -n "$(ls "$2/seeds")" ] || return
  while :; do
    { time "$1" "${limits[@]}" -max_total_time=$((seconds - spent)) -artifact_prefix="$2/" "$2/corpus" "$2/seeds" \
      >>"$2/log" 2>&1; } 2>"$2/cpu" || return
    spent=$((spent + $(awk 'END { printf "%d", $1 + $2 + 1 }' "$2/cpu")))
    [ -z "$by_clock" ] && [ "$spent" -lt "$seconds" ] || return 0
  done
}

failed=0
for target in "$@"; do
  [ -x "$target" ] || continue
  name=$(basename "$target") folder=$(mktemp -d)
  mkdir "$folder/seeds" "$folder/corpus"
  if fuzz "$target" "$folder"; then
    printf '%-22s %s runs in %s s of a processor, %s inputs kept, nothing found\n' "$name" \
      "$(awk '/number_of_executed_units/ { n += $2 } END { print n }' "$folder/log")" "$spent" \
      "$(find "$folder/corpus" -type f | wc -l)"
    rm -rf "$folder"
  else
    tail -n 60 "$folder/log"
    printf '%-22s FOUND SOMETHING: %s\n' "$name" "$folder"
    failed=1
  fi
done
exit $failed
