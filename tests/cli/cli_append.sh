# deal --append: more slots for a NAME in key files of their own, which run, status, handover and destroy find. Each has a
# key of its own; a run takes all its slots from one that both parties have.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 2 -q
"$TWAIN" encode n 'some words' 'more of them' 'a third' -q
"$TWAIN" share n --input -q
part() { ls n.more*.keys.p0.h5 | sed -n "$1s/.keys.p0.h5//p"; }
keys_of() { h5dump -a /key_id "$1.keys.p0.h5" | grep -oE '"[0-9a-f]{32}"' | tr -d '"'; }
used() { find "ledger/p$1/$2" -type f -name '[0-9]*' 2>/dev/null | wc -l; } # PARTY KEY: slots that its ledger marks
next() { # another input of n
  rm -f n.result.*
  "$TWAIN" encode n "$@" -q --force
  "$TWAIN" share n --input -q --force
}

expect_run 6 'deal .*--append' n --ledger ledger
expect 2 'append replaces nothing' "$TWAIN" deal n --append --force
expect 3 'exists already; add slots to NAME, --append' "$TWAIN" deal n
expect 0 'for party 1: n.more20[0-9]{12}.keys.p1.h5' "$TWAIN" deal n -n 4 --append
more=$(part 1)
base=$(keys_of n) own=$(keys_of "$more")
[ "$base" != "$own" ] || fail "one key id for both"

# ---- found by all commands
expect 0 "^$more$" "$TWAIN" status n --ledger ledger
"$TWAIN" status n --ledger ledger --json >status.json
[ "$(json status.json 'j["more"][0]["parties"][1]["slots_left"]')" = 4 ] || fail "status counts $(cat status.json)"
expect 0 "$more.keys.p0.h5 +party 0 +dealer" "$TWAIN" handover n

# ---- a run takes its slots from the first key file that has enough
expect_run 0 WARNING n --ledger ledger
[ "$(used 0 "$base") $(used 1 "$base") $(used 0 "$own") $(used 1 "$own")" = '0 0 3 3' ] || fail "three sequences, slots of the wrong file"
next 'only one'
expect_run 0 WARNING n --ledger ledger
[ "$(used 0 "$base") $(used 0 "$own")" = '1 3' ] || fail "one sequence, a slot of the wrong file"
"$TWAIN" reveal n -q
# what is left is spread: two here and one there are no three
next a b c
expect_run 6 '3 needed.*none has more than 1 free on both \(2 in all\).*--append' n --ledger ledger
parties_say 'none has more than 1'
# batches may take them from several: what is finished stays, and the rest comes with more keys
expect_run 6 needed n --ledger ledger --batch 1
[ "$(used 0 "$base") $(used 1 "$own")" = '2 4' ] || fail "batches did not take what was left: $(used 0 "$base") $(used 1 "$own")"
sleep 1.1 # names go by seconds
"$TWAIN" deal n -n 3 --append -q
expect_run 0 WARNING n --ledger ledger --batch 1 --resume
third=$(keys_of "$(part 2)")
[ "$(used 0 "$third") $(used 1 "$third")" = '1 1' ] || fail "the last row"
expect 0 written "$TWAIN" reveal n

# ---- a dealing of which one party has nothing is of no use to either, and no harm
sleep 1.1
"$TWAIN" deal n -n 9 --append -q
lonely=$(part 3)
mv "$lonely.keys.p1.h5" away
next a b
expect_run 0 WARNING n --ledger ledger
lonely_key=$(keys_of "$lonely")
[ "$(used 0 "$third") $(used 0 "$lonely_key") $(used 1 "$lonely_key")" = '3 0 0' ] || fail "keys that one party lacks were used"
next a
expect_run 6 'free' n --ledger ledger
[ "$(used 0 "$lonely_key")" = 0 ] || fail "keys that one party lacks were used"
mv away "$lonely.keys.p1.h5"
expect_run 0 WARNING n --ledger ledger
[ "$(used 0 "$lonely_key") $(used 1 "$lonely_key")" = '1 1' ] || fail "keys that came late"

# ---- the first dealing is gone: the others serve
rm n.keys.*
next a
expect_run 0 WARNING n --ledger ledger
[ "$(used 1 "$lonely_key")" = 2 ] || fail "without n.keys"

# ---- --slot of one party, or inputs of different counts: both parties look at the same key file, and say what differs
"$TWAIN" deal k --model n -n 1 -q
"$TWAIN" deal k --model n -n 2 --append -q
"$TWAIN" encode two --model n a b -q
"$TWAIN" share two --input --model n -q
next a
unlike() { # CODE TEXT OPTION...: these options for party 1 alone
  expect "$1" "$2" timeout 60 mpirun -np 1 "$TWAIN" run n --keys k --ledger ledger : \
    -np 1 "$TWAIN" run n --keys k --ledger ledger "${@:3}"
}
unlike 5 'the parties differ in input' --input two
parties_say 'the parties differ in input'
[ "$(used 0 "$(keys_of k)")" = 0 ] || fail "a refused run marked a slot"
unlike 0 WARNING --slot 0
[ "$(used 0 "$(keys_of k)") $(used 1 "$(keys_of k)")" = '1 1' ] || fail "--slot of one party"

# ---- pairs that come to the end of one key file at once go on with the next one: the lock is held until both pairs
# have chosen that file
"$TWAIN" deal q --model n -n 2 -q
two_ranks n --keys q --ledger ledger -q --force 2>/dev/null
"$TWAIN" deal q --model n -n 3 --append -q
next a b c d
flock "ledger/p0/$(keys_of q)/lock" sleep 4 &
expect 0 '' mpirun -np 4 "$TWAIN" run n --keys q --ledger ledger --batch 1 -q
wait $!
[ "$(used 0 "$(keys_of q)") $(used 1 "$(keys_of q)")" = '2 2' ] || fail "pairs, and the first key file"
"$TWAIN" destroy k -q
"$TWAIN" destroy q -q

# ---- one more than a run takes is not dealt
for i in $(seq 10000 10255); do : >"k.more202001010$i.keys.p0.h5"; done
expect 8 '256 appended dealings.*`twain destroy k.more20200101010000`' "$TWAIN" deal k --model n --append
rm k.more20200101010000.keys.p0.h5
"$TWAIN" deal k --model n --append -q
rm k.more*

# ---- keys for an earlier plan stay closed
expect 0 "^void now: $more.keys.p0.h5, .*$lonely.keys.p1.h5, n.input.p0.h5" "$TWAIN" plan n --seq 6 --force
sleep 1.1
"$TWAIN" deal n -n 1 --append -q
next a
expect_run 0 WARNING n --ledger ledger
[ "$(used 0 "$(keys_of "$(part 4)")")" = 1 ] || fail "keys of the plan"

# ---- sealed
"$TWAIN" site init dealer --role dealer -q
for role in 0 1; do "$TWAIN" site init s$role --role $role -q; done
sleep 1.1
"$TWAIN" deal n -n 2 --append --site dealer --seal-to s0/site.pem --seal-to s1/site.pem -q
sealed=$(ls n.more*.keys.p0.h5.sealed)
for role in 0 1; do
  "$TWAIN" unseal "${sealed/p0/p$role}" --site s$role --from dealer/site.pem --ledger ledger -q
done
next a b
expect_run 0 WARNING n --ledger ledger
[ "$(used 1 "$(keys_of "$(part 5)")")" = 2 ] || fail "sealed keys"

# ---- several lengths: each gets its own
"$TWAIN" plan n --seq 7 --lengths 4,7 -q --force
rm -f n.more* n.input.p* n.result.*
"$TWAIN" deal n --counts 4:1,7:1 -q --append
"$TWAIN" encode n a 'some words of seven' -q --force
"$TWAIN" share n --input -q --force
ls n.seq4.more*.keys.p0.h5 n.seq7.more*.keys.p1.h5 >/dev/null
expect_run 0 WARNING n --ledger ledger
expect 0 'n.seq4.more' "$TWAIN" status n --ledger ledger
expect 0 'n.seq7.more.*party 1' "$TWAIN" handover n
# one party has thrown away what is spent: its first key file is another one than the other party's
spent=$(ls n.seq4.more*.keys.p0.h5)
sleep 1.1
"$TWAIN" deal n --counts 4:1,7:1 -q --append
rm "$spent" n.result.* n.seq*.result.* 2>/dev/null || true
expect_run 0 WARNING n --ledger ledger

# ---- all of them go
expect 0 'n.seq4.more' "$TWAIN" destroy n
[ -z "$(find . -name 'n.*keys*')" ] || fail "left: $(find . -name 'n.*keys*')"
expect 2 'live dealer deals as long as it runs' "$TWAIN" deal n --append --serve 0 --site dealer --pairs none
no_leftovers
