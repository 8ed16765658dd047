#!/usr/bin/env python3
"""Compares revealed sentence embeddings with an independent implementation's.

    demo/reference.py NAME VECTORS

NAME: as given to twain; reads NAME.input.h5 (the sentences) and NAME.result.h5 (output pooled). VECTORS: a file like
tests/vectors/minilm.json, embeddings that tools/make_reference.py made with PyTorch. Exit code 10 when a cosine is
below 0.9995 or a similarity of two sentences differs by more than 0.005. Needs h5py.
"""
import json
import sys

import h5py
import numpy

LEAST_COSINE, MOST_DIFFERENCE = 0.9995, 0.005


def unit_rows(rows):
    rows = numpy.asarray(rows, dtype=numpy.float64)
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def main(name, vectors):
    with open(vectors, encoding="ascii") as file:
        reference = json.load(file)
    known = {item["text"]: item["embedding"] for item in reference["sentences"]}
    with h5py.File(name + ".input.h5") as file:
        texts = [text.decode() for text in file["texts"][()]]
    with h5py.File(name + ".result.h5") as file:
        private = unit_rows(file["values"][:, 0, :])
    missing = [text for text in texts if text not in known]
    if missing:
        sys.exit(f"reference.py: {vectors} has no embedding of: {missing[0]}")
    wanted = unit_rows([known[text] for text in texts])
    cosine = numpy.sum(private * wanted, axis=1).min()
    difference = numpy.abs(private @ private.T - wanted @ wanted.T).max()
    good = cosine >= LEAST_COSINE and difference <= MOST_DIFFERENCE
    print(f"reference: PyTorch {reference['made_with']['torch']}, {len(texts)} sentences")
    print(f"lowest cosine(private, PyTorch) = {cosine:.5f} (at least {LEAST_COSINE} is asked)")
    print(f"largest difference of similarity: {difference:.5f} (at most {MOST_DIFFERENCE} is asked)")
    return 0 if good else 10


if len(sys.argv) != 3:
    sys.exit(__doc__)
sys.exit(main(sys.argv[1], sys.argv[2]))
