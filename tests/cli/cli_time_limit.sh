# --time-limit bounds a run whatever it waits for: a link that is slow, a party that is stopped, one that never joins.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 12 -q
"$TWAIN" encode n 'some words' -q
"$TWAIN" share n --input -q

limited() { # SECONDS MOST COMMAND...: ends with 7 between the two
  local start=$SECONDS least=$1 most=$2
  shift 2
  expect 7 'time limit' "$@"
  [ $((SECONDS - start)) -ge "$least" ] && [ $((SECONDS - start)) -le "$most" ] || fail "$((SECONDS - start)) s: $*"
  [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result past the time limit"
}

# every message comes within the silence limit, all together take 30 s
limited 2 20 bash -c 'two_ranks n --ledger ledger --link-latency 200000us --silence-limit 20 --time-limit 2'
# the other party is stopped in its set-up, and this one waits longer than its limit for it
if [ -e "$TWAIN_PRELOAD/preload_peer.so" ]; then
  limited 2 30 timeout 60 mpirun -np 1 "$TWAIN" run n --ledger ledger --time-limit 2 : -np 1 \
    -x LD_PRELOAD="$TWAIN_PRELOAD/preload_peer.so" -x TWAIN_PEER_LIE=absent "$TWAIN" run n --ledger ledger
fi
# enough time changes nothing
expect_run 0 WARNING n --ledger ledger --time-limit 60
expect 2 'time-limit' "$TWAIN" run n --time-limit -1
expect 2 'time-limit' "$TWAIN" run n --time-limit soon
no_leftovers
