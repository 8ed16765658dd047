# A command that is ended by a signal while it replaces files: after TERM, INT and HUP the old files are back and nothing
# of the new ones is left; after KILL the next command says how to get the old ones back.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 1x16x2x32 -o n -q
"$TWAIN" plan n --seq 4 -q
"$TWAIN" share n -q
"$TWAIN" encode n 'any' -q
"$TWAIN" share n --input -q
"$TWAIN" deal n -q
"$TWAIN" ledger --new ledger -q
mkdir old && cp -p n.keys.p?.h5 old

key_id() { h5dump -a key_id "$1" | grep -o '"[0-9a-f]*"'; }
moment() { printf '0.%03d' $((RANDOM % 120 + 10)); }
is_old() { cmp -s n.keys.p0.h5 old/n.keys.p0.h5 && cmp -s n.keys.p1.h5 old/n.keys.p1.h5; }

# `deal` ended by SIGNAL once it writes, or after SECONDS: says its exit code. end_deal SIGNAL SECONDS OPTION...
end_deal() {
  local signal=$1 seconds=$2 status=0 deal
  shift 2
  env --default-signal=INT "$TWAIN" deal n -q "$@" 2>/dev/null &
  deal=$!
  if [ "$seconds" = writing ]; then
    until [ -e n.keys.p1.h5.partial ]; do
      kill -0 "$deal" 2>/dev/null || fail "deal ended before it wrote"
      sleep 0.002
    done
  else
    sleep "$seconds"
  fi
  kill -s "$signal" "$deal" 2>/dev/null || true
  wait "$deal" 2>/dev/null || status=$?
  echo "$status"
}

for signal in TERM:143 INT:130 HUP:129; do
  status=$(end_deal "${signal%:*}" writing -n 100000 --force)
  [ "$status" = "${signal#*:}" ] || fail "exit code $status after $signal"
  no_leftovers
  is_old || fail "the old keys are not back after $signal"
done

# Started to go on after the terminal is gone, it goes on.
(trap '' HUP && end_deal HUP writing -n 3000 --force) >code
[ "$(cat code)" = 0 ] || fail "an ignored signal ended it: $(cat code)"
no_leftovers
cp -p old/* .

# At any moment: both old files, or both new ones.
new=0
for i in $(seq 40); do
  end_deal TERM "$(moment)" -n 3 --force >code
  no_leftovers
  is_old && continue
  [ "$(key_id n.keys.p0.h5)" = "$(key_id n.keys.p1.h5)" ] || fail "one old and one new file"
  [ "$(key_id n.keys.p0.h5)" != "$(key_id old/n.keys.p0.h5)" ] || fail "changed old keys"
  new=$((new + 1))
  cp -p old/* .
done
echo "$new of 40 were done before the signal"

# Nothing was there before: nothing is there afterwards.
rm n.keys.p?.h5
end_deal TERM writing -n 100000 >code
no_leftovers
[ ! -e n.keys.p0.h5 ] && [ ! -e n.keys.p1.h5 ] || fail "keys of an interrupted deal"

# KILL leaves pieces behind. Nothing overwrites the old keys, and what is said leads back to them.
cp -p old/* .
[ "$(end_deal KILL writing -n 100000 --force)" = 137 ] || fail "not killed"
[ -e n.keys.p0.h5.replaced ] && [ -e n.keys.p1.h5.replaced ] || fail "where are the old keys?"
for option in '' --force; do
  expect 3 'was killed.*put the old files back: mv n.keys.p0.h5.replaced n.keys.p0.h5 && mv' "$TWAIN" deal n $option
done
expect_run 3 'n.keys.p0.h5: no such file, but n.keys.p0.h5.replaced is there.*mv n.keys.p0.h5.replaced' n --ledger ledger
"$TWAIN" deal n 2>&1 | sed 's/.*put the old files back: //' >remedy || true
bash -e remedy
is_old || fail "the remedy does not bring the old keys back"
expect 3 'n.keys.p0.h5.partial: exists.*was killed.*remove it' "$TWAIN" deal n --force
is_old || fail "a refused deal touched the old keys"
rm n.keys.p?.h5.partial
"$TWAIN" deal n -q --force
no_leftovers
expect_run 0 transcript n --ledger ledger --json

# Killed at any moment, no old key file is lost before both new ones are there.
for i in $(seq 20); do
  rm -f n.keys.*
  cp -p old/* .
  end_deal KILL "$(moment)" -n 3 --force >code
  for party in 0 1; do
    file=n.keys.p$party.h5
    cmp -s $file.replaced old/$file || cmp -s $file old/$file ||
      { [ -e n.keys.p0.h5 ] && [ -e n.keys.p1.h5 ] &&
        [ "$(key_id n.keys.p0.h5)" = "$(key_id n.keys.p1.h5)" ]; } || fail "the old keys of party $party are lost"
  done
done
cp -p old/n.keys.p0.h5 n.keys.p0.h5.replaced
[ -e n.keys.p0.h5 ] && [ -e n.keys.p1.h5 ] || cp -p old/n.keys.p?.h5 .
rm -f n.keys.p1.h5.replaced n.keys.*.partial
expect 3 'after the new files were complete.*rm n.keys.p0.h5.replaced' "$TWAIN" deal n --force
