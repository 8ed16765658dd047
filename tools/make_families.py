#!/usr/bin/env python3
"""Make tests/vectors/families.json: what PyTorch makes of the tiny random models of tests/cli/families.py (not needed to
build or test).

    python3 -m venv .venv && .venv/bin/pip install 'torch==2.15.0' 'transformers==5.24.0' numpy
    .venv/bin/python tools/make_families.py

For every model: token ids and types of its texts and of a pair, and logits, or the last rows of an encoder. For every
decoder, in decoders.json: token ids of three texts, and of each the logits behind its last token and the logarithm of
every next token's probability; or the rows of one without a head.
"""
import json
import pathlib
import re
import sys
import tempfile

import numpy
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cli"))
import families  # noqa: E402


def rows(name, folder):
    _, kind = families.FAMILIES[name]
    model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).double().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in [*families.TEXTS, families.PAIR]:
        encoded = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
        with torch.no_grad():
            out = model(**encoded)
        values = out.logits[0] if hasattr(out, "logits") else out.last_hidden_state[0]
        types = encoded.get("token_type_ids", torch.zeros_like(encoded["input_ids"]))
        yield {"ids": encoded["input_ids"][0].tolist(), "types": types[0].tolist(),
               "values": [float("%.6g" % v) for v in numpy.asarray(values).reshape(-1)]}


def numbers(values):
    return [float("%.6g" % v) for v in numpy.asarray(values).reshape(-1)]


def decoder_rows(name, folder):
    _, kind = families.DECODERS[name]
    model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).double().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in families.DECODER_TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            out = model(ids)
        if not hasattr(out, "logits"):
            yield {"ids": ids[0].tolist(), "rows": numbers(out.last_hidden_state[0])}
            continue
        next_ = torch.log_softmax(out.logits[0, :-1], -1).gather(1, ids[0, 1:, None])
        yield {"ids": ids[0].tolist(), "logits": numbers(out.logits[0, -1]), "likelihood": numbers(next_)}


def write(file, names, make):
    found = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                           "script": "tools/make_families.py"}}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            families.write(name, folder)
            found[name] = list(make(name, folder))
    text = json.dumps(found, indent=1)
    text = re.sub(r"\[\s+([-+0-9.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", text)
    (ROOT / "tests" / "vectors" / file).write_text(text + "\n")


def main():
    write("families.json", families.FAMILIES, rows)
    write("decoders.json", families.DECODERS, decoder_rows)


main()
