# Runs with one fault each, at a random point (fault_runs.py): killed parties, full disks, copied keys, wrong ledgers, flipped
# bytes, lying peers. TWAIN_FAULTS=200 for more than twenty, TWAIN_FAULTS_SEED=N for the choices of a run that failed.
source "$SOURCE_DIR/tests/cli/cli.bash"
preload=
[ ! -e "$TWAIN_PRELOAD/preload_peer.so" ] || preload=$TWAIN_PRELOAD
alone=() # file systems of its own
! unshare -m true 2>/dev/null || alone=(unshare -m)
"${alone[@]}" "$python" "$SOURCE_DIR/tests/cli/fault_runs.py" "$TWAIN" "$preload" "${TWAIN_FAULTS:-20}" ${TWAIN_FAULTS_SEED:-} ||
  fail "faults"
