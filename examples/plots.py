#!/usr/bin/env python3
"""Pictures of results, records and comparisons, one question each.

    examples/plots.py steps    FILE... -o OUT.svg    where the time of a run goes: computing, messages, keys; by step
    examples/plots.py tokens   FILE... -o OUT.svg    time over the tokens of a sequence
    examples/plots.py batch    FILE... -o OUT.svg    time of a sequence over sequences at once
    examples/plots.py latency  FILE... -o OUT.svg    time over the latency of the link
    examples/plots.py accuracy FILE... -o OUT.svg    how far sequences are from the float model

FILE: a result (NAME.result.p0.h5), or records as `twain report`, `run` and `bench` print them with --json or --csv; for
accuracy what `twain check NAME --csv` printed. The ending of OUT chooses its form: svg, png, pdf. Needs h5py and
matplotlib (Debian: python3-h5py python3-matplotlib). The same files give the same picture.
"""
import argparse
import collections
import csv
import json
import math
import sys
from pathlib import Path

COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#9aa5b1", "#222222"]
CHECK_COLUMN, RECORD_COLUMN = "relative_error", "schema_version"


def stop(message):
    sys.exit(f"plots.py: {message}")


def needed(module, package):
    try:
        return __import__(module)
    except ImportError:
        stop(f"Python's {module} is missing: install {package} (Debian), or `pip install {module}`")


# ---- reading

def value_of(cell):
    """A cell of a record's CSV: a number, a list of numbers, or text."""
    if ";" in cell:
        return [value_of(c) for c in cell.split(";")]
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def read_csv(path, column, what):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        stop(f"{path}: cannot be read as CSV in UTF-8 ({error})")
    if not rows or column not in rows[0]:
        stop(f"{path}: is no table of {what}: it has no rows, or no column {column}")
    return rows


def read_result(path):
    """A record's fields, as far as a result file and the plan beside it have them."""
    h5py = needed("h5py", "python3-h5py")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        stop(f"{path}: cannot be read as HDF5 ({error})")
    with file:
        if "costs" not in file or "output" not in file.attrs:
            stop(f"{path}: is no result of a party; take NAME.result.p0.h5")
        text = lambda name: file.attrs[name].decode() if isinstance(file.attrs[name], bytes) else str(file.attrs[name])
        costs, timed = file["costs"][()], int(file.attrs.get("steps_timed", 1))
        seconds = lambda name: 1e9 * float(file.attrs[name])
        record = {"name": Path(path).name.split(".result.")[0], "batch": int(file.attrs["count"]),
                  "online_median_ns": seconds("online_seconds"), "open_comm_ns": float(file.attrs["open_comm_ns"]),
                  "gate_ns": float(file.attrs["gate_ns"]), "key_wait_ns": float(file.attrs["key_wait_ns"]) if timed else None,
                  "step": [s.decode() for s in costs["step"]],
                  "step_ns": list(1e9 * costs["seconds"]) if timed else None}
        digest = text("plan")
    plan = Path(str(path).split(".result.")[0] + ".plan.json")
    if plan.exists():
        beside = json.loads(plan.read_text())
        if beside.get("digest") == digest:
            record.update(tokens=beside["seq"], model=beside["model"]["name"])
    return record


def read_records(paths):
    found = []
    for path in paths:
        if not Path(path).is_file():
            stop(f"{path}: no such file")
        if str(path).endswith(".h5"):
            found.append(read_result(path))
        elif str(path).endswith(".csv"):
            rows = read_csv(path, RECORD_COLUMN, "records (`twain report --csv`)")
            found += [{k: value_of(v) for k, v in row.items()} for row in rows]
        else:
            try:
                records = json.loads(Path(path).read_text())
            except (OSError, ValueError) as error:
                stop(f"{path}: neither .h5, .csv nor JSON ({error})")
            records = records if isinstance(records, list) else [records]
            if not all(isinstance(r, dict) and RECORD_COLUMN in r for r in records):
                stop(f"{path}: holds no records; take what `twain report`, `run` or `bench` printed with --json")
            found += records
    return [r for r in found if not r.get("skipped") and r.get("party") in (None, 0, "")]


# ---- drawing

def figure(size, title, subtitle):
    matplotlib = needed("matplotlib", "python3-matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "twain", "svg.fonttype": "none", "font.family": "sans-serif",
                                "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                                "axes.grid": True, "grid.color": "#e4e7eb", "axes.axisbelow": True})
    from matplotlib import pyplot
    drawn, axes = pyplot.subplots(figsize=size, layout="constrained")
    drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    axes.set_title(subtitle, loc="left", fontsize=9.5, color="#616e7c")
    return drawn, axes


def save(drawn, path):
    kind = Path(path).suffix[1:]
    if kind not in ("svg", "png", "pdf"):
        stop(f"{path}: must end in .svg, .png or .pdf")
    nothing = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}[kind]
    try:
        drawn.savefig(path, metadata=nothing, dpi=110)
    except OSError as error:
        stop(f"{path}: cannot be written ({error.strerror})")


def title_of(record):
    return record.get("name") or record.get("model") or record.get("command") or "run"


def milliseconds(ns):
    return f"{ns * 1e-9:.3g} s" if ns >= 1e9 else f"{ns * 1e-6:.3g} ms"


def steps(records):
    """Bars by run of what the online time is made of, and below bars by step."""
    records = [r for r in records if r.get("online_median_ns") and r.get("gate_ns") is not None]
    if not records:
        stop("none of the files has an online time; take results of `run`, or records of `bench model`")
    sums = [collections.Counter() for _ in records]
    for total, r in zip(sums, records):
        for step, ns in zip(r.get("step") or [], r.get("step_ns") or []):
            total[step] += ns
    names = sorted({s for t in sums for s in t if t[s]}, key=lambda s: -sum(t[s] for t in sums))
    untimed = [title_of(r) for r, t in zip(records, sums) if not t]
    note = f"; steps not timed: {', '.join(untimed)}" if untimed else ""
    drawn, axes = figure((8.6, 2.2 + 0.42 * len(records) + 0.3 * len(records) * len(names)), "Where the time of a run goes",
                         "online phase of one party; waiting: for messages, and for all that is not computing" + note)
    rows, at = [], 0.0
    for r, total in zip(records, sums):
        whole, keys = r["online_median_ns"], r.get("key_wait_ns") or 0
        computing = min(sum(total.values()) or r["gate_ns"], max(whole - keys, 0))
        parts = [("computing", computing), ("waiting", max(whole - computing - keys, 0)), ("waiting for keys", keys)]
        left = 0
        for (name, ns), colour in zip(parts, COLOURS):
            axes.barh(at, ns * 1e-6, 0.7, left * 1e-6, color=colour, label=None if rows else name)
            if ns > 0.09 * whole:
                axes.text((left + ns / 2) * 1e-6, at, milliseconds(ns), ha="center", va="center", color="white", fontsize=8.5)
            left += ns
        rows.append((at, title_of(r)))
        at += 1
    for step in names:
        for r, total in zip(records, sums):
            axes.barh(at, total[step] * 1e-6, 0.7, color=COLOURS[0], alpha=0.75)
            axes.text(total[step] * 1e-6, at, " " + milliseconds(total[step]), va="center", fontsize=8)
            rows.append((at, step if len(records) == 1 else f"{step}, {title_of(r)}"))
            at += 0.8
        at += 0.2
    axes.set_yticks([y for y, _ in rows], [name for _, name in rows], fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("ms; below the bars of whole runs: each step's computing, in all layers")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return drawn


def lines(records, field, each, x_title, title, subtitle, what):
    """A line a model: online time, or that of one sequence, over a field."""
    groups = collections.defaultdict(list)
    for r in records:
        if r.get(field) is None or not r.get("online_median_ns"):
            continue
        others = [f for f in ("tokens", "batch", "link_latency_ns") if f != field]
        words = {"tokens": lambda v: f"{v:g} tokens", "batch": lambda v: f"{v:g} at once",
                 "link_latency_ns": lambda v: f"link of {milliseconds(v)}"}
        key = [str(r.get("model") or title_of(r))] + [words[f](r[f]) for f in others if r.get(f)]
        groups[", ".join(key)].append((r[field], r["online_median_ns"] / (r.get("batch") or 1 if each else 1)))
    if not groups:
        stop(f"none of the files says {what}; take records of `bench sweep` or `bench model`, or `twain report --csv`")
    drawn, axes = figure((8.0, 4.6), title, subtitle)
    for i, (name, points) in enumerate(sorted(groups.items())):
        middle = {x: sorted(y for p, y in points if p == x) for x, _ in points}
        x = sorted(middle)
        y = [middle[p][len(middle[p]) // 2] * 1e-6 for p in x]
        scale = 1e-6 if field.endswith("_ns") else 1
        axes.plot([p * scale for p in x], y, "o-" if i % 2 == 0 else "s--", color=COLOURS[i % len(COLOURS)], label=name)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    heights = [m * 10 ** e for e in range(-4, 8) for m in (1, 2, 3, 5)]
    heights = [h for h in heights if low <= h <= high]
    axes.set_yticks(heights, [f"{h:g}" for h in heights])
    axes.minorticks_off()
    if field != "link_latency_ns":
        axes.set_xscale("log", base=2)
        ticks = sorted({p for points in groups.values() for p, _ in points})
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    axes.set_xlabel(x_title)
    axes.set_ylabel("ms, logarithmic")
    axes.margins(x=0.1)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=1)
    return drawn


def tokens(records):
    return lines(records, "tokens", False, "tokens of a sequence, with its padding", "How time grows with the tokens",
                 "online time of one run", "both tokens and a time")


def batch(records):
    return lines(records, "batch", True, "sequences at once", "What a larger batch saves", "online time for one sequence of the batch",
                 "both a batch and a time")


def latency(records):
    for r in records:
        r["link_latency_ns"] = r.get("link_latency_ns") or 0  # null: as fast as messages can go
    return lines(records, "link_latency_ns", False, "latency of the link, one way, ms; 0: no link was emulated",
                 "How time grows with the latency", "online time of one run", "a time")


def accuracy(paths):
    """Histograms over bins of a tenth of a power of ten, a colour a file."""
    needed("matplotlib", "python3-matplotlib")
    found = []
    for path in paths:
        if not Path(path).is_file():
            stop(f"{path}: no such file")
        errors = [float(r[CHECK_COLUMN]) for r in read_csv(path, CHECK_COLUMN, "sequences (`twain check NAME --csv`)") if r[CHECK_COLUMN]]
        if not errors:
            stop(f"{path}: no sequence has a relative error")
        found.append((Path(path).stem, errors))
    least = 1e-7
    places = [[math.floor(10 * math.log10(max(e, least))) for e in errors] for _, errors in found]
    low, high = min(map(min, places)), max(map(max, places))
    edges = [10 ** (i / 10) for i in range(low, high + 2)]
    drawn, axes = figure((8.0, 4.4), "How far from the float model",
                         "relative error of a sequence's output; in percent of the sequences; dots: the largest")
    for i, (name, errors) in enumerate(found):
        ordered = sorted(errors)
        label = f"{name}: {len(errors)} sequences, median {ordered[len(errors) // 2]:.2g}, largest {ordered[-1]:.2g}"
        axes.hist([max(e, least) for e in errors], edges, weights=[100 / len(errors)] * len(errors), histtype="stepfilled" if i == 0 else "step",
                  alpha=0.45 if i == 0 else 1, linewidth=1.8, color=COLOURS[i % len(COLOURS)], label=label)
        axes.plot([max(ordered[-1], least)], [0], "o", clip_on=False, color=COLOURS[i % len(COLOURS)])
    axes.set_xscale("log")
    axes.set_xlabel("relative error, logarithmic")
    axes.set_ylabel("percent of the sequences")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.16))
    return drawn


QUESTIONS = {"steps": steps, "tokens": tokens, "batch": batch, "latency": latency}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=[*QUESTIONS, "accuracy"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    drawn = accuracy(args.files) if args.question == "accuracy" else QUESTIONS[args.question](read_records(args.files))
    save(drawn, args.output)


if __name__ == "__main__":
    main()
