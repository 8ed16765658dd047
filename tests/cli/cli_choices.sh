# What a plan chooses between keys and rounds: any choice gives the emulator's values and costs what the plan says, the
# choices are in the plan's digest, and what is said is what is chosen.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" share n -q
"$TWAIN" ledger --new L -q

as_emulated() { # WHAT: by the plan that is there, from keys to values
  "$TWAIN" deal n -n 2 --test-seed 7 -q --force
  "$TWAIN" encode n 'a few words of text' 'one' -q --force
  "$TWAIN" share n --input -q --force
  expect_run 0 '' n --ledger L -q --force --allow-test-keys
  "$TWAIN" reveal n -q --force
  "$TWAIN" check n --exact --test-seed 7 -q || fail "$1: not the emulator's values"
}

digests=
for choice in '2,5,4 4 2 0' '2,5,4 4 2 1' '8,8 8 1 0' '3,14 8 2 1' '26,2 4 1 0'; do
  read -r groups arity levels means <<<"$choice"
  options=(--maximum-groups "$groups" --node-arity "$arity" --window-levels "$levels" --norm-means "$means")
  with=$([ "$means" = 1 ] && echo with || echo without)
  expect 0 "chosen: groups $groups, nodes of $arity, windows in $levels level.*, norms $with a mean" "$TWAIN" plan n \
    --seq 40 --force --no-guard "${options[@]}"
  digests="$digests $(json n.plan.json 'j["digest"]')"
  rounds=$("$TWAIN" plan --shape 1x24x3x40 --seq 40 "${options[@]}" | sed -n 's/.*rounds: //p')
  as_emulated "groups $groups"
  said=$("$TWAIN" report n --json >report.json; json report.json 'j["rounds"] if isinstance(j, dict) else j[0]["rounds"]')
  [ "$said" = "$rounds" ] || fail "groups $groups: $said rounds in the report, $rounds in the plan"
done

# forms that a text's plan takes, in a plan by hand: bit for bit, too, and a round less for a norm and for a row maximum
few=$(sed -nE 's/^keys: .*rounds: //p' <("$TWAIN" plan --shape 1x24x3x40 --seq 40 --maximum-groups 4,10))
expect 0 'chosen: groups in 3 rounds, groups 4,10.*norms compared in 1 level' "$TWAIN" plan n --seq 40 --force --no-guard \
  --maximum-groups 4,10 --group-rounds 3 --norm-levels 1
[ "$("$TWAIN" plan --shape 1x24x3x40 --seq 40 --maximum-groups 4,10 --group-rounds 3 --norm-levels 1 |
  sed -nE 's/^keys: .*rounds: //p')" = $((few - 3)) ] || fail "not three rounds less than $few"
as_emulated "groups in 3 rounds"

# functions by keys of point functions: the same checks
for engine in pfss-rows pfss pfss-norms+exp; do
  for guard in --no-guard ''; do
    expect 0 "chosen: engine ${engine/+/.}, groups 2,5,4" "$TWAIN" plan n --seq 40 --force $guard --maximum-groups 2,5,4 --engine "$engine"
    digests="$digests $(json n.plan.json 'j["digest"]')"
      rounds=$(sed -n 's/.*rounds: //p' said)
    as_emulated "$engine"
    said=$("$TWAIN" report n --json >report.json; json report.json 'j["rounds"] if isinstance(j, dict) else j[0]["rounds"]')
    [ "$said" = "$rounds" ] || fail "$engine: $said rounds in the report, $rounds in the plan"
    grep -qF "engine $engine" report.json || fail "the report does not say $engine"
  done
done
[ "$(printf '%s\n' $digests | sort -u | wc -l)" = 11 ] || fail "plans of different choices have one digest"
"$TWAIN" plan --shape bert-tiny --engine pfss-norms+reciprocal --json >order.json
[ "$(json order.json 'j[0]["plan_digest"]')" = "$("$TWAIN" plan --shape bert-tiny --engine pfss-rows --json | json /dev/stdin 'j[0]["plan_digest"]')" ] ||
  fail "norms and reciprocal are not rows"
expect 2 'engine pfss-norms: of gpt2 nothing is read from keys then' "$TWAIN" plan --shape gpt2 --seq 16 --engine pfss-norms
expect 2 "unknown --engine 'pfss-rows.norms'" "$TWAIN" plan --shape bert-tiny --engine pfss-rows+norms
expect 2 "unknown --engine 'pfs'; use auto, digit, pfss, or pfss- and some of norms, reciprocal, rows .both., exp, activation" "$TWAIN" plan n --seq 40 --force --engine pfs

# keys for a plan of other choices are refused by name, on both parties, before anything is spent
usual=(--seq 40 --maximum-groups 2,5,4 --node-arity 8 --window-levels 1 --norm-means 0 --engine pfss-rows)
"$TWAIN" plan n --force -q "${usual[@]}"
"$TWAIN" deal n -n 2 --test-seed 7 -q --force
"$TWAIN" ledger L --json >before.json
for other in '--engine digit' '--engine pfss' '--node-arity 4' '--window-levels 2' '--maximum-groups 4,10' \
  '--norm-means 1' '--norm-levels 1' '--group-rounds 3' --no-guard '--rounding faithful'; do
  "$TWAIN" plan n --force -q "${usual[@]}" $other
  "$TWAIN" encode n 'a few words' -q --force
  "$TWAIN" share n --input -q --force
  expect_run 5 'n.keys.p[01].h5: the keys were dealt for plan .*by other choices' n --ledger L -q --force --allow-test-keys
done
# and so is an input
"$TWAIN" plan n --force -q "${usual[@]}" --engine digit
"$TWAIN" deal n -n 2 --test-seed 7 -q --force
expect_run 5 'n.input.p[01].h5: the input was shared for plan' n --ledger L -q --force --allow-test-keys
"$TWAIN" ledger L --json | cmp - before.json || fail "refused keys were marked in the ledger"

# not said: what takes least, with no more than any of these
"$TWAIN" plan --shape 1x24x3x40 --seq 40 >least
grep -qE '^chosen: groups [0-9,]+, nodes of [48], windows in [12] levels?, norms without a mean' least || fail "the choice is not told"

expect 2 'maximum-groups 1,2: give up to 6 numbers from 2 to 48' "$TWAIN" plan n --seq 40 --force --maximum-groups 1,2
expect 2 'maximum-groups 7,: give' "$TWAIN" plan n --seq 40 --force --maximum-groups 7,
expect 2 'maximum-groups 49: give' "$TWAIN" plan n --seq 40 --force --maximum-groups 49
expect 2 'groups of 27 members.*with --group-rounds 4 a group has at most 26' "$TWAIN" plan n --seq 40 --force \
  --maximum-groups 27
expect 8 'row maximum of 65 columns in more than 6 levels' "$TWAIN" plan --shape 1x24x3x40 --seq 65 --maximum-groups 2,2,2,2,2,2
expect 8 'row maximum of 128 columns in more than 6 levels' "$TWAIN" plan --shape bert-base --maximum-groups 2,2,2,2,2,2
expect 2 'node-arity is 4 or 8' "$TWAIN" plan n --seq 40 --force --node-arity 5
expect 2 'window-levels' "$TWAIN" plan n --seq 40 --force --window-levels 3
expect 2 'norm-means' "$TWAIN" plan n --seq 40 --force --norm-means 2
python3 - <<'PY'
import json
plan = json.load(open("n.plan.json"))
plan["choices"]["maximum"] = [1]
json.dump(plan, open("bad.plan.json", "w"))
plan["choices"]["maximum"] = [2, 3]
json.dump(plan, open("other.plan.json", "w"))
PY
cp n.model.dealer.h5 bad.model.dealer.h5
cp n.model.dealer.h5 other.model.dealer.h5
expect 4 'bad.plan.json: choices.maximum\[0\] is no integer from 2 to 48' "$TWAIN" deal bad
expect 5 'other.plan.json.*digest' "$TWAIN" deal other

# a model that was shared before weights were centred, as twain 0.1 did: any plan but one of norms without a mean
"$python" - n.model.p0.h5 n.model.p1.h5 n.model.dealer.h5 <<'PY'
import sys
import h5py
for path in sys.argv[1:]:
    with h5py.File(path, "r+") as f:
        del f.attrs["centred"]
PY
"$TWAIN" plan n --seq 40 --force -q --norm-means 0
expect 5 'weights of the shared model are not centred.*`twain share`.*--norm-means 1' "$TWAIN" deal n --force
"$TWAIN" plan n --seq 40 --force -q --norm-means 1
"$TWAIN" deal n --force -q
"$TWAIN" encode n one -q --force
"$TWAIN" share n --input -q --force
expect_run 0 '' n --ledger L -q --force
