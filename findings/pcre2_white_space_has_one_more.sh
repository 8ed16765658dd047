#!/usr/bin/env bash
# PCRE2: \s of Unicode holds U+180E, which has been no white space since Unicode 6.3; tokenizers' \s does not
#
# One would expect: \s with Unicode's properties is White_Space, and a tokenizer's pattern cuts text the same whichever
# library runs it.
# What happens: PCRE2 (also 10.42 of Debian 12) takes U+180E, the Mongolian vowel separator, for \s even with its
# newest tables; the engine inside tokenizers 0.22.1 (Oniguruma), like Python's own, does not. All other code points
# agree.
# Why it matters: GPT-2's, LLaMA-3's and Qwen's patterns speak of \s and [^\s..]. Mongolian text gets other tokens by
# PCRE2, and no test without it shows. twain spells \s out.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v tokenizers==0.22.1 pcre2==0.7.1
cat >sets.py <<'P'
import pcre2
from tokenizers import Regex, normalizers
every = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
left = set(normalizers.Replace(Regex(r"\s"), "").normalize_str("".join(map(chr, every))))
tokenizers = {c for c in every if chr(c) not in left}
found = pcre2.compile(r"\s")
by_pcre2 = {c for c in every if found.match(chr(c))}
P
same "in PCRE2's \\s only" "$(cat sets.py - <<<'print(*(f"{c:x}" for c in sorted(by_pcre2 - tokenizers)))' | python v)" "180e"
same "in tokenizers' \\s only" "$(cat sets.py - <<<'print(*(f"{c:x}" for c in sorted(tokenizers - by_pcre2)))' | python v)" ""
same "in both" "$(cat sets.py - <<<'print(len(by_pcre2 & tokenizers))' | python v)" "25"
verdict
