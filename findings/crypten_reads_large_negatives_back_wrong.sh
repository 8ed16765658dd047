#!/usr/bin/env bash
# CrypTen: -1 000 000 comes back as -1 000 015, and 1 000 000 as 1 000 000
#
# One would expect: values are kept as 64-bit integers with 16 bits for the fraction, so what is put in comes back to one part
# in 65536, whichever its sign, up to 10^14 or so.
# What happens (0.4.1): the decoder of negative numbers divides by 65535 in place of 65536. From -65536 on the result is off by
# one for each 65536: -65536 comes back as -65537, -100 000 as -100 001. Positive ones are right,
# small negative ones too. The shares are right: the sum of 10^6 and the wrong one, before it is read, is 0.
# Why it matters: a sum of squares that was subtracted, a count, a year's sum of money is off by 15 parts in a million, on one
# side of zero only. Beside another library's result this looks like a truncation error that is not there. Add a constant
# before reading, or decode the integers oneself.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v torch==2.15.0 numpy==2.4.6 omegaconf==2.3.0 alone crypten==0.4.1
python v <<'P'
import importlib.metadata, sys, types
from verdict import end, same
# CrypTen's reader of ONNX files, which is not used here, does not load with this PyTorch.
sys.modules["crypten.nn.onnx_converter"] = types.SimpleNamespace(
    from_onnx=None, from_pytorch=None, from_tensorflow=None, TF_AND_TF2ONNX=False)
import crypten, torch
print("crypten", importlib.metadata.version("crypten"), "torch", torch.__version__)
crypten.init()
def shared(values): return crypten.cryptensor(torch.tensor(values, dtype=torch.float64))
def back(x): return [float(v) for v in x.get_plain_text()]
same("small ones", back(shared([-1.5, -1000.25, -30000.0])), [-1.5, -1000.25, -30000.0])
for value, wrong in [(65536, -65537), (100000, -100001), (1000000, -1000015)]:
    same(f"{value} comes back", back(shared([value])), [float(value)])
    same(f"{-value} comes back", back(shared([-value])), [float(wrong)])
same("-1000000 + 1000000", back(shared([-1e6]) + shared([1e6])), [0.0])
same("-1000000 + 2000000", back(shared([-1e6]) + shared([2e6])), [1e6])
same("-1000 * 1000", back(shared([-1000.0]) * shared([1000.0])), [-1000015.0])
end()
P
