#!/usr/bin/env python3
"""Functions fit a screen, files have one subject: no function of more than 60 lines, no file of more than 500 without a
reason in the comment on its top ("Long because ..."), in C and CUDA.    tools/check_sizes.py; exit code 1 and a line for each that is too long"""
import os
import re
import subprocess
import sys
from pathlib import Path

LINES_OF_FUNCTION, LINES_OF_FILE = 60, 500
# a line that begins at the left margin, opens a body at its end, and is no type, initialiser or block of linkage
BEGINS = re.compile(r'^(?!(?:typedef|struct|enum|union|extern|namespace|#|//|\}|/\*))[A-Za-z_].*[^=]\{$')


def functions(lines):
    """(name, first line, lines) of each: from the line where its head begins to the brace that closes it."""
    head = None
    for i, line in enumerate(lines):
        if head is None and re.match(r'^[A-Za-z_]', line) and not re.match(r'^(typedef|struct|enum|union|extern|namespace)\b', line):
            head = i
        if head is not None and BEGINS.match(lines[head] if head == i else "x" + line.strip()):
            if "(" not in " ".join(lines[head:i + 1]) or lines[i].rstrip().endswith("= {"):
                head = None
                continue
            end = next((j for j in range(i, len(lines)) if lines[j].startswith("}")), None)
            if end is not None:
                text = " ".join(lines[head:i + 1])
                name = re.search(r'([A-Za-z_]\w*)\s*\(', text)
                yield (name.group(1) if name else "?"), head + 1, end - head + 1
            head = None
        elif head is not None and (line.rstrip().endswith(";") or not line.strip() or line.startswith("}")):
            head = None


def main():
    os.chdir(Path(__file__).resolve().parent.parent)
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.cu"], capture_output=True, text=True).stdout.split()
    wrong, count = 0, 0
    for file in listed:
        lines = Path(file).read_text().splitlines()
        top = " ".join(line for line in lines[:12] if line.startswith("//"))
        if len(lines) > LINES_OF_FILE and "Long because" not in top:
            wrong += 1
            print(f"{file}: {len(lines)} lines; look for a second subject, or say on top why it is long")
        for name, line, length in functions(lines):
            count += 1
            if length > LINES_OF_FUNCTION:
                wrong += 1
                print(f"{file}:{line}: {name} has {length} lines")
    print(f"{len(listed)} files, {count} functions, {wrong} too long")
    return wrong > 0


sys.exit(main())
