#!/usr/bin/env bash
# transformers 4: two of GPT-2's fields about the size of attention scores count under "eager", and not under the default
#
# One would expect: scale_attn_weights and scale_attn_by_inverse_layer_idx in config.json say what the scores are divided by
# (nothing, and the layer's number as well), and a model gives the same numbers however attention is computed.
# What happens: 4.57.6 chooses sdpa by itself, and there both fields do nothing: the output is that of a GPT-2 without
# them, to rounding. With eager they count. 5.24.0 follows them either way. Nothing is said.
# Why it matters: GPT-2 models that were trained with scores divided by the layer's number exist, and the field is there for
# them. The same folder gives two models, by the version or by one argument, and both write fluent text. Whoever checks an
# import against the default of version 4 sees a program that ignores the fields agree. Read them, or refuse them.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v4 transformers==4.57.6 torch==2.15.0 numpy==2.4.6
venv v5 transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
cat >look.py <<'P'
import sys, torch, transformers
from transformers import GPT2Config, GPT2Model
from verdict import end, same
print("transformers", transformers.__version__, "torch", torch.__version__)
follows = {"eager": True, "sdpa": sys.argv[1] == "follows"}
def output(way, **fields):
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=40, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3, **fields)
    with torch.no_grad():
        return GPT2Model._from_config(config, attn_implementation=way).eval()(torch.arange(3, 15)[None]).last_hidden_state
def equal(a, b): return bool((a - b).abs().max() < 1e-4)
same("chosen without a word", GPT2Model(GPT2Config(n_embd=32, n_layer=1, n_head=4)).config._attn_implementation, "sdpa")
same("without the fields, eager and sdpa agree", equal(output("eager"), output("sdpa")), True)
for field in ({"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True}):
    for way, counts in follows.items():
        same(f"{field}, {way}: changes the output", not equal(output(way, **field), output(way)), counts)
end()
P
python v4 ignores <look.py || changed=1
python v5 follows <look.py || changed=1
verdict
