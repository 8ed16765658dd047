# A fixed prefix: its keys and values are shared with the model, its rows never run. Every family of decoders on tiny random
# models against PyTorch (tests/vectors/decoders.json) and the emulator, bit for bit; what is refused; whose masks are whose.
source "$SOURCE_DIR/tests/cli/cli.bash"
export PYTHONPATH="$SOURCE_DIR/tests/cli"
vectors="$SOURCE_DIR/tests/vectors/decoders.json"
text='the cat sat on the mat'

look() { "$python" - "$@"; }

# as_torch NAME: its result for `text` behind the prefix, against the whole text's
as_torch() {
  look "$1" "$vectors" <<'P' || fail "$1 behind a prefix is not the whole text's"
import h5py, json, numpy as np, sys
name, vectors = sys.argv[1:]
wanted = json.load(open(vectors))[name][0]
with h5py.File(name + ".input.h5") as f, h5py.File(name + ".result.h5") as g:
    ids, n, got, output = f["tokens"][0], f["lengths"][0], g["values"][0], g.attrs["output"].decode()
    before = f.attrs["prefix_rows"]
assert list(ids[:n]) == wanted["ids"][before:], (ids, wanted["ids"])
if output == "next-token":
    assert got.reshape(-1)[0] == np.argmax(wanted["logits"]), name
    sys.exit()
a, b = got[n - 1] if output == "all-logits" else got.reshape(-1), np.array(wanted["logits"])
cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
largest = 0
if output == "all-logits":
    p = got[: n - 1] - got[: n - 1].max(-1, keepdims=True)
    p = (p - np.log(np.exp(p).sum(-1, keepdims=True)))[np.arange(n - 1), wanted["ids"][before + 1 :]]
    largest = abs(p - wanted["likelihood"][before:]).max()
print(f"{name}, {output}: cosine {cosine:.6f}, log probabilities differ by at most {largest:.4f}")
assert cosine >= 0.9999 and largest < 0.05 and before + n == len(wanted["ids"]), name
P
}

keys() { "$TWAIN" deal "$1" -n 3 --test-seed 7 -q --force 2>/dev/null; }
infer() { # NAME OPTION...: of run
  local name=$1
  shift
  "$TWAIN" share "$name" --input -q --force
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu "$@"
  expect 0 'out of the plan.s bounds: (none|NOT) counted' "$TWAIN" reveal "$name" --force
  expect 0 'equal the emulator.s, transcript equal' "$TWAIN" check "$name" --exact --test-seed 7 --tolerance 0.01
}
go() { # NAME PLAN'S-OPTION...: the model's share stays
  local name=$1
  shift
  expect 0 'behind a prefix of|plan' "$TWAIN" plan "$name" --force --prefix pre "$@"
  keys "$name"
  expect 0 'before them, the prefix of' "$TWAIN" encode "$name" --force -- "$text" 'the cat sat on!' 'the cat sat on a dog'
  infer "$name"
}

"$TWAIN" ledger --new ledger -q
printf 'the cat' >pre

# ---- every family: all rows and the last row
for name in gpt2 gpt-neo llama llama-tied qwen2; do
  "$python" "$SOURCE_DIR/tests/cli/families.py" "$name" "$name.folder"
  expect 0 '' "$TWAIN" import "$name.folder" -o "$name"
  expect 0 'prefix of 2 tokens: 257 264' "$TWAIN" plan "$name" --seq 9 --prefix pre --result all-logits
  expect 0 'for the dealer' "$TWAIN" share "$name"
  go "$name" --seq 9 --result all-logits
  as_torch "$name"
  go "$name" --seq 9
  as_torch "$name"
done
# the last row behind more keys than a local window has, and a window that begins inside the prefix
for prefix in 'the cat sat on' 'the cat sat'; do
  printf '%s' "$prefix" >pre
  "$TWAIN" plan gpt-neo -q --force --seq 9 --prefix pre
  "$TWAIN" share gpt-neo -q --force
  for result in logits all-logits; do
    go gpt-neo --seq 9 --result $result
    as_torch gpt-neo
  done
done
printf 'the cat' >pre

# ---- no guard, both faithful modes, halves of a batch, rows, one token behind ids instead of text
go gpt2 --seq 9 --no-guard --maximum-groups 2,3 --rounding faithful-output
go gpt2 --seq 7 --rounding faithful --result all-logits
go llama --seq 7 --rounding faithful
keys llama
infer llama --split-batch always
as_torch llama
go qwen2 --seq 9 --result tokens
go llama --seq 9 --result next-token
as_torch llama
echo '[257, 264, 220, 82, 259, 266, 258]' >pre.json
"$TWAIN" plan qwen2 -q --force --seq 1 --prefix pre.json
"$TWAIN" share qwen2 -q --force
keys qwen2
"$TWAIN" encode qwen2 -q --force -- "$text"
infer qwen2
as_torch qwen2

# ---- bounds of a sample behind the prefix; a client that embeds
printf '%s\n' ' sat on the mat' ' runs' ', a small dog' >sample
expect 0 'measured on sample' "$TWAIN" plan gpt2 --force --seq 9 --prefix pre --calibrate sample
go gpt2 --seq 9 --calibrate sample
as_torch gpt2
for name in gpt2 llama; do
  expect 0 '' "$TWAIN" import "$name.folder" -o "$name-rows" --client-embeds
  "$TWAIN" plan "$name-rows" -q --seq 9 --prefix pre
  "$TWAIN" share "$name-rows" -q
  go "$name-rows" --seq 9
done

# ---- its rows never run: of a plan of the same length without one, attention alone has less, by the prefix's keys
"$TWAIN" plan llama -q --force --seq 9 --prefix pre --result all-logits --maximum-groups 3,4 --json >record.json
[ "$(json record.json '[j[0][f] for f in ("tokens", "prefix_tokens")]')" = '[9, 2]' ] || fail "a record without its prefix"
cp llama.plan.json with.json
"$TWAIN" plan llama -q --force --seq 9 --result all-logits --maximum-groups 3,4
look <<'P' || fail "rows of the prefix are in the plan"
import json
def openings(file):
    found = {}
    for _, layer, step, role, kind, width, n in json.load(open(file))["streams"]:
        if role == "mask":
            found.setdefault((layer, step), []).append(n)
    return found
a, b = openings("with.json"), openings("llama.plan.json")
assert set(a) == set(b), set(a) ^ set(b)
more = {step for layer, step in a if a[layer, step] != b[layer, step]}
assert more <= {"logits", "row maximum", "exp"}, more
for layer in range(2):
    assert a[layer, "logits"][0] == b[layer, "logits"][0] + 4 * 9 * 2  # heads, rows, keys of the prefix
P
go llama --seq 9 --result all-logits --maximum-groups 3,4
"$TWAIN" report llama --json >report.json 2>/dev/null
look <<'P' || fail "the run's ledger is not the plan's"
import json
plan, runs = json.load(open("with.json")), json.load(open("report.json"))
for r in runs:
    assert r["tokens"] == 9 and r["batch"] == 3
    steps = dict(zip(zip(r["step_layer"], r["step"]), r["step_key_bytes"]))
    for layer, step, keys0, keys1, sent, rounds in plan["costs"]["steps"]:
        assert steps[layer, step] == 3 * (keys1 if r["party"] else keys0), (layer, step)
P

# ---- masks: two prefixes never have one seed, nor the model's
salts=() files='model.p0.h5 model.p1.h5 model.dealer.h5 model.json'
for prefix in 'the cat' 'the cat sat' 'the cat'; do
  printf '%s' "$prefix" >pre
  "$TWAIN" plan llama -q --force --seq 9 --prefix pre
  "$TWAIN" share llama -q --force
  for file in $files; do cp "llama.$file" "${#salts[@]}.$file"; done
  salts+=("$(json llama.prefix.json 'j["salt"]')")
done
[ "${salts[0]}" != "${salts[1]}" ] || fail "two prefixes under one salt"
look <<'P' || fail "masks of prefixes"
import h5py
seeds, kept = set(), []
for i in range(3):
    with h5py.File(f"{i}.model.dealer.h5") as d:
        seeds |= {bytes(s) for name in ("mask_seeds", "prefix_mask_seeds") for s in d[name][()]}
        facts = d.attrs["prefix_rows"], d.attrs["prefix"]
        for p in "01":
            with h5py.File(f"{i}.model.p{p}.h5") as f:
                assert bytes(f["prefix_mask_seed"][()]) == bytes(d["prefix_mask_seeds"][int(p)])
                assert (f.attrs["prefix_rows"], f.attrs["prefix"]) == facts
                kept.append(f["layer.0.prefix.keys"][()])
                assert kept[-1].shape == (facts[0], 24) and "layer.1.prefix.values" in f
assert len(seeds) == 12, len(seeds)
assert (kept[0] == kept[1]).all() and (kept[0] != kept[4]).all()  # the parties' are the same; shared again, others
P

# ---- the plan tells the length and a digest, under a salt that it does not hold
"$TWAIN" plan llama -q --force --seq 9 --prefix pre
look <<'P' || fail "what plan and prefix say"
import hashlib, json
plan, prefix = (json.load(open(f"llama.{what}.json")) for what in ("plan", "prefix"))
ids = b"".join(i.to_bytes(4, "little") for i in prefix["tokens"])
digest = hashlib.blake2b(bytes.fromhex(prefix["salt"]) + ids, digest_size=32).hexdigest()
assert plan["prefix"] == dict(tokens=len(prefix["tokens"]), digest=digest)
assert prefix["salt"] not in open("llama.plan.json").read()
P
before=$(json llama.prefix.json 'j["salt"]')
"$TWAIN" plan llama -q --force --seq 8 --prefix pre
[ "$(json llama.prefix.json 'j["salt"]')" = "$before" ] || fail "the same prefix in another plan has another salt"

# ---- refused: shares with no prefix or another one, by deal and by run; other texts; other files
"$TWAIN" plan llama -q --force --seq 9 --prefix pre
"$TWAIN" share llama -q --force
keys llama
"$TWAIN" encode llama -q --force -- "$text"
"$TWAIN" share llama --input -q --force
for file in $files; do cp "llama.$file" "own.$file"; done
replace() { for file in $files; do cp "$1.$file" "llama.$file"; done; }
refuse() { # SHARE TEXT
  replace "$1"
  expect 5 "$2.*twain share" "$TWAIN" deal llama --force
  replace own
  "$python" - "$1" llama <<'P'
import h5py, sys  # the other share under this one's name
other, name = sys.argv[1:]
for p in "01":
    with h5py.File(f"{name}.model.p{p}.h5") as f:
        own = f.attrs["model_id"]
    import shutil
    shutil.copy(f"{other}.model.p{p}.h5", f"{name}.model.p{p}.h5")
    with h5py.File(f"{name}.model.p{p}.h5", "r+") as f:
        f.attrs["model_id"] = own
P
  expect_run 5 "$2" llama --ledger ledger --allow-test-keys -q --force --device cpu
  parties_say "$2"
}
refuse 1 'with another prefix .5 tokens. than the plan.s .2.'
refuse 0 'with another prefix .2 tokens.'  # the same tokens under another salt
mv llama.prefix.json kept.json
"$TWAIN" share llama -q --force
for file in $files; do cp "llama.$file" "none.$file"; done
expect 3 'llama.prefix.json' "$TWAIN" encode llama --force -- "$text"
cp kept.json llama.prefix.json
refuse none 'was shared without one'
replace own
for p in 0 1; do grep -q "prefix" "own.model.p$p.h5" || fail "no prefix in the share"; done
keys llama
"$TWAIN" encode llama -q --force -- "$text"
infer llama
as_torch llama

refuse_text() { expect "$1" "$2" "$TWAIN" encode llama --force -- "${@:3}"; }
refuse_text 5 'text 2 does not begin with the plan.s prefix of 2 tokens: token 2 has id 272, the prefix has 264' "$text" 'the dog'
refuse_text 5 'text 1 has 1 tokens, the plan.s prefix has 2' 'the'
refuse_text 8 'text 1 is the plan.s prefix and nothing more' 'the cat'
refuse_text 8 'text 1 has 12 tokens, more than the sequence length 9 and its prefix' "$text and a"
expect 0 'cut to 11' "$TWAIN" encode llama --force --truncate -- "$text and a cat"
cp llama.input.h5 behind.h5
"$TWAIN" plan llama -q --force --seq 9
expect 5 'encoded behind a prefix of 2 tokens' "$TWAIN" share llama --input --force
"$TWAIN" encode llama -q --force -- "$text"
cp kept.json llama.prefix.json
"$TWAIN" plan llama -q --force --seq 9 --prefix pre
expect 5 'encoded behind no prefix' "$TWAIN" share llama --input --force
"$python" -c 'import json; j = json.load(open("kept.json")); j["tokens"][0] += 1; json.dump(j, open("llama.prefix.json", "w"))'
expect 5 'is not the prefix that the plan was made with' "$TWAIN" encode llama --force -- "$text"
expect 5 'is not the prefix that the plan was made with' "$TWAIN" share llama --force
echo '{"format": "twain-prefix", "version": 2, "salt": "00"}' >llama.prefix.json
expect 4 'salt is not 64' "$TWAIN" encode llama --force -- "$text"
printf '' >empty
for case in '3 cannot.read nothere' '4 is.empty empty' '8 token.1.of.the.prefix.has.id.9999 big.json' '4 is.no.JSON.list bad.json' \
  '2 a.prefix.of.48.tokens long.json'; do
  set -- $case
  case $3 in
  big.json) echo '[9999]' >big.json ;;
  bad.json) echo '{"a": 1}' >bad.json ;;
  long.json) "$python" -c 'print([1] * 48)' >long.json ;;
  esac
  expect "$1" "$2" "$TWAIN" plan llama --force --seq 9 --prefix "$3"
done
expect 2 'takes 1 to 46 tokens behind the prefix' "$TWAIN" plan llama --force --seq 47 --prefix pre
expect 2 'leave --shape out' "$TWAIN" plan --shape gpt2 --prefix pre
"$TWAIN" import --shape bert-tiny -o enc -q
expect 2 'is no decoder' "$TWAIN" plan enc --prefix pre
