# One inference on copies of the same TEST keys, whole and in halves that overlap over several links: the emulator's
# outputs bit for bit and one transcript, whatever was cut where. Option values that cannot be are refused.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape 2x64x2x128 -o n -q
"$TWAIN" share n -q
"$TWAIN" plan n --seq 20 --result pooled -q
"$TWAIN" deal n -n 3 --test-seed 11 -q 2>/dev/null
for party in 0 1; do cp "n.keys.p$party.h5" "fresh.p$party"; done # a run erases the seeds that it used
"$TWAIN" encode n 'a short one' 'this one has more words in it' 'x' -q
"$TWAIN" share n --input -q

transcript() { h5dump -a /transcript "$1" | grep -oE '"[0-9a-f]{64}"'; }
first=
same_run() { # CONDITION OPTION...: on the counters c (d, b, o, p) of a run of r rounds
  local condition=$1 party
  shift
  for party in 0 1; do cp "fresh.p$party" "n.keys.p$party.h5"; done
  rm -rf ledger
  "$TWAIN" ledger --new ledger -q
  two_ranks n --ledger ledger --allow-test-keys --force --json "$@" >run.json 2>said || { cat said >&2; fail "run $*"; }
  [ "$(json run.json "(lambda c, d, b, o, p, r: bool($condition))(j[0], j[0]['open_flushes_demand'], j[0]['open_flushes_budget'],
    j[0]['flushes_overlapped'], j[0]['products_prepared_beside'], j[0]['rounds'])")" = True ] ||
    fail "counters of run $*: $(cat run.json)"
  "$TWAIN" reveal n --force -q
  expect 0 'outputs equal the emulator.s, transcript equal' "$TWAIN" check n --exact --test-seed 11
  for party in 0 1; do
    first=${first:-$(transcript "n.result.p$party.h5")}
    [ -n "$first" ] || fail "no transcript in the result"
    [ "$(transcript "n.result.p$party.h5")" = "$first" ] || fail "party $party, run $*: another transcript"
  done
}
same_run 'd == r and b == 0 and o == 0' --split-batch never
same_run 'd == 0 and b == 2 * r and o > 0' --split-batch always
expect 10 'outputs differ from the emulator' "$TWAIN" check n --exact --test-seed 12

refused() { # TEXT OPTION...: by run and by bench model
  local text=$1
  shift
  expect_run 2 "$text" n --ledger ledger --allow-test-keys --force "$@"
  expect 2 "$text" mpirun -np 2 "$TWAIN" bench model --device cpu --shape bert-tiny --seq 16 --layers 1 "$@"
}
same_run 'd == r and b == 0 and o == 0'                              # nothing is waited for on one host
same_run 'd + b > r and o > 0' --link-latency 300us --link-rate 10Gbit/s
same_run 'd == r and p == 0' --prepare before
same_run 'd == r and p == 0' # auto, on one host's cores
same_run 'd == r and p >= 0' --prepare during # products that are not there yet when a gate wants them count for none
# Over a link all 2 * 4 are there in time, but where other work takes the cores.
same_run 'd == r and 4 < p <= 8' --prepare during --link-latency 20000us --link-rate 10Gbit/s --split-batch never
same_run 'd + b > r and o > 0 and 4 < p <= 8' --link-latency 20000us --link-rate 10Gbit/s # auto, over a link
refused "unknown --prepare 'later'; use before, during or auto" --prepare later
refused 'prepare beside: is during now' --prepare beside
refused "unknown --split-batch 'perhaps'" --split-batch perhaps
expect 2 'has no halves; use --batch 2 or more, or --prepare during' mpirun -np 2 "$TWAIN" bench model --device cpu --shape bert-tiny --compare-overlap
for value in 0 -1 x; do
  expect 2 "batch '$value': a whole number" mpirun -np 2 "$TWAIN" bench model --device cpu --batch="$value"
done
no_leftovers
