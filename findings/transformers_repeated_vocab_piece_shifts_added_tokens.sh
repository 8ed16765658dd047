#!/usr/bin/env bash
# transformers: where vocab.txt has a piece twice, the tokens of added_tokens.json get the ids of other pieces
#
# One would expect: added_tokens.json gives each added token its id, and that is the id it gets; a repeated line in
# vocab.txt costs one id that nothing uses.
# What happens (fast tokenizer of 4.57.6, and 5.24.0): the added tokens are numbered anew from the number of different
# pieces, which is smaller than the number of lines. With one piece twice the first added token gets the id of the
# last piece, and the last declared id is never given. Nothing is said. The slow tokenizer of 4.57.6 gives the declared
# ids.
# Why it matters: the embedding rows belong to the declared ids, so each added token is looked up in its neighbour's
# row, and two words share one row. The model still answers. Vocabularies joined by hand have repeated lines; a program
# that imports them has to say which rule it follows.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old transformers==4.57.6 tokenizers==0.22.2
venv v transformers==5.24.0 tokenizers==0.23.3
mkdir clean twice
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' cat dog sat mat >clean/vocab.txt
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' cat dog cat mat >twice/vocab.txt
for folder in clean twice; do
  echo '{"model_type": "bert"}' >$folder/config.json
  echo '{"tokenizer_class": "BertTokenizer"}' >$folder/tokenizer_config.json
  echo '{"[E1]": 9, "[E2]": 10}' >$folder/added_tokens.json
done
cat >ids.py <<'P'
import sys
from transformers import AutoTokenizer
t = AutoTokenizer.from_pretrained(sys.argv[1], use_fast=sys.argv[2] == "fast")
print(*t("mat [E1] [E2]", add_special_tokens=False)["input_ids"])
P
echo "ids of mat (line 9, from 0: 8), [E1] (declared 9), [E2] (declared 10)"
same "4.57.6 fast, no piece twice" "$(python old clean fast <ids.py)" "8 9 10"
same "4.57.6 fast, a piece twice" "$(python old twice fast <ids.py)" "8 8 9"
same "4.57.6 slow, a piece twice" "$(python old twice slow <ids.py)" "8 9 10"
same "5.24.0, no piece twice" "$(python v clean fast <ids.py)" "8 9 10"
same "5.24.0, a piece twice" "$(python v twice fast <ids.py)" "8 8 9"
verdict
