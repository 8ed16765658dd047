# Conversations in a service: turns of several clients, alone and several in one run, equal the emulator's bit for bit.
# No fork, no way back, nobody else's conversation; limits of number and of time; a party that is killed in a turn ends
# it; what is kept is wiped after.
source "$SOURCE_DIR/tests/cli/cli.bash"
trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT

"$python" "$SOURCE_DIR/tests/cli/families.py" llama folder
"$TWAIN" import folder -o n -q
"$TWAIN" plan n -q --seq 8 --generate 3 --conversation 24
"$TWAIN" share n -q
"$TWAIN" deal n -n 60 --test-seed 7 -q 2>/dev/null
"$TWAIN" ledger --new ledger -q
mkdir q q/al q/bo out caches tmp
export desk=$PWD/tmp

begin() { # OPTION...: until it serves
  : >log
  mpirun -np 2 "$TWAIN" run n --ledger ledger --allow-test-keys --serve --queue q --out out --caches caches --device cpu \
    --pair-limit 5 "$@" >log 2>&1 &
  service=$!
  wait_for 'party 0 on .*serves: at most' && wait_for 'party 1 on .*serves: at most'
}
stop() {
  touch q/stop
  wait "$service" || { cat log >&2; fail "the service ends with $?"; }
}
ask() { TMPDIR=$desk "$TWAIN" ask n --to q --to q --from out --from out --wait-limit 60 "$@"; }
asked() { ask "$@" >said 2>&1 </dev/null || { cat said log >&2; fail "no answer: $*"; }; }
export -f ask
refused() { expect 7 "party [01] refuses the input: .*$1" bash -c 'ask "$@"' ask "${@:2}"; }
id_of() { "$python" -c 'import h5py, sys; f = h5py.File(sys.argv[1]); a = f.attrs[sys.argv[2]]; print(a.decode() if isinstance(a, bytes) else a)' "$1" "${2:-input_id}"; }
# exact TURN CONVERSATION FOLDER BEFORE TEXT...: the turn under a name of its own, encoded again behind those before it
# (BEFORE may be empty), with the parties' results: what `check` wants.
exact() {
  local turn=$1 name=$2 folder=$3 id after=()
  [ -z "$4" ] || after=(--after "$4")
  "$TWAIN" encode "$turn" --model n "${after[@]}" -q -- "${@:5}"
  id=$(id_of "$name.input.h5")
  "$python" - "$name.input.h5" "$turn.input.h5" <<'P' || fail "ask encodes $turn otherwise than encode"
import h5py, sys
with h5py.File(sys.argv[1]) as asked, h5py.File(sys.argv[2], "r+") as own:
    for name in asked:
        if name != "after_name": assert (asked[name][()] == own[name][()]).all(), name
    assert asked.attrs.get("after") == own.attrs.get("after")
    own.attrs.modify("input_id", asked.attrs["input_id"])
P
  for p in 0 1; do cp "out/$folder/$id.result.p$p.h5" "$turn.result.p$p.h5"; done
  "$TWAIN" reveal "$turn" --model n -q
  "$python" - "$name.result.h5" "$turn.result.h5" <<'P' || fail "ask keeps another text than reveal"
import h5py, sys
a, b = (h5py.File(name) for name in sys.argv[1:])
assert (a["values"][()] == b["values"][()]).all()
P
  expect 0 "equal the emulator.s" "$TWAIN" check "$turn" --model n --exact --test-seed 7 --tolerance 0.01
}
kept() { # COUNT TEXT: so many caches of both parties, soon: a result is there a moment before
  local start=$SECONDS
  until [ "$(find caches -name '*.cache.p?.h5' | wc -l)" = "$1" ]; do
    [ $((SECONDS - start)) -lt 20 ] || fail "$2: $(find caches)"
    sleep 0.02
  done
}
marks() { find ledger -type f -regex '.*/[0-9]+' | wc -l; }
save() { cp "$1.input.h5" "$2.input"; cp "$1.result.h5" "$2.result"; }
back() { cp "$2.input" "$1.input.h5"; cp "$2.result" "$1.result.h5"; }

# ---- three turns, of two sequences
begin
asked --conversation talk --client al 'the cat sat on' 'the'
exact t1 talk al '' 'the cat sat on' 'the'
kept 2 "not one cache a party"
[ "$(find caches -type f -printf '%m\n' | sort -u)" = 600 ] || fail "others can read a cache"
save talk first
asked --conversation talk --client al 'the mat' 'dog sat'
exact t2 talk al t1 'the mat' 'dog sat'
save talk second
kept 2 "what was read is kept"
asked --conversation talk --client al 'the' 'the mat'
exact t3 talk al t2 'the' 'the mat'

# ---- no fork, no way back, nobody else's, no second use of an input; nothing of it uses a slot
before=$(marks)
save talk third
back talk first
refused 'nothing is kept behind input [0-9a-f]*: its conversation has gone on' --conversation talk --client al 'a' 'dog'
back talk third
refused 'nothing is kept behind input' --conversation talk --client bo 'a' 'dog'
refused 'nothing is kept behind input' --conversation talk 'a' 'dog'
expect 5 '1 texts behind talk, which has 2 sequences' bash -c 'ask "$@"' ask --conversation talk --client al 'a'
for f in talk.input.h5 talk.result.h5; do cmp -s "$f" "third.$(cut -d. -f2 <<<"$f")" || fail "a refused turn changes $f"; done
kept 2 "a refused turn ends a conversation"
[ "$(marks)" = "$before" ] || fail "what was refused has used key slots"
[ -z "$(ls tmp)" ] || fail "ask has left something: $(ls tmp)"
asked --conversation talk --client al --last 'the' 'a dog'
exact t4 talk al t3 'the' 'a dog'
kept 0 "something is kept behind a last turn"
refused 'nothing is kept behind input' --conversation talk --client al 'a' 'dog'

# ---- a cache that is put back: the ledger says no, and it is wiped
asked --conversation talk2 --client al 'the cat'
cp -r caches copy
save talk2 first
asked --conversation talk2 --client al 'the mat'
cp copy/al/* caches/al
save talk2 second
back talk2 first
refused 'nothing is kept behind input' --conversation talk2 --client al 'a'
wait_for 'what turn 1 left was read before'
kept 2 "a cache that was put back stays"
back talk2 second
asked --conversation talk2 --client al 'a'

# ---- an input that comes again, under another id
asked --conversation talk3 'the cat'
id=$(id_of talk3.input.h5)
"$TWAIN" encode again --model n -q -- 'the cat' && "$TWAIN" share again --input --model n -q
for p in 0 1; do cp again.input.p$p.h5 "q/.x$p"; done
"$python" - "$id" q/.x0 q/.x1 <<'P'
import h5py, sys
for name in sys.argv[2:]:
    with h5py.File(name, "r+") as f:
        f.attrs.modify("input_id", sys.argv[1]) if isinstance(f.attrs["input_id"], str) else f.attrs.modify("input_id", sys.argv[1].encode())
        f.attrs.create("goes_on", 1, dtype="int64")
P
for p in 0 1; do mv "q/.x$p" "q/again.input.p$p.h5"; done
wait_for 'refused again: a conversation goes on behind this input already'
stop

# ---- several in one run: two that go on, one that begins, one that stands alone; and one turn asked for by two
asks=()
later() { ask "$@" >"said.${#asks[@]}" 2>&1 & asks+=($!); }
save talk3 fork
cp talk3.input.h5 fork.input.h5 && cp talk3.result.h5 fork.result.h5
id=$(id_of talk2.input.h5)
later --conversation talk2 --client al 'the mat'
later --conversation talk3 'dog'
until [ "$(find q -name '*.input.p1.h5' | wc -l)" = 2 ]; do sleep 0.05; done
later --conversation fork 'sat'
later --conversation new --client bo 'the cat sat'
later 'the'
until [ "$(find q -name '*.input.p1.h5' | wc -l)" = 5 ]; do sleep 0.05; done
before=$(marks)
begin
for i in 0 1 3 4; do wait "${asks[i]}" || { cat "said.$i" log; fail "no answer to ask $i"; }; done
! wait "${asks[2]}" || fail "one turn went on twice"
grep -q 'refuses the input: nothing is kept behind' said.2 || { cat said.2; fail "the fork is not refused"; }
wait_for '([a-z/]*[0-9a-f]{32}, ){3}[a-z/]*[0-9a-f]{32}: 4 sequences'
[ "$(marks)" = $((before + 8)) ] || fail "not four slots a party"
kept 6 "not three caches a party"
exact u1 new bo '' 'the cat sat'
asked --conversation new --client bo 'on the'
exact u2 new bo u1 'on the'
asked --conversation talk3 'on the'

# ---- no more conversations than the limit, of each client; those that wait for too long are wiped
stop
begin --conversation-limit 2 --idle-limit 1e6
asked --conversation more --client bo 'the'
refused '2 conversations of this client are kept already' --conversation most --client bo 'the'
asked --client bo 'the'
asked --conversation more --client bo 'the'
stop
begin --idle-limit 1
kept 0 "caches stay"
refused 'or waited for too long' --conversation more --client bo 'the'
stop

# ---- a party is killed in the middle of a turn: the conversation has ended, also for the next service
begin
asked --conversation cut 'the cat'
stop
begin --link-latency 3ms
before=$(find ledger -name '*.read' | wc -l)
ask --conversation cut 'sat' >said.cut 2>&1 &
asks=($!)
until [ "$(find ledger -name '*.read' | wc -l)" = $((before + 2)) ]; do
  kill -0 "$service" 2>/dev/null || { cat log; fail "the turn ended before it could be cut"; }
  sleep 0.01
done
kill -s KILL "$(party_one "$service")"
! wait "$service" || fail "the service ends well although a party was killed"
begin
wait "${asks[0]}" && fail "a turn that was cut goes on"
grep -q 'refuses the input: nothing is kept behind' said.cut || { cat said.cut log; fail "does not say that it has ended"; }
kept 0 "a conversation that was cut is kept"

# ---- one whose cache was being wiped when the party was killed
asked --conversation wiped 'the cat'
for file in $(find caches -name '*.cache.p?.h5'); do
  dd if=/dev/zero of="$file" bs=512 count=1 conv=notrunc status=none
done
refused 'nothing is kept behind' --conversation wiped 'sat'
kept 0 'what is left of a cache stays'

# ---- one that is full
rm -f full.*
for text in 'the cat sat on the' 'the cat sat on the' 'the cat sat on the'; do asked --conversation full "$text"; done
wait_for ' ends its conversation: it has [0-9]+ tokens by now, and the plan.s turns read at most 24'
kept 0 "a full conversation is kept"
expect 8 'conversation full has ended: sequence 1 has [0-9]+ tokens by now' bash -c 'ask "$@"' ask --conversation full 'the'

# ---- ask is ended by a signal: nothing is left in its folder
stop
for signal in TERM INT; do
  : >said.signal
  env --default-signal=INT "TMPDIR=$desk" "$TWAIN" ask n --to q --to q --from out --from out 'the cat' >said.signal 2>&1 &
  asks=($!)
  until grep -q 'sent to both' said.signal; do sleep 0.02; done
  [ -n "$(ls tmp)" ] || fail "ask has no folder"
  kill -s $signal "${asks[0]}"
  wait "${asks[0]}" && fail "ask ends well with SIG$signal"
  [ -z "$(ls tmp)" ] || fail "ask leaves something behind SIG$signal: $(find tmp)"
  rm -f q/*.h5
done

# ---- command lines
serve() { expect "$1" "$2" mpirun -np 2 "$TWAIN" run n --ledger ledger --allow-test-keys "${@:3}"; }
serve 2 'say --caches DIR' --serve --queue q --out out
serve 2 'say --serve' --caches caches
chmod 750 caches
serve 3 'others may look into it; run .chmod 700 caches' --serve --queue q --out out --caches caches
chmod 700 caches
serve 3 'caches none: cannot open the folder' --serve --queue q --out out --caches none
expect 2 'last is said of a --conversation' bash -c 'ask "$@"' ask --last 'the'
expect 2 'behind an earlier turn texts are taken as they stand' bash -c 'ask "$@"' ask --conversation talk --truncate 'the' 'the'
cp n.model.json m.model.json && cp n.client.h5 m.client.h5 && cp n.model.h5 m.model.h5
"$TWAIN" plan m -q --seq 8 --generate 3
expect 2 'this plan has no conversations' "$TWAIN" ask m --to q --to q --from out --from out --conversation x 'the'
"$TWAIN" share m -q --force
"$TWAIN" deal m -n 2 --test-seed 7 -q 2>/dev/null
expect 2 'caches caches: this plan has no conversations' mpirun -np 2 "$TWAIN" run m --ledger ledger --allow-test-keys --serve --queue q --out out --caches caches
