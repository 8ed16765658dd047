#!/usr/bin/env python3
"""Make tests/vectors/families.json: what PyTorch makes of the tiny random models of tests/cli/families.py (not needed to
build or test).

    python3 -m venv .venv && .venv/bin/pip install 'torch==2.15.0' 'transformers==5.24.0' numpy
    .venv/bin/python tools/make_families.py

For every model: token ids and types of its texts and of a pair, and logits, or the last rows of an encoder.
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


def main():
    found = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                           "script": "tools/make_families.py"}}
    for name in families.FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            families.write(name, folder)
            found[name] = list(rows(name, folder))
    text = json.dumps(found, indent=1)
    text = re.sub(r"\[\s+([-+0-9.e,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", text)
    (ROOT / "tests" / "vectors" / "families.json").write_text(text + "\n")


main()
