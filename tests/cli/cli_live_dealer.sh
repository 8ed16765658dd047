# A live dealer: keys while runs go on, for pairs of sites that it knows by their pins. The result of key files; what
# fails says so, on all sides, with nothing half written. A decoder behind a fixed prefix.
source "$SOURCE_DIR/tests/cli/cli.bash"

children=()
trap 'kill "${children[@]}" 2>/dev/null || true' EXIT

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" share n -q
"$TWAIN" encode n 'some words to encode' 'and a second text' 'and a third one' -q
"$TWAIN" share n --input -q
site() { # FOLDER ROLE
  "$TWAIN" site init "$1" --role "$2" -q --allow-unlocked
}
for party in 0 1; do
  site s$party $party
  site t$party $party  # of another pair
  "$TWAIN" ledger --new l$party -q
done
site dealer dealer
site stranger 0

pin() { "$TWAIN" site show "$1/site.pem" | sed -n 's/^pin //p'; }
pairs() { # ENTRIES-OF-THE-FIRST, such as ', "most_runs": 1'
  cat >pairs.json <<JSON
{"format": "twain pairs", "version": 2, "pairs": [
  {"note": "tests", "party_0": "$(pin s0)", "party_1": "$(pin s1)"${1:-}},
  {"party_0": "$(pin t0)", "party_1": "$(pin t1)"}]}
JSON
}
pairs

start_dealer() {
  : >dealer.said
  "$TWAIN" deal n --serve 127.0.0.1:0 --site dealer --pairs pairs.json --allow-unlocked "$@" 2>dealer.said &
  dealer=$!
  children+=("$dealer")
  until grep -q 'on port' dealer.said; do kill -0 $dealer || { cat dealer.said; fail "no dealer"; }; sleep 0.02; done
  port=$(grep -oE 'on port [0-9]+, at ' dealer.said | grep -oE '[0-9]+')
}

party() { # PARTY OPTION...
  local dealer=(--dealer "127.0.0.1:$port" --dealer-peer dealer/site.pem)
  [ -z "${files:-}" ] || dealer=()
  timeout 60 "$TWAIN" run "${name:-n}" --party "$1" --site "${who:-s}$1" --peer "${who:-s}$((1 - $1))/site.pem" \
    --ledger "${who:-}l$1" --force \
    --silence-limit 20 --wait-limit 30 --allow-unlocked "${dealer[@]}" "${@:2}"
}
export -f party
listen=127.0.0.1:$(free_port)

# both CODE TEXT0 TEXT1 -- OPTION-OF-0... -- OPTION-OF-1...
both() {
  local code=$1 text=("$2" "$3") words=() status0=0 status1=0 status here
  shift 4
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  rm -f n.result.p?.h5
  party 0 --listen "$listen" "${words[@]}" >said0 2>&1 & local first=$!
  party 1 --connect "$listen" "$@" >said1 2>&1 || status1=$?
  wait $first || status0=$?
  for status in 0 1; do
    here=$status0; [ $status = 0 ] || here=$status1
    [ "$here" = "$code" ] || { cat said0 said1 dealer.said; fail "party $status ended with $here, not $code"; }
    grep -qE -- "${text[status]}" said$status || { cat said0 said1; fail "party $status does not say '${text[status]}'"; }
  done
  if [ "$code" = 0 ]; then
    "$TWAIN" reveal n --force >/dev/null
    "$TWAIN" check n >/dev/null || fail "another result than the model's"
  else
    [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result of a run that failed"
  fi
}
slots() { "$TWAIN" ledger "${who:-}l$1" --json | python3 -c '
import json, sys
print(*sorted((k["key_id"], s["slot"]) for k in json.load(sys.stdin)["keys"] for s in k["slots"]))'; }

start_dealer
both 0 '"keys": "dealer"' 'key exchange' -- --json --
both 0 '' '' -- --streams 2 --split-batch always -- --streams 2 --split-batch always
[ "$(slots 0)" = "$(slots 1)" ] || fail "the ledgers differ: $(slots 0), $(slots 1)"
[ "$(slots 0 | wc -w)" = 12 ] || fail "not six slots: $(slots 0)"   # a key and a number each
grep -q 'pair 0, party 0 .*: stream 1: ' dealer.said && grep -q 'key exchange .*, 2 streams' said0 || {
  cat dealer.said said0
  fail "keys came over one stream"
}
grep -q 'pair 0, party 1 .*slots 3-5' dealer.said || { cat dealer.said; fail "the dealer does not say its slots"; }

# ---- parties that do not follow the words, and limits
kill $dealer
wait $dealer || fail "the dealer ended with $?"
grep -q stopped dealer.said || fail "the dealer does not say that it stopped"
pairs ', "most_runs": 2, "most_sequences": 3, "most_inferences": 8'
start_dealer
python3 "$SOURCE_DIR/tests/cli/live_client.py" "$port" . n.plan.json n.model.json || { cat dealer.said; fail "a client"; }
kill $dealer
wait $dealer || fail "the dealer ended with $?"

# ---- strangers are all counted, however few lines there are
pairs
start_dealer
python3 - "$port" <<'PYTHON'
import socket, sys
for _ in range(6):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            while s.recv(99): pass
        except OSError: pass
PYTHON
until grep -qE 'refused [0-9]+ more, the last one 127.0.0.1: no TLS 1.3' dealer.said; do kill -0 $dealer; sleep 0.05; done
kill $dealer
wait $dealer || fail "the dealer ended with $?"
count=$(sed -nE 's/.*refused (127.*|([0-9]+) more.*)/0\2/p' dealer.said | awk '{n += $1 ? $1 : 1} END {print n}')
[ "$count" = 6 ] || { cat dealer.said; fail "$count strangers are said, not 6"; }

# ---- what does not go together, before a slot is marked
pairs
start_dealer
before=$(slots 0)
"$TWAIN" deal n -n 3 -q
party 0 --listen "$listen" >said0 2>&1 & first=$!
files=1 party 1 --connect "$listen" >said1 2>&1 && fail "a dealer on one side only"
wait $first && fail "a dealer on one side only"
for party in 0 1; do
  grep -q 'where keys come from: party . has' said$party || { cat said0 said1; fail "party $party does not say where"; }
done
rm n.keys.p?.h5
site otherdealer dealer
both 12 "has another key.*no key slot was used" "stopped.*no key slot was used" -- --dealer-peer otherdealer/site.pem --
both 2 "a live dealer numbers the slots itself" "numbers the slots itself" -- --slot 3 -- --slot 3
both 7 "stopped.*no connection" "no connection to 127.0.0.1, port 9.*no key slot" -- --silence-limit 4 -- --dealer \
  127.0.0.1:9 --silence-limit 4
[ "$before" = "$(slots 0)" ] && [ "$before" = "$(slots 1)" ] || fail "a slot was marked"
expect 12 'is the file of party 1, and --dealer-peer needs' bash -c 'party 0 --listen 0 --dealer-peer s1/site.pem'
expect 2 'both or neither' "$TWAIN" run n --party 0 --listen 0 --site s0 --peer s1/site.pem --dealer h:1
expect 2 'say --party 0 or 1' "$TWAIN" run n --dealer h:1 --dealer-peer dealer/site.pem
serve() { "$TWAIN" deal n --serve 127.0.0.1:0 --site "${1:-dealer}" --pairs "${2:-pairs.json}" --allow-unlocked "${@:3}"; }
export -f serve
refused() { expect "$1" "$2" bash -c 'serve "$@"' refused "${@:3}"; }
refused 2 'TEST keys are not served' dealer pairs.json --test-seed 5
[ -e /dev/nvidiactl ] || refused 2 '--device cuda: (this twain was built without CUDA|no GPU answers)' dealer pairs.json --device cuda
refused 12 'is the site of party 0, and --serve needs' s0
refused 3 'none.json' dealer none.json
chmod 664 pairs.json
refused 3 'pairs.json: its mode 0664 lets group or world write.*chmod go-w pairs.json' dealer
chmod 644 pairs.json
expect 2 'all of them or none' "$TWAIN" deal n --serve 0
bad_pairs() { # TEXT ENTRY
  printf '{"format": "twain pairs", "version": 2, "pairs": [%s]}' "$2" >bad.json
  refused 4 "bad.json: $1" dealer bad.json
}
one=$(pin s0) other=$(pin s1)
bad_pairs 'pairs.0.: "party_1" is missing' "{\"party_0\": \"$one\"}"
bad_pairs 'pairs.0.: "party_1" is no pin' "{\"party_0\": \"$one\", \"party_1\": \"${other%?}\"}"
bad_pairs 'pairs.0.: one pin for both' "{\"party_0\": \"$one\", \"party_1\": \"$one\"}"
bad_pairs 'pairs.1.: "party_0" is a pin that stands in pairs.0.' \
  "{\"party_0\": \"$one\", \"party_1\": \"$other\"}, {\"party_0\": \"$one\", \"party_1\": \"$(pin t1)\"}"
for entry in most_runs:0 most_streams:17 most_sequences:1.5 most_inferences:-1 'most_runs:"2"'; do
  bad_pairs "pairs.0.: \"${entry%%:*}\" must be a whole number from [01] to [0-9]+" \
    "{\"party_0\": \"$one\", \"party_1\": \"$other\", \"${entry%%:*}\": ${entry#*:}}"
done
bad_pairs 'pairs.0.: "most_run" is none of' "{\"party_0\": \"$one\", \"party_1\": \"$other\", \"most_run\": 1}"
bad_pairs '"pairs" must be a list of 1' ''
printf '{"format": "twain pairs", "version": 2, "pairs": [{"party_0": "%s", "party_1": "%s"}], "most_inferences": 5}' \
  "$one" "$other" >bad.json
refused 4 'bad.json: "most_inferences" is none of format, version and pairs' dealer bad.json

# ---- larger keys, more than all buffers hold: two sequences of 24 MB
kill $dealer
wait $dealer || fail "the dealer ended with $?"
"$TWAIN" import --shape 4x256x4x1024 -o n -q --force
"$TWAIN" plan n --seq 64 -q --force
"$TWAIN" share n -q --force
"$TWAIN" encode n 'some words to encode' 'and a second text' -q --force
"$TWAIN" share n --input -q --force
mkdir t
cp n.* t/
for party in 0 1; do "$TWAIN" ledger --new tl$party -q; done
other_listen=127.0.0.1:$(free_port)

# Until both parties of a pair, the first one, have marked so many slots; looked at fast, as the runs go on.
marks() { find "${who:-}l$1" -type f -regex '.*/[0-9]+' | wc -l; }
marked() { until [ "$(marks 0)" = "$1" ] && [ "$(marks 1)" = "$1" ]; do sleep 0.01; done; }
now=$(marks 0)

# Two pairs at once, and the dealer is told to stop: both runs go on to their end.
start_dealer
(who=t name=t/n party 0 --listen "$other_listen" --link-latency 10ms -q >said2 2>&1) & third=$!
(who=t name=t/n party 1 --connect "$other_listen" --link-latency 10ms -q >said3 2>&1) & fourth=$!
(marked $((now + 2)); who=t marked 2; kill $dealer) & children+=($!)
both 0 '' '' -- --link-latency 10ms -- --link-latency 10ms
wait $third || { cat said2; fail "the other pair's party 0"; }
wait $fourth || { cat said3; fail "the other pair's party 1"; }
wait $dealer || { cat dealer.said; fail "the dealer ended with $?"; }
grep -q 'a second signal ends them' dealer.said || { cat dealer.said; fail "the dealer does not say what it waits for"; }
"$TWAIN" reveal t/n --force >/dev/null
"$TWAIN" check t/n >/dev/null || fail "the other pair's result is another one than the model's"

# The dealer dies; is told twice to stop.
for how in 'kill -9' 'kill -TERM -TERM'; do
  start_dealer
  now=$(marks 0)
  (marked $((now + 2)); if [ "$how" = 'kill -9' ]; then kill -9 $dealer; else kill $dealer; sleep 0.3; kill $dealer; fi) &
  children+=($!)
  both 7 'keys from the dealer: |stopped.*keys from the dealer: |the line to party 1 broke' 'keys from the dealer: |stopped' \
    -- --link-latency 10ms -- --link-latency 10ms
  grep -q 'used up: key slots' said0 && grep -q 'used up: key slots' said1 || { cat said0 said1; fail "slots are not said"; }
  wait $dealer || [ "$how" = 'kill -9' ] || fail "the dealer ended with $?"
done

# A party dies: the other one ends, and the dealer goes on with the next run.
start_dealer
now=$(marks 0)
party 0 --listen "$listen" --link-latency 10ms >said0 2>&1 & first=$!
"$TWAIN" run n --party 1 --site s1 --peer s0/site.pem --ledger l1 --force --allow-unlocked --dealer "127.0.0.1:$port" \
  --dealer-peer dealer/site.pem --connect "$listen" --link-latency 10ms >said1 2>&1 & second=$!
marked $((now + 2))
kill -9 $second
wait $first && fail "party 0 has a result although party 1 died"
grep -qE 'the line to party 1 broke.*used up' said0 || { cat said0; fail "party 0 does not say that party 1 died"; }
[ ! -e n.result.p0.h5 ] || fail "a result of a run that failed"
both 0 '' '' -- -q -- -q
kill $dealer
wait $dealer || { cat dealer.said; fail "the dealer ended with $?"; }

# ---- a fixed prefix: the dealer draws its masks, each party has its keys and values
"$python" "$SOURCE_DIR/tests/cli/families.py" llama folder
printf 'the cat' >pre
"$TWAIN" import folder -o n -q --force
"$TWAIN" plan n --seq 9 --prefix pre -q --force
"$TWAIN" share n -q --force
"$TWAIN" encode n 'the cat sat on the mat' 'the cat sat on!' -q --force
"$TWAIN" share n --input -q --force
start_dealer
both 0 '' '' -- -q -- -q
kill $dealer
wait $dealer || { cat dealer.said; fail "the dealer ended with $?"; }

[ "$(slots 0)" = "$(slots 1)" ] || fail "the ledgers differ"
slots 0 | tr ' ' '\n' | paste - - | sort | uniq -d >twice
[ ! -s twice ] || fail "slots twice: $(cat twice)"
no_leftovers
