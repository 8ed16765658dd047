#!/usr/bin/env bash
# MPyC: a fixed-point number past its range is added, multiplied and shown right, and a comparison of it with 0 gives 2, 16, 138
#
# One would expect: a value that does not fit into SecFxp's 32 bits (16 of them for the fraction) is refused, or wraps round, so
# that a wrong result looks wrong; and that a comparison gives 0 or 1 whatever is compared.
# What happens (0.11, defaults): the field below has room for more, so 100 000 comes back as 100 000 and 3000.5 squared as
# 9003000.25. The comparison looks at 32 bits and takes the rest along: from 65536 on, x > 0 is 2 and more, so that
# max(x, 0) is 2x, abs(x) is 3x, argmax names places that do not exist, and 65536 equals 0. Between 2^15 and
# 2^16 nothing is wrong. Nothing is said.
# Why it matters: a check of the linear layers passes, and the first ReLU or softmax multiplies by 138 what was large. Who
# compares a secure inference of their own with MPyC has to give SecFxp the bits of the largest sum, not of inputs and
# outputs: with 64 bits all of it is right.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v mpyc==0.11
python v <<'P'
import mpyc
from mpyc.runtime import mpc
from verdict import end, same
print("mpyc", mpyc.__version__)
async def look(number, large):
    async def of(x): return float(await mpc.output(x))
    x, zero = number(large), number(0.0)
    return [await of(v) for v in (x, x + 1, x > 0, x < 0, mpc.max(x, zero), abs(x), x == zero, mpc.argmax([zero, x])[0])]
async def main():
    print("x, x + 1, x > 0, x < 0, max(x, 0), abs(x), x == 0, argmax([0, x])")
    small = mpc.SecFxp()
    same("name of the type", small.__name__, "SecFxp32:16")
    right = lambda x: [x, x + 1, 1.0, 0.0, x, x, 0.0, 1.0]
    same("60000", await look(small, 60000.0), right(60000.0))
    same("100000", await look(small, 100000.0), [100000.0, 100001.0, 2.0, -1.0, 200000.0, 300000.0, 0.0, 2.0])
    same("1000000", await look(small, 1e6), [1e6, 1e6 + 1, 16.0, -15.0, 16e6, 31e6, 0.0, 16.0])
    same("65536 == 0", float(await mpc.output(small(65536.0) == small(0.0))), 1.0)
    same("3000.5 squared", float(await mpc.output(small(3000.5) * small(3000.5))), 9003000.25)
    same("  > 0", float(await mpc.output(small(3000.5) * small(3000.5) > 0)), 138.0)
    same("100000 with 64 bits", await look(mpc.SecFxp(64, 16), 100000.0), right(100000.0))
mpc.run(main())
end()
P
