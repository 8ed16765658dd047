# A party that stops or dies in the middle of a run does not leave the other waiting.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 8x128x2x512 -o n -q
"$TWAIN" plan n --seq 128 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 2 -q
"$TWAIN" encode n 'some words' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q

status=$(lose_party_one STOP 0 --silence-limit 2)
[ "$status" = 7 ] || fail "exit code $status, not 7, when the other party is silent"
grep -q 'party 0 on .*nothing moved for 2 s' said || { cat said >&2; fail "party 0 does not say why it gave up"; }
lose_party_one KILL 1 --silence-limit 2 >/dev/null
