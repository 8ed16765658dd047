# Secrets in memory. Of stopped processes: seeds lie in locked memory only, and with shares and corrections out of core
# dumps. Where nothing can be locked, seeds are refused, and shares get one warning.
source "$SOURCE_DIR/tests/cli/cli.bash"

scan() {
  timeout 300 "$python" "$SOURCE_DIR/tests/cli/memory_scan.py" "$@" >said 2>&1 || { cat said >&2; fail "memory of $*"; }
}

# limited KILOBYTES COMMAND...: with that limit on locked memory, which root is held to as well.
limited=(bash -c 'ulimit -l "$1" && shift && "$@"' limited)
[ "$(id -u)" != 0 ] || limited=(setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "${limited[@]}")
warnings() { grep -c 'not locked in memory' said; }

# 3 tokens: a share smaller than a page. 32: one that spans several.
for seq in 32 3; do
  "$TWAIN" import --shape 4x64x2x128 -o n -q --force
  "$TWAIN" plan n --seq $seq -q --force
  scan share n
  "$TWAIN" encode n 'any' 'some' -q --force
  "$TWAIN" share n --input -q --force
  scan deal n
  "$TWAIN" deal n -n 2 -q --force
  "$TWAIN" ledger --new ledger -q
  scan run n
  rm -rf ledger n.keys.* n.result.*
done

"$TWAIN" plan n --seq 32 -q --force
"$TWAIN" encode n 'any' 'some' -q --force
for command in 'share n --force' 'deal n'; do
  expect 9 'seeds.* cannot be locked.*--allow-unlocked' "${limited[@]}" 0 "$TWAIN" $command
  expect 0 'WARNING: seeds .*not locked.*swap' "${limited[@]}" 0 "$TWAIN" $command --allow-unlocked
  [ "$(warnings)" = 1 ] || fail "one warning of $command, not $(warnings)"
done
rm -f n.keys.*

"$TWAIN" ledger --new ledger -q
# 300 kB: enough for seeds, not for the share of a long input as well.
expect 0 'WARNING: shares of the input .*not locked' "${limited[@]}" 300 "$TWAIN" share n --input --force
"$TWAIN" deal n -n 2 -q --force
expect 9 'seeds.* cannot be locked.*--allow-unlocked' "${limited[@]}" 0 mpirun -np 2 "$TWAIN" run n --ledger ledger
[ -z "$(find ledger/p? -type f 2>/dev/null)" ] || fail "a refused run used up a slot"
expect 0 'WARNING: shares of the input' "${limited[@]}" 300 mpirun -np 2 "$TWAIN" run n --ledger ledger
[ "$(warnings)" = 2 ] || fail "one warning of each party, not $(warnings) in all"
rm -f n.result.*
"$TWAIN" deal n -n 2 -q --force
expect_run 0 transcript n --ledger ledger --json
[ "$(warnings)" = 0 ] || fail "a warning without need"
no_leftovers
