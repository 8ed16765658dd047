# Texts at the command line: pairs, cuts, long and unknown ones, blank lines, standard input, prompts, old client files.
source "$SOURCE_DIR/tests/cli/cli.bash"

cp -r "$SOURCE_DIR/tests/vectors/tiny-bert/f32" folder
row() { # INDEX: ids and types of a sequence in n.input.h5, without padding
  "$python" - "$1" <<'P'
import h5py, sys
with h5py.File('n.input.h5') as f:
    i, n = int(sys.argv[1]), f['lengths'][int(sys.argv[1])]
    print(*f['tokens'][i][:n], '/', *(f['types'][i][:n] if 'types' in f else []))
P
}
is() { [ "$1" = "$2" ] || fail "'$1' instead of '$2'"; }
"$TWAIN" import folder -o n -q
"$TWAIN" plan n --seq 8 --result tokens -q

# ---- pairs: ids, types, values of a whole run
expect 0 'token types: 0, in second texts 1' "$TWAIN" encode n --pair 'the cat' 'dog' 'the [SEP] cat' 'sat'
is "$(row 0)" '2 45 46 3 58 3 / 0 0 0 0 1 1'
is "$(row 1)" '2 45 3 46 3 47 3 / 0 0 0 0 0 1 1'
expect 2 'by twos.*there are 3' "$TWAIN" encode n --pair a b c --force
"$TWAIN" share n -q
"$TWAIN" deal n -n 2 --test-seed 5 -q 2>/dev/null
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
expect_run 0 '' n --ledger ledger --allow-test-keys -q
"$TWAIN" reveal n -q
"$TWAIN" check n --exact --test-seed 5 --json >check.json
[ "$(json check.json 'min(s["cosine"] for s in j["sequences"]) > 0.999')" = True ] || fail "$(cat check.json)"
"$python" - <<'P' || fail "the second text has the wrong embedding"
import h5py, numpy as np
with h5py.File('n.client.h5') as c, h5py.File('n.input.h5') as f:
    t, k = f['tokens'][0][:6], f['types'][0][:6]
    x = c['word'][()][t].astype(float) + c['position'][:6] + c['type'][()][k]
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12) * c['gamma'][()] + c['beta'][()]
    assert abs(x - f['values'][0][:6]).max() < 1e-5
P

# ---- pairs from a file; lines are numbered with the blank ones
printf 'the\tcat\n\n   \ndog ran\tsat\r\n' >pairs
expect 0 'blank lines left out: 2' "$TWAIN" encode n --pair --file pairs --force
is "$(row 1)" '2 58 59 3 47 3 / 0 0 0 0 1 1'
printf 'the\tcat\n\nthe cat\n' >pairs
expect 4 'pairs: line 3 holds no tab' "$TWAIN" encode n --pair --file pairs --force
printf 'the\tcat\tsat\n' >pairs
expect 4 'line 1 holds more than one tab' "$TWAIN" encode n --pair --file pairs --force

# ---- texts that are too long: all of them, with lines and a remedy that works; or cut
printf 'the cat\n\nthe cat sat on the mat and ran\ndog\nthe cat sat on the mat. dog\n' >long
expect 8 'text 2 \(line 3\) has 12 tokens, text 4 \(line 5\) has 10 tokens, more than the sequence length 8' \
  "$TWAIN" encode n --file long --force
grep -qE 'encode --truncate.*plan --seq 12' said || fail "no remedy: $(cat said)"
"$TWAIN" plan n --seq "$(grep -oE 'plan --seq [0-9]+' said | grep -oE '[0-9]+')" --result tokens -q --force
"$TWAIN" encode n --file long --force -q
"$TWAIN" plan n --seq 8 --result tokens -q --force
expect 0 'cut to 8 tokens: 2 of 4 texts' "$TWAIN" encode n --file long --truncate --force
is "$(row 3)" '2 45 46 47 51 45 48 3 /'
expect 8 'the model takes up to 24 tokens' "$TWAIN" encode n "$(printf 'the %.0s' {1..40})" --force
expect 2 'unknown option --seq' "$TWAIN" encode n --seq 16 'the cat'
expect 0 'cut to 8 tokens: 1 of 1 texts' "$TWAIN" encode n --pair --truncate --force 'the cat' 'the cat sat on the mat'
is "$(row 0)" '2 45 46 3 45 46 47 3 / 0 0 0 0 1 1 1 1'
"$TWAIN" plan n --seq 4 --result tokens -q --force
expect 8 'text 1: a length of 4 tokens leaves no room for two texts' "$TWAIN" encode n --pair --truncate --force a b

# ---- unknown tokens, standard input
"$TWAIN" plan n --seq 12 --result tokens -q --force
printf 'the cat\n\n日本 the ᚠ\n' >odd
expect 0 'text 2 \(line 3\): 3 of 6 tokens unknown' "$TWAIN" encode n --file odd --force
grep -q 'unknown in all: 3 of 10 tokens, in 1 of 2 texts' said || fail "$(cat said)"
bash -c '"$TWAIN" encode n --file - --force' <odd >said
grep -q 'text 2 (line 3): 3 of 6' said || fail "standard input: $(cat said)"
printf 'a\0b\n' >zero
expect 4 'zero: line 1 holds a zero byte' "$TWAIN" encode n --file zero --force
printf 'the\rcat\r\n' >returns # a carriage return inside a line is white space, as for transformers
"$TWAIN" encode n --file returns --force -q
is "$(row 0)" '2 45 46 3 /'
head -c 1000000 /dev/zero | tr '\0' x >megabyte
expect 0 '1 of 3 tokens unknown' "$TWAIN" encode n --file megabyte --force

# ---- the model's prompt and its own length, as sentence-transformers has them
echo '{"prompts": {"query": "dog "}, "default_prompt_name": "query"}' >folder/config_sentence_transformers.json
echo '{"max_seq_length": 5, "do_lower_case": false}' >folder/sentence_bert_config.json
"$TWAIN" import folder -o n -q --force
expect 0 'put before each text: the model.s prompt "dog "' "$TWAIN" encode n 'the cat' --force
is "$(row 0)" '2 58 45 46 3 /'
expect 0 'max_seq_length 5: 1 of 1 texts' "$TWAIN" encode n 'the cat sat' --force
is "$(row 0)" '2 58 45 46 47 3 /'
expect 0 'cut to 5 tokens: 1 of 1' "$TWAIN" encode n 'the cat sat' --truncate --force
is "$(row 0)" '2 58 45 46 3 /'
expect 0 'not put before pairs' "$TWAIN" encode n --pair the cat --force
is "$(row 0)" '2 45 3 46 3 / 0 0 0 1 1'

# ---- a client's file of a version that kept no rules
"$python" -c 'import h5py; f = h5py.File("n.client.h5", "r+"); del f.attrs["pair_types"]'
expect 4 'n.client.h5: the tokenizer.s rules .*twain import. again' "$TWAIN" encode n the --force

# ---- added tokens and tokenizer.json alone
rm n.* folder/config_sentence_transformers.json folder/sentence_bert_config.json
"$python" - <<'P'
import json
pieces = open('folder/vocab.txt').read().split('\n')[:-1]
special = lambda t: dict(id=pieces.index(t), content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
frame = lambda name: {'SpecialToken': {'id': name, 'type_id': 0}}
json.dump({'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': [special(t) for t in ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]') if t in pieces],
  'normalizer': {'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True, 'strip_accents': None, 'lowercase': True},
  'pre_tokenizer': {'type': 'BertPreTokenizer'},
  'post_processor': {'type': 'TemplateProcessing', 'single': [frame('[CLS]'), {'Sequence': {'id': 'A', 'type_id': 0}}, frame('[SEP]')], 'pair': [], 'special_tokens': {}},
  'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100,
            'vocab': {t: i for i, t in enumerate(pieces)}}}, open('folder/tokenizer.json', 'w'))
P
rm folder/vocab.txt
"$TWAIN" import folder -o n -q
"$TWAIN" plan n --seq 8 --result tokens -q
"$TWAIN" encode n 'The CAT sat.' -q
is "$(row 0)" '2 45 46 47 53 3 /'
echo '{"[E1]": 60}' >folder/added_tokens.json
expect 4 'added_tokens.json: added token "\[E1\]" has id 60, but the embedding table ends at 59' \
  "$TWAIN" import folder -o x
no_leftovers
