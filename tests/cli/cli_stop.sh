# A run in batches that signals end at random moments: what is done stays, `--resume` goes on, every row is delivered
# once, and no key slot serves twice. Two ranks, two sites, a service.
source "$SOURCE_DIR/tests/cli/cli.bash"
trap 'jobs -p | xargs -r kill -9 2>/dev/null || true' EXIT
RANDOM=${TWAIN_SEED:-23}

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 12 -q
"$TWAIN" share n -q
seq 20 | sed 's/^/words of line /' >texts
"$TWAIN" encode n --file texts -q
"$TWAIN" share n --input -q
"$TWAIN" deal n -n 150 -q
"$TWAIN" deal more --model n -n 40 -q
"$TWAIN" ledger --new ledger -q

parts() { # PARTY [FOLDER/]: finished batches
  { find "${2:-}n.parts.p$1" -name '*.h5' 2>/dev/null || true; } | wc -l
}
begin() { # OPTION...: two ranks in the background
  mpirun -np 2 "$TWAIN" run n --ledger ledger --batch 3 --link-latency 2ms -q "$@" >said 2>&1 &
  launcher=$!
}
# Until the launcher has ended. A signal that comes while a process begins can leave mpirun waiting for itself, when all
# processes are gone; that is no fault of theirs, and it is ended like them.
settle() {
  local start=$SECONDS state process word=''
  while { read -r _ _ state _ <"/proc/$launcher/stat"; } 2>/dev/null && [ "$state" != Z ]; do
    if [ $((SECONDS - start)) -ge 30 ]; then
      word=gone
      for process in $(pgrep -P "$launcher" || true); do
        { read -r _ _ state _ <"/proc/$process/stat"; } 2>/dev/null && [ "$state" != Z ] && word=''
      done
      [ -z "$word" ] || kill -9 "$launcher"
    fi
    [ $((SECONDS - start)) -lt 200 ] || { cat said >&2; fail "the run does not end"; }
    sleep 0.05
  done
}
ended() { # CODE...: the launcher ends with one of them
  local code=0 each
  settle
  wait "$launcher" || code=$?
  for each in "$@"; do [ "$code" != "$each" ] || return 0; done
  cat said >&2
  fail "the run ends with $code, not $*"
}

# Slots of all marks and of the result: none served two rows, and both parties have the same.
audit() {
  "$TWAIN" ledger ledger --json >marks.json
  "$python" - <<'PY'
import h5py, json
marks = {}
for key in json.load(open("marks.json"))["keys"]:
    marks[key["party"], key["key_id"]] = [s["slot"] for s in key["slots"]]
for (party, key), slots in marks.items():
    assert len(slots) == len(set(slots)), f"party {party} has marked a slot twice"
    assert party or set(slots) == set(marks[1, key]), "the parties have marked other slots"
files = [h5py.File(f"n.result.p{p}.h5") for p in (0, 1)]
a, b = ([int(s) for s in f["slots"]] for f in files)
# rows of two dealings may have slots of one number
keys = 1 + (files[0].attrs["key_id"].decode() not in {key for _, key in marks})
assert a == b and len(a) == 20 and max(a.count(s) for s in a) <= keys, (a, b)
used = {s for (party, key), slots in marks.items() if not party for s in slots}
assert set(a) <= used
assert "input_rows" not in files[0]
for name in ("run_id", "transcript"):
    assert files[0].attrs[name] == files[1].attrs[name], name
PY
}
delivered() {
  audit
  [ ! -e n.parts.p0 ] && [ ! -e n.parts.p1 ] || fail "parts are left beside the result"
  no_leftovers
  "$TWAIN" reveal n -q --force
  "$TWAIN" check n -q >/dev/null || fail "another result than the model's"
}

# ---- a signal to one party: both end after the batch in hand, with one word about it

begin
stand_still 2
kill -s TERM "$(rank_of $launcher 1)"
go_on
ended 11
grep -q 'party 1 on .*: a signal asks for an end' said || { cat said; fail "no word about the signal"; }
parties_say 'stopped by a signal after the batch in hand: [0-9]+ of 20 rows are done, missing are [0-9]+: rows [0-9]+-19; `run --resume` goes on with these; used up: key slots 0-[0-9]+$'
[ "$(parts 0)" = "$(parts 1)" ] || fail "$(parts 0) and $(parts 1) batches are there"
"$TWAIN" status n --ledger ledger --json >status.json
"$python" - <<'PY' || { cat status.json; fail "status says other rows or slots than there are"; }
import glob, h5py, json
for p, party in enumerate(json.load(open("status.json"))["parties"]):
    rows = [int(r) for name in glob.glob(f"n.parts.p{p}/*.h5") for r in h5py.File(name)["input_rows"]]
    assert party["rows_done"] == len(rows) == len(set(rows)) == 150 - party["slots_left"], (party, rows)
PY
expect 0 ' [0-9]+ of 20 rows' "$TWAIN" status n --ledger ledger
expect_run 3 'holds rows of a run that was ended.*--resume goes on' n --ledger ledger --batch 3
expect 5 'the parties differ in --batch .*party 0 has 3, party 1 has 4' mpirun -np 1 "$TWAIN" run n --ledger ledger \
  --batch 3 --resume : -np 1 "$TWAIN" run n --ledger ledger --batch 4 --resume
# who begins anew alone, because the other party has not been told to, drops nothing
there="$(parts 0) $(parts 1)"
for alone in 0 1; do
  forced=('' '')
  forced[alone]=--force
  expect 3 'holds rows of a run that was ended' mpirun -np 1 "$TWAIN" run n --ledger ledger --batch 3 ${forced[0]} : \
    -np 1 "$TWAIN" run n --ledger ledger --batch 3 ${forced[1]}
  [ "$(parts 0) $(parts 1)" = "$there" ] || fail "batches are gone by --force of party $alone alone"
done
# a party whose parts are elsewhere costs nothing; one part that is missing is run again
cp -r n.parts.p0 kept.p0
cp -r n.parts.p1 kept.p1
slots() { "$TWAIN" ledger ledger --json | grep -c '"slot":'; }
before=$(slots)
rm -r n.parts.p1
expect_run 5 "party 1 lacks $(parts 0) \([0-9]+ rows\) that party 0 has.*--resume --force" n --ledger ledger --batch 3 --resume
[ "$(parts 0)" = "$(ls kept.p0/*.h5 | wc -l)" ] || fail "batches are gone because the other party's were"
[ "$(slots)" = "$before" ] || fail "a slot was used for rows that are done"
rm -r n.parts.p1
cp -r kept.p1 n.parts.p1
expect_run 3 'holds rows of a run that was ended.*--resume goes on' n --ledger ledger # all rows at once
expect_run 3 'holds rows of a run that was ended.*--resume goes on' n --ledger ledger --batch 20
[ "$(slots)" = "$before" ] || fail "a run that ignores what is done"
gone=$(basename "$(ls n.parts.p1/*.h5 | head -1)")
rm "n.parts.p1/$gone" "kept.p0/$gone" "kept.p1/$gone"
begin --resume
ended 0
grep -q 'party 1 lacks 1 of the batches there (3 rows), which are put aside' said || { cat said; fail "a batch went silently"; }
delivered
expect_run 0 'every row has its result already' n --ledger ledger --resume

# parts that are left beside whole results, on one party or both, are no reason to run or to lose anything
before=$(slots)
for left in 0 1 '0 1'; do
  for p in $left; do cp -r kept.p$p n.parts.p$p; done
  expect_run 0 'every row has its result already' n --ledger ledger --resume
  delivered
done
# nor does one party's result go because the other one's has gone
mkdir first
for p in 0 1; do
  mv n.result.p$p.h5 first
  for with in none kept; do
    [ $with = none ] || { rm -rf n.parts.p?; cp -r kept.p0 n.parts.p0; cp -r kept.p1 n.parts.p1; }
    expect_run 5 "party $((1 - p)) has the result of run [0-9a-f]{32} of this input, party $p has |party $p has [a-z ]+ of this input, party $((1 - p)) has the result" \
      n --ledger ledger --batch 3 --resume
    [ -s n.result.p$((1 - p)).h5 ] || fail "the result of party $((1 - p)) is gone"
  done
  mv first/n.result.p$p.h5 .
  rm -rf n.parts.p?
done
[ "$(slots)" = "$before" ] || fail "a slot was used for an input that has its result"

# --force of a run without batches drops them, and results of two runs are no result
cp n.result.p?.h5 first
cp -r kept.p0 n.parts.p0
cp -r kept.p1 n.parts.p1
expect_run 0 . n --ledger ledger --force
[ ! -e n.parts.p0 ] && [ ! -e n.parts.p1 ] || fail "--force leaves parts of another run"
cp n.result.p1.h5 second.p1.h5
cp first/n.result.p1.h5 .
expect_run 5 'halves of one run go together' n --ledger ledger --resume
cp second.p1.h5 n.result.p1.h5
expect_run 0 'every row has its result already' n --ledger ledger --resume

# parts of a run that --force began over a result are not what that result has left
begin --force
stand_still 2
kill -s TERM "$(rank_of $launcher 0)"
go_on
ended 11
begin --resume
ended 0
delivered
! cmp -s n.result.p1.h5 second.p1.h5 || fail "--resume has not gone on with a run that --force began"
"$TWAIN" deal n -n 150 -q --force
expect_run 3 'exists already' n --ledger ledger
expect 0 ' 20 rows +there' "$TWAIN" status n --ledger ledger

# ---- at random moments, to whom it may come; keys of another dealing for the last rows

for round in 1 2; do
  rm -f n.result.p?.h5
  for turn in $(seq 40); do
    keys=()
    [ "$turn" -lt 5 ] || keys=(--keys more)
    begin --resume "${keys[@]}"
    sleep "0.$((RANDOM % 9))"
    signals=(USR1 TERM INT KILL)
    signal=${signals[RANDOM % 4]}
    case $((RANDOM % 3)) in
    0) kill -s USR1 $launcher 2>/dev/null || true ;;  # which hands it on
    *) kill -s "$signal" $(rank_of $launcher $((RANDOM % 2))) 2>/dev/null || true ;;
    esac
    code=0
    settle
    wait $launcher || code=$?
    case $code in
    0) break ;;
    11 | 137 | 138 | 143 | 130) ;;  # also before anything of twain listens
    6) fail "no keys are left after $turn turns" ;;
    *) cat said; fail "the run ends with $code" ;;
    esac
    [ $turn -lt 40 ] || fail "no end"
    [ ! -e n.result.p0.h5 ] || [ -e n.parts.p1 ] || [ -e n.parts.p0 ] || break
  done
  [ $code = 0 ] || { begin --resume --keys more; ended 0; }
  delivered
  echo "round $round: $turn starts"
  "$TWAIN" deal n -n 150 -q --force
  "$TWAIN" deal more --model n -n 40 -q --force
done

# ---- a second signal, more than a second later, ends at once, and nothing that is done is lost

rm -f n.result.p?.h5
begin --link-latency 100ms # a batch takes longer than what is between the signals, also where these are late
stand_still 1
party=$(rank_of $launcher 0)
done_before=$(parts 0)
go_on
until compgen -G 'n.parts.p1/*.partial' >/dev/null; do kill -0 $launcher || { cat said; fail "the run has ended"; }; sleep 0.01; done
kill -s INT "$party"
sleep 2
kill -s INT "$party"
ended 130 1
grep -q 'party 0 on .*: ended by a signal' said || { cat said; fail "no word about the second signal"; }
[ "$(parts 0)" -ge "$done_before" ] || fail "a second signal has removed batches that were done"
begin --resume
ended 0
delivered

# ---- Open MPI 5, which PRTE_LAUNCHED tells, kills a quarter of a second after SIGTERM: a rank is gone before

rm -f n.result.p?.h5
mpirun -np 2 -x PRTE_LAUNCHED=1 --mca odls_base_sigkill_timeout 5 \
  bash -c 'exec "$TWAIN" run n --ledger ledger --batch 3 --link-latency 200ms -q 2>said.$OMPI_COMM_WORLD_RANK' &
launcher=$!
until compgen -G 'n.parts.p1/*.partial' >/dev/null; do kill -0 $launcher || { cat said.?; fail "the run has ended"; }; sleep 0.01; done
kill -s TERM $launcher
until grep -qs 'asks for an end' said.0; do kill -0 $launcher || { cat said.?; fail "no word about the signal"; }; sleep 0.01; done
asked=${EPOCHREALTIME/./}
until grep -q 'ended by a signal' said.0; do kill -0 $launcher || { cat said.?; fail "killed before it ended"; }; sleep 0.01; done
took=$((${EPOCHREALTIME/./} - asked))
[ $took -lt 2000000 ] || fail "a rank took $took us to end" # 3 s where it believes in the 5 s of the launcher
ended 1 143
begin --resume
ended 0
delivered

# ---- a party's batches are lost for good: --force drops those of the other one

rm -f n.result.p?.h5
begin
stand_still 2
kill -s TERM "$(rank_of $launcher 0)"
go_on
ended 11
lost=$(parts 0)
rm -r n.parts.p1
begin --resume
ended 5
begin --resume --force
ended 0
grep -q "party 1 lacks $lost of the batches there ($((3 * lost)) rows), which are put aside" said || { cat said; fail "batches went silently"; }
delivered

# ---- an end between the two parties' results: all rows are there, and are put together again, to the same result

rm -rf n.result.p?.h5 kept.p?
begin
stand_still 1
mkdir n.result.p1.h5 # in the way when all rows are done
go_on
ended 3
rmdir n.result.p1.h5
[ "$(parts 0) $(parts 1)" = '7 7' ] || fail "batches are gone because a result could not be written"
for p in 0 1; do cp -r n.parts.p$p kept.p$p; done
before=$(slots)
begin --resume
ended 0
delivered
for p in 0 1; do cp n.result.p$p.h5 first; done
for p in 0 1; do
  rm n.result.p$p.h5
  cp -r kept.p0 n.parts.p0
  cp -r kept.p1 n.parts.p1
  expect_run 0 . n --ledger ledger --batch 3 --resume
  delivered
  "$python" - <<'PY' || fail "another result than before"
import h5py
for p in (0, 1):
    a, b = h5py.File(f"first/n.result.p{p}.h5"), h5py.File(f"n.result.p{p}.h5")
    assert a.attrs["run_id"] == b.attrs["run_id"] and (a["masked"][()] == b["masked"][()]).all()
    assert (a["transcripts"][()] == b["transcripts"][()]).all() and len(b["transcripts"]) == 7
PY
done
[ "$(slots)" = "$before" ] || fail "a slot was used for rows that are done"

# ---- a service

mkdir q out
mpirun -np 2 "$TWAIN" run n --ledger ledger --serve --queue q --out out >said 2>&1 &
launcher=$!
until grep -q 'serves: at most 8' said; do kill -0 $launcher || { cat said; fail "no service"; }; sleep 0.02; done
kill -s USR1 "$(rank_of $launcher 1)"
ended 11
parties_say 'stopped by a signal after the work in hand; 0 inputs were served before, and none was in hand'

# ---- two sites: each has its own files, and one of them gets the signal

mkdir 0 1
"$TWAIN" deal n -n 40 -q --force
for p in 0 1; do
  "$TWAIN" site init $p/site --role $p -q --allow-unlocked
  "$TWAIN" ledger --new $p/ledger -q
  cp n.plan.json n.model.p$p.h5 n.keys.p$p.h5 n.input.p$p.h5 $p
done
cp 0/site/site.pem 1/peer.pem
cp 1/site/site.pem 0/peer.pem
port=$(free_port)
party() { # PARTY OPTION...
  local p=$1
  shift
  (cd "$p" && exec timeout 120 "$TWAIN" run n --party "$p" --site site --peer peer.pem --ledger ledger --batch 2 \
    --silence-limit 40 --wait-limit 40 --allow-unlocked "$@" >said 2>&1 </dev/null)
}
for signal in USR1 TERM; do
  before=$(parts 1 1/)
  party 0 --listen "127.0.0.1:$port" --link-latency 1ms --resume &
  first=$!
  (cd 1 && exec "$TWAIN" run n --party 1 --site site --peer peer.pem --ledger ledger --batch 2 --connect "127.0.0.1:$port" \
    --link-latency 1ms --resume --allow-unlocked >said 2>&1) &
  second=$!
  launcher=$second
  cp /dev/null said
  stand_still $((before + 1)) 1/n.parts.p1 0/n.parts.p0
  kill -s $signal $second
  go_on
  codes=0
  wait $first || codes=$?
  wait $second || codes=$codes-$?
  [ "$codes" = 11-11 ] || { cat ?/said; fail "the parties end with $codes"; }
  for p in 0 1; do
    grep -qE "^twain: party $p on [^ ]+: stopped by a signal .*goes on with these; used up: key slots [0-9]" $p/said ||
      { cat ?/said; fail "party $p does not say what it has used up"; }
  done
done
party 0 --listen "127.0.0.1:$port" --resume &
party 1 --connect "127.0.0.1:$port" --resume || { cat ?/said; fail "no end"; }
wait $!
cp 0/n.result.p0.h5 1/n.result.p1.h5 .
rm -rf ledger
cp -r 0/ledger . && cp -r 1/ledger/p1 ledger/
delivered
