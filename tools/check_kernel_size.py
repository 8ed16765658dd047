#!/usr/bin/env python3
"""Kernels that run all their code once a tile must not wait for it: whether those whose name holds NAME are small enough.
    tools/check_kernel_size.py FILE NAME BYTES     FILE: an object or archive with CUDA's machine code
Exit code 1 and a line for each that is larger. Machine code that nvcc has packed is not looked into, and that is said."""
import struct
import sys

CUDA_MACHINE = 190  # of an ELF header


def kernels(data):
    """(name, bytes) of every section of code of every ELF image for a GPU in data."""
    at = -1
    while (at := data.find(b"\x7fELF\x02", at + 1)) >= 0:
        if struct.unpack_from("<H", data, at + 18)[0] != CUDA_MACHINE:
            continue
        begin = at + struct.unpack_from("<Q", data, at + 40)[0]
        size, count, names = struct.unpack_from("<HHH", data, at + 58)
        sections = [struct.unpack_from("<IIQQQQ", data, begin + size * i) for i in range(count)]
        text = at + sections[names][4]
        for section in sections:
            name = data[text + section[0]:data.index(b"\0", text + section[0])].decode()
            if name.startswith(".text."):
                yield name[len(".text."):], section[5]


def main():
    file, wanted, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(file, "rb") as f:
        found = [(name, size) for name, size in kernels(f.read()) if wanted in name]
    if not found:
        print(f"{file}: no machine code of {wanted} to be seen, its size is not checked")
    large = [(name, size) for name, size in found if size > most]
    for name, size in large:
        print(f"{file}: error: {size} bytes of code in {name}, at most {most}: instructions would be waited for", file=sys.stderr)
    return 1 if large else 0


sys.exit(main())
