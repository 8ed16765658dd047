#!/usr/bin/env python3
"""The folders of tests/cli/config_cases.py, on shares by twain and by transformers (not needed to build or test): where
twain imports a folder, rows or logits of both must agree; where it refuses one, a line says what transformers does.

    python3 -m venv .venv && .venv/bin/pip install 'torch==2.15.0' 'transformers==5.24.0' numpy h5py
    .venv/bin/python tools/compare_folders.py build/twain [WORD...]    # only changes whose text has one of the words
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import warnings

import h5py
import numpy as np
import torch
import transformers

from parties import MPI

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "cli"))
import config_cases as cases  # noqa: E402
import families  # noqa: E402

os.environ.update(MPI)
TWAIN, WORDS, LEAST = os.path.abspath(sys.argv[1]), sys.argv[2:], 0.9999


def twain(*words, parties=0):
    launch = ["mpirun", "-np", "2", "--bind-to", "none"] if parties else []
    done = subprocess.run([*launch, TWAIN, *words], capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def by_twain(folder):
    """Ids, types and what comes out, text by text; or why not."""
    decoder = folder.removesuffix("-renamed") in families.DECODERS
    texts = families.DECODER_TEXTS if decoder else families.TEXTS[:3]
    rows = ["--result", "all-logits"] if decoder else []
    for step in (["import", folder, "-o", "m"], ["plan", "m", "--seq", "40", *rows], ["share", "m"],
                 ["deal", "m", "-n", str(len(texts))], ["encode", "m", *texts], ["share", "m", "--input"]):
        problem = twain(*step, "--force")
        if problem:
            return None, problem
    problem = twain("run", "m", "--ledger", "ledger", "--device", "cpu", "--force", parties=2)
    problem = problem or twain("reveal", "m", "--force")
    if problem:
        return None, problem
    with h5py.File("m.input.h5") as f, h5py.File("m.result.h5") as g:
        ids, lengths, values = f["tokens"][()], f["lengths"][()], g["values"][()]
        types = f["types"][()] if "types" in f else None
    typed = lambda i, n: None if types is None else types[i, :n]
    return [(t[:n], typed(i, n), values[i]) for i, (t, n) in enumerate(zip(ids, lengths))], None


def late(*_):
    raise TimeoutError("no end within a minute")


def by_transformers(folder, inputs):
    config = cases.json.load(open(f"{folder}/config.json"))
    classes = config["architectures"]
    kind = getattr(transformers, classes[0] if type(classes) is list and type(classes[0]) is str else "AutoModel")
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    out = []
    for ids, types, _ in inputs:
        typed = types is not None and "type_vocab_size" in config
        more = dict(token_type_ids=torch.tensor([types.tolist()])) if typed else {}
        with torch.no_grad():
            done = model(torch.tensor([ids.tolist()]), **more)
        rows = done.logits if hasattr(done, "logits") else done.last_hidden_state
        out.append(rows[0].double().numpy().reshape(-1, rows.shape[-1]))
    return out


def compare(inputs, wanted):
    least, largest = 1.0, 0.0
    for (ids, _, mine), theirs in zip(inputs, wanted):
        for a, b in zip(mine[: len(theirs)], theirs, strict=True):
            if len(b) > 1:
                least = min(least, a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            largest = max(largest, abs(a - b).max())
    return least, largest


def show(what, folder):
    inputs, problem = by_twain(folder)
    signal.alarm(60)
    try:
        wanted = by_transformers(folder, inputs or [(np.array([5, 6, 7]), None, None)])
    except Exception as e:  # of any class, also from PyTorch
        print(f"{what}: transformers: {' '.join(str(e).split())[:70]}; twain: {problem or 'TAKES IT'}", flush=True)
        return problem is not None
    finally:
        signal.alarm(0)
    if problem:
        print(f"{what}: refused, though transformers takes it: {problem}", flush=True)
        return True
    least, largest = compare(inputs, wanted)
    good = least >= LEAST and largest < 0.1
    verdict = "alike" if good else "OTHERWISE"
    print(f"{what}: {verdict}, cosine {least:.6f}, largest difference {largest:.4f}", flush=True)
    return good


def main():
    signal.signal(signal.SIGALRM, late)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    os.umask(0o077)
    os.chdir(tempfile.mkdtemp())
    twain("ledger", "--new", "ledger")
    print("transformers", transformers.__version__, "torch", torch.__version__, flush=True)
    bad, seen = 0, set()
    for name, change, _ in cases.ALIKE + cases.SAID + cases.REFUSED:
        what = f"{name} {cases.clean(change)}" + "".join(f" without {k}" for k, v in change.items() if v is cases.DROP)
        if what not in seen and (not WORDS or any(w in what for w in WORDS)):
            bad += not show(what, cases.changed(name, change))
        seen.add(what)
    for name, prefix, some in cases.PREFIXES:
        if not WORDS or any(w in "prefixes" for w in WORDS):
            folder = cases.renamed(name, lambda k: [k.removeprefix(prefix) if some in k else k])
            bad += not show(f"{name}, {some} without {prefix}", folder)
    print(bad, "otherwise")
    sys.exit(bad > 0)


main()
