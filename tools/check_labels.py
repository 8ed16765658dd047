#!/usr/bin/env python3
"""Class labels of random texts, on shares and by PyTorch: they must agree, but where PyTorch's two largest logits are
closer than 0.01 (not needed to build or test).

    python3 -m venv .venv && .venv/bin/pip install 'torch==2.15.0' 'transformers==5.24.0' numpy h5py
    .venv/bin/python tools/check_labels.py build/twain 500
"""
import os
import pathlib
import sys
import tempfile

import h5py
import numpy as np
import torch
import transformers

from parties import call

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "cli"))
import families  # noqa: E402

TWAIN, COUNT, GAP = os.path.abspath(sys.argv[1]), int(sys.argv[2]), 0.01


def twain(*words, parties=0):
    launch = ["mpirun", "-np", "2", "--bind-to", "none"] if parties else []
    call(*launch, TWAIN, *words)


def private(name, count):
    twain("import", "folder-" + name, "-o", name, "-q")
    twain("plan", name, "--seq", "48", "-q")
    twain("share", name, "-q")
    twain("deal", name, "-n", str(count), "-q")
    twain("encode", name, "--file", "texts", "-q")
    twain("share", name, "--input", "-q")
    twain("run", name, "--ledger", "ledger", "--device", "cpu", "-q", parties=2)
    twain("reveal", name, "-q")
    with h5py.File(name + ".result.h5") as f:
        return f["values"][()], f["lengths"][()]


def public(name, kind, texts):
    model = getattr(transformers, kind).from_pretrained("folder-" + name).double().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained("folder-" + name)
    with torch.no_grad():
        for text in texts:
            yield np.atleast_2d(model(**tokenizer(text, return_tensors="pt")).logits[0].numpy())


def main():
    texts = families.texts(2026, COUNT)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pathlib.Path("texts").write_text("\n".join(texts) + "\n")
        twain("ledger", "--new", "ledger", "-q")
        for name, (config, kind) in families.FAMILIES.items():
            if len(config.get("id2label", {})) < 2:
                continue
            families.write(name, "folder-" + name)
            values, lengths = private(name, COUNT)
            rows = close = other = 0
            largest = 0.0
            for y, n, wanted in zip(values, lengths, public(name, kind, texts)):
                for a, b in zip(y[:n] if len(wanted) > 1 else y, wanted):
                    gap = np.diff(np.sort(b))[-1]
                    rows, close = rows + 1, close + (gap < GAP)
                    largest = max(largest, abs(a - b).max())
                    if a.argmax() != b.argmax():
                        other += 1
                        bad += gap >= GAP
            print(f"{name}: {rows} labels, {other} differ, {close} float gaps under {GAP}, largest difference {largest:.4f}",
                  flush=True)
    print("labels agree" if not bad else f"{bad} LABELS DIFFER")
    return int(bad > 0)


sys.exit(main())
