# Benchmarks: JSON whose rates are positive; whole inferences with keys from memory and from a file, in halves, and over
# an emulated link.
source "$SOURCE_DIR/tests/cli.bash"

timeout 100 "$TWAIN" bench kernels --model bert-tiny --seq 32 --repeat 1 --device cpu --json >kernels.json
[ "$(json kernels.json 'all(k["seconds"] > 0 and k["bytes_per_second"] > 0 and k["work_per_second"] > 0 and
  k["limit_seconds"] > 0 for k in j["kernels"])')" = True ] || fail "a kernel without a rate"
for kernel in mask shift view combine share extend multiply multiply_rows square select constants sum_planes zero pool \
  pairs piece floor leaves lookup products parity reshape kill row_sums draw corrections addend gemm product pack \
  unpack; do
  [ "$(json kernels.json "any(k['kernel'] == '$kernel' for k in j['kernels'])")" = True ] || fail "no $kernel"
done

# a batch is one launch on more elements, not another list of kernels
timeout 100 "$TWAIN" bench kernels --model bert-tiny --seq 16 --batch 3 --repeat 1 --device cpu --json >batch.json
timeout 100 "$TWAIN" bench kernels --model bert-tiny --seq 16 --repeat 1 --device cpu --json >single.json
[ "$(json batch.json 'j["batch"]')" = 3 ] || fail "bench kernels without its batch"
[ "$(json batch.json 'sum(k["work"] for k in j["kernels"] if k["kernel"] in ("corrections", "lookup", "select"))')" = \
  "$(json single.json '3 * sum(k["work"] for k in j["kernels"] if k["kernel"] in ("corrections", "lookup", "select"))')" ] ||
  fail "three sequences are not three times the work of one"

timeout 100 "$TWAIN" bench gemm --model bert-tiny --seq 32 --repeat 1 --json >gemm.json
[ "$(json gemm.json 'len(j) > 0 and all(p["macs_per_second"] > 0 and p["limit_macs_per_second"] > 0 for p in j)')" = \
  True ] || fail "a product without a rate"

# Keys are dealt anew for every repetition, and nothing of them stays.
mkdir tmp
bench_model() { TMPDIR=$PWD/tmp timeout 100 mpirun -np 2 "$TWAIN" bench model --device cpu "$@"; }
export -f bench_model
for keys in memory file; do
  bench_model --model bert-tiny --seq 16 --batch 3 --repeat 2 --keys "$keys" --json >model.json
  [ "$(json model.json 'j["verified"] and j["online_seconds"] > 0 and j["keys"]')" = "$keys" ] || fail "keys from $keys"
  [ -z "$(ls tmp)" ] || fail "left in TMPDIR: $(ls tmp)"
done
expect 2 'resident: needs a GPU' bash -c 'bench_model --model bert-tiny --seq 16 --keys resident'
expect 2 "unknown --keys 'disk'; use memory, file or resident" bash -c \
  'bench_model --model bert-tiny --seq 16 --keys disk'
expect 3 'nowhere.*cannot make a folder for keys' bash -c \
  'timeout 100 mpirun -np 2 env TMPDIR=$PWD/nowhere "$TWAIN" bench model --device cpu --model bert-tiny --seq 16 --keys file'

# Halves of a batch that take turns, verified; a message leaves on demand or by budget, and never without a reason.
bench_model --model bert-tiny --seq 16 --batch 3 --repeat 1 --compare-overlap --open-budget-words 64 --json >overlap.json
[ "$(json overlap.json 'j["verified"] and j["open_flushes_budget"] > 0 and j["pfss_flushes_overlapped_in_open"] > 0 and
  j["serial_online_seconds"] > 0 and j["serial_open_seconds"] > 0')" = True ] || fail "halves that overlap: $(cat overlap.json)"
bench_model --model bert-tiny --seq 16 --batch 3 --repeat 1 --open-budget-words 0 --open-budget-jobs 0 --json >none.json
[ "$(json none.json 'j["verified"] and j["open_flushes_budget"] == 0 and j["open_flushes_demand"] > 0')" = True ] ||
  fail "without a budget: $(cat none.json)"
bench_model --model bert-tiny --seq 16 --batch 3 --repeat 1 --no-overlap --json >whole.json
[ "$(json whole.json 'j["verified"] and j["open_flushes_budget"] == 0 and j["open_flushes_demand"] == j["rounds"]')" = True ] ||
  fail "a whole batch: $(cat whole.json)"
[ "$(json whole.json 'j["sent_bytes_per_rank"]')" = "$(json overlap.json 'j["sent_bytes_per_rank"]')" ] || fail "bytes sent"

# Over an emulated link an open takes at least its latency and its bytes over the bandwidth; rounds do, too.
bench_opens() { timeout 100 mpirun -np 2 "$TWAIN" bench opens --device cpu "$@"; }
export -f bench_opens
bench_opens --emulate-link 2000,2 --json >link.json
[ "$(json link.json 'all(o["ring_seconds"] >= 0.95 * (2e-3 + (o["bytes"] + 64) / 0.25e9) for o in j["opens"])')" = True ] ||
  fail "faster than the link: $(cat link.json)"
[ "$(json link.json '"link of 2000 us, 2 Gbit/s" in j["transport"]')" = True ] || fail "the link is not named"
bench_model --model bert-tiny --seq 16 --layers 1 --repeat 1 --emulate-link 1000,0 --json >slow.json
[ "$(json slow.json 'j["verified"] and j["online_seconds"] >= 0.95e-3 * j["rounds"]')" = True ] || fail "rounds faster than the link"
expect 2 'give microseconds, a comma and Gbit/s' bash -c 'bench_opens --emulate-link fast'
expect 2 'goes between GPUs' bash -c 'bench_opens --transport peer'

expect 2 "unknown device 'tpu'" "$TWAIN" bench kernels --device tpu
