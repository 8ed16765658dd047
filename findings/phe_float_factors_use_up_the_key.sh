#!/usr/bin/env bash
# phe (Paillier): after some 18 factors of 2.0 an encrypted 1.0 is -2.7e-06 or any other number; factors of 2 do no harm
#
# One would expect: an encrypted number keeps what a float holds, as its exponent is kept in the clear, and only numbers that
# are too large end in the OverflowError that the library has.
# What happens (1.5): each float factor takes 53 bits of the key's modulus, whatever it is, also 2.0 and 0.5, and nothing
# gives them back. A key of 1024 bits has room for 18 of them, the default of 3072 bits for 55 to 59. From then on what is
# decrypted is any number: too small by a few powers of ten, or of the wrong sign; for 1.0 times 1.1 thirty times once
# 6e-179 below 0. The error comes in about one case of three, as it looks only whether the wrapped number lies in the middle
# third of the modulus. Whole factors of any number are right.
# Why it matters: "x *= 0.9" in a loop on encrypted sums is how weights are trained and averaged over hospitals with this
# library. The size of the values says nothing about when it breaks.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v phe==1.5.0
python v <<'P'
import phe
from phe import paillier
from verdict import end, same, within
print("phe", phe.__version__)
BITS, FACTORS = 1024, 60
public, private = paillier.generate_paillier_keypair(n_length=BITS)
def walk(factor):
    """Of each product: right, wrong, or an error."""
    product, want, seen = public.encrypt(1.0), 1.0, []
    for _ in range(FACTORS):
        product, want = product * factor, want * factor
        try:
            seen.append("right" if abs(private.decrypt(product) - want) <= 1e-9 * want else "wrong")
        except OverflowError:
            seen.append("error")
    return seen
for factor in (2.0, 0.5, 1.1, 1.5):
    seen = walk(factor)
    same(f"times {factor}: the first 16", set(seen[:16]), {"right"})
    same(f"times {factor}: right from the 20th on", seen[20:].count("right"), 0)
    within(f"times {factor}: wrong without a word, of 40", seen[20:].count("wrong"), 12, 38)
    within(f"times {factor}: errors, of 40", seen[20:].count("error"), 2, 28)
same("times 2, a whole number", set(walk(2)), {"right"})
end()
P
