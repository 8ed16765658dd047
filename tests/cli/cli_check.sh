# `check` over many sequences: what it counts and lists is what its rows say, recomputed by Python; the emulator in the place
# of a run gives that run's numbers; labels and likelihoods against a softmax of the result; memory does not grow with the
# rows; no text and no id without --show-texts.
source "$SOURCE_DIR/tests/cli/cli.bash"
families() { "$python" "$SOURCE_DIR/tests/cli/families.py" "$@"; }

# recount FILE.json FILE.csv: one against the other
recount() {
  "$python" - "$@" <<'P'
import csv, json, math, statistics, sys
j, rows = json.load(open(sys.argv[1])), list(csv.DictReader(open(sys.argv[2], newline="")))
errors = [float(r["relative_error"]) for r in rows]
close = lambda a, b: math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-300)
assert j["count"] == len(rows) == len(j["sequences"])
# a bin is half open, and all of them together have every sequence once
assert j["histogram"][0]["from"] == 0 and j["histogram"][-1]["to"] is None
for i, b in enumerate(j["histogram"]):
    top = math.inf if b["to"] is None else b["to"]
    assert b["sequences"] == sum(b["from"] <= e < top for e in errors), b
    assert b["to"] is None or b["to"] == j["histogram"][i + 1]["from"]
assert close(j["relative_error"]["median"], statistics.median(errors))
assert close(j["relative_error"]["largest"], max(errors))
below = j["relative_error"]["most_of_99_percent"]
assert sum(e <= below * (1 + 1e-8) for e in errors) * 100 >= 99 * len(errors) > 100 * sum(e < below * (1 - 1e-8) for e in errors)
worst = sorted(range(len(rows)), key=lambda s: -errors[s])[:10]
assert [close(f["relative_error"], errors[s]) for f, s in zip(j["farthest"], worst)] == [True] * min(10, len(rows))
if "labels" in j:
    others = [r for r in rows if int(r["rows_that_differ"])]
    assert j["labels"]["differ"] == sum(int(r["rows_that_differ"]) for r in rows)
    assert sorted(o["number"] for o in j["labels"]["others"]) == sorted(int(r["number"]) for r in others)
    assert close(j["labels"]["widest_gap"], max((float(r["widest_gap"]) for r in others), default=0))
print(len(rows), "rows,", sum(map(int, (r["rows_that_differ"] or 0 for r in rows))), "labels differ")
P
}

# ---- a classifier: 40 texts with ids, by a run and by the emulator
families distilbert-classes folder
{ echo id,note; families x texts 7 40 | awk '{ printf "secret-id-%d,%s\n", NR, $0 }'; } >table.csv
"$TWAIN" import folder -o n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 40 --test-seed 9 -q
"$TWAIN" encode n --csv table.csv --text-column note --id-column id --truncate --share -q
"$TWAIN" ledger --new ledger -q
two_ranks n --ledger ledger --allow-test-keys -q 2>said || { cat said >&2; fail run; }
"$TWAIN" reveal n -q
"$TWAIN" check n --json >run.json
"$TWAIN" check n --csv >run.csv
recount run.json run.csv
"$TWAIN" check n --emulate --test-seed 9 --csv >emulated.csv
cmp <(cut -d, -f1-17 run.csv) <(cut -d, -f1-17 emulated.csv) || fail "the emulator gives other numbers than the run"
"$TWAIN" check n --emulate --test-seed 10 --csv >other.csv
! cmp -s emulated.csv other.csv || fail "another seed rounds alike"
"$TWAIN" check n --emulate --json >emulated.json
[ "$(json emulated.json '(j["computed_by"], j["rounding"], j["tokens"], j["command"])')" = "('emulator', 'dithered', 16, 'check')" ] ||
  fail "the record does not say what was emulated"

# labels: named, and those of the result
"$python" - <<'P'
import csv, h5py
with h5py.File("n.result.h5") as f:
    values, numbers = f["values"][:, 0], f["text_numbers"][()]
names = ["NEGATIVE", "POSITIVE"]
for r, y, n in zip(csv.DictReader(open("run.csv")), values, numbers):
    assert int(r["number"]) == n + 1 and r["label"] == names[y.argmax()], r
    assert (r["label"] != r["float_label"]) == (r["rows_that_differ"] == "1"), r
    assert (float(r["widest_gap"]) > 0) == (r["label"] != r["float_label"]), r
P

# what a person sees: a histogram that counts all, the worst by number and line; ids and texts only where they may be shown
"$TWAIN" check n >said
grep -q '^40 sequences, private beside float$' said || fail "no heading"
[ "$(awk '/^relative error  /{ on = 1; next } on && !NF { exit } on { n += $4 } END { print n }' said)" = 40 ] || { cat said; fail "the histogram does not count all"; }
worst=$(json run.json '"text %d (line %d) " % (j["farthest"][0]["number"], j["farthest"][0]["line"])')
grep -A2 '^farthest from' said | tail -n 1 | grep -qF "$worst" || { cat said; fail "the worst is not $worst"; }
grep -qE '^labels: [0-9]+ of 40 as the float model' said || fail "no count of labels"
for shown in said run.json run.csv; do
  ! grep -qwE 'secret-id-[0-9]+|cat|dog|house|tree' $shown || fail "$shown shows a text or an id"
done
expect 0 'secret-id-' "$TWAIN" check n --show-texts
expect 0 ',secret-id-1,' "$TWAIN" check n --show-texts --csv
expect 10 'check failed' "$TWAIN" check n --tolerance 1e-9

# a model with two classes that are nearly alike: labels differ, and each is listed with its gap
families x texts 8 60 >texts
"$python" - <<'P'
import sys
sys.path.insert(0, __import__("os").environ["SOURCE_DIR"] + "/tests/cli")
import numpy as np, families
from unittest import mock
config, kind = families.FAMILIES["distilbert-classes"]
keep = families.weights
def alike(*args):
    w = keep(*args)
    w["classifier.weight"] = np.stack([w["classifier.weight"][0]] * 2) + np.float32([[0], [1e-3]]) * w["classifier.weight"][1]
    w["classifier.bias"] = np.zeros_like(w["classifier.bias"])
    return w
with mock.patch.object(families, "weights", alike):
    families.write("distilbert-classes", "alike")
P
"$TWAIN" import alike -o a -q
"$TWAIN" plan a --seq 16 -q
"$TWAIN" encode a --file texts --truncate -q
"$TWAIN" check a --emulate --json >a.json
"$TWAIN" check a --emulate --csv >a.csv
recount a.json a.csv
[ "$(json a.json 'j["labels"]["differ"] > 0')" = True ] || fail "no label differs of classes that are alike"
"$TWAIN" check a --emulate >said
grep -qE '^  text [0-9]+ \(line [0-9]+\): (NEGATIVE|POSITIVE), float (NEGATIVE|POSITIVE), whose logit is [0-9.e-]+ higher' said ||
  { cat said; fail "a label that differs is not listed"; }

# ---- a decoder's perplexity, from the result's own logits
families llama llama
"$TWAIN" import llama -o l -q
"$TWAIN" plan l --seq 12 --result all-logits -q
"$TWAIN" share l -q
"$TWAIN" deal l -n 2 --test-seed 3 -q
"$TWAIN" encode l 'the cat sat on' 'the dog' -q
"$TWAIN" share l --input -q
two_ranks l --ledger ledger --allow-test-keys -q 2>said || { cat said >&2; fail run; }
"$TWAIN" reveal l -q
"$TWAIN" check l --json >l.json
"$python" - <<'P'
import h5py, json, numpy as np
with h5py.File("l.input.h5") as f, h5py.File("l.result.h5") as g:
    ids, lengths, y = f["tokens"][()], f["lengths"][()], g["values"][()]
p = np.concatenate([(y[i, :n - 1] - np.log(np.exp(y[i, :n - 1]).sum(-1, keepdims=True)))[np.arange(n - 1), ids[i, 1:n]]
                    for i, n in enumerate(lengths)])
j = json.load(open("l.json"))["perplexity"]
assert j["tokens"] == len(p) and abs(j["computed"] / np.exp(-p.mean()) - 1) < 1e-9, (j, np.exp(-p.mean()))
assert abs(j["float"] / j["computed"] - 1) < 0.05, j
P

# ---- several lengths in one plan; what goes wrong is said
"$TWAIN" plan n --seq 16 --lengths 6,16 --force -q
"$TWAIN" encode n --csv table.csv --text-column note --truncate --force -q
"$TWAIN" check n --emulate --csv >lengths.csv
[ "$(wc -l <lengths.csv)" = 41 ] || fail "not a row for each sequence of several lengths"
expect 2 'goes with --exact or --emulate' "$TWAIN" check n --test-seed 1
expect 2 'choose one' "$TWAIN" check n --exact --emulate --test-seed 1
expect 2 'choose one' "$TWAIN" check n --emulate --json --csv
"$TWAIN" import --shape 1x24x3x40 -o small -q
"$TWAIN" plan small --seq 16 -q
cp small.plan.json a.plan.json
expect 5 'make a plan of this model' "$TWAIN" check a --emulate
rm a.plan.json
expect 3 'a.plan.json: no such file' "$TWAIN" check a --emulate
"$TWAIN" encode small 'some words' -q
expect 3 'small.result.h5: no such file' "$TWAIN" check small
head -c 700 small.input.h5 >cut.input.h5
mv cut.input.h5 small.input.h5
expect 4 'small.input.h5' "$TWAIN" check small --emulate
rm small.input.h5
expect 3 'small.input.h5: no such file' "$TWAIN" check small --emulate

# ---- memory: rows of 600 sequences are 20 MB of input, and twice as many of output
"$TWAIN" import --shape 1x64x2x64 -o w -q
"$TWAIN" plan w --seq 128 --result tokens -q
peak() { # COUNT: the most address space that check took, in kB; what is resident depends on the system's huge pages
  "$python" -c 'for i in range('"$1"'): print("a b")' >lines
  "$TWAIN" encode w --file lines --force -q
  "$python" - "$TWAIN" <<'P'
import re, subprocess, sys, time
check, most = subprocess.Popen([sys.argv[1], "check", "w", "--emulate", "-q"]), 0
while check.poll() is None:
    found = re.search(r"^VmPeak:\s+(\d+)", open(f"/proc/{check.pid}/status").read(), re.M)
    most = int(found[1]) if found else most
    time.sleep(0.01)
assert check.returncode == 0
print(most)
P
}
few=$(peak 50) many=$(peak 600)
[ $((many - few)) -lt 8000 ] || fail "600 sequences take $((many - few)) kB more than 50"
no_leftovers
