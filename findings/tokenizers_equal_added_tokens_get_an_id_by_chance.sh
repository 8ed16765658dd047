#!/usr/bin/env bash
# tokenizers 0.23: of two added tokens that lower case makes equal, each load of the same file picks one by chance
#
# One would expect: a tokenizer.json with the added tokens "COVID" and "covid", both looked for after lower case, gives
# either of them always the same id: that of the first, or of the last.
# What happens (0.23.3): each time the file is loaded the id is drawn anew, for both spellings, even within one process.
# Two tokenizers of one file, side by side, give different ids for one text. 0.22.2 always gives the first one's.
# Why it matters: a vocabulary extended by a list of names in several spellings has such pairs. The two ids have two
# embeddings, so the same sentence has two results. A program that compares its own ids with the library's agrees on
# one day and not on the next, and neither is at fault. Such a pair is best refused, or said aloud.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old tokenizers==0.22.2
venv v tokenizers==0.23.3
cat >ids.py <<'P'
import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
t = Tokenizer(models.WordPiece({"[UNK]": 0, "the": 1}, unk_token="[UNK]"))
t.normalizer = normalizers.BertNormalizer(lowercase=True)
t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
t.add_tokens([AddedToken("COVID", normalized=True), AddedToken("covid", normalized=True)])
t.save("tokenizer.json")
print(tokenizers.__version__, end=":")
for text in ("the COVID", "the covid"):
    seen = {t.encode(text).ids[1] for t in (Tokenizer.from_file("tokenizer.json") for _ in range(64))}
    print("", text, sorted(seen), end=";")
P
same "ids of the second word in 64 loads" "$(python old <ids.py)" "0.22.2: the COVID [2]; the covid [2];"
same "ids of the second word in 64 loads" "$(python v <ids.py)" "0.23.3: the COVID [2, 3]; the covid [2, 3];"
verdict
