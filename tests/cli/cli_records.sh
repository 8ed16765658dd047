# Records of every command, as JSON and as CSV, hold what docs/records.md says, and nothing else.
source "$SOURCE_DIR/tests/cli/cli.bash"
records() { python3 "$SOURCE_DIR/tests/cli/records.py" "$SOURCE_DIR/docs/records.md" "$@" || fail "records of $1"; }

both() { # COMMAND WORD...: runs it twice, without and with two parties as it needs
  local command=$1
  shift
  timeout 100 "$@" --json >a.json 2>said || { cat said >&2; fail "$command --json"; }
  timeout 100 "$@" --csv >a.csv 2>said || { cat said >&2; fail "$command --csv"; }
  records "$command" a.json a.csv
}

printf 'some, words\nother "words"\n' >texts
"$TWAIN" import --shape 2x64x2x128 -o 'n,1' -q # a name that CSV must quote
"$TWAIN" share 'n,1' -q
both plan "$TWAIN" plan 'n,1' --seq 16 --calibrate texts --force
both plan "$TWAIN" plan --shape bert-tiny --seq 16
"$TWAIN" deal 'n,1' -n 4 -q
"$TWAIN" encode 'n,1' 'one' 'two of them' -q
"$TWAIN" share 'n,1' --input -q
"$TWAIN" ledger --new ledger -q
both run mpirun -np 2 "$TWAIN" run 'n,1' --ledger ledger --force
both report "$TWAIN" report 'n,1'
[ "$(json a.json '[(r["name"], r["party"], r["tokens"]) for r in j]')" = "[('n,1', 0, 16), ('n,1', 1, 16)]" ] ||
  fail "not one record for each party"
"$TWAIN" plan 'n,1' --seq 20 --force -q # no longer that run's
both report "$TWAIN" report 'n,1'
[ "$(json a.json 'j[0]["tokens"], j[0]["batch"]')" = "(None, 2)" ] || fail "a later plan told what an earlier run was"

both 'bench model' mpirun -np 2 "$TWAIN" bench model --shape bert-tiny --seq 16 --batch 2 --repeat 3 --device cpu
both 'bench model' mpirun -np 2 "$TWAIN" bench model --shape bert-tiny --seq 16 --batch 2 --repeat 1 --device cpu --compare-overlap
both 'bench opens' mpirun -np 2 "$TWAIN" bench opens --device cpu
both 'bench deal' "$TWAIN" bench deal --shape bert-tiny --seq 16 --device cpu
both 'bench live' "$TWAIN" bench live --shape bert-tiny --seq 16 --repeat 1 --device cpu --streams 2
both 'bench kernels' "$TWAIN" bench kernels --shape bert-tiny --seq 16 --repeat 1 --device cpu
both 'bench gemm' "$TWAIN" bench gemm --shape bert-tiny --seq 16 --repeat 2
both 'bench line' "$TWAIN" bench line --repeat 2 --streams 2

expect 2 '--json and --csv are two forms of one record' "$TWAIN" plan --shape bert-tiny --json --csv
expect 2 '--json and --csv are two forms' "$TWAIN" report 'n,1' --json --csv
expect 2 '--json and --csv are two forms' "$TWAIN" bench gemm --json --csv
expect 2 'leave out --csv' "$TWAIN" report 'n,1' --csv --timeline out

# a commit, or that it is not known
[ "$(json a.json 'all(len(r["git_commit"]) == 40 or (r["git_commit"], r["git_dirty"]) == ("unknown", None) for r in j)')" = True ] ||
  fail "no commit"

# parties on one core say so, once; a party that has cores enough and to itself does not
two_on() { timeout 60 mpirun -np 2 --bind-to none taskset -c "$1" "$TWAIN" bench model --shape bert-tiny --seq 8 --layers 1 --repeat 1 --device cpu --json; }
two_on 0 >shared.json 2>said
[ "$(grep -c 'WARNING: cores are shared: .*both parties run on core 0' said)" = 1 ] || { cat said >&2; fail "no warning"; }
[ "$(json shared.json '"both parties run on core 0" in j[0]["cores_shared"]')" = True ] || fail "the record does not say it"
no_leftovers
