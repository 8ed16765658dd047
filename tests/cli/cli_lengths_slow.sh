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
exact smollm2-135m 520 --layers 1 --guard
