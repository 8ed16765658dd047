# `twain destroy`: keys, caches and sealed files are overwritten and gone, the ledger and public files stay; --all takes
# shares and results, too. The audit log: who used which slots of which keys, what came of it; no texts, no names.
source "$SOURCE_DIR/tests/cli/cli.bash"

export TWAIN_AUDIT=$PWD/audit.log
"$TWAIN" import --shape 1x8x1x8 -o n -q
"$TWAIN" plan n --seq 8 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 5 -q
"$TWAIN" ledger --new ledger -q
"$TWAIN" encode n 'secret words' 'and more' -q
"$TWAIN" share n --input -q
expect_run 0 . n --ledger ledger --device cpu -q
"$TWAIN" reveal n -q

# ---- the log
[ "$(stat -c %a audit.log)" = 600 ] || fail "the log's mode"
! grep -qE 'secret|words|runs/|n\.keys' audit.log || fail "the log holds texts or names"
"$python" - <<'PY' || { cat audit.log; fail "the audit log"; }
import hashlib, h5py, json, os
lines = [json.loads(line) for line in open("audit.log")]
assert [l["event"] for l in lines].count("slots") == 2 and len(lines) == 6, [l["event"] for l in lines]
assert all(l["uid"] == os.getuid() and l["host"] and l["time"].endswith("Z") and l["process"] > 0 for l in lines)
by = lambda event, party: next(l for l in lines if l["event"] == event and l.get("party") == party)
text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
keys, plan = h5py.File("n.keys.p0.h5"), json.load(open("n.plan.json"))
deal, reveal = by("deal", None), by("reveal", None)
assert deal["slots"] == 5 and deal["key_id"] == text(keys.attrs["key_id"]) and not deal["test_keys"]
assert deal["plan"] == text(keys.attrs["plan"])
for party in (0, 1):
    slots, result = by("slots", party), by("result", party)
    file = f"n.result.p{party}.h5"
    assert slots["slots"] == "0-1" and slots["key_id"] == deal["key_id"] and slots["plan"] == deal["plan"]
    assert slots["model_id"] == text(h5py.File(file).attrs["model_id"])
    assert result["sha256"] == hashlib.sha256(open(file, "rb").read()).hexdigest()
    assert result["input_id"] == slots["input_id"] and result["run_id"] == reveal["run_id"]
assert reveal["sha256"] == hashlib.sha256(open("n.result.h5", "rb").read()).hexdigest() and reveal["sequences"] == 2
PY
# where it cannot be written nothing is used up, on either party
for bad in "3 $PWD" '2 relative/log' "3 $PWD/no/such/log"; do
  TWAIN_AUDIT=${bad#* } expect_run "${bad%% *}" TWAIN_AUDIT n --ledger ledger --device cpu --force
  [ "$("$TWAIN" ledger ledger --json | grep -c '"slot":')" = 4 ] || fail "a slot was used without a log: $bad"
done

before=$(sha256sum n.keys.p?.h5)
TWAIN_AUDIT=$PWD expect 3 TWAIN_AUDIT "$TWAIN" deal n -n 1 --force
[ "$(sha256sum n.keys.p?.h5)" = "$before" ] || fail "keys that the log does not know"
before=$(sha256sum n.result.h5)
TWAIN_AUDIT=$PWD expect 3 TWAIN_AUDIT "$TWAIN" reveal n --force --csv table.csv
[ "$(sha256sum n.result.h5)" = "$before" ] && [ ! -e table.csv ] || fail "a result in clear that the log does not know"
mv n.result.h5 older
TWAIN_AUDIT=$PWD expect 3 TWAIN_AUDIT "$TWAIN" reveal n
[ ! -e n.result.h5 ] || fail "a first result in clear that the log does not know"
mv older n.result.h5
for how in 'deal new --model n' 'deal n --append'; do
  TWAIN_AUDIT=$PWD expect 3 TWAIN_AUDIT "$TWAIN" $how -n 1
  [ -z "$(ls new.keys.* n.more* 2>/dev/null)" ] || fail "new keys that the log does not know: $how"
done

# nor where another process holds it, which is waited for ten seconds
python3 -c '
import fcntl, os, time
log = open("held.log", "a")
fcntl.flock(log, fcntl.LOCK_EX)
open("is-held", "w").close()
time.sleep(300)' &
holder=$!
until [ -e is-held ]; do sleep 0.02; done
TWAIN_AUDIT=$PWD/held.log expect_run 3 "held.log: waited 10 s .* process $holder .python3[^ ]* holds locked" n --ledger ledger --device cpu --force
[ "$("$TWAIN" ledger ledger --json | grep -c '"slot":')" = 4 ] || fail "a slot was used without a log that is locked"
kill $holder
wait $holder || true
[ ! -s held.log ] || fail "a line in a log that another process holds"

# ---- destroy
expect 3 'nothing to destroy' "$TWAIN" destroy nothing
"$TWAIN" site init owner --role owner -q
"$TWAIN" site init dealer --role dealer -q
"$TWAIN" seal n.model.dealer.h5 --site owner --seal-to dealer/site.pem -q
ln n.keys.p0.h5 other-name # shows that the bytes are gone, not the name alone
touch n.keys.p1.h5.partial
expect 0 'n.keys.p1.h5 .*overwritten, removed' "$TWAIN" destroy n
for file in n.keys.p0.h5 n.keys.p1.h5 n.keys.p1.h5.partial n.model.dealer.h5.sealed; do
  grep -q "^$file " said && [ ! -e "$file" ] || { cat said; fail "$file is still there"; }
done
[ -s other-name ] && ! tr -d '\0' <other-name | grep -q . || fail "the keys' bytes are still there"
for file in n.model.p0.h5 n.input.p0.h5 n.result.h5 n.plan.json ledger/ledger.json; do [ -s $file ] || fail "$file is gone"; done
tail -1 audit.log | grep -qE '"event":"destroy".*"files":4,"key_ids":\["[0-9a-f]{32}","[0-9a-f]{32}"\]' || { cat audit.log; fail "destroy is not logged"; }
"$TWAIN" ledger ledger --json | grep -q '"slot":' || fail "the ledger forgot"
expect_run 3 'keys.p[01].h5' n --ledger ledger --force

# a link goes, and its file stays: that is said, and is no success; a link to nothing is one
"$TWAIN" deal k --model n -n 1 -q
ln -s k.keys.p0.h5 l.keys.p0.h5
expect 3 'not everything is destroyed' "$TWAIN" destroy l
grep -q 'link removed' said && grep -q "l.keys.p0.h5: was a link, and its file is NOT destroyed ($PWD/k.keys.p0.h5)" said ||
  { cat said; fail "no word about a link's file"; }
ln -s nothing.keys.p0.h5 l.keys.p0.h5
expect 0 'link removed' "$TWAIN" destroy l
[ ! -L l.keys.p0.h5 ] && [ -s k.keys.p0.h5 ] || fail "a link's file"
[ -z "$("$TWAIN" destroy k -q 2>&1)" ] && [ ! -e k.keys.p1.h5 ] || fail "destroy -q"

mkdir n.parts.p0 # what a run in batches leaves when it is ended
cp n.result.p0.h5 n.parts.p0/0.h5
expect 0 'n.input.p1.h5' "$TWAIN" destroy n --all
grep -q '^n.parts.p0/0.h5 .*overwritten, removed' said && grep -q '^n.parts.p0 .*removed' said || { cat said; fail "parts of a result"; }
left=$(echo n.*)
[ "$left" = 'n.model.json n.plan.json' ] || fail "left: $left"
