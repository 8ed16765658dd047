# Which slots a run takes: the first that are free on both parties, or the row that was asked for; trouble with one side's
# ledger is told by both; a run that takes its slots just then is waited for.
source "$SOURCE_DIR/tests/cli/cli.bash"

id_of() { json "$1/ledger.json" 'j["id"]'; }
fresh_keys() { "$TWAIN" deal n -n 12 -q --force; }

"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 12 -q
"$TWAIN" encode n 'an input of words' 'b' -q
"$TWAIN" share n --input -q

# ---- trouble on one side reaches the other as its reason
"$TWAIN" ledger --new A -q
id=$(key_id)
mkdir -p "A/p1/$id"
touch "A/p1/$id"/{0,1,2,3,4,5,6,7,8,9,10,11}
expect_run 6 '2 needed, 0 free on both parties \(of 12: 12 free on party 0, 0 on party 1' n --ledger A --force
parties_say '2 needed, 0 free'
rm -r "A/p1/$id"
touch "A/p1/$id" # no folder
expect_run 3 "A/p1/$id: is not a folder" n --ledger A --force
parties_say 'is not a folder'
rm "A/p1/$id"
printf '{"format": "twain-ledger", ' >A/ledger.json
expect_run 4 'A/ledger.json' n --ledger A --force
parties_say 'A/ledger.json'

# ---- marks of one side only: the first ones that are free on both, wherever they lie. No run has begun with ledger A: the
# same key file may be used with another one.
"$TWAIN" ledger --new W -q
id=$(key_id)
mkdir -p "W/p0/$id" "W/p1/$id"
touch "W/p0/$id"/{0,1,4} "W/p1/$id"/{0,1,2}
expect_run 0 '' n --ledger W -q --force
[ "$("$python" -c 'import h5py; print(list(h5py.File("n.result.p0.h5")["slots"]))')" = '[3, 5]' ] || fail "slots chosen"
expect_run 6 'slot 3 was used before' n --ledger W --force --slot 2
expect_run 0 '' n --ledger W -q --force --slot 9
expect_run 6 'from key slot 11 on' n --ledger W --force --slot 11
expect 5 'differ in the first key slot: party [01] has [67], party [01] has [67]' timeout 60 \
  mpirun -np 1 "$TWAIN" run n -q --force --ledger W --slot 6 : -np 1 "$TWAIN" run n -q --force --ledger W --slot 7
expect_run 0 '' n --ledger W -q --force
touch "W/p1/$id/8"
expect_run 6 '2 needed, 1 free on both parties' n --ledger W --force
expect 0 "^$id +1 +10 +0-3, 5-10 +$(id_of W)" "$TWAIN" ledger W
grep -qE "^$id +0 +9-10 +2 +20[0-9-]+T[0-9:]+Z +$(hostname) +[0-9]+ " said || { cat said >&2; fail "no line of a run"; }

# ---- another run that takes its slots just then is waited for, longer than the other party may be silent
fresh_keys
id=$(key_id)
mkdir -p "W/p1/$id"
python3 - "W/p1/$id/lock" <<'PYTHON' &
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open("locked", "w")
time.sleep(8)
PYTHON
held=$!
until [ -e locked ]; do sleep 0.01; done
expect_run 0 '' n --ledger W -q --force --silence-limit 4
! kill -0 "$held" 2>/dev/null || fail "the run did not wait for the lock"
wait "$held"
no_leftovers
