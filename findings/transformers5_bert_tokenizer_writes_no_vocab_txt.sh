#!/usr/bin/env bash
# transformers 5: no call of the BERT tokenizer writes vocab.txt any more, and one of its numbers fits no 64-bit integer
#
# One would expect: save_pretrained of a BERT tokenizer leaves vocab.txt beside tokenizer.json, and save_vocabulary
# writes vocab.txt if nothing else does. Numbers of a configuration file fit the integers of a C program.
# What happens (5.24.0): save_pretrained writes tokenizer.json and tokenizer_config.json only. save_vocabulary writes
# the lines of vocab.txt into a file called tokenizer.model, a name that usually means a SentencePiece model; and on a
# tokenizer that was loaded from such a saved folder it fails, because the tokenizer no longer knows a vocabulary file.
# Where no length limit was given, tokenizer_config.json says model_max_length = the integer nearest to the double
# 1e30, which strict JSON parsers with 64-bit integers refuse, and the whole file with it.
# Why it matters: a C program that imports BERT folders by vocab.txt and reads tokenizer_config.json strictly refuses
# every folder that today's library saves from a plain vocabulary; the advice "let the tokenizer write vocab.txt" fails
# too. The pieces and their numbers are in tokenizer.json under model.vocab.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 tokenizers==0.23.3
python v <<'P'
import filecmp, json, os
import transformers
from transformers import BertTokenizer
from verdict import end, error_of, same
print("transformers", transformers.__version__)
os.makedirs("plain")
with open("plain/vocab.txt", "w") as f:
    f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", "sleep"]) + "\n")
first = BertTokenizer.from_pretrained("plain")
same("tokens of 'cats sleep'", first("cats sleep")["input_ids"], [2, 5, 6, 7, 3])
first.save_pretrained("saved")
same("save_pretrained wrote", sorted(os.listdir("saved")), ["tokenizer.json", "tokenizer_config.json"])
os.makedirs("words")
first.save_vocabulary("words")
same("save_vocabulary wrote", os.listdir("words"), ["tokenizer.model"])
same("its bytes are those of vocab.txt",
    filecmp.cmp("words/tokenizer.model", "plain/vocab.txt", shallow=False), True)
second = BertTokenizer.from_pretrained("saved")
same("the saved folder gives the same tokens", second("cats sleep")["input_ids"], [2, 5, 6, 7, 3])
os.makedirs("again")
same("save_vocabulary after loading the saved folder", error_of(second.save_vocabulary, "again"), "AttributeError")
limit = json.load(open("saved/tokenizer_config.json"))["model_max_length"]
same("model_max_length", limit, int(1e30))
same("it fits 64 bits", limit < 1 << 64, False)
vocab = json.load(open("saved/tokenizer.json"))["model"]["vocab"]
same("tokenizer.json still has all pieces", len(vocab), 8)
end()
P
