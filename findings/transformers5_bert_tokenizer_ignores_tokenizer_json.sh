#!/usr/bin/env bash
# transformers 5: BertTokenizer takes the vocabulary from tokenizer.json and leaves its other rules unread
#
# One would expect: tokenizer.json describes the whole tokenizer, and a library that loads it follows it, as
# transformers 4 and the tokenizers library do.
# What happens (5.24.0): with tokenizer_class BertTokenizer only the pieces and the added tokens come from the file. The
# prefix of continuing pieces, the longest word, the cleaning of control characters, lower case, and the special tokens
# around a text are those of the class, whatever the file says. 4.57.6 follows the file in all but lower case, for which
# it too prefers its own setting. Nothing is said.
# Why it matters: a vocabulary trained with another prefix falls apart into unknown pieces after an upgrade of the
# library, and a folder gives other ids to a program that reads the file. Which version the ids are compared with has
# to be written down.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old transformers==4.57.6 tokenizers==0.22.2
venv v transformers==5.24.0 tokenizers==0.23.3
cat >ids.py <<'P'
import json, os
import transformers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer
vocab = {p: i for i, p in enumerate("[PAD] [UNK] [CLS] [SEP] [MASK] cat un @@able ##able able cats The the".split())}
os.makedirs("folder", exist_ok=True)
json.dump({"model_type": "bert"}, open("folder/config.json", "w"))
json.dump({"tokenizer_class": "BertTokenizer"}, open("folder/tokenizer_config.json", "w"))


def pieces(text, clean=True, lower=True, **model):
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", **model))
    t.normalizer = normalizers.BertNormalizer(clean_text=clean, lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in list(vocab)[:5]])
    t.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])
    t.save("folder/tokenizer.json")
    loaded = AutoTokenizer.from_pretrained("folder")
    return " ".join(loaded.convert_ids_to_tokens(loaded(text)["input_ids"])) + " / " + " ".join(t.encode(text).tokens)


for what, seen in [("plain", pieces("cat")), ("prefix @@", pieces("unable", continuing_subword_prefix="@@")),
                   ("longest word 3", pieces("cats", max_input_chars_per_word=3)),
                   ("control characters kept", pieces("cat\x01", clean=False)),
                   ("no lower case", pieces("The", lower=False))]:
    print(f"{what}: {seen}")
P
echo "what the file says: tokens of transformers / of the file itself, in which [SEP] ends a text and nothing begins it"
same "4.57.6" "$(python old <ids.py)" "plain: cat [SEP] / cat [SEP]
prefix @@: un @@able [SEP] / un @@able [SEP]
longest word 3: [UNK] [SEP] / [UNK] [SEP]
control characters kept: [UNK] [SEP] / [UNK] [SEP]
no lower case: the [SEP] / The [SEP]"
same "5.24.0" "$(python v <ids.py)" "plain: [CLS] cat [SEP] / cat [SEP]
prefix @@: [CLS] un ##able [SEP] / un @@able [SEP]
longest word 3: [CLS] cats [SEP] / [UNK] [SEP]
control characters kept: [CLS] cat [SEP] / [UNK] [SEP]
no lower case: [CLS] the [SEP] / The [SEP]"
verdict
