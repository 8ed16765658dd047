#!/usr/bin/env bash
# Formats every C and CUDA file with clang-format; --check only names the files that would change and exits 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t files < <(find . -path './build*' -prune -o -regex '.*\.\(c\|h\|cc\|cu\|cuh\)' -print | sort)
[ ${#files[@]} -gt 0 ] || exit 0
case ${1:-} in
  --check)
    status=0
    for file in "${files[@]}"; do
      clang-format --dry-run --Werror "$file" 2>/dev/null || { echo "not formatted: $file"; status=1; }
    done
    exit $status
    ;;
  "") clang-format -i "${files[@]}" ;;
  *) echo "usage: tools/format.sh [--check]" >&2; exit 2 ;;
esac
