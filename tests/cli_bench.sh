# Benchmarks of one process: JSON whose rates are positive.
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

expect 2 "unknown device 'tpu'" "$TWAIN" bench kernels --device tpu
