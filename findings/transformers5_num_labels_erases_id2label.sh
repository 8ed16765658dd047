#!/usr/bin/env bash
# transformers 5: num_labels beside id2label erases the labels, where 4 kept them
#
# One would expect: id2label lists a classifier's labels, so that its length is their number, whatever num_labels says;
# transformers 4 does it that way, with a warning.
# What happens: 5.24.0 prints the same warning, takes num_labels and throws the names away: LABEL_0, LABEL_1. Which rows
# of the classifier a model then has differs between the two versions.
# Why it matters: older scripts wrote both into config.json. twain refuses a folder in which they disagree.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv four transformers==4.57.6 tokenizers==0.22.2
venv five transformers==5.24.0 tokenizers==0.23.3
cat >look.py <<'P'
import json, os
from transformers import AutoConfig
os.makedirs("m", exist_ok=True)
json.dump({"model_type": "bert", "num_labels": 2, "id2label": {"0": "bad", "1": "so-so", "2": "good"}}, open("m/config.json", "w"))
c = AutoConfig.from_pretrained("m")
print(c.num_labels, *c.id2label.values())
P
same "labels, transformers 4" "$(four/bin/python look.py 2>/dev/null)" "3 bad so-so good"
same "labels, transformers 5" "$(five/bin/python look.py 2>/dev/null)" "2 LABEL_0 LABEL_1"
verdict
