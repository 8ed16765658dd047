# Files of an earlier version: refused with the way out; ledgers and model shares are carried over whole, keys never.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 4 -q
"$TWAIN" encode n 'an input of words' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new L -q
expect_run 0 '' n --ledger L -q

# earlier FILE ...: what a twain of version 1 wrote (the layouts are the same)
earlier() {
  "$python" - "$@" <<'PY'
import json, sys
import h5py
for path in sys.argv[1:]:
    if path.endswith(".json"):
        j = json.load(open(path))
        j["version"] = 1
        json.dump(j, open(path, "w"))
    else:
        with h5py.File(path, "r+") as f:
            f.attrs.modify("version", f.attrs["version"].__class__(b"1"))
PY
}
# content FILE: everything that the file says but for version, time and program
content() {
  "$python" - "$1" <<'PY'
import hashlib, sys
import h5py
with h5py.File(sys.argv[1]) as f:
    print({k: str(v) for k, v in sorted(f.attrs.items()) if k not in ("version", "created", "software")})
    f.visititems(lambda name, d: print(name, hashlib.sha256(str(d[()].tolist()).encode()).hexdigest(), d.dtype, d.shape)
                 if isinstance(d, h5py.Dataset) else None)
PY
}

# ---- refused, and the message says what to do
cp L/ledger.json ledger.2
cp n.plan.json plan.2
earlier n.model.p0.h5 n.model.p1.h5 n.model.dealer.h5 n.model.json n.client.h5 n.keys.p0.h5 n.keys.p1.h5 n.plan.json L/ledger.json
expect 4 'L/ledger.json: version 1 of twain-ledger, which an earlier twain wrote; this one reads version 2: `twain upgrade`.*keeps all marks' "$TWAIN" ledger L
expect 4 'n.plan.json: version 1 of twain-plan.*`twain plan`' "$TWAIN" deal n --force
cp plan.2 n.plan.json
expect 4 'n.model.dealer.h5: version 1 of twain-model-dealer.*`twain upgrade`' "$TWAIN" deal n --force
expect 4 'n.client.h5: version 1.*`twain upgrade`' "$TWAIN" encode n --force a
expect 4 'n.model.json: version 1.*`twain upgrade`' "$TWAIN" share n --input --force
expect_run 4 'ledger.json: version 1' n --ledger L --force

# ---- carried over
for file in n.model.p0.h5 n.model.p1.h5 n.model.dealer.h5 n.client.h5; do
  content $file >before
  expect 0 "$file: version 2" "$TWAIN" upgrade $file
  content $file >after
  cmp before after || fail "$file changed"
  expect 2 'of version 2 already' "$TWAIN" upgrade $file
done
[ "$(stat -c %a n.model.p0.h5)" = 600 ] || fail "mode of a share: $(stat -c %a n.model.p0.h5)"
id=$(json n.model.json 'j["model_id"]')
"$TWAIN" upgrade n.model.json -q
[ "$(json n.model.json 'j["model_id"], j["version"]')" = "('$id', 2)" ] || fail "the model's id changed"
find L -type f ! -name ledger.json | sort >marks.before
id=$(json L/ledger.json 'j["id"]')
expect 0 '^ledger L: version 2$' "$TWAIN" upgrade L
[ "$(json L/ledger.json 'j["id"], j["version"]')" = "('$id', 2)" ] || fail "the ledger's id changed"
find L -type f ! -name ledger.json | sort | cmp - marks.before || fail "marks changed"
cmp <(json L/ledger.json 'j["created"]') <(json ledger.2 'j["created"]') || fail "the ledger's age changed"
expect 2 'L/ledger.json: is of version 2 already' "$TWAIN" upgrade L
expect 2 'n.model.json: is of version 2 already' "$TWAIN" upgrade n.model.json

# ---- keys are not, and what they were used for stays used
expect 4 'n.keys.p0.h5: twain-keys files are not carried over: deal new keys' "$TWAIN" upgrade n.keys.p0.h5
expect_run 4 'n.keys.p[01].h5: version 1 of twain-keys.*deal new ones' n --ledger L --force
"$TWAIN" deal n -n 2 -q --force
"$TWAIN" encode n 'an input of words' -q --force
"$TWAIN" share n --input -q --force
expect_run 0 '' n --ledger L -q --force
"$TWAIN" reveal n -q
"$TWAIN" check n -q || fail "the result is wrong"

# ---- nothing is lost
earlier n.model.p0.h5
"$python" - <<'PY'
data = bytearray(open("n.model.p0.h5", "rb").read())
data[-100] ^= 1
open("bad.model.p0.h5", "wb").write(data)
open("short.model.p0.h5", "wb").write(data[:4000])
PY
chmod 600 bad.model.p0.h5 short.model.p0.h5
for file in bad.model.p0.h5 short.model.p0.h5; do
  cp $file kept
  expect 4 "$file" "$TWAIN" upgrade $file
  cmp $file kept || fail "$file changed although it could not be read"
done
"$python" - <<'PY'
import h5py
with h5py.File("n.model.p1.h5", "r+") as f:
    f.attrs.modify("version", f.attrs["version"].__class__(b"3"))
PY
expect 4 'n.model.p1.h5: version 3.*later twain' "$TWAIN" upgrade n.model.p1.h5
chmod 644 n.model.p0.h5
expect 3 'chmod 600' "$TWAIN" upgrade n.model.p0.h5
chmod 600 n.model.p0.h5
expect 3 'nowhere.h5' "$TWAIN" upgrade nowhere.h5
expect 2 'whole name' "$TWAIN" upgrade n
expect 4 'version 1 of no.json|not a file of twain|format' "$TWAIN" upgrade n.plan.json
expect 0 'n.model.p0.h5: version 2' "$TWAIN" upgrade n.model.p0.h5
no_leftovers

# ---- several at once: one does it, the others find it done
content n.model.p0.h5 >before
for turn in 1 2 3; do
  earlier n.model.p0.h5
  upgraders=()
  for i in 1 2 3 4 5 6; do
    "$TWAIN" upgrade n.model.p0.h5 -q 2>said.$i &
    upgraders+=($!)
  done
  codes=
  for i in 1 2 3 4 5 6; do
    code=0
    wait "${upgraders[i - 1]}" || code=$?
    [ $code = 0 ] || grep -q 'of version 2 already' said.$i || { cat said.$i; fail "one of several at once: $code"; }
    codes+=$code
  done
  [ "$(tr -d 2 <<<"$codes")" = 0 ] || fail "several at once end with $codes"
  content n.model.p0.h5 >after
  cmp before after || fail "n.model.p0.h5 changed"
done
no_leftovers
