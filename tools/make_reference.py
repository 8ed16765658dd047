#!/usr/bin/env python3
"""Make the reference vectors of tests/vectors with PyTorch and transformers (not needed to build or test).

    python3 -m venv --system-site-packages .venv-reference && .venv-reference/bin/pip install 'transformers==4.30.2' 'safetensors<0.5'
    .venv-reference/bin/python tools/make_reference.py FOLDER

FOLDER holds all-MiniLM-L6-v2 as Hugging Face stores it. Writes minilm.json (token ids and sentence embeddings of
examples/sentences.txt), tokenizer.json (token ids of awkward strings) and tiny-bert/ (a random BERT with its outputs).
Works with PyTorch 1.13 and transformers 4.30.
"""
import json
import pathlib
import random
import re
import shutil
import sys
import unicodedata

import numpy
import safetensors.torch
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = json.dumps(value, ensure_ascii=True, indent=1)
    lines = re.sub(r"\[\s+([-+0-9.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", lines)
    path.write_text(lines + "\n", encoding="ascii")


def made_with():
    return {"torch": torch.__version__, "transformers": transformers.__version__, "script": "tools/make_reference.py"}


def rounded(tensor):
    return [float("%.7g" % v) for v in numpy.asarray(tensor, dtype=numpy.float64).reshape(-1)]


def minilm(folder):
    """Each sentence alone, in float64, so that the reference is better than what it judges."""
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).double().eval()
    items = []
    for text in (ROOT / "examples" / "sentences.txt").read_text(encoding="utf-8").splitlines():
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
        mean = hidden.mean(0)
        items.append({"text": text, "ids": ids, "embedding": rounded(mean / mean.norm())})
        print(len(ids), text[:60])
    write(VECTORS / "minilm.json", {"made_with": made_with(), "model": "all-MiniLM-L6-v2", "sentences": items})


AWKWARD = [
    "", " ", "\t\n\r ", ".", "...", "!?!?!?", "a", "I", "##ing", "[UNK]", "[CLS] x [SEP]", "a[MASK]b", "[mask]", "[ CLS ]",
    "naïve café", "NAÏVE CAFÉ", "cafe\u0301", "İstanbul", "ÅNGSTRÖM", "straße STRASSE ẞ", "Čeština, žluťoučký kůň",
    "Việt Nam đất nước", "Привет, мир!", "ЁЛКА й", "Ελληνικά ά έ ή", "שָׁלוֹם עולם", "السَّلامُ عليكم", "हिन्दी में लिखा",
    "ภาษาไทย ไม่มีวรรค", "한국어 문장입니다", "日本語とカタカナ", "中文字符abc混排", "㐀㐁 𠀀𠀁 豈", "が ガ か\u3099", "ＦＵＬＬ　ＷＩＤＴＨ！",
    "emoji 😀👍🏽 family 👩\u200d👩\u200d👧", "zero\u200bwidth\ufeffmarks", "soft\u00adhyphen", "nbsp\u00a0here\u2003em",
    "line\u2028sep\u2029par", "bell\x07tab\tvt\x0bff\x0cend", "nel\x85 c1 \x9b", "replacement \ufffd char", "private \ue000 use",
    "$5.00 + 3% = ^_^ `x` ~y |z| <a>", "“quotes” ‘single’ «guillemets»", "em—dash en–dash … ellipsis", "¿Qué? ¡Sí!",
    "C++ C# .NET node.js", "user.name+tag@example.co.uk", "https://example.org/a?b=c&d=%20#e", "1,234.56 1e-10 0x1F ½ ² №5",
    "x" * 100, "x" * 101, "é" * 100, "é" * 101, "supercalifragilisticexpialidocious", "antidisestablishmentarianism-ish",
    "don't won't it's O'Neill", "MiXeD CaSe wOrDs", "ǅ ǆ Ǆ ŉ ﬁ ﬂ", "Kelvin \u212a Ohm \u2126 \u212b", "a\u0308\u0323b o\u0323\u0308",
    "math: ∑∫√∞ ≤ ≥ ≠ → ℝ 𝒜 𝟙", "unaffable", "\ud55c\u1100\u1161", "un\u0378assigned",
    "x\u33ffy\u3400z\u4dbfw\u4dc0v\u4e00u\u9fffs\uf900t\ufad9r", "a\U0002a6dfb\U0002a700c\U0002b81dd\U0002b820e\U0002f800f",
    "trailing space ", "many     spaces\n\nlines",
]


def tokenizer(folder):
    """The fast tokenizers are the rule (transformers 5 has no others); where the slow ones differ, it is said: they
    drop unassigned code points, and know the ideographs from 2B820 on."""
    slow = transformers.BertTokenizer.from_pretrained(folder)
    fast = transformers.BertTokenizerFast.from_pretrained(folder)
    cased = transformers.BertTokenizerFast.from_pretrained(folder, do_lower_case=False)
    items = []
    for text in AWKWARD:
        ids = fast(text)["input_ids"]
        if ids != slow(text)["input_ids"]:
            print("slow and fast tokenizers differ:", ascii(text), slow.tokenize(text), fast.tokenize(text))
        items.append({"text": text, "lower": ids, "cased": cased(text)["input_ids"]})
    write(VECTORS / "tokenizer.json", {"made_with": made_with(), "vocabulary": "all-MiniLM-L6-v2", "strings": items})
    write_pieces(folder, items)


def write_pieces(folder, items):
    """The vocabulary shrunk to what could matter for these strings, so that the test needs no model: every piece that
    occurs inside a string, at its own id."""
    vocab = (pathlib.Path(folder) / "vocab.txt").read_text(encoding="utf-8").split("\n")
    texts = []
    for item in items:
        text = item["text"]
        clean = "".join(c for c in text if unicodedata.category(c)[0] != "C")
        stripped = "".join(c for c in unicodedata.normalize("NFD", clean.lower()) if unicodedata.category(c) != "Mn")
        texts += [text, clean, stripped]
    kept = {}
    for index, piece in enumerate(vocab):
        plain = piece[2:] if piece.startswith("##") else piece
        if plain and (piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or any(plain in t for t in texts)):
            kept[str(index)] = piece
    write(VECTORS / "pieces.json", {"vocabulary": "all-MiniLM-L6-v2", "size": 30522, "pieces": kept})
    print("pieces", len(kept))


def tiny_pieces():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    return (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters[:20] + ["##" + c for c in letters[:20]]
            + ["the", "cat", "sat", "mat", "##ing", "##ed", "on", "a1", ".", ",", "!", "?", "\u4e2d", "dog", "ran"])


def tiny():
    torch.manual_seed(20240229)
    pieces = tiny_pieces()
    config = transformers.BertConfig(vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                     intermediate_size=96, max_position_embeddings=24, initializer_range=0.3,
                                     layer_norm_eps=1e-12)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    for name, p in model.named_parameters():  # the library's biases are 0 and its gammas 1
        if p.dim() == 1:
            torch.nn.init.normal_(p, 1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.2)
    random.seed(7)
    folder = VECTORS / "tiny-bert"
    shutil.rmtree(folder, ignore_errors=True)
    outputs = {}
    sequences = [[2] + [random.randrange(5, len(pieces)) for _ in range(n)] + [3] for n in (1, 7, 14, 22)]
    for kind, dtype in (("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
        stored = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items() if not k.endswith("position_ids")}
        wide = transformers.BertModel(config, add_pooling_layer=False).eval().double()
        wide.load_state_dict({k: v.double() for k, v in stored.items()}, strict=False)
        with torch.no_grad():
            outputs[kind] = [rounded(wide(torch.tensor([ids])).last_hidden_state[0]) for ids in sequences]
            embedded = [rounded(wide.embeddings(torch.tensor([ids]))[0]) for ids in sequences]
        save_tiny(folder / kind, config, pieces, stored, kind)
        if kind == "f32":
            outputs["embedded"] = embedded
    write(folder / "outputs.json", {"made_with": made_with(), "ids": sequences, **outputs})


def save_tiny(folder, config, pieces, stored, kind):
    """f16 has the prefix "bert.", bf16 lies in two shards: each variant of a real folder occurs once."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    fields = ("model_type vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
              "max_position_embeddings type_vocab_size layer_norm_eps position_embedding_type").split()
    write(folder / "config.json", {f: getattr(config, f) for f in fields})
    write(folder / "tokenizer_config.json", {"do_lower_case": kind != "f16", "unk_token": "[UNK]"})
    if kind == "f16":
        stored = {"bert." + k: v for k, v in stored.items()}
    if kind == "f32":
        modules = ["Transformer", "Pooling", "Normalize"]
        paths = ["", "1_Pooling", "2_Normalize"]
        write(folder / "modules.json", [{"idx": i, "name": str(i), "path": paths[i],
                                         "type": "sentence_transformers.models." + m} for i, m in enumerate(modules)])
        pooling = {"pooling_mode_" + m: m == "mean_tokens" for m in
                   ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
        (folder / paths[1]).mkdir()
        write(folder / paths[1] / "config.json", {"word_embedding_dimension": 32, **pooling})
    if kind != "bf16":
        safetensors.torch.save_file(stored, str(folder / "model.safetensors"), {"format": "pt"})
        return
    names, files = sorted(stored), ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    place = {n: files[i >= len(names) // 2] for i, n in enumerate(names)}
    for f in files:
        safetensors.torch.save_file({n: stored[n] for n in names if place[n] == f}, str(folder / f))
    write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": place})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    minilm(sys.argv[1])
    tokenizer(sys.argv[1])
    tiny()
