# Very small shapes go through the whole chain, bit for bit: party 1 then has no corrections to read, since tensors of up
# to 64 elements have all of theirs in party 0's file.
source "$SOURCE_DIR/tests/cli/cli.bash"

chain() { # SHAPE ROUNDING OUTPUT OVERLAP
  rm -rf n.* ledger
  "$TWAIN" import --shape "$1" -o n -q
  "$TWAIN" plan n --seq 2 --rounding "$2" --result "$3" -q
  "$TWAIN" share n -q
  "$TWAIN" deal n -n 2 --test-seed 7 -q 2>said
  "$TWAIN" encode n '' '' -q # the two tokens that every text has
  "$TWAIN" share n --input -q
  "$TWAIN" ledger --new ledger -q
  expect_run 0 '"transcript"' n --ledger ledger --allow-test-keys --split-batch "$4" --device cpu --json
  "$TWAIN" reveal n -q
  "$TWAIN" check n --exact --test-seed 7 --json >check.json || fail "check of $*"
  [ "$(json check.json 'j["exact"]["outputs_that_differ"], j["exact"]["transcript_equal"]')" = '(0, True)' ] ||
    fail "$* differs from the emulator"
}

chain 2x8x2x8 faithful pooled always
chain 1x8x1x8 faithful-output cls never
chain 1x8x1x8 dithered tokens never
h5dump -d corrections n.keys.p1.h5 | grep -q 'DATASPACE  SIMPLE { ( 2, 0 )' || fail "party 1 has corrections: not the case"

# The file without corrections is as whole as any other.
"$TWAIN" deal n -n 2 --test-seed 7 -q --force 2>said
head -c 3000 n.keys.p1.h5 >cut && cat cut >n.keys.p1.h5
expect_run 4 'n.keys.p1.h5.*' n --ledger ledger --allow-test-keys --device cpu --force
