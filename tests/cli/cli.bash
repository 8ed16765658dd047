# What the command-line tests share; sourced by tests/cli/cli_*.sh.
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
expect_run() { # as expect, for two parties
  local code=$1 text=$2
  shift 2
  expect "$code" "$text" bash -c 'two_ranks "$@"' run "$@"
}

# After expect_run on a failure: both parties name the cause.
parties_say() {
  local party
  for party in 0 1; do grep -qE "party $party on .*$1" said || { cat said >&2; fail "party $party does not say $1"; }; done
}

key_id() { h5dump -a /key_id n.keys.p0.h5 | grep -oE '"[0-9a-f]{32}"' | tr -d '"'; }

rank_of() { # LAUNCHER RANK: its process, once it is there
  local dir status
  for dir in /proc/[0-9]*; do
    { read -rd '' status <"$dir/status"; } 2>/dev/null || true
    [[ $status == *$'\nPPid:\t'"$1"$'\n'* ]] || continue
    if tr '\0' '\n' 2>/dev/null <"$dir/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$2"; then echo "${dir#/proc/}"; fi
  done
}
party_one() { rank_of "$1" 1; }

# The run of $launcher, in batches, stands still between two of them once N are finished, until go_on.
stand_still() { # N [FOLDER-OF-PARTS [FOLDER-OF-CLAIMS]]
  local word=''
  coproc hold { exec python3 "$SOURCE_DIR/tests/cli/hold.py" "${3:-n.parts.p0}" "${2:-n.parts.p0}" "$1" "$launcher"; }
  read -r word <&"${hold[0]}" || true
  [ "$word" = held ] || { cat said >&2; fail "the run ended before $1 batches were seen"; }
}
go_on() {
  local process=$hold_PID
  echo >&"${hold[1]}"
  wait "$process"
}

# Of a service in the background, process $service, that writes to the file log: until it says TEXT.
wait_for() { # TEXT
  local start=$SECONDS
  until grep -qE "$1" log; do
    kill -0 "$service" 2>/dev/null || grep -qE "$1" log || { cat log >&2; fail "the service ended and has not said '$1'"; }
    [ $((SECONDS - start)) -lt 60 ] || { cat log >&2; fail "the service does not say '$1'"; }
    sleep 0.02
  done
}

# A run of n whose party 1 gets a signal as soon as its ledger marks the slot: the launcher must end by itself, with no
# result. Says its exit code. lose_party_one SIGNAL SLOT OPTION...
lose_party_one() {
  local signal=$1 slot=$2 status=0 launcher party='' start=$SECONDS
  shift 2
  mpirun -np 2 "$TWAIN" run n --ledger ledger "$@" >said 2>&1 &
  launcher=$!
  until [ -n "$party" ] && compgen -G "ledger/p1/*/$slot" >/dev/null; do
    kill -0 "$launcher" 2>/dev/null || { cat said >&2; fail "the run ended before it marked its slot"; }
    [ -n "$party" ] || party=$(party_one "$launcher")
    sleep 0.002  # what is left of the run may take little longer
  done
  kill -s "$signal" "$party"
  wait "$launcher" || status=$?
  [ "$status" != 0 ] || fail "the run succeeded although party 1 got $signal"
  [ $((SECONDS - start)) -lt 30 ] || fail "party 0 waited for $((SECONDS - start)) s"
  [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result of an interrupted run"
  echo "$status"
}

# A Python that has h5py: the first on the path need not be the system's. It finds tests/cli/checksum.py.
export PYTHONPATH=$SOURCE_DIR/tests/cli PYTHONDONTWRITEBYTECODE=1
python=python3
"$python" -c 'import h5py' 2>/dev/null || python=/usr/bin/python3
# A number or word out of a JSON file: json FILE EXPRESSION, with j for the file's content.
json() { python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# A port of 127.0.0.1 that nobody has, below those that connections get for themselves: it stays free for a while.
free_port() {
  python3 -c '
import random, socket
while True:
    try:
        print(socket.create_server(("127.0.0.1", random.randint(20000, 32000))).getsockname()[1])
        break
    except OSError:
        pass'
}

no_leftovers() {
  local left
  left=$(find . -name '*.partial' -o -name '*.replaced')
  [ -z "$left" ] || fail "left behind: $left"
}
