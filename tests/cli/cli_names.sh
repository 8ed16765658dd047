# NAMEs: a second input beside the first, keys of a second dealing, and what a newcomer asks for where it cannot be had:
# a length that the model lacks, a check without the model, more slots than there are.
source "$SOURCE_DIR/tests/cli/cli.bash"

# ---- a plan without --seq fits any model

"$TWAIN" import --shape 1x8x2x8 -o n -q
expect 0 ' 128 tokens, output' "$TWAIN" plan n
"$TWAIN" import "$SOURCE_DIR/tests/vectors/tiny-bert/f32" -o small -q
expect 0 ' 24 tokens \(all that the model has positions for\), output' "$TWAIN" plan small
expect 2 'sequence length 128: this model takes 1 to 24 tokens' "$TWAIN" plan small --seq 128 --force
printf 'some words\n' >texts
expect 0 ' 24 tokens' "$TWAIN" plan small --calibrate texts --force

# ---- the first inference

"$TWAIN" plan n --seq 8 -q --force
"$TWAIN" share n -q
"$TWAIN" deal n -n 2 --test-seed 5 -q
"$TWAIN" encode n 'a first text' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
two_ranks n --ledger ledger --allow-test-keys -q
"$TWAIN" reveal n -q
"$TWAIN" check n --exact --test-seed 5 -q

# ---- a second one: a NAME of its own, the files of the model by --model; slot 1 is taken

sha256sum n.input.* n.result.* >first
expect 3 'give this input a NAME of its own: `twain encode NAME2 --model n`' "$TWAIN" encode n 'a second text'
expect 3 'm.plan.json: no such file; .*; or say --model NAME' "$TWAIN" encode m 'a second text'
expect 3 'k.plan.json: no such file; run `twain plan` first$' "$TWAIN" encode m --model k 'a second text'
expect 0 'written: m.input.h5' "$TWAIN" encode m --model n 'a second text'
expect 2 '--model goes with --input' "$TWAIN" share m --model n
expect 3 'm.plan.json: no such file; .*; or say --model NAME' "$TWAIN" share m --input
expect 0 'for party 0: m.input.p0.h5' "$TWAIN" share m --input --model n
expect_run 3 'm.plan.json: no such file; .*; or say --model NAME' m --ledger ledger --allow-test-keys
expect_run 2 "'n.plan.json' is a file" m --ledger ledger --model n.plan.json
two_ranks m --ledger ledger --allow-test-keys --model n --json 2>/dev/null >ran
[ "$(json ran 'j[0]["slots"]')" = '[1]' ] || { cat ran; fail "not slot 1 of n's plan"; }
"$TWAIN" report m --json >alone
"$TWAIN" report m --model n --json >reported
[ "$(json alone 'j[0]["layers"], j[0]["keys"]')" = '(None, None)' ] || fail "a report without a plan has one"
for field in layers hidden heads tokens choices rounding plan_digest; do
  [ "$(json reported "j[0]['$field']")" = "$(json ran "j[0]['$field']")" ] || fail "report --model: another $field than the run's"
done
[ "$(json reported 'j[0]["hidden"]')" != None ] || fail "report --model finds no plan"
expect 2 "'n.plan.json' is a file" "$TWAIN" report m --model n.plan.json
expect 0 'none counted' "$TWAIN" reveal m --model n
expect 0 'outputs equal' "$TWAIN" check m --model n --exact --test-seed 5
expect 3 'm.model.h5: is not here, and check compares with the model in clear' "$TWAIN" check m
sha256sum -c --quiet first || fail "the second inference changed a file of the first"

# ---- no slot is left: keys of a second dealing have a NAME of their own, too

"$TWAIN" encode l --model n 'a third text' -q
"$TWAIN" share l --input --model n -q
expect_run 6 'slots: 1 needed, 0 free on both.*`twain deal NAME2 --model NAME`\) and name them \(`--keys NAME2`\)$' \
  l --ledger ledger --allow-test-keys --model n
expect 3 'deal more keys under a NAME of their own, `twain deal NAME2 --model n`' "$TWAIN" deal n -n 2
expect 0 'for party 1: more.keys.p1.h5' "$TWAIN" deal more --model n -n 1 --test-seed 6
expect_run 0 '' l --ledger ledger --allow-test-keys --model n --keys more
"$TWAIN" reveal l --model n -q
expect 0 'outputs equal' "$TWAIN" check l --model n --exact --test-seed 6
"$TWAIN" encode two --model n 'text' 'and text' -q
"$TWAIN" share two --input --model n -q
"$TWAIN" deal more2 --model n -n 2 --test-seed 7 -q
two_ranks l --ledger ledger --allow-test-keys --model n --keys more2 --force -q
expect_run 6 'slots: 2 needed, 1 free on both.*, or take fewer sequences at once' \
  two --ledger ledger --allow-test-keys --model n --keys more2

# ---- what is replaced makes other files void, and they are named

expect 0 '^void now: n.result.p0.h5, n.result.p1.h5, n.result.h5; they are of the input shared before' \
  "$TWAIN" share n --input --force
expect 0 'written: n.plan.json' "$TWAIN" plan n --seq 8 --force # the same plan
! grep -q void said || fail "files are void after a plan that is the same"
expect 0 '^void now: n.keys.p0.h5, n.keys.p1.h5, n.input.p0.h5, n.input.p1.h5, n.result.p0.h5, n.result.p1.h5; they are of the plan before' \
  "$TWAIN" plan n --seq 9 --force
expect 0 '^void now: n.keys.p0.h5, .*; they are of the sharing before' "$TWAIN" share n --force
rm n.keys.* n.input.* n.result.*
expect 0 '' "$TWAIN" share n --force
! grep -q void said || fail "files are void that are not there"

no_leftovers

# ---- a long text's rows are not all printed: 32, and where the others are; the sum is over all; check speaks of tokens

"$python" "$SOURCE_DIR/tests/cli/families.py" gpt2 gpt2.folder
"$TWAIN" import gpt2.folder -o d -q
"$TWAIN" plan d --seq 40 --result all-logits -q
"$TWAIN" share d -q
"$TWAIN" deal d -n 2 --test-seed 3 -q
"$TWAIN" encode d "$(printf 'the cat sat on the mat %.0s' {1..9})" 'the cat' --truncate -q
"$TWAIN" share d --input -q
two_ranks d --ledger ledger --allow-test-keys -q
expect 0 '^1: 8 more rows, in d.result.h5 \(values\[0\]\)$' "$TWAIN" reveal d
[ "$(grep -c '^1\.[0-9]*: ' said)" = 32 ] || { cat said; fail "not 32 rows of 40"; }
grep -q '^1: log probability .* of 39 tokens' said || { cat said; fail "the sum is not of all rows"; }
! grep -q '^2: .*more row' said || fail "a short text has rows left"
expect 0 '' "$TWAIN" check d --exact --test-seed 3
lines=$(grep -cE "^likeliest next tokens: [0-9]+ of [0-9]+ as the float model's(; of the others|$)" said) || true
[ "$lines" = 1 ] && ! grep -q '^labels' said || { cat said; fail "a decoder has labels"; }
read -r same all < <(sed -nE 's/^likeliest next tokens: ([0-9]+) of ([0-9]+) as.*/\1 \2/p' said)
[ "$same" != "$all" ] || ! grep -q 'of the others' said || { cat said; fail "others are told of where there are none"; }

no_leftovers
