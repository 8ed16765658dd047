# Who embeds: by default a decoder's client shares token ids and holds no table; with --client-embeds it shares rows. Both
# give what the float model gives, the parties equal the emulator, and a plan takes its own kind of input alone.
source "$SOURCE_DIR/tests/cli/cli.bash"
families="$SOURCE_DIR/tests/cli/families.py"
texts=('the cat sat on the mat' 'The dog' 'a')

look() { "$python" - "$@"; }

infer() { # NAME OPTION...: of run
  local name=$1
  shift
  "$TWAIN" deal "$name" -n 3 --test-seed 5 -q --force 2>/dev/null
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu "$@"
  expect 0 'none counted' "$TWAIN" reveal "$name" --force
  expect 0 'equal the emulator.s, transcript equal' "$TWAIN" check "$name" --exact --test-seed 5
}

"$TWAIN" ledger --new ledger -q
for name in gpt2 gpt-neo llama-tied; do
  "$python" "$families" "$name" "$name.folder"
  expect 0 'embedded by the parties' "$TWAIN" import "$name.folder" -o "$name"
  expect 0 'words .*kB' "$TWAIN" plan "$name" --seq 24
  "$TWAIN" share "$name" -q
  expect 0 'padded to 24' "$TWAIN" encode "$name" "${texts[@]}"
  "$TWAIN" share "$name" --input -q
  infer "$name"
done
infer gpt2 --split-batch always

# The client has no table of the model's, and what it shares are ids: each share alone is none.
look <<'P'
import h5py, numpy as np
for name in "gpt2", "gpt-neo", "llama-tied":
    with h5py.File(name + ".client.h5") as c, h5py.File(name + ".model.h5") as m, h5py.File(name + ".input.h5") as i:
        assert not {"word", "position"} & set(c) and "word.weight" in m and "values" not in i, name
        assert c.attrs["client_embeds"] == 0 and i.attrs["hidden"] == 0
        tokens, vocab = i["tokens"][()], m.attrs["vocab"]
        assert m["word.weight"].size >= vocab * m.attrs["hidden"] and not m["word.bias"][()].any()
    shares = []
    for party in "01":
        with h5py.File(f"{name}.input.p{party}.h5") as s:
            assert "share" not in s and 2 ** s.attrs["number_bits"] >= vocab, name
            shares.append(s["numbers"][()])
            assert (shares[-1] < 2 ** int(s.attrs["number_bits"])).all() and (shares[-1] != tokens).mean() > 0.8, name
    assert (shares[0] ^ shares[1] == tokens).all(), name
P

# What the lookup takes, by the ledger of the run: three sequences of 24 tokens.
"$TWAIN" report gpt2 --json >report.json 2>/dev/null
look <<'P'
import json
for r in json.load(open("report.json")):
    step, tokens = r["step"].index("words"), r["batch"] * r["tokens"]
    keys, sent = r["step_key_bytes"][step] / tokens, r["step_sent_bytes"][step] / tokens
    print("party %d, words: keys %.0f, sent %.0f bytes a token" % (r["party"], keys, sent))
    assert tokens == 72 and 0 < keys <= 20e3 and 0 < sent <= 0.2e6
P

# An id that no word has.
look <<'P'
import h5py, shutil
from checksum import put
shutil.copy("gpt2.input.h5", "kept.h5")
with h5py.File("gpt2.input.h5", "r+") as f:
    tokens = f["tokens"][()]
    tokens[1, 1] = 274
    put(f["tokens"], tokens)
P
expect 8 'sequence 1, token 1 has id 274, the model.s words are 0 .. 273' "$TWAIN" share gpt2 --input --force
mv kept.h5 gpt2.input.h5

# The exception. Its client has the tables, in the place of ids there are rows, and the results agree.
expect 0 'embedded by the client, which has the word table' "$TWAIN" import gpt2.folder -o c --client-embeds
"$TWAIN" plan c --seq 24 -q
"$TWAIN" share c -q
"$TWAIN" encode c -q "${texts[@]}"
"$TWAIN" share c --input -q
infer c
look <<'P'
import h5py, numpy as np
with h5py.File("c.client.h5") as c, h5py.File("c.model.h5") as m, h5py.File("c.input.h5") as i:
    vocab, hidden = int(m.attrs["vocab"]), int(m.attrs["hidden"])
    word, position, tokens = c["word"][()], c["position"][()], i["tokens"][()]
    assert (word.ravel() == m["word.weight"][()].ravel()[: vocab * hidden]).all()
    assert (position == m["position"][()]).all()
    assert np.allclose(i["values"][()], word[tokens] + position[: tokens.shape[1]], atol=1e-6)
with h5py.File("c.result.h5") as a, h5py.File("gpt2.result.h5") as b:
    difference = abs(a["values"][()] - b["values"][()]).max()
    print("largest difference between both ways: %.4f" % difference)
    assert 0 < difference < 0.02
P
expect 2 'no decoder' "$TWAIN" import --shape 1x8x1x8 -o d --client-embeds

# A plan takes its own kind of input.
cp c.input.h5 rows.h5
cp gpt2.input.h5 ids.h5
cp rows.h5 gpt2.input.h5
expect 5 'holds embedded rows, but this plan.s parties embed' "$TWAIN" share gpt2 --input --force
cp ids.h5 c.input.h5
expect 5 'holds token ids alone, but this plan.s client embeds' "$TWAIN" share c --input --force
cp ids.h5 gpt2.input.h5
for party in 0 1; do
  look "$party" <<'P'
import h5py, sys
party = sys.argv[1]
with h5py.File(f"gpt2.input.p{party}.h5") as f:
    of_plan = {name: f.attrs[name] for name in ("plan", "model_id")}
with h5py.File(f"c.input.p{party}.h5", "r+") as f:
    for name, value in of_plan.items():
        f.attrs.modify(name, value)
P
  cp "c.input.p$party.h5" "gpt2.input.p$party.h5"
done
"$TWAIN" deal gpt2 -n 3 --test-seed 5 -q --force 2>/dev/null
expect_run 5 'holds embedded rows, but this plan takes word numbers' gpt2 --ledger ledger --allow-test-keys -q --force --device cpu
no_leftovers

# Bounds are measured on ids as well, and hold every word of the table, read or not.
printf '%s\n' "${texts[@]}" >sample
expect 0 'measured on sample' "$TWAIN" plan gpt2 --seq 24 --calibrate sample --force
look <<'P'
import h5py, json, numpy as np
with h5py.File("gpt2.model.h5") as m:
    largest = abs(m["word.weight"][()]).max() + abs(m["position"][()]).max()
assert json.load(open("gpt2.plan.json"))["layers"][0]["bounds"]["input"] >= largest
P
