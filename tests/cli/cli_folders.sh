# What a folder of sentence-transformers says of its output reaches plan, result and check; what is left out is named.
source "$SOURCE_DIR/tests/cli/cli.bash"

cp -r "$SOURCE_DIR/tests/vectors/tiny-bert/f32" folder
set_mode() { # JSON of 1_Pooling/config.json
  echo "$1" >folder/1_Pooling/config.json
}
lengths() { # of the rows in NAME.result.h5, smallest and largest
  "$python" - "$1" <<'P'
import h5py, numpy as np, sys
with h5py.File(sys.argv[1] + '.result.h5') as f:
    n = np.linalg.norm(f['values'][()], axis=-1)
    print('one' if abs(n - 1).max() < 1e-12 else 'other', int(f.attrs['normalised']), f.attrs['output'].decode())
P
}
whole_run() { # NAME PLAN-OPTIONS...
  local name=$1
  shift
  "$TWAIN" plan "$name" --seq 12 "$@" -q
  "$TWAIN" share "$name" -q
  "$TWAIN" deal "$name" -n 2 --test-seed 5 -q 2>/dev/null
  "$TWAIN" encode "$name" 'the cat sat on the mat' 'dog ran' -q
  "$TWAIN" share "$name" --input -q
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q
  expect 0 '2 sequences' "$TWAIN" reveal "$name"
}

# ---- mean and Normalize: the plan's default, and rows of length 1, compared with rows of length 1
expect 0 'output: pooled scaled to length 1, plan.s default' "$TWAIN" import folder -o a
expect 0 'reveal. scales each output to length 1' "$TWAIN" plan a --seq 12
grep -q 'output pooled' said || fail "the folder pools, plan does not"
rm a.plan.json
"$TWAIN" ledger --new ledger -q
whole_run a
grep -q 'scaled to length 1' said || fail "reveal does not say that it scales"
[ "$(lengths a)" = 'one 1 pooled' ] || fail "lengths: $(lengths a)"
"$TWAIN" check a --exact --test-seed 5 --json >check.json
[ "$(json check.json 'max(s["relative_error"] for s in j["sequences"]) < 0.02')" = True ] || fail "$(cat check.json)"

# whoever changes what is to be scaled changes the plan
sed -i 's/"normalise_output":true/"normalise_output":false/' a.plan.json
grep -q '"normalise_output":false' a.plan.json || fail "the plan's text has changed; mend this test"
expect 5 'digest' "$TWAIN" deal a -n 1 --force

# ---- asked for something else: said, and tokens are not scaled
"$TWAIN" import folder -o b -q
expect 0 'note: the model.s folder gives pooled; this plan gives tokens, as asked' "$TWAIN" plan b --seq 12 --result tokens
rm b.plan.json
whole_run b --result tokens
[ "$(lengths b)" = 'other 0 tokens' ] || fail "lengths: $(lengths b)"

# ---- cls without Normalize; the float model agrees
set_mode '{"embedding_dimension": 32, "pooling_mode": "cls"}'
"$python" -c 'import json; m = json.load(open("folder/modules.json")); json.dump(m[:2], open("folder/modules.json", "w"))'
expect 0 'output: cls, plan.s default' "$TWAIN" import folder -o c
whole_run c
[ "$(lengths c)" = 'other 0 cls' ] || fail "lengths: $(lengths c)"
"$TWAIN" check c --exact --test-seed 5 --json >check.json
[ "$(json check.json 'min(s["cosine"] for s in j["sequences"]) > 0.999')" = True ] || fail "$(cat check.json)"

# ---- refused, unless the encoder alone is wanted
set_mode '{"pooling_mode_max_tokens": true}'
expect 4 'folder/1_Pooling/config.json: pooling by max is not supported.*--encoder-only' "$TWAIN" import folder -o d
[ ! -e d.model.h5 ] || fail "a refused folder left a file"
expect 0 'written' "$TWAIN" import folder --encoder-only -o d
expect 0 'output tokens' "$TWAIN" plan d --seq 12
expect 2 'goes with a folder' "$TWAIN" import --shape 1x8x1x8 --encoder-only -o e

# ---- what the client gets
set_mode '{"pooling_mode": "mean"}'
echo '{"prompts": {"query": "the query: ", "other": "x "}, "default_prompt_name": "query"}' >folder/config_sentence_transformers.json
echo '{"max_seq_length": 9}' >folder/sentence_bert_config.json
expect 0 'texts: up to 9 tokens' "$TWAIN" import folder -o f
"$python" - <<'P' || fail "client file"
import h5py
with h5py.File('f.client.h5') as f:
    assert f['default_prompt'][0] == b'the query: ' and f.attrs['max_seq_length'] == 9, dict(f.attrs)
    assert f.attrs['model_output'] == b'pooled' and f.attrs['normalise_output'] == 0, dict(f.attrs)
P

# ---- a Dense module behind the mean: the same as numpy makes of the pooled rows
cp -r "$SOURCE_DIR/tests/vectors/tiny-bert/f32" dense
PYTHONPATH="$SOURCE_DIR/tests/cli" "$python" - <<'P'
import families, json, numpy as np, os
m = json.load(open("dense/modules.json"))
m.insert(2, dict(idx=2, name="2", path="2_Dense", type="sentence_transformers.models.Dense"))
json.dump(m, open("dense/modules.json", "w"))
os.mkdir("dense/2_Dense")
json.dump(dict(in_features=32, out_features=12, bias=True, activation_function="torch.nn.modules.activation.Tanh"),
          open("dense/2_Dense/config.json", "w"))
r = np.random.RandomState(5)
families.save_safetensors("dense/2_Dense/model.safetensors", {"linear.weight": r.standard_normal((12, 32)).astype("f4") / 4,
                                                              "linear.bias": r.standard_normal(12).astype("f4") / 4})
P
expect 0 'output: dense scaled to length 1, plan.s default' "$TWAIN" import dense -o dd
whole_run dd
"$TWAIN" check dd --exact --test-seed 5 --json >check.json
[ "$(json check.json 'min(s["cosine"] for s in j["sequences"]) > 0.9999')" = True ] || fail "$(cat check.json)"
"$python" - <<'P' || fail "Dense differs from numpy"
import h5py, numpy as np
r = np.random.RandomState(5)
w, b = r.standard_normal((12, 32)).astype("f4") / 4, r.standard_normal(12).astype("f4") / 4
with h5py.File("b.result.h5") as f, h5py.File("dd.result.h5") as g:
    rows, lengths, got = f["values"][()], f["lengths"][()], g["values"][()]
    assert g.attrs["output"].decode() == "dense" and got.shape == (2, 1, 12)
for i, n in enumerate(lengths):
    y = np.tanh(w @ rows[i, :n].mean(0) + b)
    assert abs(got[i, 0] - y / np.linalg.norm(y)).max() < 0.005, (got[i, 0], y)
P
sed -i 's/modules.activation.Tanh/modules.activation.Mish/' dense/2_Dense/config.json
expect 4 'activation_function is torch.nn.modules.activation.Mish' "$TWAIN" import dense -o dd --force
