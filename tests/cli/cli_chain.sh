# The whole chain on a small synthetic model: all outputs and roundings bit for bit, real keys, batches, reports.
source "$SOURCE_DIR/tests/cli/cli.bash"

texts=('a short one' 'this one has quite a few more words in it than the first' 'x')
"$TWAIN" import --shape 2x64x2x128 -o n -q
"$TWAIN" share n -q
"$TWAIN" ledger --new ledger -q

# ---- TEST keys: the emulator agrees bit for bit
check_exactly() { # OUTPUT ROUNDING
  local name=$1-$2 part
  for part in model.h5 client.h5 model.p0.h5 model.p1.h5 model.dealer.h5 model.json; do ln -s "n.$part" "$name.$part"; done
  "$TWAIN" plan "$name" --seq 20 --result "$1" --rounding "$2" -q
  "$TWAIN" deal "$name" -n 3 --test-seed 11 -q 2>/dev/null
  "$TWAIN" encode "$name" "${texts[@]}" -q
  "$TWAIN" share "$name" --input -q
  expect_run 2 'marked TEST' "$name" --ledger ledger -q
  expect_run 0 'NOTHING IN THIS RUN IS PRIVATE' "$name" --ledger ledger --allow-test-keys -q
  "$TWAIN" reveal "$name" -q
  expect 0 'outputs equal the emulator.s, transcript equal' "$TWAIN" check "$name" --exact --test-seed 11
  ! grep -q 'out of bound' said || fail "$name: values out of bound"
}
check_exactly tokens dithered
check_exactly pooled faithful-output
check_exactly cls faithful
expect 10 'check failed: [0-9]+ of [0-9]+ outputs differ from the emulator' "$TWAIN" check cls-faithful --exact --test-seed 12
expect 0 '^cosine\(private, float\) = (0\.999[0-9]{2}|1\.00000)  a short one$' "$TWAIN" check cls-faithful --show-texts
grep -q 'largest difference of similarity' said || fail "check prints no similarities"

# ---- real keys, pooled, several sequences
"$TWAIN" plan n --seq 20 --result pooled -q
"$TWAIN" plan n --seq 20 --result pooled --json --force >plan.json
"$TWAIN" deal n -n 4 -q
cp n.keys.p0.h5 copy.p0
cp n.keys.p1.h5 copy.p1
printf '%s\n\n%s\n%s\r\n' "${texts[@]}" >texts.txt
"$TWAIN" encode n --file texts.txt -q
"$TWAIN" share n --input -q
two_ranks n --ledger ledger --json >run.json 2>said || { cat said >&2; fail "run"; }
grep -q 'WARNING: both parties run on host' said || fail "no warning about a shared host"
expect 0 '3 sequences, output pooled \[1\]\[64\]' "$TWAIN" reveal n
"$TWAIN" check n --json --show-texts >check.json
[ "$(json check.json 'min(s["cosine"] for s in j["sequences"]) > 0.9995')" = True ] || fail "cosines: $(cat check.json)"
[ "$(json check.json '[s["text"] for s in j["sequences"]]')" = "['${texts[0]}', '${texts[1]}', '${texts[2]}']" ] || fail "texts"
expect 2 'needs a run on TEST keys' "$TWAIN" check n --exact --test-seed 1

# the ledger of the run is the plan's; a batch of one takes as many rounds
plan_bytes=$(json plan.json 'j[0]["key_bytes"]')
[ "$(json run.json 'j[0]["key_bytes"]')" = $((3 * plan_bytes)) ] || fail "run and plan differ in key bytes"
[ "$(json run.json 'j[0]["rounds"]')" = "$(json plan.json 'j[0]["rounds"]')" ] || fail "run and plan differ in rounds"
[ "$(json run.json 'j[0]["sent_bytes"] == 3 * '"$(json plan.json 'j[0]["sent_bytes"]')"'')" = True ] ||
  fail "run and plan differ in bytes sent"
[ "$(json run.json 'min(j[0]["setup_ns"], j[0]["preparation_ns"][0], j[0]["online_ns"][0]) > 0')" = True ] || fail "times"
"$TWAIN" report n --json >report.json
[ "$(json report.json 'j[0]["run_id"], j[0]["rounds"]')" = "$(json run.json 'j[0]["run_id"], j[0]["rounds"]')" ] || fail "report differs from run"
expect 0 'party 1 on ' "$TWAIN" report n -v
expect 0 '^tokens-dithered ' "$TWAIN" report n tokens-dithered

mv n.result.p0.h5 first.result.p0.h5
mv n.result.p1.h5 first.result.p1.h5
"$TWAIN" encode n --force -q 'a batch of one'
"$TWAIN" share n --input --force -q
two_ranks n --ledger ledger --json >run1.json 2>said || { cat said >&2; fail "second run"; }
[ "$(json run1.json 'j[0]["rounds"]')" = "$(json run.json 'j[0]["rounds"]')" ] || fail "rounds depend on the batch"
[ "$(json run1.json 'j[0]["batch"]')" = 1 ] || fail "batch of one"
expect 0 'slots 3' "$TWAIN" report n
expect 3 'exists already' "$TWAIN" reveal n
"$TWAIN" reveal n --force -q

# halves of two runs do not go together, and nothing is lost
cp n.result.p1.h5 own
cp first.result.p1.h5 n.result.p1.h5
expect 5 'differ in run_id' "$TWAIN" reveal n --force
[ -e n.result.h5 ] || fail "a failed reveal lost the earlier result"
mv own n.result.p1.h5

# ---- one-time keys: all four slots are spent, also in a copy
expect_run 6 '1 needed, 0 free on both parties' n --ledger ledger --force
cp copy.p0 n.keys.p0.h5
cp copy.p1 n.keys.p1.h5
expect_run 6 'slot 1 was used before' n --ledger ledger --force --slot 1
rm -r ledger/p0 # marks that are gone: the seeds, erased in the copy, too, tell
expect_run 5 'party 0 on .*seed of slot 0 is erased.*this is not the key file.s ledger' n --ledger ledger --force --slot 0
cp copy.p0 n.keys.p0.h5 # only the other party remembers
expect_run 6 'slot 0 was used before' n --ledger ledger --force --slot 0

# ---- calibration
expect 0 'measured on texts.txt' "$TWAIN" plan n --seq 20 --result pooled --calibrate texts.txt --force
[ "$("$TWAIN" plan n --seq 20 --calibrate texts.txt --force --json | python3 -c 'import json,sys; j,=json.load(sys.stdin); print(j["measured_bounds"][0]["logit"] > 0 and j["bounds"][0]["logit"] < 255)')" = True ] ||
  fail "calibration did not narrow the bounds"

[ -z "$(find . -name '*.h5' -type f ! -perm 600)" ] || fail "files open to others: $(find . -name '*.h5' -type f ! -perm 600)"
no_leftovers
