#!/usr/bin/env bash
# transformers 5: a boolean mask of queries by keys hides tokens under "sdpa", and hides nothing under "eager"
#
# One would expect: attn_implementation chooses how attention is computed, and not what. A mask of four dimensions, True where
# a query may see a key, which sdpa takes, means the same to eager, or is refused.
# What happens (5.24.0): eager adds the mask to the scores, so that True is +1 and False 0. What was to be hidden is seen, a
# little weaker: with a triangle, the first token of LLaMA, Qwen2 and GPT-2 sees the last one, and in BERT and DistilBERT
# a mask of one's own has this effect too. GPT-Neo, which is always eager, keeps a triangle of its own. A mask of 0 and
# the smallest float, and the usual one of two dimensions, are the same to both. Nothing is said.
# Why it matters: eager is what one takes to look at attention weights, and to compare a fixed-point attention with, step by
# step. The reference then looks into the future, and the private run that does not is taken for wrong.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
python v <<'P'
import torch, transformers
from transformers import (BertConfig, BertModel, DistilBertConfig, DistilBertModel, GPT2Config, GPT2Model, GPTNeoConfig,
                          GPTNeoModel, LlamaConfig, LlamaModel, Qwen2Config, Qwen2Model)
from verdict import end, same
print("transformers", transformers.__version__, "torch", torch.__version__)
size = dict(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, initializer_range=0.5)
families = {BertModel: BertConfig(**size), LlamaModel: LlamaConfig(**size),
            Qwen2Model: Qwen2Config(**size, num_key_value_heads=4),
            DistilBertModel: DistilBertConfig(vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64, initializer_range=0.5),
            GPT2Model: GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=4, initializer_range=0.5),
            GPTNeoModel: GPTNeoConfig(vocab_size=100, hidden_size=32, num_layers=2, num_heads=4, initializer_range=0.5,
                                      attention_types=[[["global", "local"], 1]])}
ids = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])
other = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 50]])
seen = torch.ones(1, 1, 8, 8, dtype=torch.bool).tril()
added = torch.zeros(1, 1, 8, 8).masked_fill(~seen, torch.finfo(torch.float32).min)
def sees_the_last(model, mask):
    with torch.no_grad():
        first = [model(i, attention_mask=mask).last_hidden_state[0, 0] for i in (ids, other)]
    return bool((first[0] - first[1]).abs().max() > 1e-3)
for kind, config in families.items():
    for way in ("sdpa", "eager"):
        if kind is GPTNeoModel and way == "sdpa": continue # not there
        torch.manual_seed(0)
        model = kind._from_config(config, attn_implementation=way).eval()
        name = f"{kind.__name__}, {way}: the first token sees the last"
        same(f"{name}, numbers", sees_the_last(model, added), False)
        same(f"{name}, boolean", sees_the_last(model, seen), way == "eager" and kind is not GPTNeoModel)
end()
P
