# Every family and head on tiny random models: token ids, logits and rows as PyTorch has them (tests/vectors/families.json),
# parties equal to the emulator bit for bit, labels and probabilities.
source "$SOURCE_DIR/tests/cli/cli.bash"
export PYTHONPATH="$SOURCE_DIR/tests/cli"
vectors="$SOURCE_DIR/tests/vectors/families.json"
families="$SOURCE_DIR/tests/cli/families.py"

# compare NAME FIRST: input and result of NAME with the texts of the vectors from FIRST on
compare() {
  "$python" - "$1" "$2" "$vectors" <<'P'
import h5py, json, numpy as np, sys
name, first, vectors = sys.argv[1], int(sys.argv[2]), sys.argv[3]
wanted = json.load(open(vectors))[name]
wanted = wanted[-1:] if first else wanted[:-1]
with h5py.File(name + ".input.h5") as f, h5py.File(name + ".result.h5") as g:
    ids, lengths, got = f["tokens"][()], f["lengths"][()], g["values"][()]
    types = f["types"][()] if "types" in f else np.zeros_like(ids)
    output = g.attrs["output"].decode()
least, largest = 1, 0
for i, w in enumerate(wanted):
    n = lengths[i]
    assert list(ids[i, :n]) == w["ids"], (name, i, list(ids[i, :n]), w["ids"])
    assert list(types[i, :n]) == w["types"], (name, i, "types")
    values = np.array(w["values"]).reshape(-1, got.shape[2])
    rows = got[i, : len(values)]
    largest = max(largest, abs(rows - values).max())
    if got.shape[2] > 1:
        least = min(least, *(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(rows, values)))
        for a, b in zip(rows, values):
            if output == "logits":
                assert a.argmax() == b.argmax() or np.diff(np.sort(b))[-1] < 0.01, (name, i, a, b)
print(f"{name}: cosine {least:.6f}, largest difference {largest:.4f}")
assert least >= 0.9999 and largest < 0.03, name
P
}

run_texts() { # NAME COUNT OPTION... : encode's arguments
  local name=$1 count=$2
  shift 2
  "$TWAIN" deal "$name" -n "$count" --test-seed 7 -q --force 2>/dev/null
  "$TWAIN" encode "$name" -q --force "$@"
  "$TWAIN" share "$name" --input -q --force
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu --batch 64
  expect 0 'sequence' "$TWAIN" reveal "$name" --show-texts --force
  cp said revealed
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check "$name" --exact --test-seed 7
  cp said checked
}

"$TWAIN" ledger --new ledger -q
mapfile -t texts < <("$python" -c 'import families; print("\n".join(families.TEXTS))')
mapfile -t pair < <("$python" -c 'import families; print("\n".join(families.PAIR))')
for name in $("$python" -c 'import families; print(*families.FAMILIES)'); do
  "$python" "$families" "$name" "$name.folder"
  expect 0 '' "$TWAIN" import "$name.folder" -o "$name"
  expect 0 '' "$TWAIN" plan "$name" --seq 40
  "$TWAIN" share "$name" -q
  run_texts "$name" 6 -- "${texts[@]}"
  compare "$name" 0 || fail "$name differs from PyTorch"
  cp revealed "$name.revealed"
done

# ---- a pair; DistilBERT and RoBERTa have no types
for name in bert-number roberta-classes; do
  run_texts "$name" 1 --pair -- "${pair[@]}"
  compare "$name" 5 || fail "the pair of $name differs from PyTorch"
done

# ---- chats: a template that writes the frame itself gives the ids of the text; RoBERTa as transformers calls its tokens
cp -r roberta.folder chat.folder
ids() { "$python" -c 'import h5py, sys; f = h5py.File(sys.argv[1]); print([list(map(int, t[:n])) for t, n in zip(f["tokens"], f["lengths"])])' "$1"; }
echo "{{ bos_token }}{% for m in messages %}{{ m.content | trim }}{% if not loop.last %} {% endif %}{% endfor %}{{ eos_token }}" \
  >chat.folder/chat_template.jinja
expect 0 '' "$TWAIN" import chat.folder -o chat
grep -q 'chat template' said && fail "a template that is run is said not to be"
expect 0 '' "$TWAIN" plan chat --seq 40
expect 0 '' "$TWAIN" encode chat 'the cat' 'a dog in the'
ids chat.input.h5 >plain
expect 0 '' "$TWAIN" encode chat --force --chat ' the cat ' 'a dog in the'
ids chat.input.h5 | diff - plain || fail "--chat"
expect 0 '' "$TWAIN" encode chat --force --messages '[{"role": "system", "content": "the cat"}]' \
  '[{"role": "user", "content": "a dog"}, {"role": "assistant", "content": "in the"}]'
ids chat.input.h5 | diff - plain || fail "--messages"
expect 4 'text 2: the messages are no JSON.*without --chat' "$TWAIN" encode chat --force --messages '[{"role": "a", "content": "b"}]' 'the cat'
expect 2 'take one of them' "$TWAIN" encode chat --force --chat --pair a b
expect 4 'roberta.* came without a chat template' "$TWAIN" encode roberta --force --chat a
echo '{% macro f() %}{% endmacro %}' >chat.folder/chat_template.jinja
expect 0 'its chat template is not run by this twain .line 1.*macro' "$TWAIN" import chat.folder -o chat --force
expect 4 'text 1: line 1 of the chat template: the tag "macro" is not known.*write the text yourself' "$TWAIN" encode chat --force --chat a
expect 0 '' "$TWAIN" encode chat --force a

# ---- what reveal says: softmax adds up to 1, sigmoid does not, a regression's number is its logit
grep -Eq '^1: (bad|so-so|good) 0\.[0-9]+, .*the cat sat on the mat' bert-classes.revealed || fail "no label"
grep -Eq '^1: (red|blue|big) ' bert-many.revealed || fail "no label of many"
grep -Eq '^1: likeness -?[0-9]' bert-number.revealed || fail "no number"
grep -Eq '^1\.2: [OBI]' bert-tokens.revealed || fail "no labels of tokens"
"$python" - <<'P' || fail "probabilities"
import h5py, re, numpy as np
def said(name):
    line = next(l for l in open(name + ".revealed") if l.startswith("1: "))
    return {a: float(b) for a, b in re.findall(r"([\w-]+) (-?\d+\.\d+)(?=,|  )", line[3:])}
def logits(name):
    with h5py.File(name + ".result.h5") as f:
        return f["values"][0, 0]
soft, many = said("bert-classes"), said("bert-many")
e = np.exp(logits("bert-classes") - logits("bert-classes").max())
assert np.allclose([soft[k] for k in ("bad", "so-so", "good")], e / e.sum(), atol=1e-4), (soft, e)
assert np.allclose([many[k] for k in ("red", "blue", "big")], 1 / (1 + np.exp(-logits("bert-many"))), atol=1e-4), many
P

# ---- and as a table, to nine digits
"$TWAIN" reveal bert-many --csv many.csv --force -q
"$python" - <<'P' || fail "probabilities of a table: $(cat many.csv)"
import csv, h5py, numpy as np
with h5py.File("bert-many.result.h5") as f:
    wanted = 1 / (1 + np.exp(-f["values"][:, 0]))
got = np.array([[float(r[k]) for k in ("red", "blue", "big")] for r in csv.DictReader(open("many.csv", newline=""))])
assert np.abs(got / wanted - 1).max() < 1e-8, (got, wanted)
P

# ---- a smaller version of tools/check_labels.py: labels of random texts, and every value against the float model
"$python" "$families" bert-classes texts 11 40 >random.txt
run_texts bert-classes 40 --file random.txt
grep -Eq 'labels: (3[6-9]|40) of 40 as the float' checked || fail "$(cat checked)"

# ---- chunks of a text have their number beside its own, and its labels are theirs together
expect 0 '' "$TWAIN" plan bert-classes --seq 12 --force
run_texts bert-classes 9 --chunk --overlap 2 'the cat' 'the cat sat on the mat the dog ran the cat sat on the mat and the dog ran'
"$TWAIN" reveal bert-classes --force >said
grep -Eq '^1: (bad|so-so|good) 0' said && grep -Eq '^2 chunk 1: (bad|so-so|good) 0' said && grep -Eq '^2 chunk 2: ' said &&
  ! grep -Eq '^2: ' said || { cat said; fail "labels of chunks"; }

# ---- another result of a classifier; results that a model does not have
"$TWAIN" plan bert-classes --seq 12 --result cls -q --force
run_texts bert-classes 1 'the cat'
expect 2 'has no classifier' "$TWAIN" plan roberta --seq 12 --result logits --force
expect 2 'has no Dense module' "$TWAIN" plan bert-classes --seq 12 --result dense --force
expect 0 'only its encoder is run' "$TWAIN" import bert-classes.folder -o bare --encoder-only
expect 2 'has no classifier' "$TWAIN" plan bare --seq 12 --result logits

# ---- refused by name: another architecture in a file, tokenizers and heads that are not computed
"$python" - <<'P'
import h5py
with h5py.File("bare.model.h5", "r+") as f:
    f.attrs.modify("architecture", b"gpt9")
P
expect 4 "bare.model.h5: architecture 'gpt9' is unknown" "$TWAIN" plan bare --seq 12 --force
change() { # FILE KEY VALUE: of JSON
  "$python" -c 'import json, sys; f = sys.argv[1]; j = json.load(open(f)); j[sys.argv[2]] = json.loads(sys.argv[3]); json.dump(j, open(f, "w"))' "$@"
}
cp -r roberta.folder xlm
change xlm/config.json model_type '"xlm-roberta"'
change xlm/config.json architectures '["XLMRobertaModel"]'
change xlm/tokenizer_config.json tokenizer_class '"XLMRobertaTokenizer"'
expect 0 'tokenizer.json cuts text otherwise than XLMRobertaTokenizer does' "$TWAIN" import xlm -o followed
change xlm/tokenizer_config.json tokenizer_class '"NllbTokenizer"'
expect 4 'tokenizer_class is NllbTokenizer' "$TWAIN" import xlm -o refused
change xlm/tokenizer_config.json tokenizer_class '"XLMRobertaTokenizer"'
change xlm/tokenizer.json model '{"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<s>": 0}}'
expect 4 'tokenizer.json: model is WordLevel; only WordPiece, BPE and Unigram' "$TWAIN" import xlm -o refused
rm roberta.folder/tokenizer.json
expect 4 'RobertaTokenizer, .*without a tokenizer.json' "$TWAIN" import roberta.folder -o refused
change bert-classes.folder/config.json num_labels 2
expect 4 'id2label names 3 labels, num_labels is 2' "$TWAIN" import bert-classes.folder -o refused
change bert-many.folder/config.json id2label '{"0": "one", "1": "two"}'
expect 4 'classifier.weight.*\[3\]\[32\]|classifier.weight' "$TWAIN" import bert-many.folder -o refused
expect 0 '' "$TWAIN" import bert-many.folder -o encoder --encoder-only

# ---- a cross-encoder as sentence-transformers 6 saves it: its modules.json asks for the classifier, and for sigmoid
cp -r bert-number.folder cross
cat >cross/modules.json <<'J'
[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
J
cat >cross/sentence_bert_config.json <<'J'
{"transformer_task": "sequence-classification", "module_output_name": "scores",
 "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}
J
cat >cross/config_sentence_transformers.json <<'J'
{"activation_fn": "torch.nn.modules.activation.Sigmoid", "default_prompt_name": null, "model_type": "CrossEncoder", "prompts": {}}
J
expect 0 'head: classifier of the sequence, 1 label: likeness' "$TWAIN" import cross -o cross
"$TWAIN" plan cross --seq 40 -q --calibrate random.txt --margin 3
expect 0 'head out: bound .*measured' "$TWAIN" plan cross --seq 40 --calibrate random.txt --margin 3 --force
"$TWAIN" share cross -q
run_texts cross 1 --pair -- "${pair[@]}"
"$python" - <<'P' || fail "$(cat revealed)"
import h5py, math, re
with h5py.File("cross.result.h5") as f, h5py.File("bert-number.result.h5") as g:
    logit = f["values"][0, 0, 0]
    assert abs(logit - g["values"][0, 0, 0]) < 0.01, logit
said = float(re.search(r"1: likeness ([0-9.]+)", open("revealed").read())[1])
assert abs(said - 1 / (1 + math.exp(-logit))) < 1e-4, (said, logit)
P
echo '[{"type": "sentence_transformers.models.Transformer", "path": ""}, {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]' >cross/modules.json
expect 4 'behind a classifier' "$TWAIN" import cross -o refused
