#!/usr/bin/env bash
# GPU runs that are recorded, and that lose a party half-way: the other must say so and end, and leave no result.
#   tools/device_faults.sh TWAIN     both parties may share one GPU
TWAIN=$(realpath "$1")
SOURCE_DIR=$(cd "$(dirname "$0")/.." && pwd)
source "$SOURCE_DIR/tests/cli/cli.bash"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source "$SOURCE_DIR/tools/parties.bash"
cd "$work"

"$TWAIN" import --shape 8x128x2x512 -o n -q
"$TWAIN" plan n --seq 128 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 8 -q
"$TWAIN" encode n 'some words' 'and more' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q

# The trace has every layer's work and openings, the opened output is the emulator's (exit code of check).
mpirun -np 2 "$TWAIN" run n --device cuda --ledger ledger --trace --json >run.json
"$TWAIN" reveal n >/dev/null
"$TWAIN" check n >/dev/null
"$TWAIN" report n --timeline out -q
python3 - <<'PYTHON'
import json
spans = [e for e in json.load(open('out.json'))['traceEvents'] if e['ph'] == 'X']
end = max(s['ts'] + s['dur'] for s in spans)
for party in (0, 1):
    mine = [s for s in spans if s['pid'] == party]
    layers = {s['args']['layer'] for s in mine if s['cat'] == 'compute'}
    opens = sum(s['dur'] for s in mine if s['cat'] == 'open')
    assert layers >= set(range(8)), layers
    assert 0 < opens < end, (opens, end)
print(f"recorded: {len(spans)} spans of {1e-3 * end:.1f} ms; online {1e-6 * json.load(open('run.json'))[0]['online_ns'][0]:.1f} ms")
PYTHON
[ -s out.svg ] || fail "no picture"
rm n.result.*.h5

lose() { # SIGNAL SLOT OPTION..
  status=$(lose_party_one "$@" --device cuda --silence-limit 3)
  echo "party 1 got $*: exit code $status; $(grep twain said | grep -vm1 WARNING || true)"
}
lose STOP 2
lose KILL 4
lose STOP 6 --transport host-window
