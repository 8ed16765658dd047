# A rank that stops or dies in the middle of a run does not leave the other waiting.
source "$SOURCE_DIR/tests/cli.bash"

"$TWAIN" import --synthetic 8x128x2x512 -o n -q
"$TWAIN" plan n --seq 128 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 2 -q
"$TWAIN" encode n 'some words' -q
"$TWAIN" share n --input -q

rank_one() { # the process of rank 1 below launcher $1
  for pid in $(pgrep -P "$1"); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx OMPI_COMM_WORLD_RANK=1; then echo "$pid"; fi
  done
}

# Signals rank 1 as soon as its ledger marks the slot; the launcher must end by itself.
interrupt() { # SIGNAL SLOT
  local status=0 launcher start=$SECONDS
  mpirun -np 2 "$TWAIN" run n --ledger ledger --timeout 2 >said 2>&1 &
  launcher=$!
  until [ -n "$(find ledger/p1 -type f -name "$2" 2>/dev/null)" ]; do
    kill -0 "$launcher" 2>/dev/null || { cat said >&2; fail "the run ended before it marked its slot"; }
    sleep 0.01
  done
  kill -s "$1" "$(rank_one "$launcher")"
  wait "$launcher" || status=$?
  [ "$status" != 0 ] || fail "the run succeeded although rank 1 got $1"
  [ $((SECONDS - start)) -lt 30 ] || fail "rank 0 waited for $((SECONDS - start)) s"
  [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result of an interrupted run"
  echo "$status"
}
status=$(interrupt STOP 0)
[ "$status" = 7 ] || fail "exit code $status, not 7, when the other rank is silent"
grep -q 'rank 0 on .*nothing moved for 2 s' said || { cat said >&2; fail "rank 0 does not say why it gave up"; }
interrupt KILL 1 >/dev/null
