#!/usr/bin/env python3
"""Draws docs/pictures/*.svg. Nothing but the standard library; the same bytes every time.

tools/draw.py            # writes the pictures
tools/draw.py --check    # exit code 1 if a committed picture is not what this script draws
"""

import re
import sys
from html import escape
from pathlib import Path

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
INK, SOFT, LINE = "#1b2733", "#536271", "#8795a3"
GREY, PAPER = "#f2f4f6", "#ffffff"
# colour: (stroke, fill)
BLUE, ORANGE, GREEN = ("#1f5f99", "#e5f0f9"), ("#b3560b", "#fcefe0"), ("#2b7a4b", "#e4f4e9")
PURPLE, PLAIN = ("#6a45a3", "#efe9f8"), (LINE, GREY)
SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "Menlo, Consolas, 'Liberation Mono', monospace"


def lowered(words, size):
    """A_b with b as an index below the line."""
    drop = size * 0.26
    below = rf'<tspan dy="{drop:.2g}" font-size="{size * 0.74:.3g}">\1</tspan><tspan dy="-{drop:.2g}">&#8203;</tspan>'
    return re.sub(r"_(\w)", below, words)


class Picture:
    """An SVG under construction; coordinates are pixels, y grows downwards."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts, self.markers = [], {}

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, words, size=13, colour=INK, anchor="start", bold=False, mono=False):
        weight = ' font-weight="600"' if bold else ""
        family = f' font-family="{MONO}"' if mono else ""
        self.add(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"{weight}{family}>'
            f"{lowered(escape(words), size)}</text>"
        )

    def lines(self, x, y, rows, size=13, step=None, **style):
        for i, words in enumerate(rows):
            self.text(x, y + i * (step or size * 1.42), words, size, **style)

    def rect(self, x, y, w, h, colour=PLAIN, radius=7, dashed=False, width=1.3):
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.add(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius:g}" fill="{colour[1]}" '
            f'stroke="{colour[0]}" stroke-width="{width:g}"{dash}/>'
        )

    def box(self, x, y, w, h, head, rows=(), colour=PLAIN, size=12.5, mono=False):
        """A box with a bold head and lines below, all centred."""
        self.rect(x, y, w, h, colour)
        step = size * 1.42
        top = y + (h - 15 - step * len(rows)) / 2 + 12.5
        self.text(x + w / 2, top, head, 14.5, colour[0] if colour != PLAIN else INK, "middle", bold=True)
        self.lines(x + w / 2, top + step + 1, rows, size, step, colour=INK, anchor="middle", mono=mono)

    def marker(self, colour):
        name = self.markers.setdefault(colour, f"head{len(self.markers)}")
        return f"url(#{name})"

    def arrow(self, points, colour=SOFT, both=False, dashed=False, width=1.6):
        path = "M" + " L".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        start = f' marker-start="{self.marker(colour)}"' if both else ""
        self.add(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash} '
            f'marker-end="{self.marker(colour)}"{start}/>'
        )

    def rule(self, x1, y1, x2, y2, colour=LINE, dashed=False, width=1):
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.add(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{width:g}"{dash}/>'
        )

    def svg(self):
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7.5" markerHeight="7.5" '
            f'orient="auto-start-reverse"><path d="M0,1 L9.5,5 L0,9 z" fill="{colour}"/></marker>\n'
            for colour, name in self.markers.items()
        )
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="{SANS}" role="img">\n'
            f"<title>{escape(self.title)}</title>\n<defs>\n{heads}</defs>\n"
            f'<rect width="{self.width}" height="{self.height}" rx="10" fill="{PAPER}"/>\n{body}\n</svg>\n'
        )


def inference():
    """Who holds what, and which files pass between them."""
    p = Picture(
        960, 600, "The parties, the dealer, the owner and the client of one inference, and the files between them"
    )
    left, middle, right, wide = 30, 365, 700, 230
    card = ("#c9bde0", PAPER)
    for x, party, side in ((left, 0, "A"), (right, 1, "B")):
        p.rect(x - 12, 20, wide + 24, 488, (LINE, "#fafbfc"), 12, dashed=True)
        p.text(x + wide / 2, 43, f"administration {side}", 12.5, SOFT, "middle")
        p.rect(x, 56, wide, 436, PURPLE)
        p.text(x + wide / 2, 84, f"party {party}", 17, PURPLE[0], "middle", bold=True)
        for y, words in (
            (130, "its keys, used once"),
            (258, "its share of the model"),
            (378, "its share of the input"),
            (438, "its half of the result"),
        ):
            p.rect(x + 20, y - 18, wide - 40, 36, card, 5, width=1)
            p.text(x + wide / 2, y + 4.5, words, 13, anchor="middle")
        p.text(x + wide / 2, 198.5, "its ledger of used key slots", 13, anchor="middle")
        p.rect(x + 20, 176, wide - 40, 36, (card[0], "none"), 5, width=1)
    p.box(middle, 84, wide, 92, "dealer", ["makes one-time keys,", "before there is any input"], ORANGE)
    p.box(middle, 212, wide, 92, "model owner", ["masks the weights", "and splits the masks"], BLUE)
    p.box(middle, 348, wide, 120, "client", ["splits the input,", "joins the halves of the result"], GREEN)
    for y, file, colour in (
        (130, "keys", ORANGE),
        (258, "model", BLUE),
        (378, "input", GREEN),
        (438, "result", PURPLE),
    ):
        ends = [[(middle, y), (left + wide, y)], [(middle + wide, y), (right, y)]]
        for party, (points, at) in enumerate(zip(ends, (312.5, 647.5))):
            p.arrow(points[::-1] if file == "result" else points, colour[0])
            p.text(at, y - 9, f"{file}.p{party}", 12.5, colour[0], "middle", mono=True)
    p.arrow([(480, 212), (480, 176)], BLUE[0])
    p.text(490, 199, "seeds of the masks", 12, BLUE[0])
    p.arrow([(480, 304), (480, 348)], BLUE[0])
    p.text(490, 330, "vocabulary, embeddings", 12, BLUE[0])
    p.arrow([(145, 492), (145, 542), (815, 542), (815, 492)], PURPLE[0], both=True, width=2)
    p.text(480, 532, "one message each way in every round", 13.5, PURPLE[0], "middle", bold=True)
    p.text(
        480,
        564,
        "Only masked values cross: x + r. Each party holds half of the mask r; each mask serves once.",
        13,
        INK,
        "middle",
    )
    p.text(
        480,
        585,
        "The plan is public. Every file goes to one reader, mode 0600, over an encrypted channel.",
        12.5,
        SOFT,
        "middle",
    )
    return p


def rooms():
    """Folders and rooms, and where includes may point: down, and in jobs to the right."""
    p = Picture(960, 528, "The folders of the tree; an include points down, and inside jobs to the right")
    x, w = 24, 912
    p.rect(x, 24, w, 62, BLUE)
    p.text(x + 18, 51, "app", 16, BLUE[0], bold=True)
    p.text(x + 18, 71, "what a person can ask for", 12.5, SOFT)
    for i, (name, row) in enumerate(
        (("cmd_*.c", "a file a subcommand"), ("show/", "tables, reports, traces"), ("bench/", "the benchmarks"))
    ):
        p.text(x + 330 + i * 205, 51, name, 13, mono=True)
        p.text(x + 330 + i * 205, 71, row, 12.5, SOFT)
    p.arrow([(480, 86), (480, 112)], SOFT)
    p.rect(x, 112, w, 178, PURPLE)
    p.text(x + 18, 140, "jobs", 16, PURPLE[0], bold=True)
    p.text(x + 64, 140, "what is computed, and by whom", 12.5, SOFT)
    inside = (
        ("api", ("what programs", "call")),
        ("parties", ("run, deal, share,", "reveal, slots")),
        ("engine", ("a party's work", "on CPU or GPU")),
        ("keys", ("from file or", "memory to gates")),
        ("plan", ("rings, bounds,", "tables, digest")),
        ("models", ("layers, specs,", "import, text")),
        ("gates", ("one file an", "operation")),
        ("program", ("the list, and", "who walks it")),
    )
    step, wide = 112, 98
    for i, (name, rows) in enumerate(inside):
        left = x + 15 + i * step
        p.box(left, 158, wide, 84, name, rows, (PURPLE[0], PAPER), 12)
        if i:
            p.arrow([(left - step + wide + 1, 200), (left - 1, 200)], PURPLE[0], width=1.4)
    p.text(x + 18, 270, "An include points to the right or stays in its room.", 12.5, SOFT)
    third, gap = 288, 24
    under = (
        (
            "comm",
            "how parties talk",
            ("channel: MPI, or a pair in one process", "the collector of openings", "ways between GPUs"),
            GREEN,
        ),
        (
            "io",
            "what is on disk",
            ("HDF5 files, JSON, the ledger", "safetensors, tokenizer files", "whole or not at all"),
            GREEN,
        ),
        (
            "kernels",
            "how arrays are computed",
            ("portable C: the reference", "cpu/: AVX2, AVX-512", "cuda/: the same bits on a GPU"),
            ORANGE,
        ),
    )
    for i, (name, what, rows, colour) in enumerate(under):
        left = x + i * (third + gap)
        p.arrow([(left + third / 2, 290), (left + third / 2, 316)], SOFT)
        p.rect(left, 316, third, 112, colour)
        p.text(left + 18, 343, name, 16, colour[0], bold=True)
        p.text(left + third - 16, 343, what, 12.5, SOFT, "end")
        p.lines(left + 18, 369, rows, 12.5, 20)
        p.arrow([(left + third / 2, 428), (left + third / 2, 454)], SOFT)
    p.rect(x, 454, w, 50, PLAIN)
    p.text(x + 18, 484, "base", 16, INK, bold=True)
    p.text(x + 72, 484, "status codes and messages, memory for secrets, traces, placement, time limits", 12.5, SOFT)
    return p


def operation():
    """One operation, from the builder that emits it to the roles that walk it."""
    p = Picture(960, 600, "One operation in its roles: the builder emits it; dealer, party and emulator walk it")
    p.box(24, 24, 290, 96, "builder", ["emits the operation, declares", "its corrections: that is its cost"], BLUE)
    p.arrow([(314, 72), (352, 72)], SOFT)
    p.rect(352, 24, 584, 96, PLAIN)
    p.text(370, 50, "program", 14.5, INK, bold=True)
    p.text(446, 50, "one list of operations, the same for every role", 12.5, SOFT)
    for i, (words, colour) in enumerate(
        (("truncate", PLAIN), ("multiply", PURPLE), ("open", PLAIN), ("select", PLAIN), ("open", PLAIN))
    ):
        p.rect(370 + i * 112, 66, 98, 36, (colour[0], colour[1] if colour != PLAIN else PAPER), 6)
        p.text(419 + i * 112, 89, words, 13, colour[0] if colour != PLAIN else INK, "middle", mono=True)
    roles = (
        (24, "dealer", ORANGE, "both seeds, no values"),
        (342, "party b", PURPLE, "its own seed, shares, public values"),
        (660, "emulator", GREEN, "both seeds and the values; TEST keys"),
    )
    p.arrow([(531, 102), (531, 136), (162, 136), (162, 158)], SOFT)
    p.arrow([(531, 102), (531, 136), (480, 136), (480, 158)], SOFT)
    p.arrow([(531, 102), (531, 136), (798, 136), (798, 158)], SOFT)
    for x, name, colour, sees in roles:
        p.rect(x, 158, 276, 322, (colour[0], PAPER), 10)
        p.text(x + 138, 186, name, 16, colour[0], "middle", bold=True)
        p.text(x + 138, 205, sees, 12, SOFT, "middle")

    def call(x, y, name, rows, colour, height=62):
        p.rect(x + 16, y, 244, height, colour, 6, width=1)
        p.text(x + 28, y + 20, name, 13, colour[0], bold=True, mono=True)
        p.lines(x + 28, y + 39, rows, 12.5, 17, mono=False)

    call(24, 222, "mask", ["masks r_0, r_1 of the output"], ORANGE)
    call(24, 300, "deal", ["the correction [r q], from the masks", "r of x and q of y"], ORANGE, 80)
    call(342, 222, "mask", ["its own half r_b, from its seed"], PURPLE)
    call(342, 300, "prepare", ["what needs keys, but no input"], PURPLE)
    call(342, 378, "party", ["[xy]_b = b X^Y^ - X^q_b - Y^r_b + [r q]_b", "on shares and public values"], PURPLE, 80)
    call(660, 222, "mask", ["masks r_0, r_1, as the dealer"], GREEN)
    call(660, 378, "emulate", ["xy, on the values themselves,", "with the same rounding offsets"], GREEN, 80)
    p.arrow([(162, 380), (162, 530)], ORANGE[0])
    p.text(172, 430, "split over two key files", 12.5, ORANGE[0])
    p.rect(24, 530, 276, 50, ORANGE)
    p.text(162, 551, "one key file a party:", 13, INK, "middle")
    p.text(162, 569, "corrections, in order of use", 13, INK, "middle")
    p.arrow([(300, 555), (321, 555), (321, 418), (358, 418)], ORANGE[0])
    p.arrow([(480, 458), (480, 530)], PURPLE[0])
    p.rect(342, 530, 276, 50, PURPLE)
    p.text(480, 551, "open: share + mask goes out,", 13, INK, "middle")
    p.text(480, 569, "the sum of both is public", 13, INK, "middle")
    p.arrow([(798, 458), (798, 530)], GREEN[0])
    p.rect(660, 530, 276, 50, GREEN)
    p.text(798, 560, "the predicted public value", 13, INK, "middle")
    p.arrow([(618, 555), (660, 555)], INK, both=True)
    p.text(639, 514, "equal, bit for bit", 12.5, INK, "middle")
    return p


def times():
    """Set-up, preparation and online part, as lanes of time."""
    p = Picture(960, 528, "Set-up once a model, preparation once an inference, the online part from input to output")
    x0, cut, end, red = 150, (342, 530), 930, "#b3261e"
    heads = (
        (x0 + 40, cut[0], "set-up", "once a model", BLUE),
        (cut[0], cut[1], "preparation", "once an inference, no input yet", ORANGE),
        (cut[1], end, "online", "from the shares of the input to the output", GREEN),
    )
    for a, b, name, what, colour in heads:
        p.rect(a + 4, 22, b - a - 8, 52, colour)
        p.text((a + b) / 2, 45, name, 15, colour[0], "middle", bold=True)
        p.text((a + b) / 2, 63, what, 12, SOFT, "middle")
    for y, name, what in (
        (104, "party 0", "its gates"),
        (200, "openings", "between the two"),
        (296, "party 1", "its gates"),
        (392, "keys", "of each party"),
    ):
        p.rect(x0 + 4, y, end - x0 - 8, 76, ("#e3e8ec", "#fafbfc"), 6, width=1)
        p.text(24, y + 36, name, 14.5, INK, bold=True)
        p.text(24, y + 54, what, 12.5, SOFT)
    for a in cut:
        p.rule(a, 84, a, 478, LINE, dashed=True)

    def work(x, y, w, rows, colour):
        p.rect(x, y + 14, w, 48, colour, 5)
        p.lines(x + w / 2, y + (34 if len(rows) == 2 else 42), rows, 12, 16, anchor="middle")

    level, wait, start = 58, 40, cut[1] + 16
    for y in (104, 296):
        work(x0 + 54, y, 128, ("operand of each", "weight product"), BLUE)
        work(cut[0] + 14, y, 160, ("masks, and their", "products with weights"), ORANGE)
        for i in range(4):
            work(start + i * (level + wait), y, level, (f"level {i + 1}",), GREEN)
    for i in range(3):
        left = start + i * (level + wait) + level
        p.arrow([(left + 3, 158), (left + wait - 3, 318)], PURPLE[0])
        p.arrow([(left + 3, 318), (left + wait - 3, 158)], PURPLE[0])
    for x in ((x0 + 40 + cut[0]) / 2, (cut[0] + cut[1]) / 2):
        p.text(x, 243, "none", 12.5, SOFT, "middle")
    work(cut[0] + 14, 392, 160, ("read and checked,", "until the feed is full"), ORANGE)
    work(start, 392, 4 * level + 3 * wait, ("read and checked, ahead of the gates",), GREEN)
    p.rule(x0 + 24, 84, x0 + 24, 478, red, width=2)
    p.text(24, 498, "Slots are chosen and marked, their seeds erased.", 12.5, red)
    p.text(24, 516, "The dealer has made the keys long before.", 12, SOFT)
    p.rule(end - 8, 84, end - 8, 478, INK, width=2)
    p.text(end, 498, "Transcripts are compared, results are written.", 12.5, INK, "end")
    p.text(end, 516, "Not to scale.", 12, SOFT, "end")
    return p


def way(title, middle, note, arrows, tunnel=True):
    """Two sites and what stands between them: middle is (head, rows, colour) or None; arrows: who dials whom."""
    p = Picture(960, 178, title)
    wide, left, right, y, high = 196, 24, 740, 44, 84
    for x, party in ((left, 0), (right, 1)):
        p.box(x, y, wide, high, f"party {party}", ["site, keys, ledger"], PURPLE)
        wall = left + wide + 26 if party == 0 else right - 26
        p.rule(wall, 26, wall, 146, LINE, dashed=True, width=1.4)
    p.text(left + wide + 26, 20, "firewall", 11.5, SOFT, "middle")
    p.text(right - 26, 20, "firewall", 11.5, SOFT, "middle")
    if middle:
        head, rows, colour = middle
        p.box(370, y, 220, high, head, rows, colour)
    for (a, b), words in arrows:
        p.arrow([(a, y + 26), (b, y + 26)], INK, width=2)
        p.text((a + b) / 2, y + 18, words, 12, INK, "middle")
    if tunnel:
        p.rule(left + wide, y + 58, 370 if middle else right, y + 58, GREEN[0], width=3)
        if middle:
            p.rule(590, y + 58, right, y + 58, GREEN[0], width=3)
        p.text(295 if middle else 480, y + 76, "TLS, end to end", 12, GREEN[0], "middle")
    p.text(480, 168, note, 12.5, SOFT, "middle")
    return p


def way_listen():
    return way(
        "One party listens, the other one connects",
        None,
        "Party 0's firewall lets party 1's address in to one port. Or the other way round.",
        [((740, 220), "dials the port that is open")],
    )


def way_relay():
    return way(
        "Both parties dial a line relay, each at its own port",
        ("line relay", ["no keys, no files;", "passes bytes on, unread"], ORANGE),
        "No port is open at either party. The relay's host lets both addresses in, each to one port.",
        [((220, 370), "port 7000"), ((740, 590), "port 7001")],
    )


def way_proxy():
    return way(
        "A party goes out through an HTTP proxy to the one that listens",
        ("HTTP proxy of party 0", ["asked by CONNECT,", "it dials party 1"], BLUE),
        "Party 1 listens, often at port 443, since many proxies allow no other.",
        [((220, 370), "CONNECT"), ((590, 740), "dials")],
    )


def way_command():
    return way(
        "A party goes out through a command such as ssh -W",
        ("login node", ["twain starts ssh -W,", "which leads through it"], BLUE),
        "The command's standard input and output are a connection. It sees what the wire sees.",
        [((220, 370), "ssh"), ((590, 740), "dials")],
    )


def live_dealer():
    """Three sites, three lines, in the order in which they are used."""
    p = Picture(960, 330, "Two parties and a live dealer: who connects to whom, and what passes")
    p.box(370, 24, 220, 92, "live dealer", ["the model's masks, a list of pairs;", "keeps no key"], ORANGE)
    p.box(24, 190, 240, 92, "party 0", ["its shares, its ledger"], PURPLE)
    p.box(696, 190, 240, 92, "party 1", ["its shares, its ledger"], PURPLE)
    p.arrow([(264, 222), (696, 222)], PURPLE[0], both=True, width=2)
    p.text(480, 213, "1. they meet, agree, and number their run", 13, PURPLE[0], "middle")
    p.text(480, 247, "3. compare key id and slots, mark both ledgers", 13, PURPLE[0], "middle")
    p.arrow([(264, 268), (696, 268)], PURPLE[0], both=True, width=2)
    p.text(480, 288, "5. masked values, as in any run", 13, PURPLE[0], "middle")
    for x, bend, words, anchor in ((110, 370, "stream 0", "end"), (850, 590, "stream 1", "start")):
        side = -1 if anchor == "end" else 1
        p.arrow([(x, 190), (x, 70), (bend, 70)], INK, both=True)
        p.text(x + side * -12, 60, "2. slots of this run, and seeds", 12.5, INK, "start" if side < 0 else "end")
        p.text(x + side * -12, 92, f"4. {words}, in order of use", 12.5, ORANGE[0], "start" if side < 0 else "end")
    p.text(480, 318, "Each line is TLS with certificates on both ends, which say whose stream it is.", 12.5, SOFT, "middle")
    return p


def main():
    wrong = 0
    PICTURES.mkdir(parents=True, exist_ok=True)
    pictures = (inference, rooms, operation, times, way_listen, way_relay, way_proxy, way_command, live_dealer)
    for name, draw in ((draw.__name__.replace("_", "-"), draw) for draw in pictures):
        path, text = PICTURES / f"{name}.svg", draw().svg()
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                wrong += 1
                print(f"{path}: not what tools/draw.py draws; run it and commit the picture")
        else:
            path.write_text(text)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
