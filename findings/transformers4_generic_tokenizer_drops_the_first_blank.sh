#!/usr/bin/env bash
# transformers 4: the general fast tokenizer turns add_prefix_space of a tokenizer.json off
#
# One would expect: PreTrainedTokenizerFast runs tokenizer.json as it is, since it has no rules of its own.
# What happens: transformers 4.57.6 sets add_prefix_space of a ByteLevel pre-tokenizer to what tokenizer_config.json
# says, and to false where that says nothing; the first word of every text gets other tokens. Saved again, the file says
# false for good. 5.24.0 leaves the file alone.
# Why it matters: a tokenizer.json of the tokenizers library gives other ids in transformers 4 than in the library and
# in 5. twain follows the file and says so.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv four transformers==4.57.6 tokenizers==0.22.2
venv five transformers==5.24.0 tokenizers==0.23.3
cat >look.py <<'P'
import json, os
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {piece: i for i, piece in enumerate(["<unk>", *letters, "\u0120a"])}
t = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\u0120", "a")], unk_token="<unk>"))
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
os.makedirs("m", exist_ok=True)
t.save("m/tokenizer.json")
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}, open("m/tokenizer_config.json", "w"))
tokenizer = AutoTokenizer.from_pretrained("m")
tokenizer.save_pretrained("again")
saved = json.load(open("again/tokenizer.json"))["pre_tokenizer"]["add_prefix_space"]
show = lambda pieces: "|".join(pieces).replace("\u0120", "_")
print(show(t.encode("a b").tokens), show(tokenizer.tokenize("a b")), saved)
P
same "library, transformers 4, what it saves" "$(four/bin/python look.py 2>/dev/null)" "_a|_|b a|_|b False"
same "library, transformers 5, what it saves" "$(five/bin/python look.py 2>/dev/null)" "_a|_|b _a|_|b True"
verdict
