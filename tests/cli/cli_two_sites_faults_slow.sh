# Runs of two jobs with one fault each between them, at a random point (site_faults.py): lines that are cut, frozen or damaged,
# jobs that are killed, strangers, bytes of an earlier run. TWAIN_FAULTS=500 for more than twenty, TWAIN_FAULTS_SEED=N for the
# choices of a run that failed.
source "$SOURCE_DIR/tests/cli/cli.bash"
alone=() # a file system of its own
! unshare -m true 2>/dev/null || alone=(unshare -m)
"${alone[@]}" "$python" "$SOURCE_DIR/tests/cli/site_faults.py" "$TWAIN" "${TWAIN_FAULTS:-20}" ${TWAIN_FAULTS_SEED:-} || fail "faults"
