#!/usr/bin/env python3
"""Keeps what was measured, and fills the tables of README.md, docs/performance.md and docs/notes with it.

    tools/measured.py keep RAW docs/measured/FOLDER [COMMIT]
                              records of tools/measure.sh or measure_cpu.sh, without the names of host and user, become
                              docs/measured/FOLDER/NAME.json; COMMIT: of a program that was built outside a repository
    tools/measured.py tables  fills the tables between <!-- table NAME --> and <!--end-->
    tools/measured.py check   exit code 1 if a table is not what the records give

A file holds a list of records, whose fields docs/records.md explains. "source" stands where a record was taken from an
older document. docs/measured/peers.json and limits.json are lists of their own kind."""
import json
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs/performance.md", ROOT / "docs/notes/estimates.md",
         ROOT / "docs/notes/decoders.md", ROOT / "docs/notes/several-lengths.md", ROOT / "docs/engines.md", ROOT / "docs/accuracy.md"]
HIDDEN = {"host", "user", "job", "cores", "placement", "rings", "bounds", "measured_bounds", "sequences",
          "similarity_private", "similarity_float"}
NAMES = {"bert-tiny": "BERT-tiny", "bert-base": "BERT-base", "bert-large": "BERT-large", "minilm": "MiniLM",
         "gpt2": "GPT-2", "gpt-neo-1.3b": "GPT-Neo-1.3B", "smollm2-135m": "SmolLM2-135M", "llama-2-7b": "LLaMA-2-7B"}


# ---- records

def read(path):
    found = json.loads(Path(path).read_text())
    return found if isinstance(found, list) else [found]


def text_of(records):
    """A field a line, so that a change of one number is a change of one line."""
    objects = ["  {\n" + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in r.items()) + "\n  }"
               for r in records]
    return "[\n" + ",\n".join(objects) + "\n]\n"


def without_names(record, commit):
    kept = {k: v for k, v in record.items() if v is not None and k not in HIDDEN}
    kept["command_line"] = re.sub(r"^\S+", "twain", kept["command_line"])  # whatever the binary was called
    if commit and kept["git_commit"] == "unknown":
        kept["git_commit"] = commit
    return kept


def keep(raw, folder, commit=None):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(raw).glob("*.json")):
        records = [without_names(r, commit) for r in read(path)]
        wrong = "no record" if not records else \
            "an output differs from the emulator's" if any(r.get("verified") is False for r in records) else \
            "built from changed files" if any(r.get("git_dirty") for r in records) else \
            "commit unknown" if any(r["git_commit"] == "unknown" for r in records) else None
        if wrong:
            raise SystemExit(f"{path}: {wrong}; not kept")
        (Path(folder) / path.name).write_text(text_of(records))
        print(f"kept {folder}/{path.name}")


class Records:
    """All files of docs/measured; used: the records asked for since the last note."""

    def __init__(self, folder=ROOT / "docs/measured"):
        self.files = {str(p.relative_to(folder))[:-5]: read(p) for p in sorted(folder.rglob("*.json"))}
        self.used = []

    def all(self, name):
        found = self.files.get(name, [])
        self.used += [r for r in found if r not in self.used]
        return found

    def one(self, name):
        found = self.all(name)
        return found[0] if found else {}

    def opened(self, way, size, kind="ring"):
        """Time of an opening in ns, or None."""
        name = f"h200x2/opens-{way}"
        for r in self.files.get(name, []):
            if r["opened_bytes"] == size and r["opened"] == kind:
                self.used += [r] if r not in self.used else []
                return r["time_median_ns"]
        return None

    def peer(self, system, model):
        for r in self.files["peers"]:
            if (r["system"], r["model"]) == (system, model):
                low, high = 1e-6 * r["online_min_ns"], 1e-6 * r["online_max_ns"]
                return f"{low:.0f} ms" if low == high else f"{low:.0f}-{high:.0f} ms"
        return ""

    def limit(self, name):
        return next((r["value"], r["known"]) for r in self.files["limits"] if r["limit"] == name)

    def note(self, command):
        """The paragraph behind a table: of what was used since the last one."""
        machines = sorted({machine(r) for r in self.used})
        dates = sorted({r["date"][:10] for r in self.used})
        commits = sorted({r["git_commit"][:7] for r in self.used if r.get("git_commit")})
        shared = any("load" in r.get("cores_shared", "") for r in self.used)
        self.used = []
        said = f"Command: {command}. Machine: {'; '.join(machines)}. Date: {', '.join(dates)}; " \
            f"commit {', '.join(commits)}. {'Other work shared the cores. ' if shared else ''}<!--end-->"
        return "\n".join(textwrap.wrap(said, 120, break_on_hyphens=False, break_long_words=False))


def machine(record):
    if record.get("gpu"):
        return f"{'one' if record['command'] == 'bench deal' else 'two'} {record['gpu']}"
    return f"two cores of {record['cpu']}" if record.get("cpu") else "any"


# ---- numbers for people

def duration(ns):
    if ns is None:
        return ""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= 0.9995 * size:
            return f"{digits(ns / size)} {unit}"
    return f"{ns:.0f} ns"


def digits(x):
    """Three significant digits, two where the third is a zero, never in powers of ten."""
    if x >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if x >= 10 or f"{x:.2f}".endswith("0") else f"{x:.2f}"


def megabytes(n):
    return "" if n is None else f"{digits(1e-6 * n)} MB"


def table(head, rows, left=1):
    marks = ["---"] * left + ["--:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(r) + " |" for r in [head] + rows).replace(
        "| " + " | ".join(head) + " |", "| " + " | ".join(head) + " |\n|" + "|".join(marks) + "|", 1)


# ---- the tables

def others(r):
    rows = []
    for name, model, guard in (("bert-tiny", "bert-tiny", ""), ("bert-base", "bert-base", ""),
                               ("bert-base-guard", "bert-base", ", guard"), ("bert-large", "bert-large", ""),
                               ("gpt2", "gpt2", ""), ("gpt-neo-1.3b", "gpt-neo-1.3b", ""),
                               ("llama-2-7b", "llama-2-7b", "")):
        m = r.one(f"h200x2/model-{name}")
        if m:
            rows.append([NAMES[model] + guard, "" if guard else r.peer("SIGMA", model),
                         "" if guard else r.peer("FuseFSS", model), f"**{duration(m['online_median_ns'])}**",
                         duration(m.get("preparation_median_ns")), megabytes(m.get("key_bytes")),
                         megabytes(m.get("sent_bytes")), str(m.get("rounds", ""))])
    head = ["128 tokens, online", "SIGMA", "FuseFSS", "twain", "preparation", "keys a party", "sent a party", "rounds"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench model --shape MODEL --seq 128 --prepare before`, with `--guard` where it says so")


def decoders(r):
    rows = []
    for name, model, what in (("gpt2", "gpt2", ""), ("gpt-neo-1.3b", "gpt-neo-1.3b", ""),
                              ("smollm2-135m", "smollm2-135m", ""), ("llama-2-7b", "llama-2-7b", ""),
                              ("llama-2-7b-two-layers", "llama-2-7b", ", two layers"),
                              ("smollm2-135m-2048", "smollm2-135m", ", 2,048 tokens"),
                              ("smollm2-135m-2048-two-layers", "smollm2-135m", ", 2,048 tokens, two layers")):
        m = r.one(f"h200x2/model-{name}")
        if m:
            taken, planned = (f"{digits(1e-9 * m[f'gpu_memory_{f}_bytes'])} GB" for f in ("peak", "planned"))
            rows.append([NAMES[model] + what, duration(m["online_median_ns"]), duration(m["preparation_median_ns"]),
                         megabytes(m["key_bytes"]), megabytes(m["sent_bytes"]), str(m["rounds"]), f"{taken}, {planned}", "equal" if m.get("verified") else "not compared"])
    head = ["decoder, 128 tokens", "online", "preparation", "keys a party", "sent a party", "rounds",
            "GPU memory taken, planned", "emulator"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench model --shape MODEL --result logits --prepare before`, `tools/measure_decoders.sh`")


def generation(r):
    rows = []
    for name, model, what in (("gpt2", "gpt2", ""), ("gpt2-batch-16", "gpt2", ", 16 at once"),
                              ("smollm2-135m", "smollm2-135m", ""),
                              ("smollm2-135m-batch-16", "smollm2-135m", ", 16 at once"), ("llama-2-7b", "llama-2-7b", "")):
        m = r.one(f"h200x2/generate-{name}")
        if m:
            rows.append([NAMES[model] + what, duration(m["first_token_ns"]), duration(m["next_token_ns"]),
                         digits(m["tg_tokens_per_second"])])
    head = ["text behind 128 tokens", "to the first token", "from token to token", "tokens a second"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench model --shape MODEL --seq 128 --generate 9 --prepare before`, 5 tokens of LLaMA-2-7B")


def results(r):
    rows = []
    for name, folder, what in (("bert-tiny", "h200x2", "one H200 a party"), ("bert-base", "h200x2", "one H200 a party"),
                               ("bert-base-guard", "h200x2", "the same with the guard"),
                               ("bert-large", "h200x2", "one H200 a party"),
                               ("gpt2", "h200x2", "one H200 a party"), ("llama-2-7b", "h200x2", "one H200 a party"),
                               ("minilm-none", "cpu2", "two cores for both parties"),
                               ("bert-base-none", "cpu2", "two cores for both parties")):
        m = r.one(f"{folder}/model-{name}")
        if m:
            rows.append([what if "same" in what else f"{NAMES[m['model']]}, {what}", duration(m["online_median_ns"]),
                         megabytes(m.get("key_bytes")), megabytes(m.get("sent_bytes")), str(m.get("rounds", ""))])
    head = ["model, on what", "online", "keys a party", "sent a party", "rounds"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 build/twain bench model --shape bert-base --seq 128 --prepare before`")


def limits(r):
    rows = []

    def add(what, measured, limit, known):
        if measured:
            rows.append([what, duration(measured), duration(limit), f"{100 * limit / measured:.0f} %", known])

    size = 16 << 20
    nvlink, one_way = r.limit("nvlink_bytes_per_second"), r.limit("nvlink_one_way_ns")
    window, copies = r.limit("host_window_bytes_per_second"), r.limit("pinned_copy_bytes_per_second")
    add("opening of 64 bytes, `peer`", r.opened("peer", 64), one_way[0], f"NVLink, {one_way[1]}")
    add("opening of 16 MiB of bits, `peer`", r.opened("peer", size, "bits"), 1e9 * size / nvlink[0],
        f"NVLink at 450 GB/s, {nvlink[1]}")
    add("opening of 16 MiB, `host-window`", r.opened("host-window", size), 1e9 * size / window[0],
        f"42 GB/s: {window[1]}")
    base, big, deal = (r.one(f"h200x2/{n}") for n in ("model-bert-base", "model-bert-base-batch-16-streamed",
                                                      "deal-bert-base"))
    add("BERT-base online: its rounds", base["online_median_ns"], base["rounds"] * one_way[0], "NVLink, once a round")
    add("BERT-base online: its openings", base["online_median_ns"], 1e9 * base["sent_bytes"] / nvlink[0],
        "NVLink at 450 GB/s")
    add("BERT-base online: its keys", base["online_median_ns"], 1e9 * base["key_bytes"] / copies[0],
        f"PCIe at 55 GB/s: {copies[1]}")
    if big:
        add("batch 16, keys streamed: its keys", big["online_median_ns"], 16e9 * base["key_bytes"] / copies[0],
            "the same")
    add("BERT-base's keys dealt, both parties", deal["time_median_ns"],
        2e9 * deal["key_bytes"] / deal["copy_bytes_per_second"],
        f"copies at {1e-9 * deal['copy_bytes_per_second']:.1f} GB/s, measured by the command")
    add("the same: its random streams", deal["time_median_ns"],
        1e9 * deal["stream_bytes"] / deal["stream_bytes_per_second"],
        f"ChaCha20 at {1e-9 * deal['stream_bytes_per_second']:.0f} GB/s, measured by the command")
    head = ["what", "measured", "limit", "limit / measured", "how the limit is known"]
    body = table(head, rows).replace("--:|--:|--:|--:|", "--:|--:|--:|---|")
    return body + "\n\n" + r.note("`bench opens`, `bench model`, `bench deal` as in the other tables")


def transports(r):
    sizes = [64, 4096, 65536, 1 << 20, 16 << 20]
    rows = []
    for way in ("peer", "nccl", "host-window", "host-relay"):
        times = [r.opened(way, s) for s in sizes]
        m = r.one("h200x2/model-bert-base" + ("" if way == "peer" else f"-{way}"))
        if any(times):
            rate = f"{digits((16 << 20) / times[-1])} GB/s" if times[-1] else ""
            rows.append([f"`{way}`"] + [duration(t) for t in times] + [rate, duration(m.get("online_median_ns"))])
    head = ["transport", "64 B", "4 KiB", "64 KiB", "1 MiB", "16 MiB", "16 MiB each way", "BERT-base online"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench opens --device cuda --transport WAY`, last column "
        "`bench model --shape bert-base --prepare before --transport WAY`")


def batches(r):
    rows = []
    for title, name in (("1, keys on the GPU", "resident"), ("4, keys on the GPU", "batch-4"),
                        ("16, keys on the GPU", "batch-16"), ("1, keys from memory", ""),
                        ("16, keys from memory", "batch-16-streamed"), ("1, keys from a file", "file")):
        m = r.one("h200x2/model-bert-base" + (f"-{name}" if name else ""))
        if m:
            online, before = m["online_median_ns"], m.get("preparation_median_ns")
            rows.append([title, duration(online), duration(online / m["batch"]), duration(before),
                         digits(1e9 * m["batch"] / (online + before)) if before else ""])
    head = ["batch", "online", "a sequence", "preparation", "sequences a second, with preparation"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench model --shape bert-base --prepare before --batch B --keys WHERE`")


def links(r):
    rows = []
    for model in ("bert-tiny", "minilm", "bert-base"):
        times = [r.one(f"cpu2/model-{model}-{link}") for link in ("none", "lan", "wan")]
        if times[0]:
            rows.append([NAMES[model]] + [duration(t.get("online_median_ns")) for t in times] +
                        [duration(times[0].get("preparation_median_ns")), megabytes(times[0].get("key_bytes")),
                         megabytes(times[0].get("sent_bytes")), str(times[0].get("rounds", ""))])
    head = ["128 tokens, online", "no link", "LAN", "WAN", "preparation", "keys a party", "sent a party", "rounds"]
    return table(head, rows) + "\n\n" + r.note(
        "`mpirun -np 2 twain bench model --shape MODEL --device cpu --prepare before`, with `--link-latency 100us "
        "--link-rate 10Gbit/s` (LAN) or `--link-latency 20ms --link-rate 200Mbit/s` (WAN)")


def lengths(r):
    rows = []
    for name, title in (("fit", "lengths that fit"), ("padded", "all padded to 128")):
        m = r.one(f"cpu2/lengths-{name}")
        if m:
            of = ", ".join(f"{count} of {seq}" for seq, count in m["lengths"].items())
            rows.append([title, of, *(duration(m[f"{k}_ns"]) for k in ("deal", "encode", "run", "reveal", "all")),
                         megabytes(m["key_bytes"]), f"{m['ids_equal']} of {m['rows']}"])
    head = ["200 rows, MiniLM", "texts of tokens", "`deal`", "`encode`", "`run`", "`reveal`", "all four", "keys a party",
            "ids right"]
    return table(head, rows, 2) + "\n\n" + r.note("`tools/measure_lengths.py build/twain all-MiniLM-L6-v2 raw`")


def estimates(r):
    rows = []
    for model in ("bert-tiny", "minilm"):
        for link, title in (("near", "25 us, 10 Gbit/s"), ("far", "2 ms, 3.2 Gbit/s"), ("farther", "10 ms, 1 Gbit/s")):
            found = r.all(f"cpu2/estimate-{model}-{link}")
            if not found:
                continue
            plan, chosen, *others = found
            times = [m["online_median_ns"] for m in others]
            said = plan["choices"].replace("groups ", "").replace(" nodes of ", " ").replace(" windows in ", " ")
            rows.append([NAMES[model], title, re.sub(r" levels?, norms (with\w*) a mean", r", \1 means", said),
                         duration(plan["estimated_online_ns"]), duration(chosen["online_median_ns"]),
                         f"{100 * plan['estimated_online_ns'] / chosen['online_median_ns'] - 100:+.0f} %",
                         duration(min(times)), duration(times[-1])])
    head = ["128 tokens, online", "link", "chosen: groups, nodes, levels, means", "estimate", "measured", "off by",
            "best other form", "one host's choice"]
    return table(head, rows, 3) + "\n\n" + r.note(
        "`BEFORE='chrt -f 1' tools/measure_estimates.py build/twain raw`: the parties had priority over other work")


LINKS = ["1 us, 270 GB/s", "25 us, 10 Gbit/s", "0.5 ms, 10 Gbit/s", "2 ms, 3.2 Gbit/s", "10 ms, 1 Gbit/s",
         "30 ms, 100 Mbit/s"]


def engine_of(choices):
    found = re.match(r"engine (\S+),", choices)
    return found[1] if found else "digit"


def engine_runs(r, shape, link, folder):
    """By what was asked for: the plan and the run of it."""
    found = r.files.get(f"{folder}/engines-{shape}-{link}", [])
    runs = {m["plan_digest"]: m for m in found if "asked_engine" not in m}
    r.used += [m for m in runs.values() if m not in r.used]
    return {m["asked_engine"]: (m, runs[m["plan_digest"]]) for m in found if "asked_engine" in m}


def engines(r):
    rows = []
    for shape, folder in (("minilm", "cpu2"), ("bert-base", "h200x2")):
        for i, title in enumerate(LINKS):
            found = engine_runs(r, shape, i + 1, folder)
            if not found:
                continue
            plan, run = found["auto"]
            took = lambda engine: duration(found[engine][1]["online_median_ns"]) if engine in found else ""
            off = max((abs(p["estimated_online_ns"] / m["online_median_ns"] - 1) for p, m in found.values()))
            rows.append([NAMES[shape], title, engine_of(plan["choices"]), duration(plan["estimated_online_ns"]),
                         duration(run["online_median_ns"]), took("digit"), took("pfss-rows"), took("pfss"),
                         f"{100 * off:.0f} %"])
    head = ["128 tokens, online", "link", "auto", "estimate", "measured", "digit", "pfss-rows", "pfss",
            "farthest estimate of all"]
    return table(head, rows, 3) + "\n\n" + r.note(
        "`tools/measure_engines.py build/twain raw`, MiniLM's parties with priority over other work (`BEFORE='chrt -f 1'`); "
        "`BUDGET=600000000 tools/measure_engines.py build/twain raw bert-base h200 cuda`")


def whole(r):
    columns = [(r.one(f"{where}/model-bert-base-guard"), r.one(f"{where}/deal-bert-base")) for where in ("h200x2", "cpu2")]
    part = lambda m, field: duration(m.get(field)) if m else ""
    over = lambda m: duration(8 * m["key_bytes"] / 10) if m else ""
    dealt = lambda d: f"{part(d, 'time_median_ns')} ({megabytes(d.get('key_bytes'))} a party)" if d else ""
    each = lambda what, once, of: [what, once] + [of(m, d) for m, d in columns]
    rows = [each("deal, both parties' keys, without guard", "an inference", lambda m, d: dealt(d)),
            each("hand-over of one key file (counted, at 10 Gbit/s)", "an inference", lambda m, d: over(m)),
            each("set-up", "a model", lambda m, d: part(m, "setup_ns")),
            each("preparation", "an inference", lambda m, d: part(m, "preparation_median_ns")),
            each("online", "an inference", lambda m, d: part(m, "online_median_ns"))]
    return table(["BERT-base, 128 tokens, guard", "once", "two GPUs", "two cores"], rows, 2) + "\n\n" + r.note(
        "`twain bench deal --shape bert-base` and `mpirun -np 2 twain bench model --shape bert-base --guard`")


MODES = [("dithered", "dithered"), ("faithful-output", "faithful output"), ("faithful", "faithful")]
COMPARED = [("minilm", "MiniLM, embeddings"), ("classifier", "a small classifier, logits"), ("bert-base", "BERT-base, random weights"),
            ("smollm2", "SmolLM2-135M, all logits")]


def error_words(x):
    return "0" if x == 0 else f"{100 * x:.3f} %" if x < 1e-3 else f"{100 * x:.2f} %"


def accuracy(r):
    rows = []
    for name, title in COMPARED:
        for mode, words in MODES:
            m = r.one(f"accuracy/{name}-{mode}")
            if m:
                e, rounded, cosine = m["relative_error"], m["relative_error_rounded_weights"], m.get("lowest_cosine")
                rows.append([title, words, f"{m['count']:,}", str(m["tokens"]), error_words(e["median"]),
                             error_words(e["most_of_99_percent"]) if m["count"] >= 100 else "", error_words(e["largest"]), error_words(rounded["largest"]),
                             f"{cosine:.5f}" if cosine is not None else "", str(m["out_of_bound"])])
    head = ["model, output", "rounding", "sentences", "tokens", "median", "99 % below", "largest",
            "largest, weights rounded", "lowest cosine", "out of bound"]
    return table(head, rows, 2) + "\n\n" + r.note("`tools/measure_accuracy.sh build/twain raw 25`, by `twain check NAME --emulate`")


def labels(r):
    rows = []
    for name, title in COMPARED:
        for mode, words in MODES:
            m = r.files.get(f"accuracy/{name}-{mode}", [{}])[0]
            if "labels" not in m:
                continue
            r.one(f"accuracy/{name}-{mode}")
            found, p = m["labels"], m.get("perplexity")
            equal = found["rows"] - found["differ"]
            rows.append([title, words, f"{m['count']:,}", f"{equal:,} of {found['rows']:,}", f"{found['widest_gap']:.3g}" if found["differ"] else "",
                         f"{p['computed']:.5g}" if p else "", f"{p['float']:.5g}" if p else ""])
    m = r.one("accuracy/smollm2-text")
    if m:
        found = m["labels"]
        rows.append(["SmolLM2-135M, texts of 8 tokens", "dithered", f"{m['count']:,}", f"{found['rows'] - found['differ']} of {found['rows']}",
                     f"{found['widest_gap']:.3g}" if found["differ"] else "", "", ""])
    head = ["model, output", "rounding", "sentences", "likeliest label or token as float's", "widest float gap where not",
            "perplexity", "float perplexity"]
    return table(head, rows, 2) + "\n\n" + r.note("the same")


def farthest(r):
    rows = []
    for name, title in COMPARED:
        m = r.one(f"accuracy/{name}-dithered")
        for f in m.get("farthest", [])[:3]:
            cosine = f.get("cosine")
            rows.append([title, str(f["number"]), str(f["tokens"]), error_words(f["relative_error"]),
                         error_words(f["relative_error_rounded_weights"]), f"{f['largest_error']:.4f}",
                         f"{cosine:.6f}" if cosine is not None else ""])
    head = ["dithered", "sentence", "tokens", "relative error", "weights rounded", "largest error of an element", "cosine"]
    return table(head, rows) + "\n\n" + r.note("the same; sentence N is line N of `tools/make_sentences.py COUNT 2026`")


def exact(r):
    rows = []
    for name, title in COMPARED:
        m = r.one(f"accuracy/{name}-parties")
        if m:
            e = m["exact"]
            rows.append([title, str(m["count"]), f"{e['outputs'] - e['outputs_that_differ']:,} of {e['outputs']:,}",
                         "equal" if e["transcript_equal"] else "different", error_words(m["relative_error"]["largest"])])
    head = ["model, output", "sentences", "outputs equal to the emulator's", "transcript", "largest relative error"]
    return table(head, rows) + "\n\n" + r.note("the same, by `mpirun -np 2 twain run` and `twain check NAME --exact`")


TABLES = {"accuracy": accuracy, "labels": labels, "farthest": farthest, "exact": exact, "results": results, "others": others, "decoders": decoders, "generation": generation, "limits": limits,
          "transports": transports, "batches": batches, "links": links, "lengths": lengths, "estimates": estimates, "engines": engines, "whole": whole}


def filled(page, records):
    def fill(m):
        return f"<!-- table {m.group(1)} -->\n{TABLES[m.group(1)](records)}"
    return re.sub(r"<!-- table (\w+) -->\n.*?<!--end-->", fill, page, flags=re.S)


def main(arguments):
    if len(arguments) in (3, 4) and arguments[0] == "keep":
        keep(*arguments[1:])
    elif arguments in (["tables"], ["check"]):
        wrong, records = 0, Records()
        for page in PAGES:
            text = page.read_text()
            made = filled(text, records)
            if made == text:
                continue
            wrong += 1
            if arguments == ["tables"]:
                page.write_text(made)
            print(f"{page.relative_to(ROOT)}: " + ("filled" if arguments == ["tables"] else "a table is not what the "
                                                   "records give; run tools/measured.py tables"))
        return arguments == ["check"] and wrong > 0
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
