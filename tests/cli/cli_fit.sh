# A plan with several lengths: each sequence in its own program, bit for bit the emulator's; chunks; what does not fit.
source "$SOURCE_DIR/tests/cli/cli.bash"

cp -r "$SOURCE_DIR/tests/vectors/tiny-bert/f32" folder
"$TWAIN" import folder -o n -q
"$TWAIN" share n -q
"$TWAIN" ledger --new ledger -q
cat >notes.csv <<'C'
id,note
a,the cat
b,the cat sat on the mat and the dog
c,dog
d,sat on the mat
e,the cat sat on the mat and the dog ran and the cat sat on the mat and the dog ran and sat
C
columns=(--text-column note --id-column id)
no_shares() { rm -f n.seq*; }

# ---- three lengths: every output equals the emulator's and the float model's, each id has its own
for result in pooled tokens cls; do
  "$TWAIN" plan n --seq 20 --lengths 6,20,12 --result $result -q --force
  no_shares
  expect 0 'lengths: 3 of up to 6 tokens, 0 of up to 12 tokens, 2 of up to 20 tokens' \
    "$TWAIN" encode n --csv notes.csv "${columns[@]}" --truncate --share --force
  [ ! -e n.seq12.input.p0.h5 ] && [ ! -e n.input.p0.h5 ] || fail "shares of no sequence"
  expect 2 'no sample says how many texts each has: say --counts' "$TWAIN" deal n -n 5
  "$TWAIN" deal n --counts 6:3,20:3 --test-seed 31 -q 2>/dev/null
  two_ranks n --ledger ledger --allow-test-keys --csv --force >records.csv 2>said || { cat said; fail "run"; }
  "$python" -c 'import csv; assert [r["tokens"] for r in csv.DictReader(open("records.csv"))] == ["6", "20"]' || fail "$(cat records.csv)"
  expect 0 '5 sequences' "$TWAIN" reveal n --csv table.csv --npy table.npy --force
  expect 0 'outputs equal the emulator.s, transcript equal' "$TWAIN" check n --exact --test-seed 31
  "$python" - $result <<'P' || fail "$result: table, result and input do not belong together"
import csv, h5py, numpy as np, sys
rows = list(csv.DictReader(open("table.csv", newline="")))
with h5py.File("n.input.h5") as i, h5py.File("n.result.h5") as r:
    order, seqs, lengths = i["text_numbers"][()], i["seqs"][()], i["lengths"][()]
    assert list(seqs) == [6, 6, 6, 20, 20] and list(order) == [3, 0, 2, 4, 1], (seqs, order)
    assert list(lengths) == [6, 4, 3, 20, 13], lengths  # those of a program, the longest first
    assert [x.decode() for x in i["ids"][()]] == ["d", "a", "c", "e", "b"]
    assert all(i["texts"][k].decode() == dict(zip("abcde", [l.split(",", 1)[1].strip() for l in open("notes.csv")][1:]))[i["ids"][k].decode()]
               for k in range(5))
    values = r["values"][()][np.argsort(order)]
    if sys.argv[1] == "tokens":
        table = [[float(x[f"e{k}"]) for k in range(values.shape[2])] for x in rows if x["id"] == "b"]
        assert np.abs(np.array(table) - values[1, :lengths[4]]).max() < 1e-8
        assert np.array_equal(np.load("table.npy"), values)
    else:
        assert [x["id"] for x in rows] == list("abcde") and [x["line"] for x in rows] == list("23456")
        table = np.array([[float(x[f"e{k}"]) for k in range(values.shape[2])] for x in rows])
        assert np.abs(table - values[:, 0]).max() < 1e-8 and np.abs(values).max() > 0.01
P
done

# ---- no text of the longest length: the result has fewer rows than the plan; here functions are read from keys
"$TWAIN" plan n --seq 20 --lengths 6,20 --result tokens --engine pfss -q --force
no_shares
expect 0 'lengths: 2 of up to 6 tokens, 0 of up to 20 tokens' "$TWAIN" encode n 'the cat' dog --share --force
"$TWAIN" deal n --counts 6:2,20:1 --test-seed 33 -q 2>/dev/null
expect_run 0 '' n --ledger ledger --allow-test-keys -q --force
"$TWAIN" reveal n -q --force
expect 0 'outputs equal the emulator.s, transcript equal' "$TWAIN" check n --exact --test-seed 33

# ---- chunks: ids and types of each, and their mean, with tokens as weights
printf 'id,note\na,the cat\nb,%s\nc,dog\n' "$(printf 'the cat sat on the mat and the dog ran %.0s' 1 2 3 4 5)" >long.csv
"$TWAIN" plan n --seq 20 --lengths 6,12,20 --result pooled -q --force
no_shares
expect 0 'divided: 1 of 3 texts of more than 20 tokens, into 4 chunks that overlap by 3 tokens' \
  "$TWAIN" encode n --csv long.csv "${columns[@]}" --chunk --overlap 3 --share --force
"$TWAIN" deal n --counts 6:2,20:4 --test-seed 32 -q 2>/dev/null
expect_run 0 '' n --ledger ledger --allow-test-keys -q --force
expect 0 'written: table.csv, 3 texts' "$TWAIN" reveal n --csv table.csv --npy table.npy --force
expect 0 'outputs equal the emulator.s, transcript equal' "$TWAIN" check n --exact --test-seed 32
expect 0 'text 2, chunk 4 .line 3.' "$TWAIN" check n
grep -q 'text 1 .line 2.' said && [ "$(grep -c 'text 2, chunk [1-4] ' said)" = 4 ] || { cat said; fail "check's chunks"; }
"$TWAIN" check n --json -q >checked.json
[ "$(json checked.json 'sorted((s["number"], s.get("chunk", 0)) for s in j["sequences"])')" = \
  '[(1, 0), (2, 1), (2, 2), (2, 3), (2, 4), (3, 0)]' ] || fail "chunks in JSON: $(cat checked.json)"
"$python" - <<'P' || fail "chunks"
import csv, h5py, numpy as np
with h5py.File("n.input.h5") as i, h5py.File("n.result.h5") as r:
    owner, lengths, tokens = i["text_numbers"][()], i["lengths"][()], i["tokens"][()]
    values = r["values"][()][:, 0]
parts = [list(tokens[k][1:lengths[k] - 1]) for k in range(len(owner)) if owner[k] == 1]
assert all(tokens[k][0] == 2 and tokens[k][lengths[k] - 1] == 3 for k in range(len(owner)))
whole = parts[0]
for part in parts[1:]:
    assert part[:3] == whole[-3:], parts
    whole = whole + part[3:]
with h5py.File("n.input.h5") as i:
    assert [bool(t) for k, t in zip(owner, i["texts"].asstr()) if k == 1] == [True, False, False, False]
assert len(parts) == 4 and len(whole) == 60 and whole == 5 * whole[:12], parts
with h5py.File("n.input.h5") as i, h5py.File("n.result.h5") as r:
    numbers = i["chunks"][()]
    assert (r["chunks"][()] == numbers).all() and (r["text_numbers"][()] == owner).all()
assert [int(c) for k, c in zip(owner, numbers) if k != 1] == [0, 0] and sorted(numbers[owner == 1]) == [1, 2, 3, 4]
by_number = [p for _, p in sorted((numbers[k], list(tokens[k][1:lengths[k] - 1])) for k in range(len(owner)) if owner[k] == 1)]
assert sorted(map(tuple, by_number)) == sorted(map(tuple, parts)) and by_number[0][0] == whole[0]
for before, after in zip(by_number, by_number[1:]):
    assert after[:3] == before[-3:]
mean = np.array([np.average(values[owner == t], axis=0, weights=lengths[owner == t]) for t in range(3)])
mean /= np.linalg.norm(mean, axis=1, keepdims=True)
assert np.abs(np.load("table.npy") - mean).max() < 1e-12
assert [r["id"] for r in csv.DictReader(open("table.csv"))] == ["a", "b", "c"]
P
# each length alone, and all of them: none is taken for what an earlier plan left
expect 0 'written: n.seq20.result.h5' "$TWAIN" reveal n.seq20 --model n
"$python" - <<'P' || fail "n.seq20 has other values than n"
import h5py, numpy as np
with h5py.File("n.seq20.result.h5") as a, h5py.File("n.result.h5") as b, h5py.File("n.input.h5") as i:
    assert np.array_equal(a["values"][()], b["values"][()][i["seqs"][()] == 20]) and a.attrs["count"] == 4
P
expect 0 'n.seq20 ' "$TWAIN" report n
[ "$(grep -cE '^n.seq(6|20) ' said)" = 2 ] && ! grep -q 'note:' said || { cat said; fail "report of all lengths"; }
expect 0 '^run ' "$TWAIN" report n.seq6 --model n
! grep -q 'note:' said || { cat said; fail "a length is taken for an earlier plan's"; }
[ "$("$TWAIN" report n --csv | "$python" -c 'import csv, sys; print(*[(r["name"], r["party"], r["tokens"]) for r in csv.DictReader(sys.stdin)])')" = \
  "('n.seq6', '0', '6') ('n.seq6', '1', '6') ('n.seq20', '0', '20') ('n.seq20', '1', '20')" ] || fail "report of all lengths as CSV"
expect 0 '^n.seq20$' "$TWAIN" status n.seq20 --model n --ledger ledger
grep -qE "^0 +$(h5dump -a /key_id n.seq20.keys.p0.h5 | grep -oE '[0-9a-f]{32}') " said && ! grep -q 'seq20.seq' said || { cat said; fail "status of a length"; }
"$TWAIN" deal n.seq20 --model n -n 4 --append --test-seed 35 -q 2>/dev/null
rm n.seq20.result.h5
expect_run 0 '' n.seq20 --model n --ledger ledger --allow-test-keys -q --force
expect 0 'n.seq20.result.h5' "$TWAIN" reveal n.seq20 --model n
rm n.seq20.more*
expect 2 'name it, as n.seqS' "$TWAIN" report n --timeline t
rm n.seq20.result.h5
# a plan counts the same chunks, each text once without them
"$TWAIN" plan n --fit long.csv --text-column note --seq 20 --force >said
grep -q 'longer than 20 tokens: 1 of 3 texts, counted as' said || { cat said; fail "a long text without a word"; }
[ "$(json n.plan.json 'sum(l["texts"] for l in j["lengths"])')" = 3 ] || fail "not three texts"
expect 0 'divided as .encode --chunk. does: 3 texts into 6 sequences' \
  "$TWAIN" plan n --fit long.csv --text-column note --seq 20 --chunk --overlap 3 --force
"$TWAIN" encode n --csv long.csv "${columns[@]}" --chunk --overlap 3 --force >said
python3 - <<'P' || { cat said; fail "encode makes other sequences than plan counted"; }
import json, re
counted = {l["seq"]: l["texts"] for l in json.load(open("n.plan.json"))["lengths"]}
made = re.search(r"^lengths:(.*)$", open("said").read(), re.M).group(1)
assert counted == {int(s): int(n) for n, s in re.findall(r"(\d+) of up to (\d+) tokens", made)}, (counted, made)
assert sum(counted.values()) == 6
P
expect 2 'counts chunks of --fit FILE' "$TWAIN" plan n --chunk --force
expect 2 '--overlap goes with --chunk' "$TWAIN" plan n --fit long.csv --text-column note --overlap 3 --force
expect 2 'chunks of 20 tokens, 2 of them special ones, have no room' "$TWAIN" encode n --csv long.csv "${columns[@]}" --chunk --overlap 18 --force
expect 2 'leave --truncate' "$TWAIN" encode n --csv long.csv "${columns[@]}" --chunk --truncate --force
"$TWAIN" plan n --seq 20 --result tokens -q --force
expect 2 'chunks of a text become one again as embeddings' "$TWAIN" encode n --csv long.csv "${columns[@]}" --chunk --force

# ---- a sample chooses lengths, and how keys are divided; a share of an earlier input is not left
python3 "$SOURCE_DIR/tools/make_csv.py" --rows 60 --least 1 --most 40 >sample.csv
expect 0 "the sample's keys: .*percent" "$TWAIN" plan n --fit sample.csv --text-column note --force
"$python" - <<'P' || fail "the plan's lengths"
import json
plan = json.load(open("n.plan.json"))
seqs, texts = [l["seq"] for l in plan["lengths"]], [l["texts"] for l in plan["lengths"]]
assert seqs == sorted(set(seqs)) and seqs[-1] == plan["seq"] == 24 and sum(texts) == 60 and len(seqs) > 1, plan["lengths"]
P
no_shares
"$TWAIN" encode n --csv sample.csv --text-column note --id-column note_id --truncate --share --force -q
"$TWAIN" deal n -n 280 -q
expect 0 'n.seq24.input.p1.h5 +party 1 +client +no ' "$TWAIN" handover n
grep -q 'n.seq24.keys.p0.h5 .*party 0 .*dealer' said || { cat said; fail "handover without a length's keys"; }
seqs=$(json n.plan.json '" ".join(str(l["seq"]) for l in j["lengths"])')

# files of all lengths are looked at before a slot of any is marked: missing, damaged, of two dealings, not enough
marks() { "$TWAIN" ledger ledger --json | grep -c '"slot":' || true; }
before=$(marks)
none_marked() {
  [ "$(marks)" = "$before" ] || fail "a slot was marked before all files were looked at"
  [ -z "$(ls -d n.seq*.result.p?.h5 n.seq*.parts.p? 2>/dev/null)" ] || fail "a length was run before all files were looked at"
}
mkdir whole
cp n.seq24.keys.p?.h5 n.seq24.input.p1.h5 whole
"$TWAIN" deal other -n 60 --model n -q
cp other.seq24.keys.p1.h5 n.seq24.keys.p1.h5
expect_run 5 'sequences of up to 24 tokens: the parties differ in keys' n --ledger ledger
none_marked
rm n.seq24.keys.p1.h5
expect_run 3 'other party .1. stopped: sequences of up to 24 tokens: n.seq24.keys.p1.h5' n --ledger ledger
none_marked
"$TWAIN" deal few --counts 24:1 --model n -q
for p in 0 1; do cp few.seq24.keys.p$p.h5 n.seq24.keys.p$p.h5; done
expect_run 6 'sequences of up to 24 tokens: .* sequences need .* key slots' n --ledger ledger
none_marked
rm other.* few.*
cp whole/n.seq24.keys.p?.h5 .
"$python" - <<'P'
import h5py
with h5py.File("n.seq24.input.p1.h5", "r+") as f: f["share"][0] ^= 1
P
expect_run 4 'sequences of up to 24 tokens: .*n.seq24.input.p1.h5' n --ledger ledger
none_marked
mv whole/n.seq24.input.p1.h5 .

# a length that fails is named, records are one list of what was done, and the run goes on with the others
"$python" - <<'P'
import h5py
f = h5py.File("n.seq24.keys.p0.h5")
at = f["corrections"].id.get_offset()
f.close()
with open("n.seq24.keys.p0.h5", "r+b") as f:
    f.seek(at + 1000)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
P
! two_ranks n --ledger ledger --json >records.json 2>said || fail "a damaged key slot"
grep -q 'sequences of up to 24 tokens: .*; shorter ones are done, and `run --resume` goes on' said || { cat said; fail "no length"; }
[ "$(json records.json '" ".join([str(r["tokens"]) for r in j] + ["24"])')" = "$seqs" ] || fail "$(cat records.json)"
rm -r whole
two_ranks n --ledger ledger --resume --csv >records.csv 2>said || { cat said; fail "a run that goes on"; }
"$python" -c 'import csv; assert [r["tokens"] for r in csv.DictReader(open("records.csv"))] == ["24"]' || fail "$(cat records.csv)"
expect 0 'n.seq24' "$TWAIN" status n --ledger ledger
"$TWAIN" status n --ledger ledger --json >status.json
[ "$(json status.json '" ".join(str(l["seq"]) for l in j["lengths"])')" = "$seqs" ] || fail "$(cat status.json)"
[ "$(json status.json 'sum(p["rows_done"] for l in j["lengths"] for p in l["parties"])')" = 120 ] || fail "$(cat status.json)"
expect 0 'written: table.csv, 60 texts' "$TWAIN" reveal n --csv table.csv --force
"$python" - <<'P' || fail "ids of 60 texts"
import csv
asked, got = (list(csv.DictReader(open(f, newline=""))) for f in ("sample.csv", "table.csv"))
assert [r["note_id"] for r in asked] == [r["id"] for r in got]
P
# two pairs: both have looked at all lengths before either marks a slot
mpirun -np 4 "$TWAIN" run n --ledger ledger --force -q >said 2>&1 || { cat said; fail "two pairs over several lengths"; }
[ -z "$(ls -d n.seq*.parts.p? 2>/dev/null)" ] || fail "parts are left"
expect 0 'written: table.csv, 60 texts' "$TWAIN" reveal n --csv table.csv --force
rm n.seq24.input.p1.h5
expect_run 5 'lengths' n --ledger ledger -q --force # party 1 has not all of them
printf 'id,note\na,the cat\n' >short.csv
"$TWAIN" encode n --csv short.csv "${columns[@]}" --force -q
expect 3 'n.seq[0-9]*.input.p0.h5: is of an earlier input; remove it' "$TWAIN" share n --input
"$TWAIN" share n --input --force -q
[ "$(ls n.seq*.input.p?.h5 | wc -l)" = 2 ] || fail "shares of an earlier input: $(ls)"

# ---- README: five lines from a CSV file and a model folder to a CSV file of embeddings
mkdir readme
cd readme
sed -n '/^From a CSV file and a model folder/,/^Ids stand/s/^    //p' "$SOURCE_DIR/README.md" |
  sed "s|build/twain|$TWAIN|g; s|DIR|../folder|g" >lines
[ "$(wc -l <lines)" = 5 ] || { cat lines; fail "README.md has not five lines"; }
python3 "$SOURCE_DIR/tools/make_csv.py" >notes.csv
timeout 300 bash -e lines >said 2>&1 </dev/null || { cat said lines; fail "README's lines"; }
"$python" - <<'P' || fail "README's embeddings"
import csv
asked, got = (list(csv.DictReader(open(f, newline=""))) for f in ("notes.csv", "embeddings.csv"))
assert [r["note_id"] for r in asked] == [r["id"] for r in got] and len(got) == 200
assert all(abs(sum(float(r[k]) ** 2 for k in r if k[0] == "e") - 1) < 1e-6 for r in got)
P
grep -q 'cosine' <("$TWAIN" check m) || fail "check"
cd ..

# ---- what is refused
expect 2 'lengths rise: 8 comes behind 8' "$TWAIN" plan n --seq 20 --lengths 8,8,20 --force
expect 2 'the last of 20 tokens' "$TWAIN" plan n --seq 20 --lengths 8,12 --force
expect 2 'a list of tokens as 16,32,128' "$TWAIN" plan n --seq 20 --lengths 8,x --force
expect 2 '--fit chooses lengths, --lengths names them' "$TWAIN" plan n --lengths 8,20 --fit sample.csv --force
expect 4 'sample.csv: line 1: no column text' "$TWAIN" plan n --fit sample.csv --force
printf 'P1,secret note\n' >bare.csv
expect 4 'bare.csv: line 1: no column note among 2; this line must hold' \
  "$TWAIN" plan n --fit bare.csv --text-column note --force
! grep -qE 'secret|P1' said || { cat said; fail "a first record in a message"; }
"$TWAIN" plan n --seq 20 --lengths 6,20 -q --force
expect 2 'the plan has no length of 7 tokens' "$TWAIN" deal n --counts 7:1 --force
expect 2 'a list as 16:60,128:4' "$TWAIN" deal n --counts 6 --force
"$python" - <<'P'
import json
plan = json.load(open("n.plan.json"))
plan["lengths"][0]["digest"] = plan["lengths"][0]["digest"][::-1]
json.dump(plan, open("n.plan.json", "w"))
P
expect 5 'program for 6 tokens has another digest than the file says' "$TWAIN" deal n --counts 6:1 --force
"$TWAIN" plan n --seq 20 -q --force
expect 2 'is for a plan with several lengths; this one has 20 tokens' "$TWAIN" deal n --counts 6:1 --force
expect 5 'the input is for a plan with several lengths' "$TWAIN" share n --input --force
"$TWAIN" plan n --seq 20 --lengths 7,20 -q --force
expect 5 '1 sequences are for lengths that the plan has not' "$TWAIN" share n --input --force

# ---- what a NAME's lengths have is destroyed with it
touch n.seq6.txt.p0
"$TWAIN" plan n --seq 20 --lengths 6,20 -q --force
"$TWAIN" deal n --counts 6:1,20:1 -q --force
expect 0 '^void now: .*n.seq6.keys.p0.h5, n.seq6.keys.p1.h5, .*n.seq20.keys.p1.h5.*; they are of the plan before' \
  "$TWAIN" plan n --seq 19 --lengths 6,19 --force
expect 0 'n.seq20.keys.p1.h5' "$TWAIN" destroy n
! ls n.seq*.keys.* 2>/dev/null || fail "keys are left"
[ -e n.seq6.txt.p0 ] || fail "a file of others is gone"

# ---- many short texts and a long one: rows are not padded to the longest text's length, in memory or in the file
"$TWAIN" import --shape 1x64x2x128 -o many -q
for i in {1..2500}; do echo "some words $i"; done >many.txt
printf 'word %.0s' {1..400} >>many.txt
"$TWAIN" plan many --fit many.txt -q
"$TWAIN" share many -q
python3 - "$TWAIN" <<'P' || fail "encode's memory"
import os, resource, subprocess, sys
def peak_after(*arguments):
    subprocess.run([sys.argv[1], *arguments], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
libraries = peak_after("--version")  # a build with CUDA has hundreds of megabytes
peak = peak_after("encode", "many", "--file", "many.txt", "--share", "-q") - libraries
file = os.path.getsize("many.input.h5") / 2**20
assert peak < 150 and file < 20, f"{peak:.0f} MiB in memory, {file:.0f} MiB in the file; all padded they are 240"
P
[ -s many.seq8.input.p0.h5 ] || fail "no share of short texts"
rm many.*input*
