# Several pairs share one input: by length, into one result that is a single pair's bit for bit. A pair that is lost
# costs the rows that it had in hand, and the others take its other ones.
source "$SOURCE_DIR/tests/cli/cli.bash"
trap 'jobs -p | xargs -r kill -9 2>/dev/null || true' EXIT

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 32 -q
"$TWAIN" share n -q
python3 - >texts <<'PY'
import random
random.seed(64)
for _ in range(64):
    print(" ".join(random.choice(("cat", "sat", "mat", "rain")) for _ in range(int(round(28 ** random.random())))))
PY
"$TWAIN" encode n --file texts -q
"$TWAIN" share n --input -q

fresh() { # keys of one seed, dealt again, and nothing marked
  rm -rf ledger n.parts.p? n.result.p?.h5
  "$TWAIN" ledger --new ledger -q
  "$TWAIN" deal n -n 80 -q --force --test-seed 7 2>/dev/null
}
run() { mpirun -np "$1" "$TWAIN" run n --ledger ledger --allow-test-keys -q --batch 3 "${@:2}" >said 2>&1; }
same_as_one() {
  "$python" - "$@" <<'PY'
import h5py, numpy, sys
for p in (0, 1):
    one, now = h5py.File(f"one.p{p}.h5"), h5py.File(f"n.result.p{p}.h5")
    rows = numpy.flatnonzero(one["slots"][()] == now["slots"][()])
    assert len(rows) >= 64 - int(sys.argv[1]), f"{64 - len(rows)} rows have other slots"
    for name in ("masked", "mask", "lengths"):
        assert numpy.array_equal(one[name][()][rows], now[name][()][rows]), name
    assert len(set(now["slots"][()])) == 64
PY
}
right() { # and what each batch opened is the emulator's
  "$TWAIN" reveal n -q --force
  "$TWAIN" check n --exact --test-seed 7 --json >check.json || fail "another result than the model's"
  [ "$(json check.json 'j["exact"]["transcript_equal"], j["exact"]["transcripts"] >= 22')" = '(True, True)' ] ||
    { cat check.json; fail "not every batch has a transcript"; }
  [ ! -e n.parts.p0 ] && [ ! -e n.parts.p1 ] || fail "parts are left"
}
shares() { # tokens that each process of party 0 has had
  "$TWAIN" ledger ledger --json >marks.json
  "$python" - <<'PY'
import collections, h5py, json
now = h5py.File("n.result.p0.h5")
length = dict(zip(map(int, now["slots"]), map(int, now["lengths"])))
had = collections.Counter()
for key in json.load(open("marks.json"))["keys"]:
    for slot in key["slots"]:
        if not key["party"]:
            had[slot["process"]] += length.get(slot["slot"], 0)
print(*had.values())
PY
}

fresh
run 2 || { cat said; fail "one pair"; }
for p in 0 1; do cp n.result.p$p.h5 one.p$p.h5; done

# ---- four pairs

fresh
mpirun -np 8 "$TWAIN" run n --ledger ledger --allow-test-keys --batch 3 >said 2>&1 || { cat said; fail "four pairs"; }
[ "$(grep -c '^64 sequences in ' said)" = 1 ] || { cat said; fail "not one report"; }
same_as_one 0
right
shares >shared
awk '{ for (i = 1; i <= NF; i++) { sum += $i; if ($i > most) most = $i; if (i == 1 || $i < least) least = $i } }
  END { print "live tokens:", $0; exit !(NF == 4 && most <= 1.05 * sum / 4 && least >= 0.95 * sum / 4) }' shared ||
  fail "live tokens are not divided: $(cat shared)"

# ---- a pair is killed: the launcher lets the others go on, and they take what it had not begun

fresh
lose() { # RANK OPTION-OF-MPIRUN...: killed as soon as four batches are done
  local rank=$1
  shift
  mpirun "$@" -np 8 "$TWAIN" run n --ledger ledger --allow-test-keys -q --batch 3 --link-latency 3ms --silence-limit 8 \
    >said 2>&1 &
  launcher=$!
  stand_still 4 n.parts.p1
  kill -9 "$(rank_of $launcher "$rank")"
  go_on
}
lose 6 --enable-recovery
wait $launcher || true
[ -e n.result.p0.h5 ] && [ -e n.result.p1.h5 ] || { cat said; ls n.parts.p0; fail "the other pairs did not end the work"; }
same_as_one 12 # what it had in hand has other slots now, and may have taken another row's
right
[ "$(find ledger/p0 -regex '.*/[0-9]+' | wc -l)" -le 67 ] || fail "more slots are spent than the lost pair had in hand"

# ---- the same where the launcher ends all: --resume

fresh
lose 1
if wait $launcher; then fail "a launcher that lost a process ended well"; fi
[ ! -e n.result.p0.h5 ] || fail "a result of some rows"
run 4 --resume || { cat said; fail "two pairs go on"; }
same_as_one 64  # rows that were missing have the slots that are free now
right
[ "$(find ledger/p0 -regex '.*/[0-9]+' | wc -l)" -le 76 ] || fail "more slots are spent than four pairs had in hand"

# ---- a pair whose key slot is damaged fails in order: the others do its work, and the launcher says so

fresh
"$python" - <<'PY'
import h5py
f = h5py.File("n.keys.p0.h5")
at, size = f["corrections"].id.get_offset(), f["corrections"].id.get_storage_size()
f.close()
with open("n.keys.p0.h5", "r+b") as f:
    f.seek(at + 20 * size // 80 + 1000)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
PY
if run 6 --silence-limit 8 --link-latency 1ms; then fail "a damaged key slot is not told"; fi
grep -qE 'party 0, process [0-2] on .*n.keys.p0.h5' said || { cat said; fail "nobody names the key file"; }
[ -e n.result.p0.h5 ] && [ -e n.result.p1.h5 ] || { cat said; fail "the other pairs did not end the work"; }
same_as_one 12
right

# ---- a signal to one process ends all pairs

fresh
mpirun -np 6 "$TWAIN" run n --ledger ledger --allow-test-keys -q --batch 2 --link-latency 3ms >said 2>&1 &
launcher=$!
stand_still 4 n.parts.p1
kill -s USR1 "$(rank_of $launcher 4)"
go_on
code=0
wait $launcher || code=$?
[ $code = 11 ] || { cat said; fail "the pairs end with $code"; }
[ "$(grep -oE '[0-9]+ of 64 rows are done, missing are .*goes on with these' said | sort -u | wc -l)" = 1 ] ||
  { cat said; fail "the processes do not say the same rows"; }
run 2 --resume || { cat said; fail "one pair goes on"; }
same_as_one 0
right

# ---- two sites of two processes each, one NAME

mkdir 0 1
fresh
for p in 0 1; do
  "$TWAIN" site init $p/site --role $p -q --allow-unlocked
  "$TWAIN" ledger --new $p/ledger -q
  cp n.plan.json n.model.p$p.h5 n.keys.p$p.h5 n.input.p$p.h5 $p
done
cp 0/site/site.pem 1/peer.pem
cp 1/site/site.pem 0/peer.pem
port=$(python3 -c '
import random, socket
while True:
    port = random.randint(20000, 32000)
    try:
        pair = [socket.create_server(("127.0.0.1", port + i)) for i in (0, 1)]
        print(port)
        break
    except OSError:
        pass')
# A folder for each launcher's session: two that begin and end at once trip over a common one.
party() { # PARTY OPTION...
  local p=$1
  shift
  (cd "$p" && export OMPI_MCA_orte_tmpdir_base=$PWD &&
    timeout 120 mpirun -np 2 "$TWAIN" run n --party "$p" --site site --peer peer.pem --ledger ledger --batch 3 \
    --allow-test-keys --allow-unlocked "$@" >said 2>&1 </dev/null)
}
party 0 --listen "127.0.0.1:$port" &
first=$!
party 1 --connect "127.0.0.1:$port" || { cat ?/said; fail "party 1"; }
wait $first || { cat ?/said; fail "party 0"; }
for p in 0 1; do
  [ "$(grep -c '^64 sequences in ' $p/said)" = 1 ] || { cat $p/said; fail "party $p has not one report"; }
  mv $p/n.result.p$p.h5 .
done
same_as_one 0
right

# ---- a pair that comes when the others have done all is told so, and all is well; a run on top of a result is not

for p in 0 1; do mv n.result.p$p.h5 first.p$p; rm -f $p/said; done
cat >late.sh <<'SH'
[ "$OMPI_COMM_WORLD_RANK" = 0 ] || until [ -e ../1/n.result.p1.h5 ] && [ -e ../0/n.result.p0.h5 ] && [ ! -e ../0/n.parts.p0 ]; do sleep 0.05; done
exec "$TWAIN" "$@"
SH
for p in 0 1; do
  rm -rf $p/ledger
  cp n.keys.p$p.h5 $p
  "$TWAIN" ledger --new $p/ledger -q
done
party 0 --listen "127.0.0.1:$port" --silence-limit 5 --wait-limit 90 &
first=$!
(cd 1 && export OMPI_MCA_orte_tmpdir_base=$PWD &&
  timeout 120 mpirun -np 2 bash ../late.sh run n --party 1 --site site --peer peer.pem --ledger ledger --batch 3 \
  --allow-test-keys --allow-unlocked --silence-limit 5 --wait-limit 90 --connect "127.0.0.1:$port" >said 2>&1 </dev/null) ||
  { cat ?/said; fail "party 1 with a late pair"; }
wait $first || { cat ?/said; fail "party 0 with a late pair"; }
for p in 0 1; do
  grep -q 'every row has its result already' $p/said || { cat $p/said; fail "nobody tells the late pair of party $p"; }
  [ ! -e $p/n.parts.p$p ] || fail "the late pair has left its folder"
  [ "$(find $p/ledger/p$p -regex '.*/[0-9]+' | wc -l)" = 64 ] || fail "the late pair has used slots"
done
party 0 --listen "127.0.0.1:$port" --wait-limit 5 &
first=$!
if party 1 --connect "127.0.0.1:$port" --wait-limit 5; then fail "a run on top of a result"; fi
if wait $first; then fail "a run on top of a result"; fi
grep -q 'n.result.p[01].h5: exists already' 0/said 1/said || { cat ?/said; fail "no word about the result"; }
for p in 0 1; do
  [ "$(find $p/ledger/p$p -regex '.*/[0-9]+' | wc -l)" = 64 ] || fail "a run on top of a result has used slots"
  mv $p/n.result.p$p.h5 .
done
same_as_one 0
right
