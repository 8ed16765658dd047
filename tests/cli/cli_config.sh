# config.json field by field: what counts where two fields say the same thing, transformers' defaults, and refusals with
# file, field, value and remedy (tests/cli/config_cases.py).
source "$SOURCE_DIR/tests/cli/cli.bash"
"$python" "$SOURCE_DIR/tests/cli/config_cases.py" || fail "what config.json says is read otherwise"
no_leftovers
