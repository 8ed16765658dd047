# Every family of decoders on tiny random models: token ids, logits of the last row and of every row, rows, and the next
# token as PyTorch has them (tests/vectors/decoders.json); parties equal to the emulator bit for bit.
source "$SOURCE_DIR/tests/cli/cli.bash"
export PYTHONPATH="$SOURCE_DIR/tests/cli"
vectors="$SOURCE_DIR/tests/vectors/decoders.json"

# compare NAME: its result against the vectors
compare() {
  "$python" - "$1" "$vectors" <<'P'
import h5py, json, numpy as np, sys
name, vectors = sys.argv[1:]
wanted = json.load(open(vectors))[name]
with h5py.File(name + ".input.h5") as f, h5py.File(name + ".result.h5") as g:
    ids, lengths, got = f["tokens"][()], f["lengths"][()], g["values"][()]
    output = g.attrs["output"].decode()
least, largest = 1, 0
for i, w in enumerate(wanted):
    n = lengths[i]
    assert list(ids[i, :n]) == w["ids"], (name, i, list(ids[i, :n]), w["ids"])
    if output == "tokens":
        mine, theirs = got[i, :n], np.array(w["rows"]).reshape(n, -1)
    else:
        mine, theirs = got[i, n - 1 : n] if output == "all-logits" else got[i], np.array([w["logits"]])
    for a, b in zip(mine, theirs, strict=True):
        least = min(least, a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        largest = max(largest, abs(a - b).max())
        if output != "tokens":
            assert a.argmax() == b.argmax() or np.diff(np.sort(b))[-1] < 0.01, (name, i)
    if output == "all-logits":
        top = got[i, : n - 1].max(-1, keepdims=True)
        p = got[i, : n - 1] - top - np.log(np.exp(got[i, : n - 1] - top).sum(-1, keepdims=True))
        p = p[np.arange(n - 1), w["ids"][1:]]
        largest = max(largest, abs(p - w["likelihood"]).max(initial=0))
print(f"{name}, {output}: cosine {least:.6f}, largest difference {largest:.4f}")
assert least >= 0.9999 and largest < 0.05, name
P
}

# next_token NAME: its result, and what reveal prints of it, against the vectors
next_token() {
  "$python" - "$1" "$vectors" revealed <<'P'
import h5py, json, numpy as np, re, sys
name, vectors, revealed = sys.argv[1:]
wanted = json.load(open(vectors))[name]
with h5py.File(name + ".result.h5") as g:
    got = g["values"][()]
    assert g.attrs["output"] == b"next-token" and got.shape == (len(wanted), 1, 1), got.shape
said = {int(m[1]) - 1: int(m[2]) for m in re.finditer(r"^(\d+): next (\d+) \".*\"  after ", open(revealed).read(), re.M)}
near = 0
for i, w in enumerate(wanted):
    token, logits = int(got[i, 0, 0]), np.array(w["logits"])
    assert said[i] == token, (name, i, said, token)
    near += token != logits.argmax()
    assert logits.max() - logits[token] < 0.03, (name, i, token, logits.argmax())
print(f"{name}: {len(wanted) - near} of {len(wanted)} next tokens are PyTorch's, the others near ties")
P
}

# words NAME: what reveal prints of its logits, against the result: next tokens, probabilities, perplexity
words() {
  "$python" - "$1" revealed <<'P'
import families, h5py, json, numpy as np, re, sys
name, revealed = sys.argv[1], open(sys.argv[2]).read()
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
byte = dict(zip(families.byte_letters(), plain + [b for b in range(256) if b not in plain]))
tokenizer = json.load(open(name + ".folder/tokenizer.json"))
special = {t["id"] for t in tokenizer["added_tokens"]}
pieces = {i: p for p, i in tokenizer["model"]["vocab"].items()}
text = lambda i: pieces[i] if i in special else bytes(byte[c] for c in pieces[i]).decode("utf-8", "replace")
with h5py.File(name + ".input.h5") as f, h5py.File(name + ".result.h5") as g:
    ids, lengths, values = f["tokens"][()], f["lengths"][()], g["values"][()]
    rows = g.attrs["output"].decode() == "all-logits"
p = np.exp(values - values.max(-1, keepdims=True))
p /= p.sum(-1, keepdims=True)
seen, read = 0, json.JSONDecoder().raw_decode
for line in revealed.split("\n"):
    found = re.match(r"(\d+)(?:\.(\d+))?: (.*next .*)", line)
    if not found:
        continue
    s, row, rest = int(found[1]) - 1, int(found[2] or 1) - 1, found[3]
    assert rows == bool(found[2]), line
    if rows:
        own, end = read(rest)
        assert own == text(ids[s, row]), (line, ids[s, row])
        assert row == 0 or abs(float(rest[end:].split(",")[0]) - p[s, row - 1, ids[s, row]]) < 1e-4, line
    at = rest.index("next ") + 5
    for i in np.argsort(-p[s, row], kind="stable")[:5]:
        word, at = read(rest, at)
        number = re.match(r" ([0-9.]+)(, |)", rest[at:])
        at += number.end()
        alike = [text(k) for k in range(p.shape[2]) if k in pieces and abs(p[s, row, k] - p[s, row, i]) < 1e-12]
        assert abs(float(number[1]) - p[s, row, i]) < 1e-4 and (word in alike or "\ufffd" in word), (line, word, text(i))
    seen += 1
assert seen == (sum(lengths) if rows else len(lengths)), seen
for s, n in enumerate(lengths):
    if rows and n > 1:
        mean = np.log(p[s, np.arange(n - 1), ids[s, 1:n]]).mean()
        said = re.search(rf"^{s + 1}: .* of {n - 1} tokens behind the first, perplexity ([0-9.]+)$", revealed, re.M)
        assert abs(float(said[1]) / np.exp(-mean) - 1) < 1e-4, (said, np.exp(-mean))
P
}

seed=7
go() { # NAME PLAN'S-OPTION...
  local name=$1
  shift
  "$TWAIN" plan "$name" -q --force "$@"
  "$TWAIN" deal "$name" -n 3 --test-seed "$seed" -q --force 2>/dev/null
  "$TWAIN" encode "$name" -q --force -- "${texts[@]}"
  "$TWAIN" share "$name" --input -q --force
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu
  expect 0 'out of the plan.s bounds: (none|NOT) counted' "$TWAIN" reveal "$name" --show-texts --force
  cp said revealed
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check "$name" --exact --test-seed "$seed"
}

"$TWAIN" ledger --new ledger -q
mapfile -t texts < <("$python" -c 'import families; print("\n".join(families.DECODER_TEXTS))')
printf '%s\n' "${texts[@]}" 'a small kitten naps on our old couch' >sample.txt
for name in $("$python" -c 'import families; print(*families.DECODERS)'); do
  "$python" "$SOURCE_DIR/tests/cli/families.py" "$name" "$name.folder"
  expect 0 '' "$TWAIN" import "$name.folder" -o "$name"
  "$TWAIN" plan "$name" -q --seq 12
  "$TWAIN" share "$name" -q
  if [ "$name" = gpt2-rows ]; then
    go "$name" --seq 12
    compare "$name" || fail "$name differs from PyTorch"
    continue
  fi
  go "$name" --seq 12
  compare "$name" || fail "$name: the last row differs from PyTorch"
  words "$name" || fail "$name: what reveal says of the last row"
  go "$name" --seq 12 --result next-token
  next_token "$name" || fail "$name: the next token differs from PyTorch's"
  go "$name" --seq 12 --result all-logits
  compare "$name" || fail "$name differs from PyTorch"
  words "$name" || fail "$name: what reveal says of all rows"
done

# ---- what reveal says: the probability of every token but the first, the perplexity, and the next words
"$python" - "$vectors" <<'P' || fail "$(cat revealed)"
import json, math, re, sys
wanted = json.load(open(sys.argv[1]))["qwen2"]
said = {m[1]: float(m[2]) for m in re.finditer(r"^([0-9]+\.[0-9]+): .* ([0-9.]+), next ", open("revealed").read(), re.M)}
for i, w in enumerate(wanted):
    for j, p in enumerate(w["likelihood"]):
        assert abs(said[f"{i + 1}.{j + 2}"] - math.exp(p)) < 0.001, (i, j, p)
P
grep -Eq '^1: log probability -[0-9.]+ of 7 tokens behind the first, perplexity [0-9.]+' revealed || fail "$(cat revealed)"
go llama --seq 9
grep -Eq '^2: next ".+" 0\.[0-9]+, .*  after The dog' revealed || fail "$(cat revealed)"

# ---- bounds of a sample, both faithful modes, one token, no guard, choices, a folder's layers alone
expect 0 'sum_max.*' "$TWAIN" plan gpt2 --seq 12 --calibrate sample.txt --force
for options in "--seq 12 --calibrate sample.txt" "--seq 10 --rounding faithful" "--seq 9 --rounding faithful-output" \
  "--seq 8 --no-guard --maximum-groups 2,3" "--seq 9 --result tokens --rounding faithful-output" \
  "--seq 9 --engine pfss-rows"; do
  # shellcheck disable=SC2086
  go gpt2 $options
  # shellcheck disable=SC2086
  go llama-tied $options
done
# ---- the next token in few rounds and in many, by bounds of a sample, rounded down everywhere; alone
for options in "--argmax-rounds 9 --node-arity 8" "--argmax-rounds 40" "--calibrate sample.txt" "--rounding faithful" "--no-guard" \
  "--engine pfss"; do
  # shellcheck disable=SC2086
  go llama-tied --seq 12 --result next-token $options
  next_token llama-tied || fail "llama-tied, $options: the next token differs from PyTorch's"
done
# ---- tokens drawn by noise: equal to the emulator's; at a temperature near 0 the likeliest; others of other keys
go llama-tied --seq 12 --result next-token --temperature 0.001
next_token llama-tied || fail "at a temperature near 0 the next token differs from PyTorch's"
go llama-tied --seq 12 --result next-token --temperature 2.5
grep -Eq '^2: drawn at temperature 2.5, where the float model gives it a probability of [0-9.e-]+$' said || fail "$(cat said)"
grep -o '^[0-9]*: next [0-9]*' revealed >drawn
seed=8
go llama-tied --seq 12 --result next-token --temperature 2.5
grep -o '^[0-9]*: next [0-9]*' revealed | cmp -s - drawn && fail "other keys drew the same three tokens"
seed=7
expect 2 'temperature goes with --result next-token' "$TWAIN" plan qwen2 --seq 9 --temperature 1 --force
expect 2 'no argmax of .* takes 3 rounds; allow more' "$TWAIN" plan qwen2 --seq 9 --result next-token --argmax-rounds 3 --force
expect 2 'goes with --result next-token' "$TWAIN" plan qwen2 --seq 9 --argmax-rounds 13 --force
texts=(a a a)
go qwen2 --seq 1
go gpt-neo --seq 1
go gpt-neo --seq 1 --result next-token
expect 2 'is a decoder, whose rows are not pooled' "$TWAIN" plan qwen2 --seq 9 --result pooled --force
expect 2 'has no head' "$TWAIN" plan gpt2-rows --seq 9 --result all-logits --force
expect 2 'has no head that gives a next word' "$TWAIN" plan gpt2-rows --seq 9 --result next-token --force
expect 0 'only its layers are run|up to 48 tokens' "$TWAIN" import llama.folder -o bare --encoder-only
expect 2 'has no' "$TWAIN" plan bare --seq 9 --result logits

# ---- where the file says more than config.json: a head beside "tied"
cp -r llama.folder both
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' both/config.json
expect 0 'the weights hold a head' "$TWAIN" import both -o both
cmp <(h5dump -d /head.out.weight both.model.h5 | tail -n +4) <(h5dump -d /head.out.weight llama.model.h5 | tail -n +4) ||
  fail "the head beside tied was not taken"
