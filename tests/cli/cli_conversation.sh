# A conversation over several runs: each turn goes on behind what earlier ones left with the parties. The words are those
# of the float model on all tokens so far, the parties equal the emulator bit for bit, and a turn goes on once.
source "$SOURCE_DIR/tests/cli/cli.bash"
export PYTHONPATH="$SOURCE_DIR/tests/cli"

options=()
# encoded NAME MODEL AFTER TEXT...: an input and its shares; AFTER may be empty. Leaves the option in `after`.
encoded() {
  local name=$1 model=$2
  after=()
  [ -z "$3" ] || after=(--after "$3")
  shift 3
  "$TWAIN" encode "$name" --model "$model" "${after[@]}" -q --force -- "$@"
  "$TWAIN" share "$name" --model "$model" --input -q --force
}
# run NAME MODEL OPTION...
run_with() { expect_run "$1" "$2" "$3" --model "$4" --ledger ledger --allow-test-keys -q --force --device cpu "${@:5}"; }
# turn NAME MODEL AFTER TEXT...: run, revealed and checked, too
turn() {
  local name=$1 model=$2
  encoded "$@"
  run_with 0 '' "$name" "$model" "${after[@]}" "${options[@]}"
  expect 0 'out of the plan.s bounds: none' "$TWAIN" reveal "$name" --model "$model" --force
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check "$name" --model "$model" --exact --test-seed 7 \
    --tolerance 0.01
}
caches() { ls "$1".cache.p0.h5 "$1".cache.p1.h5 >/dev/null 2>&1; }
gone() { [ ! -e "$1.cache.p0.h5" ] && [ ! -e "$1.cache.p1.h5" ]; }
keep() { cp "$1.cache.p0.h5" "$2.p0" && cp "$1.cache.p1.h5" "$2.p1"; }
bring() { cp "$1.p0" "$2.cache.p0.h5" && cp "$1.p1" "$2.cache.p1.h5"; }

"$TWAIN" ledger --new ledger -q
for model in gpt2 llama; do
  "$python" "$SOURCE_DIR/tests/cli/families.py" "$model" "$model.folder"
  "$TWAIN" import "$model.folder" -o "$model" -q
  lookup=()
  [ "$model" = gpt2 ] || lookup=(--word-lookup beside)
  "$TWAIN" plan "$model" -q --seq 8 --generate 3 --conversation 24 "${lookup[@]}"
  "$TWAIN" share "$model" -q
  "$TWAIN" deal "$model" -n 20 --test-seed 7 -q 2>/dev/null
  turn "$model.1" "$model" '' 'the cat sat on' 'the'
  caches "$model.1" || fail "a turn leaves nothing"
  [ "$(stat -c %a "$model.1.cache.p0.h5" "$model.1.cache.p1.h5" | sort -u)" = 600 ] || fail "others can read a cache"
  keep "$model.1" first
  turn "$model.2" "$model" "$model.1" 'the mat' 'dog sat'
  gone "$model.1" || fail "a cache stays when it was read"
  keep "$model.2" "second.$model"
  options=(--split-batch always --prepare during)
  turn "$model.3" "$model" "$model.2" 'the' 'the mat'
  options=()

  # a turn that was gone on behind: no way back, and no second way forth
  bring first "$model.1"
  encoded again "$model" "$model.1" 'a dog' 'a'
  run_with 6 'what turn 1 left was read before' again "$model" "${after[@]}"
  parties_say 'what turn 1 left was read before'
  bring "second.$model" "$model.2"
  encoded again "$model" "$model.2" 'a dog' 'a'
  run_with 6 'what turn 2 left was read before' again "$model" "${after[@]}"
  gone again || fail "a refused run leaves a cache"
  rm "$model.1".cache.* "$model.2".cache.*
done

# ---- of another conversation, another turn, another plan, the other party's, and without a word of it
turn other llama '' 'the dog' 'a cat'

# ---- ids go from turn to turn, lines are of each turn's own table, and rows in another order are refused
printf 'id,text\nA,the dog\nB,a cat\n' >first.csv
printf 'id,text\n\nA,the mat\nB,the\n' >second.csv
printf 'id,text\nB,the\nA,the mat\n' >turned.csv
"$TWAIN" encode tabled --model llama --csv first.csv --id-column id -q
"$TWAIN" share tabled --model llama --input -q
run_with 0 '' tabled llama
"$TWAIN" reveal tabled --model llama -q
expect 5 "text 1 \(line 2\) has another id than tabled's text in that place; give each turn's table the order" \
  "$TWAIN" encode next --model llama --after tabled --csv turned.csv --id-column id
[ ! -e next.input.h5 ] || fail "an input under other ids"
for before in tabled other; do
  "$TWAIN" encode next --model llama --after $before --csv second.csv --id-column id -q --force
  "$python" -c 'import h5py; f = h5py.File("next.input.h5"); assert list(f["ids"].asstr()) == ["A", "B"] and list(f["lines"]) == [3, 4]' ||
    fail "ids and lines behind $before"
done
"$TWAIN" encode next --model llama --after tabled -q --force -- 'the' 'the'
"$python" -c 'import h5py; f = h5py.File("next.input.h5"); assert list(f["ids"].asstr()) == ["A", "B"] and "lines" not in f' ||
  fail "ids behind a table"

encoded next llama llama.3 'the' 'the'
run_with 5 'is of another turn than the one that the input goes on behind' next llama --after other
run_with 2 'the input goes on behind input .*--after NAME' next llama
encoded fresh llama '' 'the' 'the'
run_with 5 'is of another turn' fresh llama --after llama.3
cp llama.3.cache.p0.h5 both.cache.p1.h5
cp llama.3.cache.p0.h5 both.cache.p0.h5
run_with 5 'both.cache.p1.h5' next llama --after both
"$TWAIN" encode few --model llama --after llama.3 -q -- 'the' >said 2>&1 && fail "one text behind two"
grep -q '1 texts behind llama.3, which has 2 sequences' said || { cat said >&2; fail "few"; }
expect 2 'turns write text; say how much' "$TWAIN" plan --shape llama-2-7b --seq 8 --conversation 9
expect 2 'this model takes 48 tokens in all' "$TWAIN" plan llama --seq 8 --generate 3 --conversation 48 --force
expect 2 'this model takes 1 to 7 tokens behind those of earlier turns' \
  "$TWAIN" plan llama --seq 8 --generate 3 --conversation 41 --force
[ "$(find ledger/p0 -type f -name '[0-9]*' ! -name '*.*' | wc -l)" = 16 ] || fail "a refused run used a slot"

# ---- what comes to one party only: both stop, and neither is marked
keep llama.3 third
bring "second.llama" half
cp third.p0 half.cache.p0.h5
run_with 5 'is of another turn' next llama --after half
caches llama.3 || fail "a refused run used up a cache"

# ---- a run that fails behind its mark ends the conversation
cp llama.keys.p1.h5 whole
"$python" - <<'P'
import h5py
with h5py.File("llama.keys.p1.h5") as f: at, bytes_ = f["corrections"].id.get_offset(), f["corrections"].id.get_storage_size()
data = bytearray(open("llama.keys.p1.h5", "rb").read())
for i in range(at, at + bytes_, 4096): data[i] ^= 1
open("llama.keys.p1.h5", "wb").write(data)
P
run_with 4 'llama.keys.p1.h5' next llama --after llama.3
cp whole llama.keys.p1.h5
gone llama.3 || fail "a failed run left what it had read"
gone next || fail "a failed run left a cache"
bring third llama.3
run_with 6 'what turn 3 left was read before' next llama --after llama.3

# ---- one that is full ends; behind a prefix, with end words, by chats
"$TWAIN" plan llama -q --seq 8 --generate 3 --conversation 6 --force
"$TWAIN" deal llama -n 2 --test-seed 7 -q --force 2>/dev/null
encoded small llama '' 'the cat sat on the' 'the'
run_with 0 'conversation ends with this turn: sequence 1 has 9 tokens by now, and the plan.s turns read at most 6' small llama
"$TWAIN" reveal small --model llama -q
encoded more llama small 'the' 'the'
run_with 3 'small.cache.p0.h5' more llama --after small
gone small || fail "a conversation that ended left a cache"
"$TWAIN" encode small --model llama -q --force -- 'the cat' 'the'
"$TWAIN" share small --model llama --input -q --force
"$TWAIN" plan llama -q --seq 8 --generate 3 --force
expect 2 '--after small: this plan has no conversations' "$TWAIN" encode more --model llama --after small --force -- the the
expect 5 'goes on behind small, but this plan has no conversations' "$TWAIN" share more --model llama --input --force

printf 'the cat' >pre
second=$("$python" -c 'import h5py; print(int(h5py.File("llama.1.result.h5")["values"][0, 1, 0]))')
"$python" - "$second" <<'P'
import json, sys
config = json.load(open("llama.folder/config.json"))
config["eos_token_id"] = int(sys.argv[1])
json.dump(config, open("llama.folder/config.json", "w"))
open("llama.folder/chat_template.jinja", "w").write(
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] | trim }} . {% endfor %}assistant")
P
"$TWAIN" import llama.folder -o ended -q
"$TWAIN" plan ended -q --seq 24 --generate 3 --conversation 12 --prefix pre
"$TWAIN" share ended -q
"$TWAIN" deal ended -n 4 --test-seed 7 -q 2>/dev/null
turn e1 ended '' 'the cat sat on' 'the cat dog'
turn e2 ended e1 'the mat' 'dog sat'
"$TWAIN" encode e3 --model ended --after e1 --chat -q -- 'the mat' 'dog sat'
"$python" - <<'P'
import h5py
texts = [t.decode() for t in h5py.File("e3.input.h5")["texts"][:]]
assert texts == [" . user the mat . assistant", " . user dog sat . assistant"], texts
P
