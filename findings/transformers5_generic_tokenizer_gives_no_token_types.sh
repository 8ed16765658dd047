#!/usr/bin/env bash
# transformers 5: the generic tokenizer classes give no token types for a pair of texts, and BERT takes 0 for both
#
# One would expect: a tokenizer.json whose frame says type 0 for the first text and 1 for the second gives these types
# to the model, as with transformers 4.
# What happens: with tokenizer_class PreTrainedTokenizerFast (what 4 saves for a tokenizer of one's own) 4.57.6 returns
# token_type_ids 0 and 1. 5.24.0 returns ids and mask only, and saves the folder as TokenizersBackend, which does the
# same. BertModel then takes type 0 for every token. Nothing is said; asked for explicitly, the types are right.
# Why it matters: a model that compares two texts was trained with both types and now runs with one; its output moves
# while the ids are equal. Whoever checks a program of their own against the library compares ids, finds them equal,
# and looks for the difference in the arithmetic.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old transformers==4.57.6 tokenizers==0.22.2
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
mkdir folder
cat >make.py <<'P'
import json
from tokenizers import Tokenizer, models, pre_tokenizers, processors
vocab = {p: i for i, p in enumerate("[PAD] [UNK] [CLS] [SEP] cat dog".split())}
t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                 special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
t.save("folder/tokenizer.json")
json.dump({"model_type": "bert"}, open("folder/config.json", "w"))
json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, open("folder/tokenizer_config.json", "w"))
P
python old <make.py
cat >pair.py <<'P'
from transformers import AutoTokenizer
pair = AutoTokenizer.from_pretrained("folder")("cat", "dog")
print(*pair["input_ids"], "/", *pair.get("token_type_ids", ["no types"]))
P
same "4.57.6, ids / types" "$(python old <pair.py)" "2 4 3 5 3 / 0 0 0 1 1"
same "5.24.0, ids / types" "$(python v <pair.py)" "2 4 3 5 3 / no types"
python v <<'P'
import json
import torch
from transformers import AutoTokenizer, BertConfig, BertModel
from verdict import end, same
torch.manual_seed(1)
t = AutoTokenizer.from_pretrained("folder")
t.save_pretrained("again")
same("saved by 5.24.0 as", json.load(open("again/tokenizer_config.json"))["tokenizer_class"], "TokenizersBackend")
same("which gives types", "token_type_ids" in AutoTokenizer.from_pretrained("again")("cat", "dog"), False)
asked = t("cat", "dog", return_token_type_ids=True, return_tensors="pt")
same("asked for: types", asked["token_type_ids"].tolist(), [[0, 0, 0, 1, 1]])
model = BertModel(BertConfig(vocab_size=6, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                             intermediate_size=32)).eval()
plain = t("cat", "dog", return_tensors="pt")
out = {name: model(**x).last_hidden_state for name, x in
       {"plain": plain, "asked": asked, "zeros": {**asked, "token_type_ids": 0 * asked["token_type_ids"]}}.items()}
same("BERT without types equals BERT with zeros", torch.equal(out["plain"], out["zeros"]), True)
same("BERT without types is near BERT with the types", torch.allclose(out["plain"], out["asked"], atol=1e-3), False)
end()
P
verdict
