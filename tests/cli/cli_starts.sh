# Runs that start in the same second from one key file and one ledger: each gets slots of its own, and none is refused.
# TWAIN_STARTS=40 for the whole bar (150 slots, three sequences a run); the suite starts fewer.
source "$SOURCE_DIR/tests/cli/cli.bash"

starts=${TWAIN_STARTS:-10}
each=3
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n $((starts * each + 30)) -q
"$TWAIN" encode n 'an input of words' 'b' 'and more words' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
# one that is taken on one side only, as after a crash: slots need not lie in a row
id=$(key_id)
mkdir -p "ledger/p1/$id"
touch "ledger/p1/$id/4"

for ((i = 0; i < starts; i++)); do
  mkdir "$i"
  ln -s "$PWD"/n.plan.json "$PWD"/n.*.p?.h5 "$i" # one key file for all
done
pids=()
for ((i = 0; i < starts; i++)); do
  timeout 900 mpirun -np 2 "$TWAIN" run "$i/n" --ledger ledger --silence-limit 300 -q >"$i/said" 2>&1 </dev/null &
  pids+=($!)
done
codes=''
for ((i = 0; i < starts; i++)); do
  code=0
  wait "${pids[i]}" || code=$?
  [ "$code" = 0 ] || { cat "$i/said" >&2; codes+=" $i:$code"; }
done
[ -z "$codes" ] || fail "starts that failed, with their codes:$codes"

"$python" - "$starts" "$each" <<'PYTHON' || fail "slots"
import glob
import sys

import h5py

starts, each = int(sys.argv[1]), int(sys.argv[2])
lists = []
for i in range(starts):
    a, b = (list(map(int, h5py.File(f"{i}/n.result.p{party}.h5")["slots"][()])) for party in (0, 1))
    assert a == b, (a, b)
    lists.append(a)
used = sorted(sum(lists, []))
assert used == [s for s in range(starts * each + 1) if s != 4], used  # each once, and the first that are free
assert any(s[-1] - s[0] >= each for s in lists), "no run went round slot 4"
for party, marks in ((0, used), (1, sorted(used + [4]))):
    found = sorted(int(p.split("/")[-1]) for p in glob.glob(f"ledger/p{party}/*/[0-9]*"))
    assert found == marks, (party, found)
    seeds = h5py.File(f"n.keys.p{party}.h5")["seeds"][()].any(axis=1)
    assert [s for s in range(len(seeds)) if not seeds[s]] == marks, party
PYTHON
[ "$("$TWAIN" ledger ledger --json | python3 -c 'import json, sys; print([k["used"] for k in json.load(sys.stdin)["keys"]])')" = \
  "[$((starts * each)), $((starts * each + 1))]" ] || fail "the ledger's list: $("$TWAIN" ledger ledger)"
# all spent but the rest: the count is named
"$TWAIN" encode n --force -q $(seq 40)
"$TWAIN" share n --input --force -q
expect_run 6 '40 needed, 29 free on both parties' n --ledger ledger

# ---- two ledgers at once on key files that have none yet: at most one of them goes on with each slot
"$TWAIN" ledger --new other -q
"$TWAIN" encode n --force -q 'one'
"$TWAIN" share n --input --force -q
mkdir first second
for name in first second; do ln -s "$PWD"/n.plan.json "$PWD"/n.*.p?.h5 $name; done
for ((turn = 0; turn < ${TWAIN_PAIRS:-3}; turn++)); do
  "$TWAIN" deal n -n 4 --force -q
  rm -f first/*.result.* second/*.result.*
  timeout 200 mpirun -np 2 "$TWAIN" run first/n --ledger ledger --slot 0 -q >first/said 2>&1 </dev/null &
  one=$!
  timeout 200 mpirun -np 2 "$TWAIN" run second/n --ledger other --slot 0 -q >second/said 2>&1 </dev/null &
  two=$!
  codes=''
  for pid in $one $two; do
    code=0
    wait $pid || code=$?
    codes+="$code "
  done
  case $codes in
    0\ [45]\  | [45]\ 0\  | [45]\ [45]\ ) ;; # 4: a seed that was erased while it was read
    *) cat first/said second/said >&2; fail "two ledgers at once: exit codes $codes" ;;
  esac
done
