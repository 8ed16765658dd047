#!/usr/bin/env bash
# tokenizers: the NFC normalizer is of Unicode 9 (2016), while the patterns beside it are of Unicode 16
#
# One would expect: one version of Unicode in a library, and NFC as unicodedata has it, for text of any living script.
# What happens: tokenizers 0.22.1 and 0.23.3 know no combining class and no decomposition of any code point that came
# after Unicode 9: marks stay in the order typed, composed letters stay whole. In the same file \p{L} holds letters of
# Unicode 16.
# Why it matters: Qwen2's tokenizer.json asks for NFC. Text normalised with Python's unicodedata, with ICU or utf8proc
# before or instead gets other tokens than the model was trained with. twain leaves what Unicode 9 does not know alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv old tokenizers==0.22.1 unicodedata2==16.0.0
venv new tokenizers==0.23.3 unicodedata2==16.0.0
cat >look.py <<'P'
import unicodedata2
from tokenizers import Regex, normalizers
nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
every = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
moved = [c for c in every if unicodedata2.combining(c) not in (0, 1) and
         nfc("a" + c + "\u0334") != unicodedata2.normalize("NFC", "a" + c + "\u0334")]
split = [c for c in every if nfd(c) != unicodedata2.normalize("NFD", c)]
P
for v in old new; do
  same "marks that NFC does not order, $v" "$(cat look.py - <<<'print(len(moved))' | python $v)" "120"
  same "letters that NFD does not take apart, $v" "$(cat look.py - <<<'print(len(split))' | python $v)" "21"
  same "the first three of each, $v" \
    "$(cat look.py - <<<'print(*(f"{ord(c):x}" for c in moved[:3] + split[:3]))' | python $v)" "7fd 897 898 105c9 105e4 11383"
  same "\\p{L} holds U+1C89 (Unicode 16), $v" \
    "$(cat look.py - <<<'print(normalizers.Replace(Regex(r"\p{L}"), "").normalize_str("\u1c89") == "")' | python $v)" "True"
done
verdict
