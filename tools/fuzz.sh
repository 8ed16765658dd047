#!/usr/bin/env bash
# Fuzzes what reads files and messages of others:
#   tools/fuzz.sh MINUTES [BUILD]        every target of the preset `fuzz` for so long, one after the other
#   tools/fuzz.sh --seconds S TARGET...  these executables
# Each starts from its seeds in an empty folder. Ends with 1 when one found something: the input is kept in the folder
# that is named, and TARGET FILE runs it again.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

usage() { sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

case ${1:-} in
  --seconds)
    [ $# -ge 3 ] || usage
    seconds=$2
    shift 2
    targets=("$@")
    ;;
  [0-9]*)
    seconds=$(($1 * 60))
    targets=("${2:-build-fuzz}"/fuzz_*)
    [ -x "${targets[0]}" ] || { echo "no targets; cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_targets" >&2; exit 2; }
    ;;
  *) usage ;;
esac

# Long enough for the largest plan on a busy machine; memory for the largest file a reader may take.
limits=(-timeout=100 -rss_limit_mb=3000 -max_len=300000)
export HDF5_USE_FILE_LOCKING=FALSE
TIMEFORMAT=%U
failed=0
for target in "${targets[@]}"; do
  [ -x "$target" ] || continue
  name=$(basename "$target") folder=$(mktemp -d)
  mkdir "$folder/seeds" "$folder/corpus"
  if "$target" --seeds="$folder/seeds" >"$folder/log" 2>&1 && [ -n "$(ls "$folder/seeds")" ] &&
    { time "$target" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$folder/" \
      "$folder/corpus" "$folder/seeds" >>"$folder/log" 2>&1; } 2>"$folder/cpu"; then
    printf '%-22s %s runs in %s s of a processor, %s inputs kept, nothing found\n' "$name" \
      "$(sed -n 's/stat::number_of_executed_units: *//p' "$folder/log")" "$(tail -n 1 "$folder/cpu")" \
      "$(find "$folder/corpus" -type f | wc -l)"
    rm -rf "$folder"
  else
    tail -n 60 "$folder/log"
    printf '%-22s FOUND SOMETHING: %s\n' "$name" "$folder"
    failed=1
  fi
done
exit $failed
