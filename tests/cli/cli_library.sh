# The library, installed: it gives away what twain.h names and nothing else; programs find it with pkg-config and with
# CMake; the whole way from text to result through it gives what the commands give; what the commands refuse it refuses.
source "$SOURCE_DIR/tests/cli/cli.bash"

cmake --install "$TWAIN_BUILD" --prefix "$PWD/installed" >said || { cat said; fail "cmake --install"; }
[ "$(installed/bin/twain --version | head -1)" = "$("$TWAIN" --version | head -1)" ] || fail "installed/bin/twain"
library=$(find installed -name libtwain.so) config=$(find installed -name twain.pc)
nm -D --defined-only "$library" | sed -n 's/.* T \(twain_[a-z_]*\)@.*/\1/p' | sort >given
nm -D --defined-only "$library" | grep -v ' [TA] \(twain_[a-z_]*@@\)\?TWAIN_1$\| T twain_' && fail "more is given away than twain_*"
grep -oE 'TWAIN_API [a-z].*' "$SOURCE_DIR/include/twain.h" | sed 's/.*[ *]\(twain_[a-z_]*\)(.*/\1/' | sort >named
diff named given || fail "twain.h and the library differ"

# ---- two ways to find it; C and C++ read the header
export PKG_CONFIG_PATH=${config%/*}
read -ra flags <<<"$(pkg-config --cflags --libs twain)"
cc -Wall -Wextra -Werror "$SOURCE_DIR/examples/embed.c" "${flags[@]}" "-Wl,-rpath,$PWD/${library%/*}" -o embed
mpicc -Wall -Wextra -Werror "$SOURCE_DIR/examples/party_mpi.c" "${flags[@]}" "-Wl,-rpath,$PWD/${library%/*}" -o party_mpi
echo '#include <twain.h>' >header.c
cc -std=c99 -Wall -Wextra -pedantic -Werror -fsyntax-only "${flags[@]}" header.c
cc -x c++ -Wall -Wextra -pedantic -Werror -fsyntax-only "${flags[@]}" header.c 2>said || grep -q 'cc1plus' said ||
  { cat said; fail "C++ does not read twain.h"; }
mkdir by_cmake && cp "$SOURCE_DIR/examples/embed.c" by_cmake/
cat >by_cmake/CMakeLists.txt <<'TEXT'
cmake_minimum_required(VERSION 3.21)
project(embed C)
find_package(twain 0.2 REQUIRED)
add_executable(embed embed.c)
target_link_libraries(embed PRIVATE twain::twain)
TEXT
{ cmake -S by_cmake -B by_cmake/build -DCMAKE_PREFIX_PATH="$PWD/installed" && cmake --build by_cmake/build; } >said 2>&1 ||
  { cat said; fail "find_package(twain)"; }

# ---- text to result, by the library and by the commands
"$TWAIN" import --shape 2x24x3x40 -o n -q
"$TWAIN" plan n --seq 12 --result pooled -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 12 -q
"$TWAIN" ledger --new ledger -q
texts=('a few words' 'one more')
./embed n ledger "${texts[@]}" >by_library 2>said || { cat said; fail "embed"; }
grep -q 'WARNING: both parties run on host' said || fail "no warning about one host"
by_cmake/build/embed n ledger "${texts[@]}" >again 2>said || { cat said; fail "embed by CMake"; }
"$TWAIN" encode n -q "${texts[@]}"
"$TWAIN" share n --input -q --force
expect_run 0 . n --ledger ledger --device cpu --force -q
"$TWAIN" reveal n -q
"$python" - <<'TEXT' || fail "the library's result is not the commands'"
import h5py, numpy as np
read = lambda name: np.array([[float(v) for v in line.rsplit(":", 1)[1].split()] for line in open(name)])
truth = h5py.File("n.result.h5")["values"][()].reshape(2, -1)
for name in ("by_library", "again"):
    found = read(name)
    assert found.shape == truth.shape == (2, 24) and abs(found - truth).max() < 0.02 * abs(truth).max(), (name, found, truth)
TEXT

# ---- a party by MPI; files are the commands' on both sides
"$TWAIN" encode n -q --force "${texts[@]}"
"$TWAIN" share n --input -q --force
timeout 60 mpirun -np 2 ./party_mpi n ledger >said 2>&1 || { cat said; fail "party_mpi"; }
"$TWAIN" reveal n -q --force
[ "$("$TWAIN" ledger ledger --json | grep -c '"slot":')" = 16 ] || fail "not every sequence has used a slot of both parties"

# ---- what the commands refuse
stat -c %a n.input.p0.h5 n.result.p1.h5 | sort -u | grep -qx 600 || fail "modes"
rm n.input.h5
expect 3 'reveal|plan.json' ./embed nothing ledger 'a text'
expect 8 'encode: text 1 has' ./embed n ledger 'one two three four five six seven eight nine ten eleven twelve thirteen'
expect 3 'no such ledger' ./embed n missing 'a text'
expect 6 'slot' ./embed n ledger a b c d e f
"$TWAIN" deal n -n 4 --test-seed 1 -q --force 2>said
expect 2 'TEST' ./embed n ledger 'a text'
cp n.result.p0.h5 old.h5
"$TWAIN" deal n -n 4 -q --force
./embed n ledger 'a text' >said 2>&1 || { cat said; fail "embed with new keys"; }
cp old.h5 n.result.p0.h5
expect 5 'differ in run_id' "$TWAIN" reveal n --force
no_leftovers
