#!/usr/bin/env bash
# transformers: truncation=True with a max_length below the number of special tokens returns the whole text, uncut
#
# One would expect: truncation=True, max_length=n gives at most n ids, or an error if n leaves no room for [CLS] and
# [SEP].
# What happens (4.57.6 and 5.24.0, fast BERT tokenizer): from n = number of special tokens on (2 for one text, 3 for a
# pair) the bar is kept, with the special tokens alone at the bar itself. One below it nothing is cut at all: a text of
# 600 words comes back with 602 ids. No error, no warning.
# Why it matters: a bar that is computed (room left in a batch, a length given by another program) is trusted by the
# code after it. Below the smallest value it turns into no bar, and arrays made for n entries get hundreds. Check the
# length of the result, and refuse a bar below the special tokens.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old transformers==4.57.6 tokenizers==0.22.2
venv v transformers==5.24.0 tokenizers==0.23.3
mkdir folder
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' cat dog >folder/vocab.txt
echo '{"model_type": "bert"}' >folder/config.json
echo '{"tokenizer_class": "BertTokenizer"}' >folder/tokenizer_config.json
cat >lengths.py <<'P'
import transformers
from transformers import AutoTokenizer
t = AutoTokenizer.from_pretrained("folder")
for texts in (["cat " * 600], ["cat " * 600, "dog " * 50]):
    print(*(len(t(*texts, truncation=True, max_length=n)["input_ids"]) for n in (5, 4, 3, 2, 1)), end="; ")
P
echo "number of ids at max_length 5, 4, 3, 2, 1: a text of 600 words; with a second one of 50 words"
same "4.57.6" "$(python old <lengths.py)" "5 4 3 2 602; 5 4 3 653 653; "
same "5.24.0" "$(python v <lengths.py)" "5 4 3 2 602; 5 4 3 653 653; "
verdict
