#!/usr/bin/env bash
# SPU: the square root is 0 from 2^(fraction bits - 1) on, so fewer fraction bits, which make room for large numbers, make
# the largest root smaller
#
# One would expect: a ring of 64 bits with 18 of them for the fraction takes values up to 2^44, and sqrt and rsqrt work for
# most of them; who needs larger numbers gives the fraction fewer bits.
# What happens (0.9.5, FM64): sqrt and rsqrt are right to 1 in 1000 up to 2^16 and exactly 0 from 2^17 = 131072 on, with the
# default of 18 bits. With 8 bits they are 0 from 128 on, with 24 from 2^23 on. Nothing is said. The values themselves, and
# their products, are fine: the number of bits above the point plays no part in it. In the ring of 128 bits, whose default
# is 40, the same roots are right.
# Why it matters: LayerNorm and RMSNorm take the root of a mean square. One activation of 11000 in a row of 64, smaller than
# what SmolLM2 has (smollm2_large_activations_on_any_first_token), makes the whole row 0, and the model goes on. A
# comparison of accuracy with SPU has to state the fraction bits, and the largest variance of the model.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v spu==0.9.5 jax==0.4.34 jaxlib==0.4.34 numpy==1.26.4
python v <<'P'
import jax, jax.numpy as jnp, numpy as np
from spu_shares import FM128, on_shares
from verdict import end, same, within
powers = np.exp2(np.arange(4, 24)).astype(np.float32)
for bits, first in [(0, 2**17), (8, 2**7), (24, 2**23)]: # 0: the default
    for function in (jnp.sqrt, jax.lax.rsqrt):
        found, wanted = on_shares(function, powers, fxp_fraction_bits=bits), np.asarray(function(powers))
        zero = np.abs(found) <= 4.5 * 2.0 ** -(bits or 18) # with 8 bits one in a hundred is a unit or two off
        name = f"{bits or 'default'} fraction bits, {function.__name__}"
        same(f"{name}: 0 from", int(powers[zero][0]), first)
        same("  and all after it", bool(zero[powers >= first].all()), True)
        if bits == 0: within("  largest relative error below", np.abs(found / wanted - 1)[powers < first].max(), 0, 2e-3)
same("8 bits: 100000 comes back", float(on_shares(lambda x: x + 0, np.float32([1e5]), fxp_fraction_bits=8)[0]), 1e5)
same("8 bits: 1000 times 1000", float(on_shares(lambda x: x * x, np.float32([1e3]), fxp_fraction_bits=8)[0]), 1e6)
same("128 bits: root of 2^20", round(float(on_shares(jnp.sqrt, np.float32([2**20]), field=FM128)[0]), 1), 1024.0)
row = np.linspace(-1, 1, 64).astype(np.float32)
row[7] = 11000
def norm(x):
    x = x - x.mean()
    return x * jax.lax.rsqrt((x * x).mean() + 1e-5)
same("LayerNorm of a row with one 11000: largest result", float(np.abs(on_shares(norm, row)).max()), 0.0)
within("  in plain JAX", float(np.abs(norm(row)).max()), 7.9, 8)
end()
P
