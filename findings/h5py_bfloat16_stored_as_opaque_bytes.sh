#!/usr/bin/env bash
# h5py stores a bfloat16 array as bytes with no type, without complaint; of two 8-bit floats it takes one, refuses one
#
# One would expect: HDF5 2.0 can describe bfloat16 and 8-bit floats, half precision has been stored as a number for
# years, so h5py stores an ml_dtypes array as a number, or refuses it.
# What happens (3.16.0 with HDF5 2.0.0): bfloat16 and float8_e4m3fn are written, as an opaque type of 2 or 1 bytes with
# an empty tag, and come back as a void array: nothing in the file says what the bytes mean. float8_e5m2 is refused
# with a TypeError. A float16 array of the same values is stored as a number.
# Why it matters: weights or activations that a training script leaves in bfloat16 go into HDF5 without an error,
# and the C program on the other side must refuse them or guess. Widen to float32 before writing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v h5py==3.16.0 numpy==2.4.6 ml_dtypes==0.6.0
python v <<'P'
import h5py, ml_dtypes, numpy as np
from verdict import end, error_of, same
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version, "ml_dtypes", ml_dtypes.__version__)
values = np.array([0.5, 1, -2, 3], "f4")


def stored(type):
    with h5py.File("a.h5", "w") as f:
        f["x"] = values.astype(type)
        kind = f["x"].id.get_type()
        opaque = kind.get_class() == h5py.h5t.OPAQUE
        again = f["x"][...].view(type) if opaque else f["x"][...]
        return ("opaque" if opaque else "number", kind.get_size(), kind.get_tag() if opaque else None,
                str(f["x"].dtype), np.array_equal(again.astype("f4"), values))


same("float16", error_of(stored, np.float16), ("number", 2, None, "float16", True))
same("bfloat16", error_of(stored, ml_dtypes.bfloat16), ("opaque", 2, b"", "|V2", True))
same("float8_e4m3fn", error_of(stored, ml_dtypes.float8_e4m3fn), ("opaque", 1, b"", "|V1", True))
same("float8_e5m2", error_of(stored, ml_dtypes.float8_e5m2), "TypeError")
end()
P
