# Texts that decoders write, on tiny random models of every family: each word is the likeliest behind those before it by
# the float model, or nearly; the parties equal the emulator bit for bit; prompts shorter than the plan's; ends of a text.
source "$SOURCE_DIR/tests/cli/cli.bash"
export PYTHONPATH="$SOURCE_DIR/tests/cli"

generate() { # NAME PLAN'S-OPTION...
  local name=$1
  shift
  "$TWAIN" plan "$name" -q --force "$@"
  "$TWAIN" deal "$name" -n 3 --test-seed 7 -q --force 2>/dev/null
  "$TWAIN" encode "$name" -q --force -- "${texts[@]}"
  "$TWAIN" share "$name" --input -q --force
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu
  expect 0 'out of the plan.s bounds: (none|NOT) counted' "$TWAIN" reveal "$name" --force
  cp said revealed
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check "$name" --exact --test-seed 7 --tolerance 0.01
}
change() { # FOLDER FIELD VALUE: of its config.json
  "$python" -c 'import json, sys; f = sys.argv[1] + "/config.json"; j = json.load(open(f)); j[sys.argv[2]] = json.loads(sys.argv[3]); json.dump(j, open(f, "w"))' "$@"
}
prepare() { # NAME: model and shares from its folder
  "$TWAIN" import "$1.folder" -o "$1" -q --force
  "$TWAIN" plan "$1" -q --seq 12 --force
  "$TWAIN" share "$1" -q --force
}
# words NAME: those of the result, a line a sequence
words() {
  "$python" -c 'import h5py, sys
for text in h5py.File(sys.argv[1] + ".result.h5")["values"][:, :, 0]: print(*(int(w) for w in text))' "$1"
}

"$TWAIN" ledger --new ledger -q
mapfile -t texts < <("$python" -c 'import families; print("\n".join(families.DECODER_TEXTS))')
for name in llama-tied gpt2 gpt-neo qwen2 llama; do
  "$python" "$SOURCE_DIR/tests/cli/families.py" "$name" "$name.folder"
  change "$name.folder" eos_token_id null
  [ "$name" != gpt-neo ] || change "$name.folder" window_size 16
  prepare "$name"
  generate "$name" --seq 12 --generate 5
  words "$name" >"$name.words"
  [ "$(wc -w <"$name.words")" = 15 ] || fail "$name: $(cat "$name.words")"
done
grep -qE '^3: the float model writes the same [0-5]( of 5)? tokens' said || fail "$(cat said)"
# forms of few rounds, and of few keys; the text is the same
choices() { "$python" -c 'import json, sys; c = json.load(open(sys.argv[1] + ".plan.json"))["choices"]; print(c["flat_norms"], c["early_groups"])' "$1"; }
generate qwen2 --seq 12 --generate 5 --link-latency 10ms
[ "$(choices qwen2)" = "True True" ] || fail "at 10 ms: $(choices qwen2)"
words qwen2 | cmp - qwen2.words || fail "forms of few rounds change the text"
generate qwen2 --seq 12 --generate 5 --link-latency 10ms --norm-levels 2 --group-rounds 4
[ "$(choices qwen2)" = "False False" ] || fail "by hand: $(choices qwen2)"
words qwen2 | cmp - qwen2.words || fail "forms by hand change the text"
# the next word's row looked up beside the argmax, in as many rounds as its number
beside() { "$python" -c 'import json, sys; c = json.load(open(sys.argv[1] + ".plan.json")); print(c["choices"].get("lookup_beside"), c["costs"]["rounds"])' "$1"; }
for name in gpt2 llama-tied; do
  generate "$name" --seq 12 --generate 5 --argmax-rounds 13
  behind=$(beside "$name")
  generate "$name" --seq 12 --generate 5 --argmax-rounds 13 --word-lookup beside
  [ "$(beside "$name")" = "True $((${behind#None } - 4 * 3))" ] || fail "$name: $(beside "$name"), and behind $behind"
  words "$name" | cmp - "$name.words" || fail "$name: a lookup beside the argmax changes the text"
done
# one word is the next token; rounding, fewer keys or rounds, a prompt that fills the plan, one prompt of one token
generate gpt2 --seq 12 --generate 1
cut -d' ' -f1 gpt2.words | cmp - <(words gpt2) || fail "one word is not the first of five"
generate llama-tied --seq 12 --generate 3 --rounding faithful --no-guard --argmax-rounds 30
cut -d' ' -f1-3 llama-tied.words | cmp - <(words llama-tied) || fail "three words are not the first of five"
texts=("${texts[0]}")
generate qwen2 --seq 8 --generate 3
texts=(a)
generate gpt2 --seq 1 --generate 4

# ---- local layers whose window is shorter than the text: it ends in the prompt, and then among the words
"$python" "$SOURCE_DIR/tests/cli/families.py" gpt-neo near.folder
change near.folder eos_token_id null
mapfile -t texts < <("$python" -c 'import families; print("\n".join(families.DECODER_TEXTS))')
for window in 7 3 1; do
  change near.folder window_size $window
  prepare near
  generate near --seq 12 --generate 7
  words near >near.$window
done
generate near --seq 12 --generate 7 --engine pfss-rows --group-rounds 3 --norm-levels 1
words near | cmp - near.1 || fail "forms of other kinds change a text behind a window"
cut -d' ' -f1-5 near.3 | cmp -s - gpt-neo.words && fail "a window of 3 tokens changes nothing"
cut -d' ' -f1-5 near.1 | cmp -s - <(cut -d' ' -f1-5 near.3) && fail "a window of one token is as one of 3"
texts=(a 'the cat sat on the')
generate near --seq 8 --generate 4
expect 2 'a layer of .* sees fewer than the 24 tokens of a conversation.s turn' \
  "$TWAIN" plan near --seq 8 --generate 5 --conversation 12 --force

# ---- a text ends at a word of the model's, and stays there
mapfile -t texts < <("$python" -c 'import families; print("\n".join(families.DECODER_TEXTS))')
for name in llama gpt2; do
  second=$(head -1 "$name.words" | cut -d' ' -f2) other=$(sed -n 2p "$name.words" | cut -d' ' -f4)
  change "$name.folder" eos_token_id "[$second, $other]"
  prepare "$name"
  generate "$name" --seq 12 --generate 5
  grep -q '(the text ends here)' revealed || fail "$(cat revealed)"
  words "$name" >ends
  generate "$name" --seq 12 --generate 5 --word-lookup beside
  words "$name" | cmp - ends || fail "$name: a lookup beside the argmax changes where a text ends"
  "$python" - "$second" "$other" <(words "$name") "$name.words" <<'P' || fail "$name: a text does not end where it should"
import sys
first, other = int(sys.argv[1]), int(sys.argv[2])
for got, whole in zip(open(sys.argv[3]), open(sys.argv[4]), strict=True):
    got, whole = list(map(int, got.split())), list(map(int, whole.split()))
    end = min((i for i, w in enumerate(whole) if w in (first, other)), default=len(whole) - 1)
    assert got == whole[: end + 1] + [first] * (len(whole) - end - 1), (got, whole, first, other)
P
done

# ---- drawn by noise; behind a prefix
generate llama-tied --seq 12 --generate 4 --temperature 0.5
generate llama-tied --seq 12 --generate 4 --temperature 0.5 --word-lookup beside
printf 'the cat' >pre
texts=('the cat sat on the mat' 'the cat on' 'the cat sat')
for name in llama-tied gpt2; do
  generate "$name" --seq 8 --generate 4
  words "$name" >whole
  "$TWAIN" plan "$name" -q --seq 6 --prefix pre --force
  "$TWAIN" share "$name" -q --force
  generate "$name" --seq 6 --prefix pre --generate 4
  [ "$name" = gpt2 ] || diff whole <(words "$name") || fail "$name: a prefix changes the text"
done

# ---- refused
expect 2 'say how many to write \(--generate\)' "$TWAIN" plan gpt2 --seq 9 --result text --force
expect 2 'word-lookup goes with --generate 2 or more' "$TWAIN" plan gpt2 --seq 9 --generate 1 --word-lookup beside --force
expect 2 'word-lookup is behind or beside, not above' "$TWAIN" plan gpt2 --seq 9 --generate 3 --word-lookup above --force
expect 2 'with a lookup beside it takes 3 rounds; allow more' \
  "$TWAIN" plan gpt2 --seq 9 --generate 3 --word-lookup beside --argmax-rounds 3 --force
expect 2 'gives a text, not logits' "$TWAIN" plan gpt2 --seq 9 --result logits --generate 3 --force
expect 2 'this model takes 48 tokens' "$TWAIN" plan llama --seq 40 --generate 10 --force
expect 0 '' "$TWAIN" plan llama --seq 40 --generate 9 --force
change gpt2.folder eos_token_id '"x"'
expect 4 'eos_token_id is "x"; the number of a token' "$TWAIN" import gpt2.folder -o refused
change gpt2.folder eos_token_id null
echo '{"eos_token_id": [1, 2.5]}' >gpt2.folder/generation_config.json
expect 4 'generation_config.json: eos_token_id is .*; the number of a token' "$TWAIN" import gpt2.folder -o refused
expect 0 '' "$TWAIN" import llama.folder -o own --client-embeds
expect 2 'imported with --client-embeds, but only the parties can look up' "$TWAIN" plan own --seq 9 --generate 3
