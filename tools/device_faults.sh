#!/usr/bin/env bash
# GPU runs that are recorded, and that lose a rank half-way: the other must say so and end, and leave no result.
#   tools/device_faults.sh TWAIN     both ranks may share one GPU
set -euo pipefail
twain=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
umask 077
cd "$work"
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

"$twain" import --synthetic 8x128x2x512 -o n -q
"$twain" plan n --seq 128 -q
"$twain" share n -q
"$twain" deal n -n 8 -q
"$twain" encode n 'some words' 'and more' -q
"$twain" share n --input -q

# The trace has every layer's work and openings, the opened output is the emulator's (exit code of check).
mpirun -np 2 "$twain" run n --device cuda --ledger ledger --trace --json >run.json
"$twain" reveal n >/dev/null
"$twain" check n >/dev/null
"$twain" report n --trace out -q
python3 - <<'PYTHON'
import json
spans = [e for e in json.load(open('out.json'))['traceEvents'] if e['ph'] == 'X']
end = max(s['ts'] + s['dur'] for s in spans)
for rank in (0, 1):
    mine = [s for s in spans if s['pid'] == rank]
    layers = {s['args']['layer'] for s in mine if s['cat'] == 'compute'}
    opens = sum(s['dur'] for s in mine if s['cat'] == 'open')
    assert layers >= set(range(8)), layers
    assert 0 < opens < end, (opens, end)
print(f"recorded: {len(spans)} spans of {1e-3 * end:.1f} ms; online {1e3 * json.load(open('run.json'))['online_seconds']:.1f} ms")
PYTHON
[ -s out.svg ] || fail "no picture"
rm n.result.*.h5

rank_one() { # the process of rank 1 below launcher $1
  for pid in $(cat "/proc/$1/task/$1/children"); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx OMPI_COMM_WORLD_RANK=1; then echo "$pid"; fi
  done
}

lose() { # SIGNAL SLOT
  local status=0 launcher start=$SECONDS
  mpirun -np 2 "$twain" run n --device cuda --ledger ledger --timeout 3 >said 2>&1 &
  launcher=$!
  until [ -n "$(find ledger/p1 -type f -name "$2" 2>/dev/null)" ]; do
    kill -0 "$launcher" 2>/dev/null || { cat said >&2; fail "the run ended before it marked its slot"; }
    sleep 0.01
  done
  kill -s "$1" "$(rank_one "$launcher")"
  wait "$launcher" || status=$?
  [ "$status" != 0 ] || fail "the run succeeded although rank 1 got $1"
  [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result of an interrupted run"
  echo "rank 1 got $1: exit code $status after $((SECONDS - start)) s; $(grep twain said | grep -vm1 WARNING || true)"
}
lose STOP 2
lose KILL 4
