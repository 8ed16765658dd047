#!/usr/bin/env bash
# transformers 5: a LLaMA folder with tokenizer.model only gives other ids than sentencepiece: a first blank is dropped
#
# One would expect: tokenizer.model holds the whole rules, legacy is true in tokenizer_config.json, and transformers 4 (both
# its tokenizers) gives the ids that sentencepiece gives; so does 5.
# What happens: 5.24.0 takes pieces and merges out of the model file and puts rules of its own around them. " hello" gets
# the ids of "hello", "  hello" those of " hello", and so it goes behind every special token. 4.57.6 and sentencepiece
# 0.2.1 keep each blank. Nothing is said.
# Why it matters: a completion that begins with a blank, code that is indented, a chat turn behind [/INST]: a model sees
# other tokens than in training, and a program that runs the model file with sentencepiece's library disagrees with the
# newest reference and agrees with the one before. twain does as sentencepiece.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv four transformers==4.57.6 tokenizers==0.22.2 sentencepiece==0.2.1 protobuf==6.33.5
venv five transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.1 protobuf==6.33.5
cat >make.py <<'P'
import sentencepiece
from transformers import LlamaTokenizer
text = ["hello world, hello there", "a new world of hello", "the other old world"] * 50
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_prefix="m", vocab_size=300, model_type="bpe",
                                         byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                                         hard_vocab_limit=False, allow_whitespace_only_pieces=True, minloglevel=2)
LlamaTokenizer("m.model", legacy=True).save_pretrained("folder")
P
cat >ids.py <<'P'
import json, sys
import sentencepiece
from transformers import AutoTokenizer
own = sentencepiece.SentencePieceProcessor(model_file="folder/tokenizer.model")
t = AutoTokenizer.from_pretrained("folder", **(dict(use_fast=False) if sys.argv[1] == "slow" else {}))
ids = (lambda text: own.encode(text)) if sys.argv[1] == "sentencepiece" else lambda text: t(text, add_special_tokens=False).input_ids
print(*(" ".join(map(str, ids(text))) for text in ("hello world", " hello world", "  hello world")), sep=", ")
P
python four <make.py
same "files of the folder" "$(ls folder | grep -c tokenizer.json || true)" 0
same "legacy" "$(grep -o '"legacy": [a-z]*' folder/tokenizer_config.json)" '"legacy": true'
wanted=$(python four sentencepiece <ids.py)
same "sentencepiece: three different lists" "$(tr ',' '\n' <<<"$wanted" | sed 's/^ //' | sort -u | wc -l)" 3
same "transformers 4, slow" "$(python four slow <ids.py)" "$wanted"
same "transformers 4, fast" "$(python four fast <ids.py)" "$wanted"
IFS=, read -r none one two <<<"$wanted"
same "transformers 5: each with a blank less" "$(python five fast <ids.py)" "$none, $none,$one"
verdict
