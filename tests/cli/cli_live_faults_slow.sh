# Runs of two jobs and a live dealer with one fault each, at a random point (live_faults.py): parties and the dealer killed,
# stopped or told to end, lines to the dealer cut, frozen or damaged. TWAIN_FAULTS=250 for more than twelve,
# TWAIN_FAULTS_SEED=N for the choices of a run that failed.
source "$SOURCE_DIR/tests/cli/cli.bash"
"$python" "$SOURCE_DIR/tests/cli/live_faults.py" "$TWAIN" "${TWAIN_FAULTS:-12}" ${TWAIN_FAULTS_SEED:-} || fail "faults"
