# The result's place and room are taken before a slot is marked: what would keep it from being written is known then, on
# both parties. What an interrupted run leaves does not stand in the next one's way.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 12 -q
"$TWAIN" encode n 'some words' -q
"$TWAIN" share n --input -q

unmarked() { [ -z "$(find ledger -type f -name '[0-9]*' 2>/dev/null)" ] || fail "$1 marked $(find ledger -type f -name '[0-9]*')"; }
both_say() {
  for party in 0 1; do grep -qE "party $party on .*$1" said || { cat said >&2; fail "party $party does not say $1"; }; done
}

# another command's file in the way, of party 1 alone
exec 9>n.result.p1.h5.partial
flock 9
expect_run 3 'n.result.p1.h5.partial: exists: another command is writing it' n --ledger ledger
both_say 'n.result.p1.h5.partial: exists'
[ -e n.result.p1.h5.partial ] || fail "another command's file was removed"
[ ! -e n.result.p0.h5.partial ] || fail "party 0 left its file"
unmarked 'a file in the way'
exec 9>&-
# left over by a process that is gone, it is taken over (below); a link is not followed
rm n.result.p1.h5.partial
ln -s n.model.h5 n.result.p0.h5.partial
before=$(sha256sum <n.model.h5)
expect_run 3 'n.result.p0.h5.partial: exists' n --ledger ledger
[ "$(sha256sum <n.model.h5)" = "$before" ] || fail "a link was followed"
rm n.result.p0.h5.partial
unmarked 'a link in the way'

# nor is another file of this user that has this name as well
ln n.model.p0.h5 n.result.p0.h5.partial
expect_run 3 'n.result.p0.h5.partial: exists' n --ledger ledger
cmp -s n.model.p0.h5 n.result.p0.h5.partial && [ -s n.model.p0.h5 ] || fail "a hard link was written through"
rm n.result.p0.h5.partial

mkdir n.result.p0.h5
expect_run 3 'n.result.p0.h5: exists already' n --ledger ledger
expect_run 3 'n.result.p0.h5: is a folder' n --ledger ledger --force
rmdir n.result.p0.h5
unmarked 'a folder in the way'

# a limit on file sizes of one party
limited() {
  timeout 60 mpirun -np 1 "$TWAIN" run n --ledger ledger : \
    -np 1 bash -c 'ulimit -f 8; trap "" XFSZ; exec "$TWAIN" run n --ledger ledger'
}
export -f limited
expect 3 'files limited to 8192 bytes' bash -c limited
both_say 'files limited to 8192 bytes'
unmarked 'a limit on file sizes'

# an ordinary user's folder that is not writable (root may write everywhere)
if [ "$(id -u)" != 0 ]; then
  mkdir ledger-elsewhere
  chmod 500 .
  status=0
  timeout 60 mpirun -np 2 "$TWAIN" run n --ledger ledger-elsewhere >/dev/null 2>&1 || status=$?
  chmod 700 .
  [ "$status" = 3 ] && [ -z "$(find ledger-elsewhere -type f)" ] || fail "a folder that is not writable: $status"
fi
no_leftovers

# a party that is killed leaves at most an empty file of the result's size, which the next run takes over
status=$(lose_party_one KILL 0 --silence-limit 2 --link-latency 20000us)
for party in 0 1; do
  file=n.result.p$party.h5.partial
  [ ! -e $file ] || cmp -s $file <(head -c "$(stat -c %s $file)" /dev/zero) || fail "$file of a killed run is not empty"
done
expect_run 0 WARNING n --ledger ledger
no_leftovers
expect 0 written "$TWAIN" reveal n
# a file system that knows no flock is refused for the ledger's sake before anything is taken
if [ -e "$TWAIN_PRELOAD/preload_peer.so" ]; then
  no_flock() { timeout 60 mpirun -np 2 -x LD_PRELOAD="$TWAIN_PRELOAD/preload_peer.so" -x TWAIN_PEER_LIE=noflock "$TWAIN" run "$@"; }
  export -f no_flock
  expect 3 'does not lock files' bash -c 'no_flock n --ledger ledger --force'
  no_leftovers
fi
# a launcher that is told to end: nothing is left
mpirun -np 2 "$TWAIN" run n --ledger ledger --force --link-latency 50000us >said 2>&1 &
launcher=$!
for ((i = 0; i < 400; i++)); do
  [ -e n.result.p0.h5.partial ] && [ -e n.result.p1.h5.partial ] && break
  sleep 0.02
done
[ -e n.result.p1.h5.partial ] || { cat said >&2; fail "no place was taken before the run"; }
kill -TERM $launcher
wait $launcher && fail "a run that was told to end succeeded"
for ((i = 0; i < 1500; i++)); do compgen -G 'n.*.partial' >/dev/null || break; sleep 0.02; done
no_leftovers
expect 0 written "$TWAIN" reveal n --force # the earlier result, of this input, is still there
