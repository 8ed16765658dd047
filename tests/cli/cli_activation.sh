# The example of docs/adding.md, "An activation": its code is taken from the document, put into a copy of the tree,
# built, and its tests are run. The document's claim is a largest error of 4 units of 2^-12.
set -euo pipefail
document=$SOURCE_DIR/docs/adding.md
mkdir tree
cp -r "$SOURCE_DIR"/{app,base,comm,include,io,jobs,kernels,packaging,tests,CMakeLists.txt} tree

# The fenced block behind a marker line.
block() { awk -v marker="<!-- $1 -->" '$0 == marker { found = 1; next }
  found && /^```/ { if (inside) exit; inside = 1; next } found && inside' "$document"; }

files=$(sed -n 's/^<!-- file: \(.*\) -->$/\1/p' "$document")
[ "$files" = $'jobs/models/softplus.c\ntests/models/test_softplus.c' ] || { echo "files of the example: $files"; exit 1; }
for file in $files; do
  [ ! -e "tree/$file" ] || { echo "$file is there already"; exit 1; }
  block "file: $file" > "tree/$file"
  [ -s "tree/$file" ] || { echo "$file: no code in $document"; exit 1; }
done
row=$(block "row: io/activations.h after ROW(tanh)")
[ -n "$row" ] || { echo "no row in $document"; exit 1; }
grep -q '^  ROW(tanh)$' tree/io/activations.h || { echo "the last row is no longer ROW(tanh)"; exit 1; }
awk -v row="$row" '/^  ROW\(tanh\)$/ { print $0 " \\"; print row; next } { print }' tree/io/activations.h > activations.h
mv activations.h tree/io/activations.h

# Nothing but what the example's tests need, with little optimisation: it is built in full each time.
start=$SECONDS
cmake -S tree -B build -G Ninja -DCMAKE_CUDA_COMPILER= -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 > cmake.log 2>&1 ||
  { cat cmake.log; exit 1; }
ninja -C build -j2 test_softplus test_layer > ninja.log 2>&1 || { grep -E 'error|FAILED' ninja.log; exit 1; }
echo "configured and built in $((SECONDS - start)) s"

build/test_softplus > softplus.log || { cat softplus.log; exit 1; }
grep -o 'softplus: .* units of its output' softplus.log
build/test_layer > layer.log || { cat layer.log; exit 1; }
grep -o '.*, softplus, .* relative error [^,]*' layer.log
