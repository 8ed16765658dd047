#!/usr/bin/env bash
# SPU: softmax of a masked row is zero everywhere; with the smallest float for a mask, the masked position counts as if its
# score were 0
#
# One would expect: a mask of -1e4, -1e9 or the smallest float gives its positions the weight 0 and leaves the others alone.
# Every transformer is written so, and a softmax on secret shares is made for transformers.
# What happens (0.9.5, defaults; SEMI2K with two parties shown, Cheetah and ABY3 alike): e^x is (1 + x/256)^256 at every x,
# which is enormous below -512. From there on the row's sum is wrong and all its weights come out as 0. The smallest float
# and -inf do not fit into the shares; the masked position then has the weight of e^0. JAX's own attention with
# is_causal=True returns zeros for all tokens but the last. Only masks between about -14 and -511 work. More bits in the ring change nothing. With
# fxp_exp_mode = EXP_PADE all of these are right, to one in a hundred.
# Why it matters: a BERT ported to SPU for a comparison runs at full speed and its attention adds nothing, or sees the padding.
# Its time and traffic look right, and the residual path keeps its output from looking absurd. Compare a padded batch with
# plain JAX before any number is quoted.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v spu==0.9.5 jax==0.4.34 jaxlib==0.4.34 numpy==1.26.4
python v <<'P'
import jax, jax.numpy as jnp, numpy as np
from spu_shares import FM128, PADE, on_shares
from verdict import end, same, within
scores, kept = np.array([0, 1, 2, 9], np.float32), np.array([True, True, True, False])
def masked(with_what, **options):
    with_what = np.float32(with_what)
    result = on_shares(lambda s, k: jax.nn.softmax(jnp.where(k, s, with_what)), scores, kept, **options)
    return [round(float(x), 1) for x in result]
smallest = np.finfo(np.float32).min
right, zeros = [0.1, 0.2, 0.7, 0.0], [0.0] * 4
same("in plain JAX, mask -1e9", [round(float(x), 1) for x in jax.nn.softmax(jnp.where(kept, scores, -1e9))], right)
same("mask -100", masked(-100), right)
for value in (-600, -1e4, -1e9): same(f"mask {value:g}", masked(value), zeros)
same("mask -1e9, 128 bits", masked(-1e9, field=FM128), zeros)
as_if_0 = [0.1, 0.2, 0.6, 0.1]
same("mask smallest float", masked(smallest), as_if_0)
same("  softmax of the scores 0, 1, 2, 0", [round(float(x), 1) for x in jax.nn.softmax(np.float32([0, 1, 2, 0]))], as_if_0)
for value in (-600, -1e9, smallest): same(f"mask {value:g}, EXP_PADE", masked(value, fxp_exp_mode=PADE), right)
q = np.random.default_rng(0).normal(size=(1, 4, 1, 8)).astype(np.float32)
def attention(q): return jax.nn.dot_product_attention(q, q, q, is_causal=True)
def largest(result): return [round(float(x), 1) for x in np.abs(result).max(axis=(0, 2, 3))]
same("JAX's causal attention over 4 tokens, largest result of each", largest(on_shares(attention, q))[:3], [0.0] * 3)
same("  in plain JAX", largest(attention(q))[:3], [1.3, 2.3, 0.9])
within("  EXP_PADE, largest error", float(np.abs(on_shares(attention, q, fxp_exp_mode=PADE) - attention(q)).max()), 0, 0.02)
end()
P
