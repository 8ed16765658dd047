# Runs killed at random moments: no slot is used twice, and the next run goes on without repair. TWAIN_KILLS=60 for more.
source "$SOURCE_DIR/tests/cli.bash"
"$python" "$SOURCE_DIR/tests/kill_runs.py" "$TWAIN" "${TWAIN_KILLS:-6}" || fail "kills"
