#!/usr/bin/env python3
"""Draws docs/measured/*.svg from the records beside them. The same records give the same bytes.

    tools/plot_measured.py            writes the pictures
    tools/plot_measured.py --check    exit code 1 if a picture is not what the records give"""
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measured import NAMES, ROOT, Records, duration, engine_of, engine_runs  # noqa: E402

FOLDER = ROOT / "docs/measured"
INK, QUIET, RULE = "#1f2933", "#616e7c", "#e4e7eb"
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, RED, GREY = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442",
                                                     "#d55e00", "#9aa5b1")  # told apart with any colour vision
WIDTH = 760


class Svg:
    def __init__(self, height, title, subtitle):
        self.height, self.parts = height, []
        self.text(24, 32, title, size=17, weight="600")
        self.text(24, 53, subtitle, fill=QUIET, size=12.5)

    def text(self, x, y, words, fill=INK, size=12, anchor="start", weight="400", turn=None, halo=False):
        words = str(words).replace("&", "&amp;").replace("<", "&lt;")
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        turned += ' stroke="#fff" stroke-width="4" paint-order="stroke"' if halo else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" text-anchor="{anchor}" '
                          f'font-weight="{weight}"{turned}>{words}</text>')

    def line(self, x1, y1, x2, y2, stroke=RULE, width=1.0, dash=None):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
                          f'stroke-width="{width}"{dashed}/>')

    def curve(self, points, stroke):
        path = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
        self.parts.append(f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="2.2"/>')
        for x, y in points:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="#fff" stroke="{stroke}" '
                              'stroke-width="2"/>')

    def box(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>')

    def __str__(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
                f'height="{self.height}" font-family="Helvetica, Arial, sans-serif">\n'
                f'<rect width="{WIDTH}" height="{self.height}" rx="6" fill="#fff"/>\n' +
                "\n".join(self.parts) + "\n</svg>\n")


class Axes:
    """A plot's frame; logarithmic where asked."""

    def __init__(self, svg, box, x_range, y_range, x_log=True, y_log=True):
        self.svg, (self.left, self.top, self.right, self.bottom) = svg, box
        self.x_range, self.y_range, self.x_log, self.y_log = x_range, y_range, x_log, y_log

    @staticmethod
    def part(value, span, log):
        a, b, v = (math.log(n) for n in (*span, value)) if log else (*span, value)
        return (v - a) / (b - a)

    def x(self, value):
        return self.left + (self.right - self.left) * self.part(value, self.x_range, self.x_log)

    def y(self, value):
        return self.bottom - (self.bottom - self.top) * self.part(value, self.y_range, self.y_log)

    def at(self, points):
        return [(self.x(a), self.y(b)) for a, b in points]

    def grid(self, x_ticks, y_ticks, x_title, y_title):
        """Ticks are pairs of value and words."""
        for value, words in y_ticks:
            self.svg.line(self.left, self.y(value), self.right, self.y(value))
            self.svg.text(self.left - 8, self.y(value) + 4, words, fill=QUIET, anchor="end")
        for value, words in x_ticks:
            self.svg.line(self.x(value), self.bottom, self.x(value), self.bottom + 5, stroke=GREY)
            self.svg.text(self.x(value), self.bottom + 20, words, fill=QUIET, anchor="middle")
        self.svg.line(self.left, self.bottom, self.right, self.bottom, stroke=GREY)
        self.svg.text((self.left + self.right) / 2, self.bottom + 42, x_title, fill=QUIET, anchor="middle", size=12.5)
        self.svg.text(self.left, self.top - 12, y_title, fill=QUIET, size=12.5)

    def limit(self, rate, words, colour):
        """The dashed line of so many bytes a nanosecond, inside the frame."""
        from_x = max(self.x_range[0], self.y_range[0] * rate)
        to_x = min(self.x_range[1], self.y_range[1] * rate)
        (x1, y1), (x2, y2) = self.at([(from_x, from_x / rate), (to_x, to_x / rate)])
        self.svg.line(x1, y1, x2, y2, stroke=colour, width=1.4, dash="5 4")
        turn = -math.degrees(math.atan2(y1 - y2, x2 - x1))
        away = 14 / math.hypot(x2 - x1, y2 - y1)  # at a right angle, below the line
        x, y = x2 - 8 + away * (y1 - y2), y2 + 6 + away * (x2 - x1)
        self.svg.text(x, y, words, fill=QUIET, size=11, anchor="end", turn=f"{turn:.1f}", halo=True)


def size_words(n):
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n // size} {unit}"
    return f"{n} B"


def power_words(e):
    """10^e ns."""
    return f"{10 ** (e % 3)} {('ns', 'us', 'ms', 's')[e // 3]}"


def spread(wanted, gap):
    """Heights of labels, moved apart where they would overlap, in their order."""
    order, placed = sorted(range(len(wanted)), key=lambda i: wanted[i]), list(wanted)
    for a, b in zip(order, order[1:]):
        placed[b] = max(placed[b], placed[a] + gap)
    return placed


def opens(records):
    svg = Svg(470, "Opening a value between two GPUs of one host",
              "From share and mask to opened value, one opening after the other, ring of 32 bits; "
              "dashed: what the way can carry")
    largest = max(r["opened_bytes"] for n, f in records.files.items() if "/opens-" in n for r in f)
    axes = Axes(svg, (74, 92, 628, 404), (48, largest * 1.25), (0.7e3, 12e6 if largest == 16 << 20 else 40e6))
    axes.grid([(s, size_words(s)) for s in (64, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20) if s <= largest] +
              ([(16 << 20, "16 MiB")] if largest == 16 << 20 else []),
              [(10.0 ** e, power_words(e)) for e in range(3, 8)], "bytes each way", "time")
    axes.limit(1e-9 * records.limit("nvlink_bytes_per_second")[0], "NVLink, 450 GB/s", GREY)
    axes.limit(1e-9 * records.limit("host_window_bytes_per_second")[0], "host memory, 42 GB/s", GREY)
    ends = []
    for way, colour in (("host-relay", ORANGE), ("host-window", GREEN), ("nccl", SKY), ("peer", BLUE)):
        points = [(r["opened_bytes"], r["time_median_ns"]) for r in records.files.get(f"h200x2/opens-{way}", [])
                  if r["opened"] == "ring"]
        if points:
            svg.curve(axes.at(sorted(points)), colour)
            x, y = axes.at([max(points)])[0]
            ends.append((y, x, way, colour))
    for (y, x, way, colour), placed in zip(ends, spread([e[0] for e in ends], 17)):
        svg.text(x + 13, placed + 4, way, fill=colour if colour != SKY else "#2f8fc4", size=13, weight="600")
    return svg


def batch(records):
    svg = Svg(400, "A larger batch shares its rounds",
              "BERT-base, 128 tokens, two GPUs, keys on the GPU when the clock starts")
    found = [records.one(f"h200x2/model-bert-base-{n}") for n in ("resident", "batch-4", "batch-16")]
    points = [(m["batch"], 1e-6 * m["online_median_ns"]) for m in found if m]
    for left, title, values, colour in ((70, "online time of the batch, ms", points, BLUE),
                                        (430, "of it for one sequence, ms", [(b, t / b) for b, t in points], GREEN)):
        top = 10 * math.ceil(max(t for _, t in values) * 1.12 / 10) if values[-1][1] > 20 else 16
        axes = Axes(svg, (left, 102, left + 280, 332), (0.8, 20), (0, top), y_log=False)
        axes.grid([(b, str(b)) for b, _ in values], [(t, str(t)) for t in range(0, top + 1, 20 if top > 40 else 4)],
                  "sequences in the batch", title)
        svg.curve(axes.at(values), colour)
        for (x, y), (_, t) in zip(axes.at(values), values):
            svg.text(x, y - 12, f"{t:.1f}", fill=colour, anchor="middle", size=12.5, weight="600")
    return svg


GROUPS = [  # name, steps, colour, colour of the words on it
    ("openings", (), GREY, INK),
    ("weight products", ("products", "qkv", "out-projection", "ffn-up", "ffn-down"), BLUE, "#fff"),
    ("attention products", ("attention products", "logits", "values"), SKY, INK),
    ("row maximum", ("row maximum",), ORANGE, INK),
    ("exp", ("exp",), YELLOW, INK),
    ("reciprocal, normalise", ("reciprocal", "normalise"), PINK, INK),
    ("GeLU", ("gelu",), GREEN, "#fff"),
    ("norms", ("norm", "norm 1", "norm 2"), RED, "#fff"),
    ("input, output", ("input", "output"), "#cbd2d9", INK)]


def grouped(record, field):
    """Sums of a field of steps over the groups."""
    sums = {name: 0 for name, _, _, _ in GROUPS}
    group_of = {s: name for name, steps, _, _ in GROUPS for s in steps}
    for step, value in zip(record.get("step", []), record.get(field, [])):
        if step in group_of:
            sums[group_of[step]] += value
    return sums


def steps(records):
    svg = Svg(372, "What a step costs",
              "BERT-base, 128 tokens, one inference; parts of each total. "
              "Steps side by side share rounds, and count in both")
    timed, plan = records.one("h200x2/steps-bert-base"), records.one("cpu2/plan-bert-base")
    times = grouped(timed, "step_ns")
    times["openings"] = timed.get("open_comm_ns", 0)
    keys, sent, rounds = (grouped(plan, f"step_{f}") for f in ("key_bytes", "sent_bytes", "rounds"))
    bars = [("time, with timers", times, duration(sum(times.values()))),
            ("keys a party", keys, f"{1e-6 * sum(keys.values()):.0f} MB"),
            ("sent a party", sent, f"{1e-6 * sum(sent.values()):.0f} MB"),
            ("rounds", rounds, str(plan.get("rounds", "")))]
    left, width, y = 128, 540, 82
    for name, sums, total in bars:
        x, whole = left, sum(sums.values())
        svg.text(left - 12, y + 21, name, anchor="end", size=13)
        for group, _, colour, ink in GROUPS:
            part = width * sums[group] / whole if whole else 0
            svg.box(x, y, max(0, part - 1), 32, colour)
            if part > 26:
                svg.text(x + (part - 1) / 2, y + 20.5, f"{100 * sums[group] / whole:.0f} %", fill=ink,
                         anchor="middle", size=11.5)
            x += part
        svg.text(left + width + 10, y + 21, total, fill=QUIET, size=13)
        y += 46
    x, y = left, y + 16
    for at, (group, _, colour, _) in enumerate(GROUPS):
        svg.box(x, y, 13, 13, colour)
        svg.text(x + 20, y + 11, group, size=12.5)
        x, y = (left, y + 24) if at % 3 == 2 else (x + 186, y)
    return svg


def others(records):
    svg = Svg(400, "Online time beside other systems",
              "128 tokens, two GPUs of one host, logarithmic; conditions in performance.md")
    axes = Axes(svg, (118, 84, 676, 356), (1, 4000), (0, 1), y_log=False)
    for e in range(4):
        svg.line(axes.x(10 ** e), 78, axes.x(10 ** e), 356)
        svg.text(axes.x(10 ** e), 376, power_words(6 + e), fill=QUIET, anchor="middle")
    y = 86
    for model in ("bert-tiny", "bert-base", "bert-large"):
        svg.text(106, y + 42, NAMES[model], anchor="end", size=13, weight="600")
        bars = [(r["system"], 1e-6 * (r["online_min_ns"] + r["online_max_ns"]) / 2, GREY,
                 records.peer(r["system"], model)) for r in records.files["peers"] if r["model"] == model]
        ours = records.one(f"h200x2/model-{model}")["online_median_ns"]
        for system, ms, colour, words in bars + [("twain", 1e-6 * ours, BLUE, duration(ours))]:
            svg.box(axes.left, y, axes.x(ms) - axes.left, 22, colour)
            weight = "600" if system == "twain" else "400"
            svg.text(axes.x(ms) + 8, y + 15.5, f"{system}  {words}", weight=weight, halo=True)
            y += 27
        y += 13
    return svg


ENGINES = [("digit", "#d7e8f5"), ("pfss-norms", "#d9efe4"), ("pfss-rows", "#f8ecd0"), ("pfss-rows+exp", "#f6ddd2"),
           ("pfss", "#efdbe8")]


def rate_words(bits):
    return f"{bits / 8e9:g} GB/s" if bits > 1e11 else f"{bits / 1e9:g} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:g} Mbit/s"


def latency_words(ns):
    return f"{ns / 1e6:g} ms" if ns >= 1e6 else f"{ns / 1e3:g} us"


def map_of(svg, records, shape, folder, title, top):
    cell, height, left = 76, 40, 116
    plans = records.all(f"{folder}/engines-map-{shape}")
    runs = [m for i in range(6) for _, m in [engine_runs(records, shape, i + 1, folder).get("auto", (0, 0))] if m]
    latencies = sorted({p["link_latency_ns"] for p in plans})
    rates = sorted({p["link_rate_bits_per_second"] for p in plans}, reverse=True)
    svg.text(24, top - 14, title, size=13.5, weight="600")
    for j, rate in enumerate(rates):
        svg.text(left - 10, top + height * j + 24, rate_words(rate), fill=QUIET, anchor="end")
    for i, latency in enumerate(latencies):
        svg.text(left + cell * (i + 0.5), top + height * len(rates) + 17, latency_words(latency), fill=QUIET, anchor="middle")
    for p in plans:
        x = left + cell * latencies.index(p["link_latency_ns"])
        y = top + height * rates.index(p["link_rate_bits_per_second"])
        svg.box(x + 1, y + 1, cell - 2, height - 2, dict(ENGINES).get(engine_of(p["choices"]), RULE))
        took = [m["online_median_ns"] for m in runs if (m["link_latency_ns"], m["link_rate_bits_per_second"]) ==
                (p["link_latency_ns"], p["link_rate_bits_per_second"])]
        svg.text(x + cell / 2, y + (18 if took else 25), duration(p["estimated_online_ns"]), anchor="middle", size=11.5)
        if took:
            svg.text(x + cell / 2, y + 33, duration(took[0]), anchor="middle", size=11.5, weight="700", fill=RED)


def engines(records):
    svg = Svg(640, "Which engine the planner takes, and how long an inference then takes",
              "128 tokens; columns: latency one way, rows: rate each way; colour: what is chosen; red: measured over that link")
    for i, (name, colour) in enumerate(ENGINES):
        svg.box(116 + 124 * i, 70, 14, 14, colour)
        svg.text(135 + 124 * i, 82, name, size=12.5)
    map_of(svg, records, "minilm", "cpu2", "MiniLM, one core a party", 132)
    map_of(svg, records, "bert-base", "h200x2", "BERT-base, one H200 a party, on two hosts, within 600 MB of keys", 400)
    return svg


PICTURES = {"engines": engines, "opens": opens, "batch": batch, "steps": steps, "others": others}


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wrong, records = 0, Records()
    for name, draw in PICTURES.items():
        path, made = FOLDER / f"{name}.svg", str(draw(records))
        if not arguments:
            path.write_text(made)
        elif not path.exists() or path.read_text() != made:
            wrong += 1
            print(f"{path.relative_to(ROOT)} is not what the records give; run tools/plot_measured.py")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
