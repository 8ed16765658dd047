#!/usr/bin/env bash
# transformers 5: RoBERTa's <mask> no longer takes the blank before it along, where no file says that it should
#
# One would expect: a RoBERTa folder of vocab.json and merges.txt gives the same tokens in transformers 4 and 5; RoBERTa
# was trained with <mask> standing for a word and its blank.
# What happens: 4.57.6 makes <mask> an added token with lstrip, as its class always did. 5.24.0 has the name only: the
# blank becomes a token of its own in front of every mask, without a warning.
# Why it matters: such folders are common, and what a model fills in for "the <mask>" differs. twain does as 4, and says so.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv four transformers==4.57.6 tokenizers==0.22.2
venv five transformers==5.24.0 tokenizers==0.23.3
cat >look.py <<'P'
import json, os
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer
pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "\u0120a", "<mask>"]
os.makedirs("m", exist_ok=True)
json.dump({piece: i for i, piece in enumerate(pieces)}, open("m/vocab.json", "w"))
open("m/merges.txt", "w").write("#version: 0.2\n\u0120 a\n")
json.dump({"tokenizer_class": "RobertaTokenizer"}, open("m/tokenizer_config.json", "w"))
json.dump({"model_type": "roberta"}, open("m/config.json", "w"))
t = AutoTokenizer.from_pretrained("m")
print("|".join(t.convert_ids_to_tokens(t("b <mask> a", add_special_tokens=False)["input_ids"])).replace("\u0120", "_"))
P
same "tokens of 'b <mask> a', transformers 4" "$(four/bin/python look.py 2>/dev/null)" "b|<mask>|_a"
same "tokens of 'b <mask> a', transformers 5" "$(five/bin/python look.py 2>/dev/null)" "b|_|<mask>|_a"
verdict
