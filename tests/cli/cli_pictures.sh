# From results to pictures: `report` over several results and records as a table and as CSV, `check --csv`, and
# examples/plots.py, whose pictures hold what the files say. Where matplotlib is missing it says so, and so does this test.
source "$SOURCE_DIR/tests/cli/cli.bash"
plots() { "$python" "$SOURCE_DIR/examples/plots.py" "$@"; }

"$TWAIN" import --shape 1x32x2x64 -o n -q
"$TWAIN" plan n --seq 8 --result cls -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 3 -q
"$TWAIN" encode n 'one' 'two of them' --share -q
"$TWAIN" ledger --new ledger -q
two_ranks n --ledger ledger -q 2>said || { cat said >&2; fail run; }
"$TWAIN" encode m 'another' --model n --share -q
two_ranks m --model n --ledger ledger -q 2>said || { cat said >&2; fail run; }
mpirun -np 2 "$TWAIN" bench model --shape 1x32x2x64 --seq 8 --repeat 1 --device cpu --json >bench.json 2>said || { cat said >&2; fail bench; }
mpirun -np 2 "$TWAIN" bench model --shape 1x32x2x64 --seq 16 --batch 2 --repeat 1 --device cpu --link-latency 1ms --json >more.json 2>said ||
  { cat said >&2; fail bench; }

# ---- a row each, whatever it comes from; CSV of all is what report, and bench, printed of each
"$TWAIN" report n m.result.p0.h5 bench.json more.json --model n >said
[ "$(wc -l <said)" = 6 ] || { cat said; fail "not a row for each"; }
grep -qE '^m +1x32x2x64 +8 +1 ' said || { cat said; fail "the second run is not in the table"; }
grep -qE '^bench model +1x32x2x64 +16 +2 +1.00 ms ' said || { cat said; fail "a benchmark over a link is not in the table"; }
"$TWAIN" report n m bench.json more.json --model n --csv >all.csv
"$TWAIN" report n --json >n.json
"$python" - <<'P'
import csv, json
rows = list(csv.DictReader(open("all.csv", newline="")))
assert [(r["command"], r["party"]) for r in rows] == [("report", p) for p in "0101"] + [("bench model", "0")] * 2, rows
for row, record in zip(rows[:2] + rows[4:], json.load(open("n.json")) + json.load(open("bench.json")) + json.load(open("more.json"))):
    for field, cell in row.items():
        if field not in ("command_line", "model", "layers", "date"):
            value = record[field]
            text = "" if value is None else ";".join(map(str, value)) if isinstance(value, list) else str(value)
            same = cell == text or (cell in ("true", "false") and cell == text.lower())
            assert same or (value is not None and float(cell) == float(value)), (field, cell, text)
P
echo '[{"schema_version": 99}]' >other.json
expect 4 'other.json: entry 1 is no record of this schema' "$TWAIN" report n other.json
echo '[]' >other.json
expect 4 'other.json: holds no records' "$TWAIN" report other.json
echo '{"schema' >other.json
expect 4 'other.json: line 1' "$TWAIN" report other.json
expect 3 'missing.json' "$TWAIN" report missing.json
expect 2 'which have no trace' "$TWAIN" report bench.json --timeline out

# ---- pictures
"$TWAIN" check n --emulate --csv >near.csv
"$TWAIN" check n --emulate --test-seed 1 --csv >seed.csv
mkdir none
echo 'raise ImportError("none")' >none/matplotlib.py
PYTHONPATH=$PWD/none expect 1 "Python's matplotlib is missing: install python3-matplotlib" "$python" "$SOURCE_DIR/examples/plots.py" tokens all.csv -o t.svg
expect 1 'missing.h5: no such file' "$python" "$SOURCE_DIR/examples/plots.py" steps missing.h5 -o s.svg
expect 1 'n.model.h5: is no result of a party' "$python" "$SOURCE_DIR/examples/plots.py" steps n.model.h5 -o s.svg
expect 1 'near.csv: is no table of records' "$python" "$SOURCE_DIR/examples/plots.py" batch near.csv -o b.svg
expect 1 'holds no records' "$python" "$SOURCE_DIR/examples/plots.py" batch n.plan.json -o b.svg
if ! "$python" -c 'import matplotlib' 2>/dev/null; then
  echo "skipped: Python's matplotlib is missing, so no picture was drawn; all before was tested"
  exit 77
fi
plots steps n.result.p0.h5 m.result.p0.h5 bench.json -o steps.svg
plots tokens all.csv -o tokens.svg
plots batch bench.json more.json -o batch.svg
plots latency bench.json more.json -o latency.svg
plots accuracy near.csv seed.csv -o accuracy.svg
plots steps n.result.p0.h5 m.result.p0.h5 bench.json -o again.svg
cmp steps.svg again.svg || fail "the same files give another picture"
"$python" - <<'P'
import xml.etree.ElementTree as tree
words = {"steps": ["computing", "row maximum, n", "row maximum, m", "exp, n"], "tokens": ["1x32x2x64, 1 at once", "8", "16"],
         "batch": ["1x32x2x64, 8 tokens", "1x32x2x64, 16 tokens, link of 1 ms"],
         "latency": ["1x32x2x64, 8 tokens, 1 at once", "1x32x2x64, 16 tokens, 2 at once"],
         "accuracy": ["percent of the sequences"]}
for name, wanted in words.items():
    found = ["".join(t.itertext()).strip() for t in tree.parse(name + ".svg").iter("{http://www.w3.org/2000/svg}text")]
    for w in wanted:
        assert w in found, (name, w, found)
P
expect 1 'must end in .svg, .png or .pdf' "$python" "$SOURCE_DIR/examples/plots.py" steps bench.json -o steps.txt
no_leftovers
