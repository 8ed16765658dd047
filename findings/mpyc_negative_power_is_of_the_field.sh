#!/usr/bin/env bash
# MPyC: 2.0 ** -1 of a fixed-point number is -9.2e18; 1 / 2.0 is 0.5
#
# One would expect: SecFxp has division and whole powers, so a negative power is 1 divided by the positive one; or it is
# refused, as powers with a fraction are.
# What happens (0.11): x ** -1 is the inverse in the finite field that holds the number, read as a fixed-point number:
# 3.0 ** -1 is 6.1e18, 0.5 ** -1 is 0.00003. x ** -2 is as far off, 7e13 for 2.0. The same holds for
# arrays and mpc.pow; SecInt gives the field's inverse too, where 4 ** -1 * 4 is 1 again. Nothing is said. 1 / x and
# 1 / x ** 2 are right to 1 in 10 000.
# Why it matters: "x ** -1" and "var ** -0.5" are how NumPy code writes a softmax and a normalisation. Ported, the second
# stops with an error, and the first runs, and gives numbers that the type could not hold, which the next comparison
# takes for anything.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v mpyc==0.11 numpy==2.4.6
python v <<'P'
import mpyc, numpy as np
from mpyc.runtime import mpc
from verdict import end, error_of, same, within
print("mpyc", mpyc.__version__)
number, whole = mpc.SecFxp(), mpc.SecInt()
async def main():
    async def of(x): return await mpc.output(x)
    for x in (2.0, 3.0, 0.5, -2.0):
        within(f"1 / {x}", float(await of(1 / number(x))) * x, 0.9999, 1.0001)
        within(f"1 / {x} ** 2", float(await of(1 / number(x) ** 2)) * x * x, 0.999, 1.001)
    same("2.0 ** -1", float(await of(number(2.0) ** -1)), -9.223372036854776e18)
    same("3.0 ** -1", float(await of(number(3.0) ** -1)), 6.148914691236517e18)
    same("0.5 ** -1", float(await of(number(0.5) ** -1)), 2.0 ** -15)
    within("2.0 ** -2", float(await of(number(2.0) ** -2)), 7.03e13, 7.04e13)
    same("mpc.pow(3.0, -1)", float(await of(mpc.pow(number(3.0), -1))), 6.148914691236517e18)
    array = await of(number.array(np.array([2.0, 3.0])) ** -1)
    same("array [2, 3] ** -1", [f"{float(x):.4g}" for x in array], ["-9.223e+18", "6.149e+18"])
    same("SecInt: 4 ** -1 * 4", int(await of(whole(4) ** -1 * whole(4))), 1)
    same("2.0 ** -0.5", error_of(lambda: number(2.0) ** -0.5), "TypeError")
mpc.run(main())
end()
P
