# Ledgers that are not the right one: missing, new, mistyped, open to others, the peer's changed. The same slot is always
# refused, with the reason on both parties, and no mask is ever used for two inputs.
source "$SOURCE_DIR/tests/cli/cli.bash"

id_of() { json "$1/ledger.json" 'j["id"]'; }
marks() { find "$@" -type f -name '[0-9]*' | wc -l; }
fresh_keys() { "$TWAIN" deal n -n 12 -q --force; }
two_parties() { # LEDGER LEDGER OPTION...: a ledger for each party
  local zero=$1 one=$2
  shift 2
  timeout 60 mpirun -np 1 "$TWAIN" run n -q --force --ledger "$zero" "$@" : \
    -np 1 "$TWAIN" run n -q --force --ledger "$one" "$@"
}
export -f two_parties
expect_parties() { # CODE TEXT LEDGER LEDGER OPTION...
  local code=$1 text=$2
  shift 2
  expect "$code" "$text" bash -c 'two_parties "$@"' parties "$@"
}

"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 12 -q
"$TWAIN" encode n 'an input of words' 'b' -q
"$TWAIN" share n --input -q

# ---- made once, never in passing
expect_run 3 'L: no such ledger: a ledger that is not there is not an empty one.*twain ledger --new' n --ledger L
parties_say 'no such ledger'
[ ! -e L ] || fail "a run made a ledger"
XDG_STATE_HOME=$PWD/state expect_run 3 'the default ledger.*state/twain/ledger: no such ledger' n
[ ! -e state ] || fail "a run made the default ledger"
mkdir L
expect_run 3 'L: is no ledger' n --ledger L
expect 0 '^id [0-9a-f]{32}$' "$TWAIN" ledger --new L
expect 0 'no key was used' "$TWAIN" ledger L
expect 3 'L: is a ledger already' "$TWAIN" ledger --new L
[ "$(stat -c %a L L/ledger.json | paste -sd ' ')" = '700 600' ] || fail "modes: $(stat -c '%a %n' L L/ledger.json)"
expect 3 'K: no such ledger' "$TWAIN" ledger K
XDG_STATE_HOME=$PWD/state "$TWAIN" ledger --new -q
XDG_STATE_HOME=$PWD/state expect 0 'state/twain/ledger' "$TWAIN" ledger
mkdir other
touch other/file
expect 3 'other: is not empty' "$TWAIN" ledger --new other
expect 2 'either --new or --adopt' "$TWAIN" ledger --new --adopt other

# ---- key files put back, and a ledger that is not theirs
cp n.keys.p0.h5 c0
cp n.keys.p1.h5 c1
expect_run 0 '' n --ledger L -q
cp n.result.p0.h5 first.p0
cp n.result.p1.h5 first.p1
used_keys=$(key_id)
put_back() { cp c0 n.keys.p0.h5; cp c1 n.keys.p1.h5; }
"$TWAIN" encode n 'the quick brown fox' 'c' -q --force
"$TWAIN" share n --input -q --force
"$TWAIN" ledger --new L2 -q
expect_run 5 "was first used with the ledger of id $(id_of L); the ledger given has id $(id_of L2): this is not the key file.s ledger" n --ledger L2 --force
parties_say "this is not the key file's ledger"
put_back
expect_run 6 'slot 0 was used before' n --ledger L --slot 0 --force
put_back
expect_run 3 'L_mistyped: no such ledger' n --ledger L_mistyped --slot 0 --force
put_back
expect_parties 5 "party 1 comes with the ledger of id $(id_of L2), but used this key with the one of id $(id_of L)" L L2 --slot 0
parties_say 'party 1 comes with the ledger'
put_back
expect_parties 5 'party 0 comes with the ledger' L2 L # the first free ones, likewise
put_back
expect_run 0 '' n --ledger L -q --force # what is free is free in the copy, too
"$python" - <<'PYTHON' || fail "a mask was used for two inputs"
import h5py
for party in (0, 1):
    a, b = h5py.File(f"first.p{party}"), h5py.File(f"n.result.p{party}.h5")
    assert list(a["slots"]) == [0, 1] and list(b["slots"]) == [2, 3], (list(a["slots"]), list(b["slots"]))
    assert a.attrs["key_id"] == b.attrs["key_id"] and (a["mask"][()] != b["mask"][()]).any()
    # the copy's seeds of slots that the ledger marks are erased, too
    seeds = h5py.File(f"n.keys.p{party}.h5")["seeds"][()].any(axis=1)
    assert list(seeds) == [False] * 4 + [True] * 8, seeds
PYTHON
[ "$(marks L/p0)" = 4 ] && [ "$(marks L/p1)" = 4 ] && [ "$(marks L2)" = 0 ] || fail "marks: $(find L L2 -type f)"

# a ledger put back to an earlier state: seeds are erased that it does not know
rm "L/p0/$used_keys/3"
expect_run 5 'party 0 on .*seed of slot 3 is erased.*this is not the key file.s ledger' n --ledger L --force
parties_say 'seed of slot 3 is erased'

# ---- modes and owners
fresh_keys
"$TWAIN" ledger --new W -q
mkdir -p W/p0 "W/p1/$(key_id)"
for part in W W/p0 "W/p1/$(key_id)" W/ledger.json; do
  was=$(stat -c %a "$part")
  for mode in g+w o+w; do
    chmod "$mode" "$part"
    expect 3 "$part: the ledger.s mode 0[0-7]+ lets group or world write.*chmod go-w" "$TWAIN" ledger W
  done
  expect_run 3 "$part: the ledger.s mode" n --ledger W --force
  chmod "$was" "$part"
  if [ "$(id -u)" = 0 ]; then
    chown 65534 "$part"
    expect 3 "$part: the ledger belongs to user 65534, not to you" "$TWAIN" ledger W
    chown 0 "$part"
  fi
done
if unshare -m true 2>/dev/null; then
  mkdir memory
  on_tmpfs() {
    mount -t tmpfs -o mode=0700 tmpfs memory
    "$TWAIN" ledger --new memory/L -q
    two_ranks n --ledger memory/L --force -q
  }
  export -f on_tmpfs
  expect 0 'party 1 on .*WARNING: the ledger memory/L lies on tmpfs' unshare -m bash -c on_tmpfs
  grep -q '^twain: WARNING: .*tmpfs' said || fail "ledger --new on tmpfs without a warning"
  on_full_disk() { # party 1's ledger: neither party loses a slot
    mount -t tmpfs -o mode=0700,size=64k tmpfs memory
    "$TWAIN" ledger --new memory/L -q
    cat /dev/zero >memory/filler 2>/dev/null
    mpirun -np 1 "$TWAIN" run n --ledger full0 --force -q : -np 1 "$TWAIN" run n --ledger memory/L --force -q
  }
  export -f on_full_disk
  "$TWAIN" ledger --new full0 -q
  fresh_keys
  expect 3 'no room in the ledger for the marks of [0-9]+ slots: 0 blocks of' unshare -m bash -c on_full_disk
  [ -z "$(find full0 -name '[0-9]*' -type f)" ] || fail "party 0 has lost a slot to party 1's full disk"
fi

# ---- marks without ledger.json: taken over with all of them, never replaced
fresh_keys
id=$(key_id)
mkdir -p old/p0/$id old/p1/$id
touch old/p0/$id/{0,1,2} old/p1/$id/{0,1,2}
expect_run 3 'old: holds marks of used slots but no ledger.json.*twain ledger --adopt old' n --ledger old --force
expect 3 'old: holds marks.*--adopt' "$TWAIN" ledger --new old
expect 3 'other: holds no marks' "$TWAIN" ledger --adopt other
"$TWAIN" ledger --adopt old -q
expect 3 'old: is a ledger already' "$TWAIN" ledger --adopt old
expect_run 6 'slot 2 was used before' n --ledger old --force --slot 2
expect_run 0 '' n --ledger old -q --force
[ "$("$python" -c 'import h5py; print(list(h5py.File("n.result.p0.h5")["slots"]))')" = '[3, 4]' ] || fail "slots of the adopted ledger"
no_leftovers
