#!/usr/bin/env python3
"""Make tests/vectors/safetensors.json: small files, sound and damaged, and whether the format's own library takes them
(not needed to build or test).

    python3 -m venv .venv && .venv/bin/pip install 'safetensors==0.8.0' && .venv/bin/python tools/make_safetensors.py
"""
import json
import math
import pathlib
import random
import struct

import safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "vectors" / "safetensors.json"
J = json.dumps


def f(header, data=b"", length=None):
    """A file: the header's length (or a lie about it), header, data."""
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def T(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def D(n):
    return bytes(range(n))


one = J({"a": T("F32", [2], 0, 8)})
cases = [
    ("one tensor", f(one, D(8))),
    ("two tensors", f(J({"a": T("F32", [2], 0, 8), "b": T("F16", [2], 8, 12)}), D(12))),
    ("two tensors, listed backwards", f(J({"b": T("F16", [2], 8, 12),"a": T("F32", [2], 0, 8)}), D(12))),
    ("no tensors", f("{}")),
    ("no tensors, only metadata", f(J({"__metadata__":{"format":"pt"}}))),
    ("overlap", f(J({"a": T("F32", [2], 0, 8), "b": T("F32", [2], 4, 12)}), D(12))),
    ("same bytes twice", f(J({"a": T("F32", [2], 0, 8), "b": T("F32", [2], 0, 8)}), D(8))),
    ("gap", f(J({"a": T("F32", [2], 0, 8), "b": T("F32", [2], 12, 20)}), D(20))),
    ("gap before the first", f(J({"a": T("F32", [2], 4, 12)}), D(12))),
    ("trailing bytes", f(one, D(9))),
    ("trailing bytes without tensors", f("{}",D(4))),
    ("data cut short", f(one, D(7))),
    ("header padded by spaces", f(one + "   ",D(8))),
    ("header padded by newline", f(one + "\n",D(8))),
    ("header padded by zeros", f(one + "\0\0",D(8))),
    ("header begins with a space", f(" "+ one,D(8))),
    ("header begins with a newline", f("\n"+ one,D(8))),
    ("header is a list", f("[]")),
    ("header is null", f("null")),
    ("header is empty", f("")),
    ("header with rest", f(one + "}",D(8))),
    ("header cut short", f(one[:-1],D(8))),
    ("header length beyond the file", f(one, D(8), length=1000)),
    ("header length 2^63", f(one, D(8), length=1<<63)),
    ("header above 100 MB, not there", f(one, D(8), length=100000001)),
    ("file of 7 bytes", b"\x02\0\0\0\0\0\0"),
    ("file of 8 bytes", b"\0"*8),
    ("empty file", b""),
    ("not UTF-8", f(b'{"a\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',D(8))),
    ("byte order mark", f(b'\xef\xbb\xbf'+ one.encode(), D(8))),
    ("same name twice", f('{"a":%s,"a":%s}'%(J(T("F32", [2], 0, 8)),J(T("F32", [2], 0, 8))), D(8))),
    ("same name twice, other places", f('{"a":%s,"a":%s}'%(J(T("F32", [2], 0, 8)),J(T("F32", [2], 8, 16))), D(16))),
    ("metadata twice", f('{"__metadata__":{"a":"b"},"__metadata__":{"a":"b"},"a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("same key in metadata twice", f('{"__metadata__":{"a":"b","a":"c"},"a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("dtype twice", f('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}',D(8))),
    ("unknown key twice", f('{"a":{"dtype":"F32","x":1,"x":1,"shape":[2],"data_offsets":[0,8]}}',D(8))),
    ("unknown key", f('{"a":{"dtype":"F32","x":1,"shape":[2],"data_offsets":[0,8]}}',D(8))),
    ("metadata is null", f('{"__metadata__":null,"a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("metadata is text", f('{"__metadata__":"x","a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("metadata holds a number", f('{"__metadata__":{"x":1},"a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("metadata holds null", f('{"__metadata__":{"x":null},"a":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("no dtype", f('{"a":{"shape":[2],"data_offsets":[0,8]}}',D(8))),
    ("no shape", f('{"a":{"dtype":"F32","data_offsets":[0,8]}}',D(8))),
    ("no offsets", f('{"a":{"dtype":"F32","shape":[2]}}',D(8))),
    ("unknown dtype", f(J({"a": T("F33", [2], 0, 8)}), D(8))),
    ("dtype in lower case", f(J({"a": T("f32", [2], 0, 8)}), D(8))),
    ("dtype is a number", f(J({"a": T(1, [2], 0, 8)}), D(8))),
    ("size of another dtype", f(J({"a": T("F16", [2], 0, 8)}), D(8))),
    ("size too small", f(J({"a": T("F32", [2], 0, 7)}), D(7))),
    ("offsets swapped", f(J({"a": T("F32", [2], 8, 0)}), D(8))),
    ("one offset", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}',D(8))),
    ("three offsets", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}',D(8))),
    ("offset is a real", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}',D(8))),
    ("offset is negative", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}',D(8))),
    ("offset beyond 64 bits", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551624]}}',D(8))),
    ("offset is text", f('{"a":{"dtype":"F32","shape":[2],"data_offsets":["0","8"]}}',D(8))),
    ("size is a real", f('{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}',D(8))),
    ("size is negative", f('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',D(8))),
    ("sizes overflow", f(J({"a": T("F32", [1<<33, 1<<33], 0, 8)}), D(8))),
    ("sizes overflow in bits", f(J({"a": T("F32", [1<<60], 0, 8)}), D(8))),
    ("scalar", f(J({"a": T("F32", [], 0, 4)}), D(4))),
    ("no elements", f(J({"a": T("F32", [0, 3], 0, 0)}))),
    ("no elements at the end", f(J({"a": T("F32", [2], 0, 8), "b": T("F32", [0], 8, 8)}), D(8))),
    ("no elements in the middle", f(J({"a": T("F32", [1], 0, 4), "b": T("F32", [0], 4, 4), "c": T("F32", [1], 4, 8)}), D(8))),
    ("no elements, out of place", f(J({"a": T("F32", [1], 0, 4), "b": T("F32", [0], 2, 2)}), D(4))),
    ("no elements beyond the end", f(J({"a": T("F32", [1], 0, 4), "b": T("F32", [0], 6, 6)}), D(4))),
    ("twelve dimensions", f(J({"a": T("F32", [1] * 12, 0, 4)}), D(4))),
    ("tensor is null", f('{"a":null}')),
    ("tensor is a list of its fields", f('{"a":["F32",[2],[0,8]]}',D(8))),
    ("name is empty", f(J({"":T("F32", [2], 0, 8)}), D(8))),
    ("name with an escape", f('{"a\\u00e9\\n":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("name with a lone surrogate", f('{"a\\ud800":%s}'%J(T("F32", [2], 0, 8)), D(8))),
    ("comma at the end", f(one[:-1]+",}",D(8))),
    ("4 bits", f(J({"a": T("F4", [4], 0, 2)}), D(2))),
    ("4 bits, not whole bytes", f(J({"a": T("F4", [3], 0, 2)}), D(2))),
    ("6 bits", f(J({"a": T("F6_E2M3", [4], 0, 3)}), D(3))),
]
for size, names in {1: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ", 2: "I16 U16 F16 BF16",
                    4: "I32 U32 F32", 8: "C64 F64 I64 U64"}.items():
    for name in names.split():
        cases.append((f"type {name}", f(J({"a": T(name, [3], 0, 3 * size)}), D(3 * size))))


def layout(r):
    """Up to four tensors one behind the other; in most of them one number is changed."""
    tensors, at = {}, 0
    for name in r.sample("abcdefg", r.randrange(5)):
        dtype, size = r.choice([("F32", 4), ("F16", 2), ("U8", 1), ("I64", 8)])
        shape = [r.randrange(4) for _ in range(r.randrange(3))]
        end = at + size * math.prod(shape)
        tensors[name] = T(dtype, shape, at, end)
        at = end
    names = list(tensors)
    if names and r.random() < 0.7:
        t = tensors[r.choice(names)]
        where = r.choice([t["data_offsets"], t["data_offsets"], t["shape"] or t["data_offsets"]])
        where[r.randrange(len(where))] += r.choice([-4, -1, 1, 4])
    r.shuffle(names)
    return f(J({n: tensors[n] for n in names}, separators=(",", ":")), D(max(0, at + r.choice([0, 0, 0, -1, 1]))))


def accepted(file):
    try:
        safetensors.deserialize(file)
        return True
    except safetensors.SafetensorError:
        return False


if __name__ == "__main__":
    r = random.Random(1)
    cases += [(f"layout {i}", layout(r)) for i in range(150)]
    items = [J({"what": what, "accepted": accepted(file), "file": file.hex()}) for what, file in cases]
    OUT.write_text('{"made_with": "safetensors %s, tools/make_safetensors.py",\n"files": [\n%s]}\n'
                   % (safetensors.__version__, ",\n".join(items)), encoding="ascii")
