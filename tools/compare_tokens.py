#!/usr/bin/env python3
"""Compare twain's token ids and types with those of transformers on generated lines, and make test vectors of them.

    python3 -m venv /tmp/v5 && /tmp/v5/bin/pip install transformers==5.24.0 tokenizers==0.23.3 numpy h5py
    python3 -m venv /tmp/v4 && /tmp/v4/bin/pip install transformers==4.57.6 tokenizers==0.22.2 numpy h5py
    /tmp/v5/bin/python tools/compare_tokens.py TWAIN [LINES [SEED]]   # 3000 lines, a seed of its own
    /tmp/v5/bin/python tools/compare_tokens.py --vectors              # tests/vectors/tokens.json

Folders of tiny models with every normaliser setting, from vocab.txt and from tokenizer.json, with added tokens; lines
from 90 blocks of Unicode and from its whole range; single texts, pairs, truncation. Ends with 1 on a difference.
"""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import numpy
import transformers
from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors" / "tokens.json"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BLOCKS = [(0x21, 0x7e), (0xa1, 0xff), (0x100, 0x17f), (0x180, 0x24f), (0x250, 0x2af), (0x2b0, 0x2ff), (0x370, 0x3ff),
          (0x400, 0x4ff), (0x500, 0x52f), (0x530, 0x58f), (0x590, 0x5ff), (0x600, 0x6ff), (0x700, 0x74f), (0x780, 0x7bf),
          (0x7c0, 0x7ff), (0x800, 0x83f), (0x840, 0x85f), (0x8a0, 0x8ff), (0x900, 0x97f), (0x980, 0x9ff), (0xa00, 0xa7f),
          (0xa80, 0xaff), (0xb00, 0xb7f), (0xb80, 0xbff), (0xc00, 0xc7f), (0xc80, 0xcff), (0xd00, 0xd7f), (0xd80, 0xdff),
          (0xe00, 0xe7f), (0xe80, 0xeff), (0xf00, 0xfff), (0x1000, 0x109f), (0x10a0, 0x10ff), (0x1100, 0x11ff),
          (0x1200, 0x137f), (0x13a0, 0x13ff), (0x1400, 0x167f), (0x1680, 0x169f), (0x16a0, 0x16ff), (0x1700, 0x171f),
          (0x1720, 0x173f), (0x1780, 0x17ff), (0x1800, 0x18af), (0x1900, 0x194f), (0x1980, 0x19df), (0x1a00, 0x1a1f),
          (0x1b00, 0x1b7f), (0x1b80, 0x1bbf), (0x1c00, 0x1c4f), (0x1c50, 0x1c7f), (0x1c80, 0x1cbf), (0x1d00, 0x1dbf),
          (0x1e00, 0x1eff), (0x1f00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x209f), (0x20a0, 0x20cf), (0x2100, 0x214f),
          (0x2150, 0x218f), (0x2190, 0x21ff), (0x2200, 0x22ff), (0x2460, 0x24ff), (0x2600, 0x27bf), (0x2c00, 0x2c5f),
          (0x2c80, 0x2cff), (0x2d30, 0x2d7f), (0x2e00, 0x2e7f), (0x3000, 0x303f), (0x3040, 0x309f), (0x30a0, 0x30ff),
          (0x3100, 0x312f), (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xa000, 0xa48f), (0xa4d0, 0xa4ff), (0xa500, 0xa63f),
          (0xa640, 0xa69f), (0xa720, 0xa7ff), (0xa840, 0xa87f), (0xa980, 0xa9df), (0xaa00, 0xaa5f), (0xab30, 0xabff),
          (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfb00, 0xfb4f), (0xfe30, 0xfe4f), (0xff00, 0xffef), (0x10330, 0x1034f),
          (0x10400, 0x1044f), (0x104b0, 0x104ff), (0x11000, 0x1107f), (0x11900, 0x1195f), (0x12000, 0x120ff),
          (0x1d400, 0x1d7ff), (0x1e900, 0x1e95f), (0x1f300, 0x1f64f), (0x1f900, 0x1f9ff), (0x1fa70, 0x1faff),
          (0x20000, 0x20100), (0x2b820, 0x2b940), (0x2f800, 0x2fa1f), (0xe0000, 0xe007f)]
MARKS = [(0x300, 0x36f), (0x1ab0, 0x1aff), (0x1dc0, 0x1dff), (0x20d0, 0x20ff), (0xfe00, 0xfe2f), (0x1e000, 0x1e02f)]
BLANKS = ["  ", "\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\u1680", "\u200b", "\ufeff",
          "\u202f", " \r "]
CONTROLS = ["\x01", "\x07", "\x1b", "\x7f", "\x9b", "\u00ad", "\u200d", "\u200e", "\u2066", "\ufffd", "\ue000", "\U000f0000",
            "\u180e", "\u0600"]
BITS = ["[SEP]", "[CLS]", "[MASK]", "[UNK]", "[sep]", "##a", "covid19", "COVID19", "covid19x", "[E1]", "[e1]", "<l>", " <l> ",
        "word", "words", "big dog", "BIG Dog", "\u0130\u0130", "\u03a3\u03a3 \u03c3\u03a3", "e\u0301\u0323", "\uac00\u1100\u1161", "1e-10", "$5.00", "\u00df\u1e9e",
        "\u1c89\ua7dc", "\U00011938", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f923", "\u212a\u212b", "x" * 100, "y" * 101, "\u00e9" * 100]


def char(r):
    while True:
        c = r.randrange(1, 0x110000) if r.random() < 0.04 else r.randint(*r.choice(BLOCKS))
        if c not in (9, 10, 13) and not 0xd800 <= c < 0xe000:
            return chr(c)


def word(r):
    k = r.random()
    if k < 0.35:
        return "".join(r.choice("abcdeABCDE") for _ in range(r.randint(1, 8)))
    if k < 0.5:
        return r.choice(BITS)
    if k < 0.58:
        return "".join(r.choice("0123456789") for _ in range(r.randint(1, 6)))
    low, high = r.choice(BLOCKS)
    out = ""
    for _ in range(r.randint(1, 7)):
        c = r.randint(low, high)
        out += chr(c) if r.random() < 0.9 and not 0xd800 <= c < 0xe000 else char(r)
        if r.random() < 0.15:
            out += chr(r.randint(*r.choice(MARKS)))
    return out


def line(r):
    out = ""
    for _ in range(r.randint(1, 10)):
        out += word(r)
        k = r.random()
        out += r.choice(BLANKS) if k < 0.1 else r.choice(CONTROLS) if k < 0.14 else r.choice(".,!?-_/()") if k < 0.24 else " "
    out = out.replace("\n", " ").rstrip("\r\t")
    return out if out.strip(" \t\r\x0b\x0c") else "a " + out + "b"


def make_vocabulary(r, lines):
    """Pieces from the lines in four normal forms: three letters in four, some longer stretches."""
    pieces = dict.fromkeys(SPECIAL)
    forms = [transformers_normal(**dict(lowercase=a, strip_accents=b)) for a in (True, False) for b in (True, False)]
    for text in lines:
        for w in " ".join(f(text) for f in forms).split():
            for i, c in enumerate(w[:12]):
                if hash_of(c) % 4:
                    pieces.setdefault(c if i == 0 else "##" + c)
            if r.random() < 0.25:
                a = r.randrange(len(w))
                pieces.setdefault(("##" if a else "") + w[a:a + r.randint(2, 4)])
    return list(pieces)


def hash_of(c):
    return ord(c) * 2654435761 >> 7 & 0xffff


def transformers_normal(**k):
    from tokenizers import normalizers
    return normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, **k).normalize_str


def added(content, **flags):
    return {**dict(content=content, lstrip=False, rstrip=False, single_word=False, normalized=True, special=False), **flags}


def variants(size):
    """name, tokenizer_config.json, added_tokens.json, whether tokenizer.json is written in the place of vocab.txt"""
    tokens = {str(size + i): t for i, t in enumerate([
        added("Covid19"), added("[E1]", normalized=False, special=True), added("word", single_word=True),
        added("<l>", lstrip=True, rstrip=True, normalized=False), added("big dog")])}
    for lower in (True, False):
        for accents in (None, True, False):
            for chinese in (True, False):
                config = dict(do_lower_case=lower, strip_accents=accents, tokenize_chinese_chars=chinese,
                              tokenizer_class="BertTokenizer")
                name = f"lower {lower}, accents {accents}, ideographs {chinese}"
                yield name, config, None, not chinese
    for lower in (True, False):
        for file in (True, False):
            config = dict(do_lower_case=lower, tokenizer_class="BertTokenizerFast", added_tokens_decoder=tokens)
            yield f"added tokens, lower {lower}, tokenizer.json {file}", config, None, file
    legacy = {"[E1]": size, "covid19": size + 1, "big dog": size + 2, "word": size + 3, "<l>": size + 4}
    yield "added_tokens.json", dict(tokenizer_class="BertTokenizer", additional_special_tokens=["[E1]"]), legacy, False
    yield "left", dict(tokenizer_class="ElectraTokenizer", truncation_side="left"), None, False
    yield "no types", dict(tokenizer_class="DistilBertTokenizer"), None, False
    yield "general class", dict(tokenizer_class="PreTrainedTokenizerFast", model_input_names=["input_ids", "token_type_ids"],
                                **dict(unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]")), None, True


def write_folder(path, vocabulary, config, legacy, as_json):
    shutil.rmtree(path, True)
    path.mkdir(parents=True)
    (path / "vocab.txt").write_text("".join(t + "\n" for t in vocabulary), encoding="utf-8", newline="\n")
    save = lambda name, value: (path / name).write_text(json.dumps(value))
    save("tokenizer_config.json", {**config, "tokenizer_class": "BertTokenizer"} if as_json else config)
    model = dict(model_type="bert", architectures=["BertModel"], hidden_act="gelu", hidden_size=8, num_hidden_layers=1,
                 num_attention_heads=1, intermediate_size=8, max_position_embeddings=512, type_vocab_size=2, pad_token_id=0)
    save("config.json", model)
    if legacy:
        save("added_tokens.json", legacy)
    if as_json:
        AutoTokenizer.from_pretrained(str(path)).backend_tokenizer.save(str(path / "tokenizer.json"))
        os.remove(path / "vocab.txt")
        save("tokenizer_config.json", config)
    tokenizer = AutoTokenizer.from_pretrained(str(path))
    size = max(tokenizer.get_vocab().values()) + 1
    save("config.json", {**model, "vocab_size": size})
    return tokenizer, size


def write_weights(path, size, positions=512):
    r, tensors = numpy.random.default_rng(1), {}
    norm = lambda n: tensors.update({n + ".weight": numpy.ones(8, "f4"), n + ".bias": numpy.zeros(8, "f4")})
    linear = lambda n: tensors.update({n + ".weight": r.normal(size=(8, 8)).astype("f4"), n + ".bias": numpy.zeros(8, "f4")})
    for name, rows in (("word", size), ("position", positions), ("token_type", 2)):
        tensors[f"embeddings.{name}_embeddings.weight"] = r.normal(size=(rows, 8)).astype("f4")
    norm("embeddings.LayerNorm")
    layer = "encoder.layer.0."
    for n in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
              "intermediate.dense", "output.dense"):
        linear(layer + n)
    norm(layer + "attention.output.LayerNorm")
    norm(layer + "output.LayerNorm")
    head, at = {}, 0
    for name, value in tensors.items():
        head[name] = dict(dtype="F32", shape=list(value.shape), data_offsets=[at, at + value.nbytes])
        at += value.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))


def reference(tokenizer, texts, **k):
    """[(ids, types)]; BERT takes type 0 where the tokenizer gives none."""
    out = [tokenizer(*t, **k) for t in texts]
    return [(o["input_ids"], o.get("token_type_ids", [0] * len(o["input_ids"]))) for o in out]


def twain(program, *args):
    p = subprocess.run([program, *args], capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"twain {' '.join(map(str, args))}: {p.stdout}{p.stderr}")


def encoded(program, name, texts, *options):
    import h5py
    file = pathlib.Path("texts")
    file.write_text("".join("\t".join(t) + "\n" for t in texts), encoding="utf-8", newline="\n")
    twain(program, "encode", name, "--file", file, "--force", "-q", *options)
    with h5py.File(name + ".input.h5") as f:
        types = f["types"][()] if "types" in f else numpy.zeros(f["tokens"].shape, int)
        return [(list(map(int, a[:n])), list(map(int, b[:n]))) for a, b, n in zip(f["tokens"], types, f["lengths"])]


def count_differences(label, texts, want, got):
    bad = [i for i in range(len(texts)) if want[i] != got[i]]
    for i in bad[:3]:
        print("  ", ascii(texts[i]), "\n    transformers", want[i], "\n    twain       ", got[i])
    print(f"{len(texts)} texts, {len(bad)} differences: {label}", flush=True)
    return len(bad)


def compare(program, count, seed):
    r = random.Random(seed)
    print(f"transformers {transformers.__version__}, seed {seed}")
    lines = [line(r) for _ in range(count)]
    vocabulary = make_vocabulary(r, lines)
    os.chdir(tempfile.mkdtemp(prefix="twain-tokens-"))
    single = [(t,) for t in lines if len(t) < 400]
    pairs = [(a.replace("\t", " "), b.replace("\t", " ")) for a, b in zip(lines[::2], lines[1::2]) if len(a + b) < 400]
    bad, folder = 0, pathlib.Path("m")
    for name, config, legacy, as_json in variants(len(vocabulary)):
        tokenizer, size = write_folder(folder, vocabulary, config, legacy, as_json)
        write_weights(folder, size)
        twain(program, "import", "m", "-o", "m", "-q", "--force")
        twain(program, "plan", "m", "--seq", "512", "-q", "--force")
        bad += count_differences(name, single, reference(tokenizer, single), encoded(program, "m", single))
        few = pairs[:200]
        bad += count_differences(name + ", pairs", few, reference(tokenizer, few), encoded(program, "m", few, "--pair"))
        twain(program, "plan", "m", "--seq", "13", "-q", "--force")
        cut = dict(truncation=True, max_length=13)
        few = single[:200]
        bad += count_differences(name + ", cut", few, reference(tokenizer, few, **cut), encoded(program, "m", few, "--truncate"))
        few = pairs[:500]
        bad += count_differences(name + ", pairs cut", few, reference(tokenizer, few, **cut),
                                 encoded(program, "m", few, "--pair", "--truncate"))
    shutil.rmtree(os.getcwd())
    print(f"{bad} differences in all")
    return bad


def vectors():
    """A few lines for each folder; what the C test needs to make the folders itself."""
    r = random.Random(7)
    lines = [line(r) for _ in range(120)]
    vocabulary = make_vocabulary(r, lines)
    out, folder = [], pathlib.Path(tempfile.mkdtemp()) / "m"
    for name, config, legacy, as_json in variants(len(vocabulary)):
        tokenizer, size = write_folder(folder, vocabulary, config, legacy, as_json)
        files = {f.name: json.loads(f.read_text()) for f in folder.glob("*.json") if f.name != "config.json"}
        if as_json:
            files["tokenizer.json"]["model"]["vocab"] = None  # the test puts the shared one in
        pair = [(a, b) for a, b in zip(lines[::2], lines[1::2])][:20]
        out.append(dict(name=name, files=files, vocab_size=size,
                        single=[ids for ids, _ in reference(tokenizer, [(t,) for t in lines])],
                        pairs=[list(p) for p in reference(tokenizer, pair)],
                        cut=[list(p) for p in reference(tokenizer, pair, truncation=True, max_length=9)]))
    shutil.rmtree(folder.parent)
    made = {"transformers": transformers.__version__, "script": "tools/compare_tokens.py --vectors"}
    VECTORS.write_text(json.dumps(dict(made_with=made, vocabulary=vocabulary, lines=lines, folders=out),
                                  ensure_ascii=True, separators=(",", ":")).replace('"name":', '\n"name":') + "\n", encoding="ascii")


if __name__ == "__main__" and sys.argv[1] == "--vectors":
    vectors()
elif __name__ == "__main__":
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 30)
    sys.exit(compare(os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3000, seed) != 0)
