# The guard from end to end: a model whose logits leave the plan's bounds gives a result under a name of its own, exit
# code 8 and a place; inside its bounds, and measured ones, it gives an ordinary result. Costs no round.
source "$SOURCE_DIR/tests/cli/cli.bash"
"$TWAIN" import --shape 2x32x2x64 -o n -q
"$TWAIN" ledger --new ledger -q

scale_logits() { # FACTOR: queries and keys of layer 1
  "$python" - "$1" <<'PYTHON'
import sys
import h5py
import checksum

with h5py.File("n.model.h5", "r+") as f:
    d = f["layer.1.qkv.weight"]
    w = d[()]
    w[:, :64] *= float(sys.argv[1])
    checksum.put(d, w)
PYTHON
}

chain() { # PLAN-OPTION...
  "$TWAIN" plan n --seq 16 "$@" --force -q
  "$TWAIN" share n -q --force
  "$TWAIN" deal n -n 2 -q --force
  "$TWAIN" encode n 'some words of text' 'others' -q --force
  "$TWAIN" share n --input -q --force
  two_ranks n --ledger ledger --force >ran 2>&1 || { cat ran >&2; fail "run with $*"; }
}

# inside the bounds
chain
expect 0 'run [0-9a-f]*: 2 sequences' "$TWAIN" reveal n --csv table.csv --npy table.npy
[ -s table.csv ] && [ -s table.npy ] || fail "no tables"
expect 0 'relative error' "$TWAIN" check n
[ ! -e n.result.untrusted.h5 ] || fail "an ordinary result is not trusted"
"$TWAIN" plan n --seq 16 --json --force >with.json
"$TWAIN" plan n --seq 16 --json --force --no-guard >without.json
[ "$(json with.json "j[0]['rounds']")" = "$(json without.json "j[0]['rounds']")" ] || fail "the guard costs rounds"
[ "$(json with.json "j[0]['guard'], j[0]['bounds_assumed']")" = "(True, True)" ] || fail "the plan does not say what it counts"
expect 0 'ASSUMED, not measured' "$TWAIN" plan n --seq 16 --force
expect 0 'NOT counted' "$TWAIN" plan n --seq 16 --force --no-guard

# beyond them: nothing a party says or does differs, the client learns it
scale_logits 12
chain
expect 8 'n.result.untrusted.h5: not to be trusted: values out of the plan.s bounds in [12] of 2 sequences' "$TWAIN" reveal n --force \
  --csv table.csv --npy table.npy
[ ! -e table.csv ] && [ ! -e table.npy ] || fail "a table of before lies beside an untrusted result"
[ ! -e n.result.h5 ] || fail "the result of before lies beside an untrusted one"
[ -e n.result.untrusted.h5 ] || fail "no untrusted result"
! grep -qi "out of bound\|trusted" ran || fail "a party speaks of bounds"
expect 10 'layer 1, [a-z_]* is [0-9.e+]*, planned' "$TWAIN" check n --tolerance 1e-9
expect 0 'layer 1, [a-z_]* is [0-9.e+]*, planned' "$TWAIN" check n --tolerance 1e6

# without a guard nobody notices but check
chain --no-guard
expect 0 'run [0-9a-f]*: 2 sequences' "$TWAIN" reveal n --force
[ ! -e n.result.untrusted.h5 ] || fail "an untrusted result lies beside a newer one"
expect 10 'layer 1, [a-z_]* is [0-9.e+]*, planned' "$TWAIN" check n --tolerance 1e-9

# measured bounds hold it, with emulator and counts bit for bit
printf 'some words of text\nothers\n' >texts
"$TWAIN" plan n --seq 16 --calibrate texts --margin 1.5 --force -q
"$TWAIN" deal n -n 2 --test-seed 5 -q --force 2>/dev/null
"$TWAIN" share n --input -q --force
two_ranks n --ledger ledger -q --force --allow-test-keys 2>said || { cat said >&2; fail "calibrated run"; }
"$TWAIN" reveal n -q --force
expect 0 'transcript equal' "$TWAIN" check n --exact --test-seed 5
! grep -q 'out of bound\|leaves the plan' said || fail "measured bounds do not hold"

# what the result files say of themselves is compared with the plan
"$python" - <<'PYTHON'
import h5py
for party in "01":
    with h5py.File(f"n.result.p{party}.h5", "r+") as f:
        f.attrs.modify("guard", f.attrs["guard"] * 0)
PYTHON
expect 4 'guard. *is 0|attribute guard' "$TWAIN" reveal n --force
"$python" - <<'PYTHON'
import h5py
for party in "01":
    with h5py.File(f"n.result.p{party}.h5", "r+") as f:
        del f["guard_masked"], f["guard_mask"]
PYTHON
expect 5 'the result files differ from their plan: .* without a guard; the plan has .* with a guard' "$TWAIN" reveal n --force

# another version of the model, whose gamma the plan does not allow for
"$python" - <<'PYTHON'
import h5py
import checksum
with h5py.File("n.model.h5", "r+") as f:
    d = f["layer.1.norm2.gamma"]
    checksum.put(d, d[()] * 100)
PYTHON
"$TWAIN" share n -q --force
expect 5 "gamma and beta reach [0-9.]* and [0-9.]*, the plan's layer . allows" "$TWAIN" deal n --force
"$TWAIN" plan n --seq 16 --force -q
expect 0 'slot' "$TWAIN" deal n --force

# a refusal names the ways out
expect 8 'layer [01], tensor .* --margin' "$TWAIN" plan n --seq 16 --calibrate texts --margin 1e6 --force
no_leftovers
