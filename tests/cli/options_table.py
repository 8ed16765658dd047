"""The table of docs/options.md against what `twain help` prints, both ways: options_table.py TWAIN docs/options.md.

Says which rows are missing and which are too many, as they must stand in the file; words reserved for later must not be
options yet.
"""
import os
import re
import subprocess
import sys

twain, document = sys.argv[1:]
ROW = re.compile(r"^  (?:-(\w), |    )--([\w-]+)(?: ([A-Z]+))?(?: {2,}(\S.*))?$")


def page(*words):
    return subprocess.run([twain, "help", *words], check=True, capture_output=True, text=True,
                          env={**os.environ, "COLUMNS": "4000"}).stdout.splitlines()


def names_in(lines):  # of commands and of their parts: "  NAME  what it does"
    return [m[1] for m in (re.match(r"^  ([a-z]+) {2,}\S", line) for line in lines) if m]


def commands():
    for command in names_in(page()):
        parts = names_in(page(command)) if "|" in page(command)[0] and command in ("bench", "site") else []
        yield from ([command, part] for part in parts) if parts else [[command]]


def options(words):
    lines = page(*words)
    for i, line in enumerate(lines):
        match = ROW.match(line)
        if not match:
            continue
        letter, name, value, text = match.groups()
        text = text or lines[i + 1].strip()
        default = re.search(r" \(default (\S+)\)$", text)
        yield name, letter, value, default[1] if default else "", text[:default.start()] if default else text


def default_of(where):  # where: {default: commands}
    if len(where) == 1:
        return next(iter(where))
    return ", ".join(f"{default} ({', '.join(commands)})" for default, commands in sorted(where.items()) if default)


def expected():
    rows, every = {}, [" ".join(words) for words in commands()]
    for command in every:
        for name, letter, value, default, text in options(command.split()):
            row = rows.setdefault((name, letter or "", value, text), ([], {}))
            row[0].append(command)
            row[1].setdefault(default, []).append(command)
    for (name, letter, value, text), (where, defaults) in sorted(rows.items(), key=lambda row: (row[0][0], row[1][0])):
        spelled = f"`--{name}{' ' + value if value else ''}`" + (f", `-{letter}`" if letter else "")
        yield f"| {spelled} | {default_of(defaults)} | {'all' if where == every else ', '.join(where)} | {text} |"


wanted = list(expected())
text = open(document).read()
table, _, kept = text.partition("## Reserved")  # words kept for what is to come, if there are any
found = re.findall(r"^\| `--.*\|$", table, re.M)
reserved = re.findall(r"`--([\w-]+)`", kept)
taken = [name for name in reserved if any(re.match(rf"\| `--{name}[` ]", row) for row in wanted)]
wrong = [f"+{row}" for row in wanted if row not in found] + [f"-{row}" for row in found if row not in wanted]
wrong += [f"--{name} is an option and stands under Reserved" for name in taken]
if len(wanted) < 30:
    wrong.append(f"{len(wanted)} options in help: not read as they should be")
if not wrong and found != wanted:
    wrong.append("the rows are not in the order of their names")
print("\n".join(wrong))
sys.exit(bool(wrong))
