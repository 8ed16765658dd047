#!/usr/bin/env python3
"""A model folder of any size, and whether its import holds what it held.

    large_folder.py make FOLDER LAYERS WORDS     BERT, 1024 wide, random weights, two layers a shard, in three types
    large_folder.py compare FOLDER NAME          some tensors of NAME.model.h5 and NAME.client.h5 with the folder's
"""
import json
import os
import struct
import sys

import numpy as np

WIDE, INNER, POSITIONS = 1024, 4096, 64
TYPES = ("BF16", "F16", "F32")


def shapes(layers, words):
    """Shard by shard: (name, shape)."""
    yield [("embeddings.word_embeddings.weight", (words, WIDE)),
           ("embeddings.position_embeddings.weight", (POSITIONS, WIDE)),
           ("embeddings.token_type_embeddings.weight", (2, WIDE)),
           ("embeddings.LayerNorm.weight", (WIDE,)), ("embeddings.LayerNorm.bias", (WIDE,))]
    parts = [("attention.self.query", (WIDE, WIDE)), ("attention.self.key", (WIDE, WIDE)),
             ("attention.self.value", (WIDE, WIDE)), ("attention.output.dense", (WIDE, WIDE)),
             ("attention.output.LayerNorm", (WIDE,)), ("intermediate.dense", (INNER, WIDE)),
             ("output.dense", (WIDE, INNER)), ("output.LayerNorm", (WIDE,))]
    for first in range(0, layers, 2):
        shard = []
        for layer in range(first, min(first + 2, layers)):
            for part, shape in parts:
                shard += [(f"encoder.layer.{layer}.{part}.weight", shape), (f"encoder.layer.{layer}.{part}.bias", shape[:1])]
        yield shard


def tensor(name, shape, kind):
    """(bytes in the file, float32 values): random, below 1, the same on every call."""
    bits = np.random.default_rng(list(name.encode())).integers(0, 1 << 16, shape, np.uint16)
    if kind == "BF16":
        bits = bits & 0x807F | 0x3D00 | bits & 0x0080  # 2^-5 to 2^-3
        return bits, (bits.astype(np.uint32) << 16).view(np.float32)
    if kind == "F16":
        values = (bits & 0x83FF | 0x2400 | bits & 0x0800).view(np.float16)
        return values, values.astype(np.float32)
    values = bits.astype(np.float32) * np.float32(2**-16) - np.float32(0.5)
    return values, values


def make(folder, layers, words):
    os.makedirs(folder)
    shards = list(shapes(layers, words))
    places, total = {}, 0
    for number, shard in enumerate(shards):
        kind = TYPES[number % len(TYPES)]
        size = 4 if kind == "F32" else 2
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        header, at = {}, 0
        for name, shape in shard:
            end = at + size * int(np.prod(shape))
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
            places[name], at = file, end
        total += at
        text = json.dumps(header).encode()
        with open(os.path.join(folder, file), "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for name, shape in shard:
                out.write(tensor(name, shape, kind)[0].tobytes())
    write(folder, "model.safetensors.index.json", json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
    write(folder, "config.json", json.dumps({
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": WIDE, "num_hidden_layers": layers,
        "num_attention_heads": 16, "intermediate_size": INNER, "hidden_act": "gelu", "vocab_size": words,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12}))
    words_of = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(words - 5)]
    write(folder, "vocab.txt", "\n".join(words_of) + "\n")


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="ascii") as out:
        out.write(text)


def compare(folder, name):
    import h5py

    with open(os.path.join(folder, "config.json"), encoding="ascii") as file:
        config = json.load(file)
    layers = config["num_hidden_layers"]
    wanted = {}
    for number, shard in enumerate(shapes(layers, config["vocab_size"])):
        for stored, shape in shard:
            wanted[stored] = (stored, shape, TYPES[number % len(TYPES)])
    value = lambda stored: tensor(*wanted[stored])[1]
    with h5py.File(name + ".client.h5") as file:
        same = np.array_equal(file["word"][()], value("embeddings.word_embeddings.weight"))
    with h5py.File(name + ".model.h5") as file:
        for layer in {0, 2 % layers, layers - 1}:
            part = f"encoder.layer.{layer}."
            qkv = np.concatenate([value(part + f"attention.self.{one}.weight") for one in ("query", "key", "value")]).T
            same &= np.array_equal(file[f"layer.{layer}.qkv.weight"][()], qkv)
            same &= np.array_equal(file[f"layer.{layer}.down.weight"][()], value(part + "output.dense.weight").T)
            same &= np.array_equal(file[f"layer.{layer}.up.bias"][()][0], value(part + "intermediate.dense.bias"))
    return 0 if same else 1


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    sys.exit(compare(sys.argv[2], sys.argv[3]))
