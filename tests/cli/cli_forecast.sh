# What a run needs is foretold by `plan`, `status` and `run`, as it comes; where memory or disk will not do a run is
# refused on both parties before a slot is marked.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape bert-tiny -o n -q
"$TWAIN" plan n --seq 128 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 40 -q
texts=('one text' 'another' 'some words' 'more' 'a fifth' 'six' 'seven words or so' 'eight')
"$TWAIN" encode n "${texts[@]}" -q
"$TWAIN" share n --input -q
unmarked() { [ -z "$(find ledger -type f -name '[0-9]*')" ] || fail "$1 marked slots"; }

# ---- the same numbers everywhere
"$TWAIN" plan n --seq 128 --json --force >plan.json
"$TWAIN" status n --ledger ledger --json >status.json
expect 0 'memory, on cores .*MB' "$TWAIN" plan n --seq 128 --force
expect 0 'memory, on cores .*MB' "$TWAIN" status n --ledger ledger
forecast='[f for f in (j[0] if type(j) is list else j)["forecast"] if f["batch"] == 8][0]'
for field in memory_bytes key_bytes result_bytes all_ns; do
  [ "$(json plan.json "${forecast}[\"$field\"]")" = "$(json status.json "${forecast}[\"$field\"]")" ] || fail "plan and status differ in $field"
done
# a slower device, and a slower link, take longer; so does a larger batch, but less than each alone
python3 - plan.json <(
  "$TWAIN" plan --shape bert-tiny --seq 128 --json --link-latency 20ms
) <<'PY'
import json, sys
near, far = (json.load(open(f))[0]["forecast"] for f in sys.argv[1:])
assert [f["batch"] for f in near] == [1, 8, 32]
for a, b in zip(near, near[1:]):
    assert a["memory_bytes"] < b["memory_bytes"] and a["all_ns"] < b["all_ns"]
assert all(f["all_ns"] > 1e9 > n["all_ns"] for f, n in zip(far[:1], near))
assert far[1]["all_ns"] < 2 * far[0]["all_ns"], "rounds are shared by a batch"
assert all(f["rates_device"] and f["link_latency_ns"] == 20000000 for f in far)
PY

# ---- memory as it comes (not under a sanitizer, which keeps its own)
expect_run 0 'forecast: 8 sequences, 8 at once: ' n --ledger ledger --json
grep -v '^twain' said >run.json
if ! grep -qa __asan_init "$TWAIN" && ! grep -qa __tsan_init "$TWAIN"; then
  foretold=$(json plan.json "${forecast}[\"memory_bytes\"]") taken=$(json run.json 'j[0]["host_memory_peak_bytes"]')
  [ $((100 * taken)) -lt $((115 * foretold)) ] && [ $((100 * taken)) -gt $((85 * foretold)) ] || fail "$foretold bytes were foretold, $taken were taken"
fi
rm n.result.*
expect_run 0 '^$|WARNING' n --ledger ledger -q
! grep -q forecast said || fail "a forecast though it was told to be quiet"
rm -r n.result.* ledger
"$TWAIN" ledger --new ledger -q
"$TWAIN" deal n -n 20 --force -q

# ---- too little memory for one party: both end, with the same code, and nothing is marked
little() { # KILOBYTES OPTION...: party 1's address space
  local kilobytes=$1
  shift
  timeout 60 mpirun -np 1 "$TWAIN" run n --ledger ledger "$@" : \
    -np 1 bash -c 'ulimit -v "$1" && shift && exec "$TWAIN" run n --ledger ledger "$@"' limited "$kilobytes" "$@"
}
export -f little
# What libraries and MPI take of an address space differs from build to build and from host to host: the first limit that
# lets the run start is too little.
least=200000
until (ulimit -v $least && "$TWAIN" --version) >/dev/null 2>&1; do least=$((least + 100000)); done
too_little() { # TEXT COMMAND: sets `limit`
  for limit in $(seq $least 25000 $((least + 700000))); do
    timeout 60 bash -c "$2 $limit" >said 2>&1 || true
    if grep -qE "$1" said; then return; fi
    rm -f n.result.*
  done
  cat said >&2
  fail "no limit on memory is refused as '$1'"
}
if ! grep -qa __asan_init "$TWAIN" && ! grep -qa __tsan_init "$TWAIN"; then
  needs='needs another [0-9.]+ MB of memory for 8 sequences at once'
  too_little "party 1 $needs" little
  expect 9 "party 1 $needs.*ulimit -v. leaves [0-9.]+ MB: take fewer.*--allow-less-memory" bash -c "little $limit"
  parties_say "party 1 $needs"
  unmarked 'a run without memory'
  no_leftovers
  # a party that has a job of its own knows before it waits for the other one
  "$TWAIN" site init s0 --role 0 -q
  "$TWAIN" site init s1 --role 1 -q
  alone() { (ulimit -v "$1" && exec "$TWAIN" run n --ledger ledger --party 0 --site s0 --peer s1/site.pem --listen 127.0.0.1:0 "${@:2}"); }
  export -f alone
  party_one_limit=$limit
  too_little "this process $needs" alone
  expect 9 "this process $needs" bash -c "alone $limit"
  unmarked 'a party alone without memory'
  # the forecast is not believed
  status=0
  little $party_one_limit --allow-less-memory >said 2>&1 || status=$?
  grep -q 'WARNING: host .*party 1 may lack memory: 8 sequences at once need another' said || { cat said; fail "no warning"; }
  [ $status = 0 ] || [ $status = 9 ] || { cat said; fail "exit code $status"; }
  rm -rf n.result.* ledger
  "$TWAIN" ledger --new ledger -q
  "$TWAIN" deal n -n 20 --force -q
fi

# ---- a full disk, where this user may mount one
if mkdir disk && unshare -m mount -t tmpfs -o size=300k none disk 2>/dev/null; then
  full() {
    mount -t tmpfs -o size=300k none disk && timeout 60 mpirun -np 2 "$TWAIN" run n --ledger ledger --output disk/n
  }
  export -f full
  expect 3 'disk/n.result.p[01].h5.*(No space left|bytes)' unshare -m bash -c full
  unmarked 'a run without room for its result'
fi
