#!/usr/bin/env bash
# safetensors 0.8: the numpy functions write a transposed array in the order of its memory, so it comes back reordered
#
# One would expect: save_file of a transposed weight (W.T, or an array that a library returns in Fortran order) writes
# its values, or refuses it, as the PyTorch functions of the same package do.
# What happens (0.8.0): shape and type are right, the numbers are all there, in wrong places. Strided parts such as
# W[:, ::2] get numbers that are not theirs. No error, no warning. 0.7.0 wrote them right. It is known upstream (issue
# 825 of safetensors) and in no release yet.
# Why it matters: linear layers are stored as outputs x inputs, so a script that makes a model folder from another
# format transposes, and then saves. The folder passes every check of names, shapes and types, and the model answers
# nonsense. Save np.ascontiguousarray(W.T), and compare a checksum of values, not shapes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old safetensors==0.7.0 numpy==2.4.6
venv v safetensors==0.8.0 numpy==2.4.6
cat >save.py <<'P'
import numpy as np, safetensors
from safetensors.numpy import load_file, save_file
w = np.arange(12, dtype="f4").reshape(3, 4)


def comes_back(x):
    save_file({"w": x}, "w.safetensors")
    y = load_file("w.safetensors")["w"]
    if y.shape != x.shape or y.dtype != x.dtype:
        return "other shape or type"
    return "right" if np.array_equal(x, y) else "reordered" if set(x.flat) == set(y.flat) else "other numbers"


print(safetensors.__version__, comes_back(w), comes_back(w.T), comes_back(np.asfortranarray(w)), comes_back(w[:, ::2]),
      comes_back(np.ascontiguousarray(w.T)), sep=" | ")
P
echo "version | W | W.T | W in Fortran order | every second column | W.T made contiguous"
same "numpy functions" "$(python old <save.py)" "0.7.0 | right | right | right | right | right"
same "numpy functions" "$(python v <save.py)" "0.8.0 | right | reordered | reordered | other numbers | right"
verdict
