#!/usr/bin/env bash
# tokenizers: BERT's rule "a space around each ideograph" leaves out 256 of them, U+2B820 to U+2B91F
#
# One would expect: the rule names whole blocks of Unicode, and the fast tokenizer has the same blocks as the slow one
# that it replaces.
# What happens: Extension E of the ideographs begins at U+2B820; the fast normaliser (0.22.2, 0.23.3) begins at U+2B920,
# one digit off. The 256 between stay joined to their neighbours, so a run of them is one word, and an unknown one. The
# slow tokenizer of transformers 4.57.6 splits them. Extensions F and later are split by neither.
# Why it matters: a tokenizer written after the paper's code, or after Unicode's blocks, gives other ids. Only a walk
# over all code points finds it: the first and last character of every other block agree.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old transformers==4.57.6 tokenizers==0.22.2
venv v tokenizers==0.23.3
cat >fast.py <<'P'
import tokenizers
from tokenizers import normalizers
rule = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
split = {c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and rule.normalize_str(chr(c)) == f" {chr(c)} "}
P
cat >ranges.py <<'P'
def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return " ".join(f"{a:x}-{b:x}" for a, b in out)
P
fast="3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f"
slow="3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2ceaf 2f800-2fa1f"
same "split by tokenizers 0.22.2" "$(cat ranges.py fast.py - <<<'print(ranges(split))' | python old)" "$fast"
same "split by tokenizers 0.23.3" "$(cat ranges.py fast.py - <<<'print(ranges(split))' | python v)" "$fast"
cat >slow.py <<'P'
from transformers.models.bert.tokenization_bert import BasicTokenizer
b = BasicTokenizer()
print(ranges(c for c in range(0x110000) if b._is_chinese_char(c)))
P
same "split by the slow tokenizer of transformers 4.57.6" "$(cat ranges.py slow.py | python old)" "$slow"
verdict
