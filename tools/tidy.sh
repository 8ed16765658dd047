#!/usr/bin/env bash
# clang-tidy (checks: .clang-tidy) on every C file that is no test, or on the FILES given, by build-clang's compile
# commands (cmake --preset clang).    tools/tidy.sh [FILE...]; exit code 1 and a line for each finding
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f build-clang/compile_commands.json ] || cmake --preset clang >/dev/null
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files '*.c' ':!tests' ':!examples'); fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
# compile commands name whole paths; app/ needs a header that the build makes
cmake --build build-clang --target build_id >/dev/null
printf '%s\0' "${files[@]/#/$PWD/}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy -p build-clang --quiet >"$out" 2>/dev/null || status=$?
grep -E '(warning|error):' "$out" | sort -u || true
echo "${#files[@]} files, $(grep -cE '(warning|error):' "$out" || true) findings"
exit $((${status:-0} != 0))
