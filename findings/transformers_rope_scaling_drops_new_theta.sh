#!/usr/bin/env bash
# transformers 5: an old rope_scaling beside the new rope_parameters wins, and the new key's theta is lost
#
# One would expect: config.json of 5.x keeps everything about rotary positions in rope_parameters; a file that carries
# the older rope_scaling too, for readers of both generations, is read by its new key, at least for theta.
# What happens (5.24.0): a non-empty rope_scaling replaces rope_parameters as a whole. If theta stood in
# rope_parameters only, the model silently gets the default, 10000, even where both keys agree about the scaling. An
# empty rope_scaling (null) and an old rope_theta of another value do no harm.
# Why it matters: an importer that prefers the new key computes other angles than the reference for such a file, and
# one that prefers the old key and keeps theta does too. Positions still look right for the first words. A file with
# both keys is best refused unless theta is said on the old level, too.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 tokenizers==0.23.3
python v <<'P'
import copy
import transformers
from transformers import LlamaConfig
from verdict import end, same
print("transformers", transformers.__version__)
new = {"rope_type": "default", "rope_theta": 500000.0}
scaled = {"rope_type": "linear", "factor": 2.0}
both = {**scaled, "rope_theta": 500000.0}
for what, keys, wanted in [
    ("rope_parameters", {"rope_parameters": new}, (500000.0, None)),
    ("rope_theta and rope_scaling, the old keys", {"rope_theta": 500000.0, "rope_scaling": scaled}, (500000.0, 2.0)),
    ("rope_parameters, rope_scaling null", {"rope_parameters": new, "rope_scaling": None}, (500000.0, None)),
    ("rope_parameters, another rope_theta", {"rope_parameters": new, "rope_theta": 7.0}, (500000.0, None)),
    ("rope_parameters, rope_scaling", {"rope_parameters": new, "rope_scaling": scaled}, (10000.0, 2.0)),
    ("the same scaling in both", {"rope_parameters": both, "rope_scaling": scaled}, (10000.0, 2.0)),
]:
    rope = LlamaConfig.from_dict({"model_type": "llama", **copy.deepcopy(keys)}).rope_parameters
    got = (rope.get("rope_theta"), rope.get("factor"))
    same(f"{what}: theta, factor", got, wanted)
end()
P
