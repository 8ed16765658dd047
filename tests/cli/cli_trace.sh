# A recorded run: its trace as JSON and as a picture, counters of both parties, placement.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 3x64x2x128 -o n -q
"$TWAIN" share n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" deal n -n 8 -q
"$TWAIN" encode n 'one' 'two of them' 'three' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
expect_run 2 "unknown --affinity 'tight'; use auto or none" n --ledger ledger --affinity tight
two_ranks n --ledger ledger --trace --split-batch always --prepare during --json >run.json 2>said || { cat said >&2; fail "run"; }

cat >check.py <<'PY'
import json, re, sys
import xml.etree.ElementTree as xml
from collections import defaultdict

(run,), trace = (json.load(open(f)) for f in ('run.json', 'out.json'))
online = 1e-9 * run['online_ns'][0]
events = trace['traceEvents']
spans = [e for e in events if e['ph'] == 'X']
names = {(e['pid'], e['tid']): e['args']['name'] for e in events if e['name'] == 'thread_name'}
assert {e['pid'] for e in events if e['name'] == 'process_name'} == {0, 1}
rows = defaultdict(list)
for s in spans:
    assert s['ts'] >= 0 and s['dur'] >= 0 and s['name'], s
    rows[s['pid'], s['tid']].append(s)
assert set(rows) == set(names), (set(rows), names)
for row, list_of in rows.items():
    list_of.sort(key=lambda s: (s['ts'], s['ts'] + s['dur']))
    for a, b in zip(list_of, list_of[1:]):
        assert a['ts'] + a['dur'] <= b['ts'] + 0.002, (names[row], a, b)
# one thread computes: its halves take turns
for party in (0, 1):
    mine = sorted((s for s in spans if s['pid'] == party and s['cat'] == 'compute'), key=lambda s: s['ts'])
    assert all(a['ts'] + a['dur'] <= b['ts'] + 0.002 for a, b in zip(mine, mine[1:]))
    assert {s['args']['layer'] for s in mine} == {-1, 0, 1, 2}
    assert {s['args']['half'] for s in mine} == {0, 1}
    opens = [s for s in spans if s['pid'] == party and s['cat'] == 'open']
    assert {s['args']['half'] for s in opens} == {0, 1}
    prepared = [s for s in spans if s['pid'] == party and s['cat'] == 'prepare']
    assert {s['args']['layer'] for s in prepared} >= {0, 1, 2} and all('half' not in s['args'] for s in prepared)
    # every round of the plan is waited for by each half
    assert len(opens) == 2 * int(sys.argv[1]), (len(opens), sys.argv[1])
    # a gate's opening follows its computation: none is under way before anything was computed
    assert min(s['ts'] for s in opens) >= mine[0]['ts']
# the trace's time is the run's: whatever is computed or under way is less than the online phase
end = max(s['ts'] + s['dur'] for s in spans if s['pid'] == 0) * 1e-6
assert 0.5 * online < end <= online, (end, online)
busy = sum(s['dur'] for s in spans if s['pid'] == 0 and s['cat'] == 'compute') * 1e-6
gates = 1e-9 * sum(run['step_ns'])
assert 0.95 * gates < busy < online, (busy, gates)  # sending by budget counts as work

# a half's rounds are the plan's; each half's openings leave at once
assert run['rounds'] == int(sys.argv[1]) and run['open_flushes_demand'] == 0 and run['open_flushes_budget'] == 2 * run['rounds'], run
assert run['sent_wire_bytes'] > run['sent_bytes'] > 0
assert run['key_read_bytes'] == run['key_bytes']
assert run['flushes_overlapped'] > 0 and run['open_comm_ns'] > 0 and run['gate_ns'] > 0
assert run['trace_spans'] == sum(1 for s in spans if s['pid'] == 0)
assert run['placement'].startswith('cores ') and run['transport_why']

picture = open('out.svg', 'rb').read()
assert len(picture) < 2_000_000
root = xml.fromstring(picture)
svg = '{http://www.w3.org/2000/svg}'
assert root.tag == svg + 'svg' and root.get('width') == '1200'
titles = [t.text for t in root.iter(svg + 'title')]
assert any('open for layer 1 ' in t for t in titles) and any(t.startswith('layer 2 ') for t in titles)
texts = [t.text for t in root.iter(svg + 'text')]
for text in ('softmax', 'keys', 'layer 1, enlarged', 'layer 0', 'layer 2', 'openings, 1st half'):
    assert text in texts, text
# how much of the openings something else was going on, counted anew
sums = [re.search(r'(\d+) % of it hidden behind work', t) for t in texts]
for party, said in zip((0, 1), (int(m.group(1)) for m in sums if m)):
    edges = sorted((t, step, s['cat'] == 'open') for s in spans if s['pid'] == party and s['cat'] != 'keys'
                   for t, step in ((s['ts'], 1), (s['ts'] + s['dur'], -1)))
    working = opening = hidden = whole = last = 0
    for at, step, is_open in edges:
        whole += (at - last) * (opening > 0)
        hidden += (at - last) * (opening > 0 and working > 0)
        opening, working, last = opening + step * is_open, working + step * (not is_open), at
    assert 0 < whole and abs(100 * hidden / whole - said) <= 1, (party, hidden, whole, said)
assert sum(m is not None for m in sums) == 2, texts
for rect in root.iter(svg + 'rect'):
    if rect.get('x') is None:
        continue
    assert 0 <= float(rect.get('x')) and float(rect.get('x')) + float(rect.get('width')) <= 1200, rect.attrib
PY

"$TWAIN" report n --timeline out >said
grep -q '^written: out.svg, out.json$' said || fail "report names no files"
rounds=$("$TWAIN" plan n --seq 16 --json --force | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["rounds"])')
python3 check.py "$rounds"
expect 3 'out.json.*exists already' "$TWAIN" report n --timeline out
"$TWAIN" report n --timeline out --force -q
cp n.plan.json plan.kept
expect 2 'n.plan.json: is no timeline' "$TWAIN" report n --timeline n.plan --force
cmp n.plan.json plan.kept || fail "a plan was replaced by a timeline"
expect 2 'NAME' "$TWAIN" report n --timeline ''
expect 2 'leave out --json' "$TWAIN" report n --timeline other --json
[ ! -e other.svg ] || fail "a refused report left a picture"

# counters of both parties side by side, and the place of each
"$TWAIN" report n >said
grep -qE '^openings and keys +party 0 +party 1$' said || fail "no counters of both parties"
grep -qE '^party 0: cores [0-9,-]+ of [0-9]+, memory node' said || fail "party 0's placement"
grep -qE '^party 1: cores [0-9,-]+ of [0-9]+, memory node' said || fail "party 1's placement"
if [ "$(nproc)" -gt 1 ]; then # parties of one host are kept apart
  [ "$(grep -oE '^party [01]: cores [0-9,-]+' said | cut -d' ' -f4 | sort -u | wc -l)" = 2 ] || fail "parties on the same cores"
fi

"$TWAIN" report n --json >report.json
[ "$(json report.json '([r["party"] for r in j] == [0, 1] and
  j[1]["sent_bytes"] == j[0]["sent_bytes"] > 0)')" = True ] || fail "no counters of the other party"

# one party's file alone is enough
mkdir alone
cp n.result.p1.h5 alone
(cd alone && "$TWAIN" report n --timeline one -q && python3 -c '
import json
assert {e["pid"] for e in json.load(open("one.json"))["traceEvents"]} == {1}')

# a run that recorded nothing, and was not bound; one half only
two_ranks n --ledger ledger --force --affinity none -q 2>said || { cat said >&2; fail "run without trace"; }
expect 2 'recorded no trace; run again with' "$TWAIN" report n --timeline none
expect 0 'not bound' "$TWAIN" report n

# steps that were not timed, as on a GPU without --verbose, have no times in any form; zeros are none
! "$TWAIN" report n | grep -q 'not timed' || fail "a CPU does not time steps"
"$TWAIN" report n --json >timed.json
"$python" -c '
import h5py
for p in (0, 1):
    with h5py.File(f"n.result.p{p}.h5", "r+") as f: f.attrs.modify("steps_timed", 0)'
for verbose in '' --verbose; do
  expect 0 'steps were not timed; on a GPU `twain run --verbose` times them' "$TWAIN" report n $verbose
  ! grep -q compute$ said || fail "times of steps that were not timed"
done
expect 0 '^gates waited for keys +not measured' "$TWAIN" report n
"$TWAIN" report n --json >untimed.json
"$TWAIN" report n --csv >untimed.csv
"$python" - <<'PY' || fail "records of steps that were not timed"
import csv, json
timed, untimed = json.load(open("timed.json")), json.load(open("untimed.json"))
rows = list(csv.DictReader(open("untimed.csv")))
assert len(timed) == len(untimed) == len(rows) == 2
for t, u, row in zip(timed, untimed, rows):
    assert any(t["step_ns"]) and t["key_wait_ns"] is not None
    changed = {k for k in t if t[k] != u[k]} - {"date", "command_line"}
    assert changed == {"step_ns", "key_wait_ns"} and all(u[k] is None and row[k] == "" for k in changed), changed
PY
no_leftovers
