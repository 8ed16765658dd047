# A plan that knows its link: forms are chosen by a file of rates, each is sayable by hand, and what is foretold is told
# part by part. Rates that are edited change the choice and so the digest.
source "$SOURCE_DIR/tests/cli/cli.bash"

plan() { "$TWAIN" plan --shape minilm --seq 64 "$@"; }
chosen() { plan "$@" --json >p.json && json p.json 'j[0]["choices"]'; }

# without words of a place nothing is foretold, and the choice is one host's
[ "$(chosen)" = "groups 5,13, nodes of 8, windows in 1 level, norms without a mean" ] || fail "the usual choice is another"
[ "$(json p.json 'j[0]["estimated_online_ns"], j[0]["saved"]')" = "(None, None)" ] || fail "something was foretold"
host=$(json p.json 'j[0]["plan_digest"]')

# a slow line: fewest rounds; a fast one with dear keys: other forms. Its parts add up.
far=$(chosen --link-latency 10ms --link-rate 1Gbit/s)
json p.json 'all(s["saved_ns"] >= 0 for s in j[0]["saved"]) and j[0]["runner_up_ns"] > 0' | grep -q True || fail "another choice was better"
json p.json 'sum(j[0]["estimated_%s_ns" % p] for p in ("gates", "messages", "latency", "bytes", "keys")) - j[0]["estimated_online_ns"] in range(-5, 6)' |
  grep -q True || fail "parts do not add up"
json p.json 'abs(sum(j[0]["step_ns"]) - j[0]["estimated_online_ns"]) < 1000' | grep -q True || fail "steps do not add up"
json p.json 'j[0]["link_least_ns"] == j[0]["estimated_latency_ns"] + j[0]["estimated_bytes_ns"]' | grep -q True || fail "two estimates"
json p.json 'j[0]["estimated_latency_ns"] == j[0]["rounds"] * 10000000' | grep -q True || fail "latency is not the rounds'"
[[ $far = *"nodes of 8, windows in 1 level"* ]] || fail "not the fewest rounds on a slow line: $far"
far_digest=$(json p.json 'j[0]["plan_digest"]')

# the same said by hand is the same plan
read -r engine groups <<<"$(sed -E 's/engine ([^,]+), groups ([0-9,]+),.*/\1 \2/' <<<"$far")"
[[ $engine = pfss-* ]] || fail "a slow line, and no keys of rows: $far"
plan --maximum-groups "$groups" --node-arity 8 --window-levels 1 --norm-means 0 --engine "$engine" --json >hand.json
[ "$(json hand.json 'j[0]["plan_digest"]')" = "$far_digest" ] || fail "said by hand it is another plan"

# rates that are edited: an h200 whose bytes of keys are as dear as a second each 10 kB
python3 - "$SOURCE_DIR/jobs/plan/rates/h200.json" <<'PY'
import json, sys
rates = json.load(open(sys.argv[1]))
rates["other_gates"]["key_byte_ns"] = 1e5
json.dump(rates, open("dear.json", "w"))
rates["gates"] = {"and": {"gate_ns": -1}}
json.dump(rates, open("bad.json", "w"))
rates = json.load(open(sys.argv[1]))
for nodes, name in ((0, "free"), (1e5, "slow")):
    for gate in ("window by key", "segments by key"):
        rates["gates"][gate] = {"block_ns": nodes}
    rates["key_bytes_per_second"] = 0
    json.dump(rates, open(name + "-nodes.json", "w"))
PY
usual=$(chosen --link-latency 10ms --link-rate 1Gbit/s --device h200)
usual_digest=$(json p.json 'j[0]["plan_digest"]')
edited=$(chosen --link-latency 10ms --link-rate 1Gbit/s --device ./dear.json)
edited_digest=$(json p.json 'j[0]["plan_digest"]')
[ "$usual" != "$edited" ] && [ "$usual_digest" != "$edited_digest" ] || fail "edited rates choose the same: $edited"
[[ $edited = *"nodes of 4, windows in 2 levels"* ]] || fail "dear keys, and not the fewest: $edited"
# what functions are read from is one of the forms: by the price of a key's nodes all or none, and as it is said
[[ $(chosen --link-latency 10ms --device ./free-nodes.json) = "engine pfss, "* ]] || fail "nodes cost nothing, and are not taken"
free=$(json p.json 'j[0]["plan_digest"]')
[[ $(chosen --link-latency 10ms --device ./slow-nodes.json) = "groups "* ]] || fail "nodes cost 0.1 ms each, and are taken"
[ "$free" != "$(json p.json 'j[0]["plan_digest"]')" ] || fail "edited rates choose the same keys"
json p.json '[s for s in j[0]["saved"] if s["option"] == "engine"][0]["saved_ns"] > 1e6' | grep -q True || fail "what digits save is not told"
[[ $(chosen --link-latency 10ms --device ./free-nodes.json --engine digit) = "groups "* ]] || fail "an engine that was said was changed"
[[ $(chosen --link-latency 10ms --device ./slow-nodes.json --engine pfss-exp) = "engine pfss-exp, groups "* ]] || fail "a function that was said was changed"
[[ $(chosen --engine auto) = "groups "* ]] || fail "keys of functions where GPUs touch"

expect 4 'bad.json: gates.and.gate_ns is no number from 0 to 1e.09; write it with .twain bench calibrate' "$TWAIN" plan --shape minilm --seq 64 --device ./bad.json
# a name that is misspelt would cost nothing; a text would write to the terminal; what is too large is no estimate
python3 - dear.json <<'PY'
import copy, json, sys
rates = json.load(open(sys.argv[1]))
def put(name, path, value):
    other = copy.deepcopy(rates)
    at = other
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    json.dump(other, open("odd-%s.json" % name, "w"))
put("field", ["rounds_ns"], 5)
put("cost", ["gates", "window by key", "gat_ns"], 5)
put("gates", ["gates"], [])
put("large", ["round_ns"], 1e308)
put("slow", ["key_bytes_per_second"], 1e-300)
put("text", ["device"], "a\x1b[31mcolour")
put("product", ["multiply_add_ns", 3], None)
PY
odd() { expect 4 "odd-$1.json: $2" "$TWAIN" plan --shape bert-tiny --seq 16 --device ./odd-$1.json; }
odd field 'rounds_ns is not known here'
odd cost 'gates.window by key.gat_ns is not known here'
odd gates 'gates is not an object'
odd large 'round_ns is no number from 0 to 1e.09'
odd slow 'key_bytes_per_second is no number from 0 to 1e.18, and between 0 and 1'
odd text 'device is no line of text'
odd product 'multiply_add_ns.3. is no number'

# kinds of devices are what `run` takes; of a plan they would be half an H200 each
for device in cpu cuda auto ''; do
  expect 2 'of a plan: name what a party computes on .epyc, h200' "$TWAIN" plan --shape bert-tiny --seq 16 --device "$device"
done
expect 0 'rates: NVIDIA H200' "$TWAIN" plan --shape bert-tiny --seq 16 --device H200
expect 2 'is 0 s, from 1e-09' "$TWAIN" plan --shape bert-tiny --seq 16 --link-latency 0us --device epyc
expect 3 'none.json: cannot be read' "$TWAIN" plan --shape minilm --seq 64 --device ./none.json

# a form that is said by hand stays, and the others are chosen around it
[[ $(chosen --link-latency 10ms --node-arity 4) = *"nodes of 4"* ]] || fail "a form that was said was changed"
[ "$(json p.json '[s["form"] for s in j[0]["saved"]]')" = "['row maximum', 'windows of tables', 'norms', 'functions']" ] || fail "a form that was said is compared"

# a budget of keys
most=$(plan --link-latency 10ms --json | json /dev/stdin 'j[0]["key_bytes"]')
plan --link-latency 10ms --key-budget $((most - 1000000)) --json >less.json
json less.json "j[0]['key_bytes'] <= $most - 1000000 and j[0]['key_budget_bytes'] == $most - 1000000" | grep -q True || fail "the budget is not kept"
# of the whole model, also where no place is said: it was that of one layer
usual=$(plan --json | json /dev/stdin 'j[0]["key_bytes"]')
plan --key-budget $((usual - 1)) --json >less.json
json less.json "$usual * 0.9 < j[0]['key_bytes'] < $usual" | grep -q True || fail "the budget is not kept without a place"
expect 8 'the fewest: .*let the planner choose .*--engine auto' "$TWAIN" plan --shape minilm --seq 64 --key-budget 1000 --engine pfss
for place in '' '--link-latency 1ms'; do
  expect 8 'was found that takes 1000 bytes of keys or fewer; [0-9]{8} are the fewest' "$TWAIN" plan --shape minilm --seq 64 --key-budget 1000 $place
done

# BERT-base by keys of rows: few rounds within few bytes, said by hand and found within budgets
base() { "$TWAIN" plan --shape bert-base --json "$@" >p.json; }
base --engine pfss-rows --maximum-groups 2,5,13 --node-arity 8
json p.json 'j[0]["rounds"] <= 365 and j[0]["key_bytes"] <= 440e6 and j[0]["sent_bytes"] <= 240e6' | grep -q True || fail "more than BERT-base needs"
base --device h200 --link-latency 10ms --link-rate 1Gbit/s --key-budget 440000000
json p.json 'j[0]["rounds"] <= 365 and j[0]["key_bytes"] <= 440e6' | grep -q True || fail "more than BERT-base needs within 440 MB"
base --device h200 --link-latency 10ms --link-rate 1Gbit/s --key-budget 600000000
json p.json 'j[0]["rounds"] <= 330 and j[0]["key_bytes"] <= 600e6' | grep -q True || fail "more than BERT-base needs within 600 MB"

# keys on their way from a live dealer
plan --link-latency 1ms --dealer-link-rate 100Mbit/s --json >dealt.json
json dealt.json 'j[0]["estimated_keys_ns"] > 1e9 and j[0]["dealer_rate_bits_per_second"] == 100000000' | grep -q True || fail "keys are there at once"

# what people see: parts, what each form saved, the runner-up; a device that nobody measured is a guess
plan --link-latency 2ms --link-rate 3.2Gbit/s --device some-card >said
for words in 'preparation, before the input' 'rounds of 2.00 ms one way' 'at 3.2 Gbit/s' 'online, from input to output' \
  'some-card (unknown) (a guess: half as fast as h200' 'the next best would cost' 'row maximum  *groups' 'runner-up: '; do
  grep -q "$words" said || { cat said >&2; fail "not said: $words"; }
done

# this machine's rates, and a plan by them; a file that is there stays
"$TWAIN" bench calibrate own.json --repeat 1 >said 2>&1 || { cat said >&2; fail "bench calibrate"; }
grep -q 'multiply-adds, rings of 1 to 8 bytes' said || fail "rates are not told"
plan --device ./own.json --link-latency 1ms --json >p.json
json p.json 'j[0]["rates_source"].startswith("twain bench calibrate") and j[0]["estimated_gates_ns"] > 0' | grep -q True || fail "rates of this machine are not used"
expect 3 'own.json: exists already' "$TWAIN" bench calibrate own.json
expect 3 'no-folder: cannot write there' "$TWAIN" bench calibrate no-folder/own.json
expect 2 'own.: a file.s name that ends in .json is needed' "$TWAIN" bench calibrate own
expect 2 'repeat .33.: a whole number from 1 to 32' "$TWAIN" bench calibrate other.json --repeat 33
[ -e other.json ] && fail "a refused repeat wrote rates"
expect 2 'FILE.json' "$TWAIN" bench calibrate

# a plan that is written says what was chosen, and runs
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 20 --link-latency 30ms -q
before=$(json n.plan.json 'j["digest"]')

# with measured bounds, too, the runner-up is as far from the plan as the nearest other way of a form
printf 'a few words\nand some more of them\n' >sample
"$TWAIN" plan n --seq 20 --calibrate sample --link-latency 10ms --link-rate 10Mbit/s --json --force >p.json
json p.json '0 <= j[0]["runner_up_ns"] - j[0]["estimated_online_ns"] - j[0]["estimated_preparation_ns"] <= min(s["saved_ns"] for s in j[0]["saved"]) + 5' |
  grep -q True || fail "the runner-up is not what the table says"
"$TWAIN" plan n --seq 20 --device ./dear.json -q --force
[ "$before" != "$(json n.plan.json 'j["digest"]')" ] || fail "the digest does not know the choice"
"$TWAIN" share n -q
"$TWAIN" deal n --test-seed 3 -q
"$TWAIN" encode n 'a few words' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
expect_run 0 '' n --ledger ledger -q --allow-test-keys
"$TWAIN" reveal n -q
"$TWAIN" check n --exact --test-seed 3 -q || fail "not the emulator's values"
no_leftovers
