#!/usr/bin/env bash
# CrypTen: softmax of 256 or more nearly equal scores gives weights in the billions
#
# One would expect: softmax takes a row of any length. The largest score is subtracted first, so that nothing overflows, and
# 512 tokens are what BERT was made for.
# What happens (0.4.1, defaults): the sum of a row of n equal scores is n, and its reciprocal is found by Newton's method. The
# start of that is made of e^(1 - 2n), which CrypTen computes as a power of 1 + (1 - 2n) / 256: tiny to n = 250, and large
# again from 256 on. The weights then are millions and billions, of either sign. Only the sum counts: 512 scores with a
# spread of 1 are right to 0.002, the same 512 with a tenth of that spread are lost. More steps (reciprocal_nr_iters) help
# nothing. Nothing is said.
# Why it matters: heads that look at all tokens evenly are common, and random weights of a benchmark make every head one. A
# BERT is right with 128 tokens and not with 512, in the time and with the traffic of a right run.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v torch==2.15.0 numpy==2.4.6 omegaconf==2.3.0 alone crypten==0.4.1
python v <<'P'
import importlib.metadata, sys, types
from verdict import end, same, within
# CrypTen's reader of ONNX files, which is not used here, does not load with this PyTorch.
sys.modules["crypten.nn.onnx_converter"] = types.SimpleNamespace(
    from_onnx=None, from_pytorch=None, from_tensorflow=None, TF_AND_TF2ONNX=False)
import crypten, torch
print("crypten", importlib.metadata.version("crypten"), "torch", torch.__version__)
crypten.init()
def largest_error(scores, **options):
    with crypten.cfg.temp_override(options):
        weights = crypten.cryptensor(scores).softmax(0).get_plain_text()
    return float((weights - scores.softmax(0)).abs().max())
for n in (64, 128, 250): within(f"{n} equal scores, largest error of a weight", largest_error(torch.zeros(n)), 0, 0.005)
for n in (256, 300, 512):
    within(f"{n} equal scores", largest_error(torch.zeros(n)), 1e5, 1e15)
    within("  with 20 steps", largest_error(torch.zeros(n), **{"functions.reciprocal_nr_iters": 20}), 1e5, 1e15)
scores = torch.randn(512, generator=torch.Generator().manual_seed(0))
within("512 scores with a spread of 1", largest_error(scores), 0, 0.002)
within("  of 0.1", largest_error(scores / 10), 1e5, 1e15)
exponential = crypten.cryptensor(torch.tensor([-300.0, -499.0, -511.0, -599.0])).exp().get_plain_text()
same("e^-300, e^-499", exponential[:2].tolist(), [0.0, 0.0])
within("e^-511", float(exponential[2]), 0.3, 0.4)
within("e^-599, its size", abs(float(exponential[3])), 1e3, 1e15)
end()
P
