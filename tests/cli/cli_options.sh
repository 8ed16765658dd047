# docs/options.md lists the options that help prints, with the same values, defaults, commands and meanings.
source "$SOURCE_DIR/tests/cli/cli.bash"

python3 "$SOURCE_DIR/tests/cli/options_table.py" "$TWAIN" "$SOURCE_DIR/docs/options.md" >differ ||
  { cat differ >&2; fail "docs/options.md and help differ: + is missing there, - is too much"; }
