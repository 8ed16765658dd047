#!/usr/bin/env python3
"""Make io/characters.inc: how the tokenizers library sees each code point (not needed to build or test).

    python3 -m venv /tmp/v && /tmp/v/bin/pip install tokenizers==0.23.3
    /tmp/v/bin/python tools/make_characters.py

BERT's fast tokenizer keeps tables of several Unicode versions (punctuation and marks of 8, decomposition of 9, lower
case of 16 and later), and one range of ideographs starts at 2B920 instead of 2B820. Models see text through these
tables, so they are asked code point by code point and written down here. 0.22.2 gives the same.
"""
import pathlib
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "io" / "characters.inc"
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# What Unicode 13 to 17 decompose and the library's Unicode 9 does not.
LATER = [0x105C9, 0x105E4, 0x11383, 0x11385, 0x1138E, 0x11391, 0x113C5, 0x113C7, 0x113C8, 0x11938,
         *range(0x16121, 0x16129), 0x16D68, 0x16D69, 0x16D6A]


def bert(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **on}).normalize_str


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def lower_runs(pairs):
    """[first, last, step, difference]"""
    runs = []
    for c, to in pairs:
        run = runs[-1] if runs else None
        if run and run[3] == to - c and (c - run[1] == run[2] or run[0] == run[1] and c - run[1] < 3):
            run[1], run[2] = c, c - run[1]
        else:
            runs.append([c, c, 1, to - c])
    return runs


def words():
    """What a whole-word added token may not touch: \\w of the regex library."""
    t = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    t.add_tokens([AddedToken("@", single_word=True, normalized=False)])
    return [c for c, e in zip(ALL, t.encode_batch(["@" + chr(c) for c in ALL])) if e.tokens[0] != "@"]


def table(name, comment, rows):
    cells = ["{" + ", ".join(f"0x{v:x}" if v >= 10 else str(v) for v in row) + "}" for row in rows]
    lines, line = [], "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 119:
            lines.append(line)
            line = "   "
        line += " " + cell + ","
    lines.append(line)
    return f"// {comment}\nstatic const int32_t {name}[][{len(rows[0])}] = {{\n" + "\n".join(lines).rstrip(",") + "};\n"


def main():
    clean, chinese, strip, lower = (bert(**{k: True}) for k in
                                    ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
    split, nfd = pre_tokenizers.BertPreTokenizer().pre_tokenize_str, normalizers.NFD().normalize_str
    parts = {c: [p for p, _ in split("a" + chr(c) + "b")] for c in ALL}
    marks = [c for c in ALL if strip(chr(c)) == ""]
    inside = set(marks)
    # what is left after marks are dropped and still changes places with its neighbours
    moves = [c for c in ALL if c not in inside and
             (nfd(chr(c) + "\u0334") == "\u0334" + chr(c) or nfd("\u0345" + chr(c)) == chr(c) + "\u0345")]
    for c in LATER:
        assert nfd(chr(c)) == chr(c)
    for c in ALL:
        assert c in LATER or c in inside or unicodedata.normalize("NFD", chr(c)) == nfd(chr(c)), hex(c)
    lowered = [(c, lower(chr(c))) for c in ALL if lower(chr(c)) != chr(c)]
    assert [c for c, to in lowered if len(to) > 1] == [0x130]
    text = "// Made by tools/make_characters.py with tokenizers " + tokenizers.__version__ + ". Sorted ranges.\n"
    text += table("removed", "dropped by clean_text: Cc, Cf, Co, U+FFFD",
                  ranges([c for c in ALL if clean("a" + chr(c) + "b") == "ab"]))
    text += table("white", "White_Space", ranges([c for c in ALL if parts[c] == ["a", "b"]]))
    text += table("chinese", "a word each", ranges([c for c in ALL if chinese(chr(c)) != chr(c)]))
    text += table("punctuation", "P of Unicode 8, and ASCII's signs", ranges([c for c in ALL if len(parts[c]) == 3]))
    text += table("marks", "Mn of Unicode 8", ranges(marks))
    text += table("moves", "not Mn of Unicode 8, but of combining class other than 0 in Unicode 9", ranges(moves))
    text += table("later", "decomposed by Unicode 13 and later", ranges(LATER))
    text += table("word", "\\w: letters, marks, digits, connectors", ranges(words()))
    text += table("lower", "first, last, step, difference to the small letter; U+0130 apart",
                  lower_runs([(c, ord(to)) for c, to in lowered if len(to) == 1]))
    OUT.write_text(text, encoding="ascii")


main()
