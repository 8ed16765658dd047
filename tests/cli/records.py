"""Records as JSON and as CSV against the tables of docs/records.md, both ways.

    records.py DOCS COMMAND JSON CSV    COMMAND: as in a record's field `command`
"""
import csv
import json
import re
import statistics
import sys
from pathlib import Path

BENCHES = ["bench " + w for w in ("model", "sweep", "opens", "deal", "live", "kernels", "gemm", "line")]
COMMANDS = ["plan", "run", "report"] + BENCHES
ONLY_IN_JSON = ["rings", "bounds", "measured_bounds", "saved", "forecast"]


class Field:
    def __init__(self, name, kind, present):
        self.name, self.kind, self.always, self.sometimes = name, kind, set(), set()
        for word in present.split(", "):
            into = self.sometimes if word.startswith("(") else self.always
            word = word.strip("()")
            into.update(COMMANDS if word == "all" else BENCHES if word == "bench" else [word])
        assert self.always | self.sometimes <= set(COMMANDS) and not self.always & self.sometimes, (name, present)
        for unit in ("ns", "bytes"):
            assert name.endswith("_" + unit) == bool(re.search(rf"\b{unit}\b(?!/)", kind)), (name, kind)


def read_fields(path):
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|]*) \| ([^|]*) \|", Path(path).read_text(), re.M)
    return [Field(name, kind, present) for names, kind, present in rows for name in re.findall(r"`(\w+)`", names)]


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def fits(kind, value):
    if kind.startswith("list of"):
        return isinstance(value, list) and all(fits(kind[8:].rstrip("s") if kind != "list of ns" else "ns", v) for v in value)
    if kind.startswith("text"):
        return isinstance(value, str) and value != ""
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "object":
        return isinstance(value, dict)
    if kind in ("number", "bytes/s") or kind.startswith("bits/s"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_integer(value) and (value >= 0 or kind == "integer")  # ns, bytes, byte, integer


def from_cell(kind, cell):
    """A cell of CSV as JSON has it. Times of a list may be of any number, texts are never empty."""
    if cell == "":
        return None
    if kind.startswith("list of"):
        return [from_cell(kind[8:].rstrip("s") if kind != "list of ns" else "ns", c) for c in cell.split(";")]
    if kind.startswith("text"):
        return cell
    if kind == "flag":
        return {"true": True, "false": False}[cell]
    return int(cell) if re.fullmatch(r"-?\d+", cell) else float(cell)


def check(fields, command, records):
    for r in records:
        assert r["command"] == command and r["schema_version"] == 1, r["command"]
        for f in fields:
            if f.name not in r:
                continue
            value, allowed = r[f.name], command in f.always | f.sometimes
            assert value is None or allowed, f"{command}: {f.name} is {value}, and docs/records.md says nothing of it"
            assert value is not None or command not in f.always, f"{command}: {f.name} is missing"
            assert value is None or fits(f.kind, value), f"{command}: {f.name} is {value}, not {f.kind}"
        for name in ("preparation", "online", "serial_preparation", "serial_online", "time"):
            times = r[name + "_ns"]
            if times is None:
                continue
            assert len(times) == r["repeats"], (name, times)
            found = [r[f"{name}_{w}_ns"] for w in ("min", "median", "max")]
            assert found[0] == min(times) and found[2] == max(times), (times, found)
            assert abs(found[1] - statistics.median(times)) <= 1, (times, found)
        lists = [r[f.name] for f in fields if f.name.startswith("step") and r[f.name] is not None]
        assert len({len(v) for v in lists}) <= 1, "steps of different lengths"


def main():
    docs, command, as_json, as_csv = sys.argv[1:]
    fields = read_fields(docs)
    names = [f.name for f in fields]
    assert len(set(names)) == len(names) and len(names) > 100, "docs/records.md cannot be read"
    kinds = {f.name: f.kind for f in fields}
    if as_json != "-":
        records = json.load(open(as_json))
        assert records and all(list(r) == names for r in records), set(names) ^ set(records[0])
        check(fields, command, records)
    with open(as_csv, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [n for n in names if n not in ONLY_IN_JSON], set(rows[0]) ^ set(names)
    assert len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows)
    cells = [{n: from_cell(kinds[n], c) for n, c in zip(rows[0], row)} for row in rows[1:]]
    check([f for f in fields if f.name not in ONLY_IN_JSON], command, cells)
    if as_json != "-":
        assert len(cells) == len(records), (len(cells), len(records))
        for r, c in zip(records, cells):
            differ = [n for n in c if (r[n] is None) != (c[n] is None) or (type(c[n]) == str and r[n] != c[n])]
            assert set(differ) <= {"date", "command_line", "cores_shared", "run_id", "transcript", "limited_by"}, differ


main()
