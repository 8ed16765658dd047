# Whole models at long lengths between two parties, with generated weights, without the guard and with it: every output is the
# emulator's, bit for bit, and no value leaves its bound.
source "$SOURCE_DIR/tests/cli/cli.bash"

exact() { # MODEL SEQ OPTION...
  local model=$1 seq=$2
  shift 2
  mpirun -np 2 "$TWAIN" bench model --shape "$model" --seq "$seq" --device cpu --repeat 1 --json "$@" >length.json \
    2>said </dev/null || { cat said >&2; fail "$model, $seq tokens $*"; }
  [ "$(json length.json '[j[0]["verified"], j[0]["out_of_bound"], j[0]["tokens"]]')" = "[True, 0, $seq]" ] ||
    fail "$model, $seq tokens $*: $(json length.json '[j[0]["verified"], j[0]["out_of_bound"], j[0]["tokens"]]')"
}

exact bert-tiny 128
exact bert-tiny 128 --guard
exact minilm 384 --guard
exact minilm 512 --guard

# a decoder past 512 tokens, whose row sums have two tables: weights do not depend on how many positions turn
PYTHONPATH="$SOURCE_DIR/tests/cli" "$python" "$SOURCE_DIR/tests/cli/families.py" llama folder
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 2048/' folder/config.json
"$TWAIN" import folder -o n -q
"$TWAIN" plan n --seq "${TWAIN_LONG_SEQ:-520}" -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 1 --test-seed 7 -q 2>/dev/null
"$python" -c 'print("the dog and a cat sat on the sofa " * 400)' >text
"$TWAIN" encode n --file text --truncate -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
mpirun -np 2 "$TWAIN" run n --ledger ledger --allow-test-keys --device cpu -q >said 2>&1 || fail "$(cat said)"
expect 0 'out of the plan.s bounds: none counted' "$TWAIN" reveal n
timeout 300 "$TWAIN" check n --exact --test-seed 7 >said 2>&1 || fail "$(cat said)"
grep -q "equal the emulator's, transcript equal" said || fail "$(cat said)"
