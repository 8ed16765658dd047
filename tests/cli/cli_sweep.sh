# A sweep: a checked row for every combination, a reason in the row of a point that is refused or does not fit memory, and
# the rows that were there when it is interrupted.
source "$SOURCE_DIR/tests/cli/cli.bash"
sweep() { timeout 100 mpirun -np 2 "$TWAIN" bench sweep --device cpu --layers 1 --repeat 2 "$@"; }
export -f sweep

sweep --shape bert-tiny,1x24x5x40 --seq 8,16 --batch 1,2 --link-latency none,1ms >sweep.csv 2>said || { cat said >&2; fail "sweep"; }
python3 "$SOURCE_DIR/tests/cli/records.py" "$SOURCE_DIR/docs/records.md" 'bench sweep' - sweep.csv || fail "records of a sweep"
cat >check.py <<'PY'
import csv
import itertools
import sys

rows = list(csv.DictReader(open(sys.argv[1])))
wanted = itertools.product(["bert-tiny", "1x24x5x40"], ["", "1000000"], ["1", "2"], ["8", "16"])
found = [(r["model"], r["link_latency_ns"], r["batch"], r["tokens"]) for r in rows]
assert found == list(wanted), found
for r in rows:
    if r["model"] == "bert-tiny":
        assert r["verified"] == "true" and r["skipped"] == "" and len(r["online_ns"].split(";")) == 2, r
        assert (r["transport"] == "mpi") == (r["link_latency_ns"] == ""), r["transport"]
    else:
        assert "heads do not divide" in r["skipped"] and r["verified"] == "" and r["online_ns"] == "", r
# the same work, whatever the link
assert len({(r["rounds"], r["key_bytes"], r["sent_bytes"]) for r in rows[:8] if (r["batch"], r["tokens"]) == ("2", "8")}) == 1
PY
python3 check.py sweep.csv || fail "$(cat sweep.csv)"
[ "$(grep -c 'skipped: 1x24x5x40, .* tokens, batch .*, link .*: .*heads do not divide' said)" = 8 ] || { cat said >&2; fail "skipped points are not told"; }

expect 10 'skipped: bert-large, 512 tokens, batch 1024, .*: needs about [0-9.]* GB of memory a party, and [0-9.]* GB are left' \
  bash -c 'sweep --shape bert-large --seq 512 --batch 1024'
grep -q 'none of 1 points could be measured' said || fail "a sweep without a point"
expect 2 "seq 'x': a whole number from 1 to 2048" bash -c 'sweep --seq 8,x'
expect 2 'seq: a list of 1 to 64 values with commas' bash -c 'sweep --seq 8,,16'
expect 2 "unknown shape 'bert-tinny'" bash -c 'sweep --shape bert-tiny,bert-tinny --seq 8'
expect 2 "unknown shape '1x24x3'" bash -c 'sweep --shape 1x24x3,bert-tiny --seq 8'
expect 2 "unknown --keys 'disk'" bash -c 'sweep --shape bert-tiny --seq 8 --keys disk'
expect 2 "link-rate: '10' has no unit" bash -c 'sweep --link-rate none,10'

# interrupted in a point that would take minutes
mpirun -np 2 "$TWAIN" bench sweep --device cpu --layers 1 --repeat 1 --shape bert-tiny --seq 8 --link-latency none,9s >cut.csv 2>said &
launcher=$!
for _ in $(seq 600); do [ "$(wc -l <cut.csv)" = 2 ] && break; sleep 0.1; done
kill "$launcher"
wait "$launcher" || true
[ "$(wc -l <cut.csv)" = 2 ] || { cat said >&2; fail "no row of the point that was done"; }
python3 "$SOURCE_DIR/tests/cli/records.py" "$SOURCE_DIR/docs/records.md" 'bench sweep' - cut.csv || fail "rows of a sweep that was interrupted"
