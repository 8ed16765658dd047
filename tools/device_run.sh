#!/usr/bin/env bash
# One model and input through both devices with the same TEST keys: the GPU must open the CPU's bits.
#   tools/device_run.sh TWAIN NAME     NAME.model.h5, NAME.plan.json and NAME.input.h5 are there
set -euo pipefail
twain=$1
name=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source "$(dirname "${BASH_SOURCE[0]}")/parties.bash"
chmod 600 "$name".*.h5
count=$("$twain" share "$name" --force >&2; python3 -c 'import h5py, sys; print(len(h5py.File(sys.argv[1])["lengths"]))' "$name.input.h5")
"$twain" deal "$name" -n "$count" --test-seed 2026 --force
"$twain" share "$name" --input --force
for device in cpu cuda; do
  cp "$name.keys.p0.h5" "$work/keys.p0.h5"
  cp "$name.keys.p1.h5" "$work/keys.p1.h5"
  "$twain" ledger --new "$work/ledger-$device" -q
  mpirun -np 2 "$twain" run "$name" --device "$device" --allow-test-keys --ledger "$work/ledger-$device" --force
  "$twain" reveal "$name" --force
  "$twain" check "$name" --exact --test-seed 2026
  for party in 0 1; do
    cp "$name.result.p$party.h5" "$work/$device.p$party.h5"
    mv "$work/keys.p$party.h5" "$name.keys.p$party.h5"
  done
done
python3 - "$work" <<'PYTHON'
import sys, h5py
for party in (0, 1):
    a, b = (h5py.File(f"{sys.argv[1]}/{device}.p{party}.h5") for device in ("cpu", "cuda"))
    for name in ("masked", "mask"):
        assert (a[name][()] == b[name][()]).all(), f"party {party}: {name} differs"
    assert a.attrs["transcript"] == b.attrs["transcript"], "transcripts differ"
    timed = [int(f.attrs["steps_timed"]) for f in (a, b)]
    assert timed == [1, 0], f"party {party}: a GPU times steps with --verbose alone, a CPU always: {timed}"
print("CPU and GPU opened the same bits")
PYTHON
