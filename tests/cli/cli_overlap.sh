# Whole inferences in halves that overlap, and over an emulated link, by the benchmarks that verify them.
source "$SOURCE_DIR/tests/cli/cli.bash"

bench_model() { timeout 100 mpirun -np 2 "$TWAIN" bench model --device cpu "$@"; }
export -f bench_model

# Halves of a batch that take turns, verified; a message leaves on demand or once enough is queued, and never without a reason.
bench_model --shape bert-tiny --seq 16 --batch 3 --repeat 1 --compare-overlap --coalesce 512 --json >overlap.json
[ "$(json overlap.json '(j[0]["verified"] and j[0]["open_flushes_budget"] > 0 and j[0]["flushes_overlapped"] > 0 and
  j[0]["serial_online_median_ns"] > 0 and j[0]["serial_open_ns"] > 0)')" = True ] || fail "halves that overlap: $(cat overlap.json)"
bench_model --shape bert-tiny --seq 16 --batch 3 --repeat 1 --split-batch always --coalesce 1000000000 --json >none.json
[ "$(json none.json 'j[0]["verified"] and j[0]["open_flushes_budget"] == 0 and j[0]["open_flushes_demand"] > 0')" = True ] ||
  fail "openings that wait for the most: $(cat none.json)"
bench_model --shape bert-tiny --seq 16 --batch 3 --repeat 1 --split-batch never --json >whole.json
[ "$(json whole.json 'j[0]["verified"] and j[0]["open_flushes_budget"] == 0 and j[0]["open_flushes_demand"] == j[0]["rounds"]')" = True ] ||
  fail "a whole batch: $(cat whole.json)"
[ "$(json whole.json 'j[0]["sent_bytes"]')" = "$(json overlap.json 'j[0]["sent_bytes"]')" ] || fail "bytes sent"

# Preparation beside the online work, of a whole batch and of halves; over a link that is waited for it costs nothing.
# What is left before the input is opening sessions: microseconds, where a busy machine lets it be. One of five tries.
for try in 1 2 3 4 5; do
  bench_model --shape bert-tiny --seq 16 --batch 3 --repeat 3 --prepare during --split-batch never --compare-overlap --json >beside.json
  [ "$(json beside.json 'j[0]["verified"]')" = True ] || fail "preparation beside: $(cat beside.json)"
  [ "$(json beside.json 'j[0]["preparation_median_ns"] < j[0]["serial_preparation_median_ns"]')" = False ] || break
  [ "$try" != 5 ] || fail "preparation beside: $(cat beside.json)"
done
bench_model --shape bert-tiny --seq 16 --batch 2 --repeat 1 --prepare during --split-batch always --link-latency 5000us --json >beside.json
[ "$(json beside.json 'j[0]["verified"] and j[0]["products_prepared_beside"] == 2 * 4 and j[0]["open_flushes_budget"] > 0')" = True ] ||
  fail "preparation beside in halves: $(cat beside.json)"

# Over an emulated link an open takes at least its latency and its bytes over the bandwidth; rounds do, too.
bench_opens() { timeout 100 mpirun -np 2 "$TWAIN" bench opens --device cpu "$@"; }
export -f bench_opens
bench_opens --link-latency 2000us --link-rate 2Gbit/s --json >link.json
[ "$(json link.json 'all(o["time_median_ns"] >= 0.95e9 * (2e-3 + (o["opened_bytes"] + 64) / 0.25e9) for o in j if o["opened"] == "ring")')" = True ] ||
  fail "faster than the link: $(cat link.json)"
[ "$(json link.json '"link of 2000 us, 2 Gbit/s" in j[0]["transport"]')" = True ] || fail "the link is not named"
bench_model --shape bert-tiny --seq 16 --layers 1 --repeat 1 --link-latency 1000us --json >slow.json
[ "$(json slow.json 'j[0]["verified"] and j[0]["online_median_ns"] >= 0.95e6 * j[0]["rounds"]')" = True ] || fail "rounds faster than the link"
expect 2 "link-latency: 'fast': a number with its unit is needed" bash -c 'bench_opens --link-latency fast'
expect 2 "link-rate: '10' has no unit" bash -c 'bench_opens --link-rate 10'
expect 2 "link-rate '0.5kbit/s': is 62.5 bytes/s, from 125 to" bash -c 'bench_opens --link-rate 0.5kbit/s'
for value in -1 x 1.5 ''; do
  expect 2 "coalesce '$value': a whole number" "$TWAIN" bench model --coalesce="$value"
done
expect 2 'goes between GPUs; on the CPU leave it out' bash -c 'bench_opens --transport peer'
expect 2 'transport mpi-p2p: is host-relay now' bash -c 'bench_opens --transport mpi-p2p'
