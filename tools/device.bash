# For device_*.sh that run one part after the other. What fails is named; the rest goes on, and $failed says so.
source "$(dirname "${BASH_SOURCE[0]}")/parties.bash"
failed=0
limit= # seconds after which no part begins
last=  # so many lines of a part's end are shown

named() { # SECONDS NAME COMMAND...
  local seconds=$1 name=$2 begin=$SECONDS
  shift 2
  [ -z "$limit" ] || [ "$SECONDS" -lt "$limit" ] || { echo "left out, no time: $name"; failed=1; return; }
  echo "## $name"
  if [ -n "$last" ]; then
    timeout "$seconds" "$@" 2>&1 | tail -n "$last"
  else
    timeout "$seconds" "$@" 2>&1
  fi || { echo "FAILED ($?): $name"; failed=1; }
  echo "## $((SECONDS - begin)) s"
}
part() { # SECONDS COMMAND...
  named "$1" "${*:2}" "${@:2}"
}
