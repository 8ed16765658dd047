# Benchmarks: JSON whose rates are positive; whole inferences with keys from memory and from a file.
source "$SOURCE_DIR/tests/cli/cli.bash"

timeout 100 "$TWAIN" bench kernels --shape bert-tiny --seq 32 --repeat 1 --device cpu --json >kernels.json
[ "$(json kernels.json 'all(k["time_min_ns"] > 0 and k["moved_bytes"] > 0 and k["work"] > 0 and
  k["limit_ns"] > 0 for k in j)')" = True ] || fail "a kernel without a rate"
for kernel in mask shift view combine share extend multiply multiply_rows square select constants sum_planes zero pool \
  pairs piece floor leaves lookup products parity reshape kill row_sums draw corrections addend gemm product pack \
  unpack; do
  [ "$(json kernels.json "any(k['kernel'] == '$kernel' for k in j)")" = True ] || fail "no $kernel"
done

# a batch is one launch on more elements, not another list of kernels
timeout 100 "$TWAIN" bench kernels --shape bert-tiny --seq 16 --batch 3 --repeat 1 --device cpu --json >batch.json
timeout 100 "$TWAIN" bench kernels --shape bert-tiny --seq 16 --repeat 1 --device cpu --json >single.json
[ "$(json batch.json 'j[0]["batch"]')" = 3 ] || fail "bench kernels without its batch"
[ "$(json batch.json 'sum(k["work"] for k in j if k["kernel"] in ("corrections", "lookup", "select"))')" = \
  "$(json single.json '3 * sum(k["work"] for k in j if k["kernel"] in ("corrections", "lookup", "select"))')" ] ||
  fail "three sequences are not three times the work of one"

timeout 100 "$TWAIN" bench gemm --shape bert-tiny --seq 32 --repeat 1 --json >gemm.json
[ "$(json gemm.json 'len(j) > 0 and all(p["time_min_ns"] > 0 and p["limit_ns"] > 0 for p in j)')" = \
  True ] || fail "a product without a rate"

# Keys are dealt anew for every repetition, and nothing of them stays.
mkdir tmp
bench_model() { TMPDIR=$PWD/tmp timeout 100 mpirun -np 2 "$TWAIN" bench model --device cpu "$@"; }
export -f bench_model
for keys in memory file; do
  bench_model --shape bert-tiny --seq 16 --batch 3 --repeat 2 --keys "$keys" --json >model.json
  [ "$(json model.json 'j[0]["verified"] and len(j[0]["online_ns"]) == 2 and j[0]["keys"]')" = "$keys" ] || fail "keys from $keys"
  [ -z "$(ls tmp)" ] || fail "left in TMPDIR: $(ls tmp)"
done
bench_model --shape bert-tiny --seq 16 --repeat 1 --unchecked --json >unchecked.json
[ "$(json unchecked.json '[j[0][f] for f in ("verified", "mismatches", "out_of_bound")]')" = '[None, None, None]' ] ||
  fail "a result that was not compared says otherwise"
bench_model --shape bert-tiny --seq 16 --repeat 1 --result pooled --json >pooled.json
[ "$(json pooled.json '[j[0][f] for f in ("result", "verified")]')" = "['pooled', True]" ] || fail "a mean that was asked for"
expect 2 'has no classifier that gives logits' bash -c 'bench_model --shape bert-tiny --seq 16 --result logits'
expect 2 '.-generate gives a text, not tokens' bash -c 'bench_model --shape gpt2 --seq 16 --generate 2 --result tokens'
expect 2 'resident: needs a GPU' bash -c 'bench_model --shape bert-tiny --seq 16 --keys resident'
expect 2 "unknown --keys 'disk'; use memory, file or resident" bash -c \
  'bench_model --shape bert-tiny --seq 16 --keys disk'
expect 3 'nowhere.*cannot make a folder for keys' bash -c \
  'timeout 100 mpirun -np 2 env TMPDIR=$PWD/nowhere "$TWAIN" bench model --device cpu --shape bert-tiny --seq 16 --keys file'

# One party by chains, the other by levels: both say so, and none waits.
chains_of_one() {
  local bench=("$TWAIN" bench model --device cpu --shape bert-tiny --layers 1 --seq 8)
  timeout 100 mpirun -np 1 "${bench[@]}" ${1:+"$1"} : -np 1 "${bench[@]}" ${2:+"$2"}
}
export -f chains_of_one
remedy='; give both --chains, or neither'
expect 5 "party 0 has chains, party 1 has levels$remedy" bash -c 'chains_of_one --chains ""'
expect 5 "party 0 has levels, party 1 has chains$remedy" bash -c 'chains_of_one "" --chains'

expect 2 "unknown --device 'tpu'; use auto, cpu or cuda" "$TWAIN" bench kernels --device tpu

# ---- a text: the time to its first token, and from token to token, which on a busy machine may come out as none
bench_model --shape gpt2 --layers 1 --seq 2 --generate 3 --batch 2 --repeat 1 --json >text.json
read -r first next < <(json text.json "'%d %d' % (j[0]['first_token_ns'], j[0]['next_token_ns'] or 0)")
[ "$(json text.json "(j[0]['verified'] and j[0]['generated'] == 3 and $first > 0 and
  abs(j[0]['pp_tokens_per_second'] * $first / 4e9 - 1) < 1e-6 and
  ($next == 0 or abs(j[0]['tg_tokens_per_second'] * $next / 2e9 - 1) < 1e-6) and
  ($next == 0 or abs(j[0]['online_median_ns'] + j[0]['preparation_median_ns'] - $first - 2 * $next) < 1e4))")" = True ] ||
  fail "$(cat text.json)"
