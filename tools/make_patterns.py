#!/usr/bin/env python3
"""Make io/pattern.inc: code points that \\p{..} of the tokenizers library's regular expressions holds and Unicode 14's
category does not (not needed to build or test). PCRE2 10.40 has Unicode 14, later ones have more: with these added, all
cut text alike.

    python3.11 -m venv /tmp/v && /tmp/v/bin/pip install tokenizers==0.22.1    # Python 3.11 has Unicode 14
    /tmp/v/bin/python tools/make_patterns.py
"""
import pathlib
import unicodedata

from tokenizers import Regex, normalizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "io" / "pattern.inc"
ALL = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
# Mn has lost a code point since, and C many: a pattern with them is refused.
CATEGORIES = "L Lu Ll Lt Lm Lo M Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp".split()


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def main():
    assert unicodedata.unidata_version == "14.0.0", "a Python with Unicode 14 is needed: 3.11"
    text = "".join(map(chr, ALL))
    rows = []
    for category in CATEGORIES:
        left = set(normalizers.Replace(Regex(rf"\p{{{category}}}"), "").normalize_str(text))
        known = {c for c in ALL if unicodedata.category(chr(c)).startswith(category)}
        here = {c for c in ALL if chr(c) not in left}
        assert known <= here, category
        lines = [""]
        for a, b in ranges(sorted(here - known)):
            one = rf"\\x{{{a:x}}}" + (rf"-\\x{{{b:x}}}" if b > a else "")
            if len(lines[-1]) + len(one) > 104:
                lines.append("")
            lines[-1] += one
        rows.append(f'    {{"{category}", ' + "\n     ".join(f'"{line}"' for line in lines) + "}")
    OUT.write_text("// Made by tools/make_patterns.py. A category's code points beyond Unicode 14, as part of a class.\n"
                   "// clang-format off\n"
                   "static const struct {\n  const char *category, *added;\n} later[] = {\n" + ",\n".join(rows) +
                   "};\n// clang-format on\n")


main()
