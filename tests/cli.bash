# What the command-line tests share; sourced by tests/cli_*.sh.
set -euo pipefail
umask 077

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect CODE TEXT COMMAND...: the command ends with CODE and says TEXT (an extended regular expression).
expect() {
  local code=$1 text=$2 status=0
  shift 2
  timeout 60 "$@" >said 2>&1 </dev/null || status=$?
  if [ "$status" != "$code" ]; then
    cat said >&2
    fail "exit code $status, not $code: $*"
  fi
  if ! grep -qE -- "$text" said; then
    cat said >&2
    fail "does not say '$text': $*"
  fi
}

two_ranks() { timeout 60 mpirun -np 2 "$TWAIN" run "$@"; }
export TWAIN
export -f two_ranks
expect_run() { # as expect, for two ranks
  local code=$1 text=$2
  shift 2
  expect "$code" "$text" bash -c 'two_ranks "$@"' run "$@"
}

# A number or word out of a JSON file: json FILE EXPRESSION, with j for the file's content.
json() { python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

no_leftovers() {
  local left
  left=$(find . -name '*.partial' -o -name '*.replaced')
  [ -z "$left" ] || fail "left behind: $left"
}
