# Texts with ids out of CSV, TSV and JSON lines, and results back as CSV and as NumPy's array: against Python's readers.
source "$SOURCE_DIR/tests/cli/cli.bash"

cp -r "$SOURCE_DIR/tests/vectors/tiny-bert/f32" folder
"$TWAIN" import folder -o n -q
"$TWAIN" plan n --seq 12 --result pooled -q

# ---- random tables, quoted in all ways that Python's writer knows, with blank lines, CR LF and a mark before them
cat >tables.py <<'P'
import csv, io, json, random, sys
form, path = sys.argv[1], sys.argv[2]
chance = random.Random()
words = ["the", "cat", "sat", "dog", "a, b", 'say "ran"', "two\nlines", "one\r\nmore", "Zürich", "  spaces  ", "猫", "'"]
if form == "tsv":
    words = [w for w in words if not set(w) & set("\n\r")]
rows, seen = [], set()
for i in range(chance.randrange(5, 60)):
    text = " ".join(chance.choices(words, k=chance.randrange(0, 3)))
    name = chance.choice(["p", "q, ", 'r "'] if form != "tsv" else ["p"]) + str(i)
    rows.append((name, chance.choice(["x", "", "1;2"]), text))
rows.append(("last", "", "the cat"))
end = chance.choice(["\n", "\r\n"])
text, lines, blank = "", [], 0
def line_now():
    return text.count("\n") + 1
def put(fields):
    global text, blank
    for _ in range(chance.randrange(3) if chance.random() < 0.2 else 0):
        text += chance.choice(["", "  "]) + end
        blank += 1
    lines.append(line_now())
    if form == "jsonl":
        text += json.dumps(dict(zip(["note, id", "ward", "note"], fields)), ensure_ascii=chance.random() < 0.5) + end
    elif form == "tsv":
        text += "\t".join(fields) + end
    else:
        out = io.StringIO()
        csv.writer(out, lineterminator=end, quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerow(fields)
        text += out.getvalue()
if form != "jsonl":
    put(("note, id", "ward", "note"))
for row in rows:
    put(row)
lines = lines[form != "jsonl":]
if chance.random() < 0.3:
    text = text.removesuffix(end)
with open(path, "wb") as f:
    f.write((b"\xef\xbb\xbf" if chance.random() < 0.3 else b"") + text.encode())
kept = [(name, line, t) for (name, _, t), line in zip(rows, lines) if t.strip()]
json.dump({"kept": kept, "empty": len(rows) - len(kept), "blank": blank}, open("wanted.json", "w"))
P
cat >compare.py <<'P'
import json, h5py
wanted = json.load(open("wanted.json"))
with h5py.File("n.input.h5") as f:
    got = [(i.decode(), int(l), t.decode()) for i, l, t in zip(f["ids"][()], f["lines"][()], f["texts"][()])]
    numbers, lengths = list(f["text_numbers"][()]), list(f["lengths"][()])
# what the parties see is no order of the file
assert [(-l, n) for l, n in zip(lengths, numbers)] == sorted((-l, n) for l, n in zip(lengths, numbers)), (lengths, numbers)
assert sorted(numbers) == list(range(len(got))), numbers
got = [got[numbers.index(i)] for i in range(len(got))]
assert got == [tuple(w) for w in wanted["kept"]], (got, wanted)
P
for form in csv tsv jsonl; do
  for _ in 1 2 3 4 5 6; do
    "$python" tables.py $form table
    expect 0 'ids: one for each text' "$TWAIN" encode n --$form table --text-column note --id-column 'note, id' --truncate --force
    "$python" compare.py || { cat table; fail "$form: other texts, ids or lines than Python's"; }
    blank=$(json wanted.json 'j["blank"]') empty=$(json wanted.json 'j["empty"]')
    [ "$blank" = 0 ] || grep -q "^blank lines left out: $blank$" said || { cat said; fail "$blank blank lines"; }
    [ "$empty" = 0 ] || grep -q "^records without text left out: $empty (line" said || { cat said; fail "$empty empty ones"; }
  done
done
"$TWAIN" encode n --csv - --text-column note --force -q < <(printf 'note\nthe cat\n') || fail "standard input"
expect 0 'quotation marks, which were kept as they stand: 1;' "$TWAIN" encode n --tsv <(printf 'text\n"the cat"\n') --force

"$TWAIN" encode n --file <(printf '\xef\xbb\xbfthe cat\n\xef\xbb\xbfdog\n') --force -q
"$python" -c 'import h5py; assert list(h5py.File("n.input.h5")["texts"].asstr()) == ["the cat", "\ufeffdog"]' ||
  fail "a byte order mark stays, or goes where it is none"

# ---- what is wrong is said with file, line and remedy, and without a text or an id
refused() { # CONTENT TEXT OPTION...
  printf "$1" >bad
  expect 4 "^twain: bad: $2" "$TWAIN" encode n "${@:3}" --force
  ! grep -qE 'secret|P1' said || { cat said; fail "a text or an id in a message"; }
}
columns=(--text-column note --id-column id)
refused 'id,text\nP1,secret\n' 'line 1: no column note among 2; this line must hold the columns. names: write it, or name one of them with --text-column' --csv bad "${columns[@]}"
refused 'id;note\nP1;secret\n' 'line 1: no column note among 1; .*separate columns by commas' --csv bad "${columns[@]}"
refused 'P1,secret note\nP2,b\n' 'line 1: no column note among 2' --csv bad "${columns[@]}"
refused 'P1\tsecret note\n' 'line 1: no column note among 2' --tsv bad "${columns[@]}"
refused 'id,note,note\nP1,secret,b\n' 'line 1: columns 2 and 3 are both called note; rename' --csv bad "${columns[@]}"
refused 'id,note\n\nP1,secret\nP2,b\nP1,c\n' 'lines 3 and 5 have the same id in column id; give each' --csv bad "${columns[@]}"
refused 'id,note\n,secret\n' 'line 2: column id is empty; give every text an id' --csv bad "${columns[@]}"
refused 'id,note\nP1,secret, more\n' 'line 2 has 3 fields, the line of column names has 2; put fields that hold commas' --csv bad "${columns[@]}"
refused 'id,note\nP1,"a ""secret\n\n' 'line 2, field 2: its quotation mark is never closed; close it' --csv bad "${columns[@]}"
refused 'id,note\nP1,"a" secret\n' 'line 2, field 2: text behind its closing quotation mark; double' --csv bad "${columns[@]}"
refused 'id,note\nP1,a "secret"\n' 'line 2, field 2: a quotation mark inside a field that does not begin with one' --csv bad "${columns[@]}"
refused 'id,note\rP1,secret\r' 'line 1: a carriage return that no line feed follows; end the lines' --csv bad "${columns[@]}"
refused 'id\tnote\nP1\tsec\rret\n' 'line 2: a carriage return .*CR LF; a field of tab-separated values holds none' --tsv bad "${columns[@]}"
refused 'id,note\nP1,"\nsecret\xff"\n' 'line 3 is not valid UTF-8; convert the file first \(iconv' --csv bad "${columns[@]}"
refused 'id,note\nP1,sec\0ret\n' 'line 2 holds a zero byte' --csv bad "${columns[@]}"
refused 'id,note\nP1, \n\n' 'no text in column note \(1 records without text, 1 blank lines\)' --csv bad "${columns[@]}"
refused 'id,note\n' 'no text in column note \(0 records .*there is no record in it' --csv bad "${columns[@]}"
refused '' 'is empty; a line of column names' --csv bad "${columns[@]}"
refused 'id\tnote\nP1\tsecret\tb\n' 'line 2 has 3 fields, .*holds no tab' --tsv bad "${columns[@]}"
refused '{"id": 1, "note": "a"}\n\n{"id": "P1", "note": "secret}\n' 'line 3: is not valid JSON; one object a line' --jsonl bad "${columns[@]}"
refused '{"id": 1, "note": "a", "note": "secret"}\n' 'line 1: a key stands twice' --jsonl bad "${columns[@]}"
refused '["secret"]\n' 'line 1: is no object' --jsonl bad "${columns[@]}"
refused '{"id": 1, "text": "secret"}\n' 'line 1: the object has no note; name another key with --text-column' --jsonl bad "${columns[@]}"
refused '{"id": 1.5, "note": "secret"}\n' 'line 1: id is neither a string nor a whole number' --jsonl bad "${columns[@]}"
refused '{"id": 7, "note": "secret"}\n{"id": "7", "note": "b"}\n' 'lines 1 and 2 have the same id' --jsonl bad "${columns[@]}"
refused '{"id": 123456789012345678901, "note": "secret"}\n' 'line 1: a number is too large, .*quotation marks' --jsonl bad "${columns[@]}"
expect 2 'either texts or one file' "$TWAIN" encode n --csv bad --jsonl bad --force
expect 2 'either texts or one file' "$TWAIN" encode n --csv bad 'a text' --force
expect 2 'go with --csv, --tsv or --jsonl' "$TWAIN" encode n --file bad --id-column id --force
expect 3 'none: cannot open' "$TWAIN" encode n --csv none --force
expect 8 'text 2 \(line 4\) has 21 tokens' "$TWAIN" encode n --csv <(printf 'text\nthe cat\n\nthe cat sat on the mat and the dog ran and ran and\n') --force

# ---- a whole run: each id beside its own embedding
printf 'id,note\r\n"B, 2",the cat\r\nA1,"the ""dog""\r\nran"\r\n\r\nC,\r\nD,sat on the mat\r\n' >notes.csv
"$TWAIN" encode n --csv notes.csv "${columns[@]}" --force -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 3 -q
"$TWAIN" share n --input -q
for party in 0 1; do
  for word in 'B, 2' notes 'dog'; do ! grep -qaF "$word" n.input.p$party.h5 || fail "a share holds $word"; done
done
"$TWAIN" ledger --new ledger -q
expect_run 0 '' n --ledger ledger -q
expect 0 'written: table.csv, 3 texts' "$TWAIN" reveal n --csv table.csv --npy table.npy
! grep -qE 'dog|A1' said || fail "a text or an id on the screen"
"$python" - <<'P' || fail "the tables differ from the result"
import csv, h5py, numpy as np
rows = list(csv.DictReader(open("table.csv", newline="")))
with h5py.File("n.result.h5") as f:
    back = np.argsort(f["text_numbers"][()])
    values, lengths = f["values"][()][back, 0], f["lengths"][()][back]
    assert list(np.diff(f["lengths"][()]) <= 0) == [True, True] and list(back) != [0, 1, 2], f["lengths"][()]
    assert [i.decode() for i in f["ids"][()][back]] == ["B, 2", "A1", "D"] and list(f["lines"][()][back]) == [2, 3, 7]
assert [(r["id"], r["line"], int(r["tokens"])) for r in rows] == list(zip(["B, 2", "A1", "D"], "237", lengths)), rows
table = np.array([[float(r[f"e{i}"]) for i in range(values.shape[1])] for r in rows])
assert np.abs(table - values).max() < 1e-8 and np.abs(values).max() > 0.1
assert np.array_equal(np.load("table.npy"), values)
P
"$TWAIN" check n --json >check.json
[ "$(json check.json 'min(s["cosine"] for s in j["sequences"]) > 0.99 and not any("text" in s for s in j["sequences"])')" = True ] ||
  fail "$(cat check.json)"
expect 0 'text 2 \(line 3\)' "$TWAIN" check n
! grep -q dog said || fail "a text in what check says"
expect 0 'the "dog"' "$TWAIN" check n --show-texts
expect 3 "exists already" "$TWAIN" reveal n --csv table.csv
"$TWAIN" reveal n --csv table.csv --npy table.npy --force -q || fail "tables are not replaced"
[ ! -e n.result.h5.partial ] || fail "a partial file is left"

# ---- a table replaces a table, and no file of another kind
cp n.result.p0.h5 before
for file in n.input.h5 n.result.p0.h5 n.keys.p1.h5; do
  expect 3 "^twain: $file: is an HDF5 file, and is not replaced by a table" "$TWAIN" reveal n --csv "$file" --force
  expect 3 "^twain: $file: is an HDF5 file, and is not replaced by a table" "$TWAIN" reveal n --npy "$file" --force
done
cmp -s n.result.p0.h5 before || fail "a table cost a party's result"
mkdir a-folder
mkfifo a-pipe
for file in a-folder a-pipe; do
  expect 3 "^twain: $file: is no plain file" "$TWAIN" reveal n --csv $file --force
done
[ -p a-pipe ] || fail "a table in the place of a pipe"
rm n.result.h5
expect 2 "n.result.h5: is the result's own name" "$TWAIN" reveal n --csv ./n.result.h5 --force
expect 2 "n.result.h5: is the result's own name" "$TWAIN" reveal n --npy a-folder/../n.result.h5
[ ! -e n.result.h5 ] || fail "an array in the place of the result"
expect 2 'name one file' "$TWAIN" reveal n --csv one --npy ./one
[ ! -e one ] || fail "two tables of one name"

# ---- a file of columns is not read line by line, whatever its letters
cp notes.csv NOTES.CSV
expect 2 'NOTES.CSV: ends in .csv, .*`encode --csv` takes a column' "$TWAIN" encode n --file NOTES.CSV --force
expect 2 'notes.csv: ends in .csv' "$TWAIN" plan n --calibrate notes.csv --force
expect 4 'NOTES.CSV: line 1: no column text' "$TWAIN" plan n --fit NOTES.CSV --force
expect 0 '' "$TWAIN" plan n --fit NOTES.CSV --text-column note --force

# ---- labels that are called as other columns are
"$python" "$SOURCE_DIR/tests/cli/families.py" bert-classes labels
"$python" - <<'P'
import json
config = json.load(open("labels/config.json"))
config["id2label"] = {"0": "label", "1": "good, or so", "2": "good, or so"}
del config["label2id"]
json.dump(config, open("labels/config.json", "w"))
P
"$TWAIN" import labels -o l -q
"$TWAIN" plan l --seq 16 -q
"$TWAIN" share l -q
"$TWAIN" deal l -n 3 -q
"$TWAIN" encode l --csv notes.csv "${columns[@]}" --share -q
expect_run 0 '' l --ledger ledger -q
expect 0 '' "$TWAIN" reveal l --csv labels.csv
"$python" - <<'P' || { cat labels.csv; fail "columns of labels"; }
import csv, h5py, numpy as np
rows = list(csv.reader(open("labels.csv", newline="")))
names = ["label #0", "good, or so #1", "good, or so #2"]
assert rows[0] == ["id", "line", "tokens", "label"] + names, rows[0]
with h5py.File("l.result.h5") as f:
    logits = f["values"][()][np.argsort(f["text_numbers"][()]), 0]
e = np.exp(logits - logits.max(1, keepdims=True))
assert np.abs(np.array([r[4:] for r in rows[1:]], float) - e / e.sum(1, keepdims=True)).max() < 1e-8
assert [r[3] for r in rows[1:]] == [names[i] for i in logits.argmax(1)], rows
P
rm l.client.h5
expect 3 'l.client.h5: no such file, and --csv of logits' "$TWAIN" reveal l --csv labels.csv --force
