"""Digests of what is computed, for cases between which every gate, rounding and output occurs: correction streams of both
key files, all opened values (transcript), outputs, and costs of every gate. They must not change while names, files and
folders do. Tables and synthetic weights are made with libm: another libm may give other digests.

    digests.py TWAIN           compares with tests/vectors/digests.json, exit code 1 where something differs
    digests.py TWAIN --write   writes them
    digests.py TWAIN CASE...   only these cases, by number
"""
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

import checksum
import families

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from parties import call  # noqa: E402

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "digests.json"
TEXTS = ["a few words of text", "one", "what it says here is a little longer than the others, and has a comma"]
# shape or one of families.py, tokens, result, rounding, batch
CASES = [("bert-tiny", 7, "tokens", "dithered", 1), ("bert-tiny", 32, "pooled", "faithful", 3),
         ("bert-tiny", 128, "cls", "faithful-output", 1), ("1x24x3x40", 7, "cls", "faithful", 3),
         ("1x24x3x40", 32, "tokens", "faithful-output", 3), ("1x24x3x40", 128, "pooled", "dithered", 1),
         ("1x24x3x40", 384, "tokens", "dithered", 1), ("minilm", 7, "pooled", "faithful-output", 1),
         ("minilm", 32, "tokens", "dithered", 3), ("minilm", 128, "cls", "dithered", 1),
         ("distilbert-classes", 24, "logits", "dithered", 3), ("electra-tokens", 24, "logits", "faithful-output", 1)]


def digest(*parts):
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        h.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else str(part).encode())
    return h.hexdigest()


def twain(*words, parties=0):
    launch = ["mpirun", "-np", "2"] if parties else []
    return call(*launch, TWAIN, *words)


def fix_mask_seeds(path):
    """Corrections depend on the model's masks, which are drawn anew each time: here they are known."""
    with h5py.File(path, "r+") as f:
        checksum.put(f["mask_seeds"], np.arange(64, dtype=np.uint8).reshape(2, 32))


def corrections(name):
    rows = []
    for party in "01":
        with h5py.File(f"{name}.keys.p{party}.h5") as f:
            rows += [f["corrections"][()] if f["corrections"].size else "", f["index"][()]["width"], f["index"][()]["count"]]
    return digest(*rows)


def costs_by_step(plan):
    """Summed over layers, steps in the order in which they come first; without those that cost nothing."""
    sums = {}
    for step, *cost in zip(plan["step"], plan["step_key_bytes"], plan["step_rounds"], plan["step_sent_bytes"]):
        if any(cost):
            sums[step] = [a + b for a, b in zip(sums.get(step, [0, 0, 0]), cost)]
    return [[keys, step, rounds, sent] for step, (keys, rounds, sent) in sums.items()]


def run_case(shape, tokens, result, rounding, batch):
    if shape in families.FAMILIES:
        families.write(shape, shape)
    twain("import", *([shape] if shape in families.FAMILIES else ["--shape", shape]), "-o", "n", "-q", "--force")
    plan, = json.loads(twain("plan", "n", "--seq", str(tokens), "--result", result, "--rounding", rounding, "--json", "--force"))
    twain("share", "n", "-q", "--force")
    for kind in ("plan.json", "model.json", "model.p0.h5", "model.p1.h5", "model.dealer.h5"):
        Path(f"fixed.{kind}").write_bytes(Path(f"n.{kind}").read_bytes())
        os.chmod(f"fixed.{kind}", 0o600)
    fix_mask_seeds("fixed.model.dealer.h5")
    for name in ("fixed", "n"):
        twain("deal", name, "-n", str(batch), "--test-seed", "20261129", "-q", "--force")
    twain("encode", "n", "-q", "--force", "--truncate", "--", *TEXTS[:batch])
    twain("share", "n", "--input", "-q", "--force")
    twain("run", "n", "--ledger", "ledger", "--allow-test-keys", "--device", "cpu", "-q", "--force", parties=2)
    twain("reveal", "n", "-q", "--force")
    with h5py.File("n.result.p0.h5") as f, h5py.File("n.result.h5") as joined:
        opened, outputs = f.attrs["transcript"].decode(), digest(joined["values"][()])
    costs = costs_by_step(plan)
    return {"corrections": corrections("fixed"), "opened": opened, "outputs": outputs,
            "costs": digest(costs, plan["key_bytes"], plan["sent_bytes"], plan["rounds"])}


def main():
    global TWAIN
    TWAIN = os.path.abspath(sys.argv[1])
    write = "--write" in sys.argv
    chosen = [int(w) for w in sys.argv[2:] if w.isdigit()] or range(len(CASES))
    known = json.loads(VECTORS.read_text()) if VECTORS.exists() else {}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        twain("ledger", "--new", "ledger", "-q")
        for i in chosen:
            name = " ".join(map(str, CASES[i]))
            found = run_case(*CASES[i])
            differ = [k for k in found if found[k] != known.get(name, {}).get(k)]
            wrong += bool(differ) and not write
            print(f"{i} {name}: {'differs in ' + ', '.join(differ) if differ and not write else 'ok'}", flush=True)
            known[name] = found
    if write:
        VECTORS.write_text(json.dumps(known, indent=1) + "\n")
    return wrong > 0


sys.exit(main())
