#!/usr/bin/env bash
# h5py: whether a dataset written with compression="lzf" can be read without the LZF filter depends on the values in it
#
# One would expect: LZF comes with h5py only, so a C program with the plain HDF5 library cannot read such a dataset,
# and a first test shows that at once.
# What happens: the filter is optional chunk by chunk. A chunk that LZF cannot shrink (random-looking floats: weights,
# shares, masks) is stored raw with its filter switched off, and any HDF5 library reads it. A chunk that shrinks
# (zeros, ramps, padding) needs the filter. One dataset may hold both sorts, and then reads up to the first chunk that
# compressed. The dataset's description names the filter in all cases.
# Why it matters: files of random-looking numbers made by a colleague's script are read by the C program for weeks, and
# the first padded one fails. A reader should go by the description and refuse the filter from the start, or look at
# each chunk's filter mask.
# Here "without the filter" is the same library after its LZF filter was taken out, as in a program that is not h5py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v h5py==3.16.0 numpy==2.4.6
python v <<'P'
import h5py, numpy as np
from verdict import end, error_of, same
print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version)
random = np.random.default_rng(1).standard_normal(1000).astype("f4")
sets = {"random": random, "zeros": np.zeros(1000, "f4"), "ramp": np.arange(1000, dtype="f4"),
        "half random": np.concatenate([random, np.zeros(1000, "f4")])}
wanted = {"random": ([1], True), "zeros": ([0], "OSError"), "ramp": ([0], "OSError"),
          "half random": ([1, 0], "OSError")}
with h5py.File("a.h5", "w") as f:
    for name, values in sets.items():
        f.create_dataset(name, data=values, compression="lzf", chunks=(1000,))
h5py.h5z.unregister_filter(h5py.h5z.FILTER_LZF)
with h5py.File("a.h5") as f:
    for name, values in sets.items():
        s = f[name]
        off = [s.id.get_chunk_info(i).filter_mask for i in range(s.id.get_num_chunks())]
        read = error_of(lambda: np.array_equal(s[...], values))
        same(f"{name}: filter in the description; switched off in its chunks; read without the filter",
             (s.compression, off, read), ("lzf", *wanted[name]))
    first = error_of(lambda: np.array_equal(f["half random"][:1000], random))
    same("first half of 'half random' alone is read", first, True)
end()
P
