# A service of two jobs, each with files, queue and results of its own, TLS between them: questions of two clients at
# once, malformed shares on one side, sealed inputs and results, a live dealer, the end of keys, the end by a file on one
# side, a killed party, one that is killed between finishing and delivering, a limit of time.
source "$SOURCE_DIR/tests/cli/cli.bash"
trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 12 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 20 -q
"$TWAIN" deal few --model n -n 1 -q
mkdir 0 1
for p in 0 1; do
  "$TWAIN" site init $p/site --role $p -q
  "$TWAIN" ledger --new $p/ledger -q
  mkdir $p/q $p/q/al $p/out
  cp n.plan.json $p
  cp n.model.p$p.h5 $p
  mv n.keys.p$p.h5 few.keys.p$p.h5 $p
done
"$TWAIN" site init dealer --role dealer -q
cp 0/site/site.pem 1/peer.pem
cp 1/site/site.pem 0/peer.pem

marks() { find "$1/ledger" -type f -regex '.*/[0-9]+' | wc -l; }
show() { tail -n 40 0/said 1/said >&2; fail "$@"; }
says() { # PARTY TEXT: sooner or later
  local start=$SECONDS
  until grep -qE "$2" "$1/said"; do
    [ $((SECONDS - start)) -lt 60 ] || show "party $1 does not say '$2'"
    sleep 0.02
  done
}
job() { # PARTY OPTION...: in the background; its process is job[PARTY]
  local p=$1
  shift
  : >"$p/said"
  (cd "$p" && exec env "${dying[@]:$((4 * p)):4}" "$TWAIN" run n --party "$p" --site site --peer peer.pem --ledger ledger --serve --queue q --out out \
    --pair-limit 2 --silence-limit 20 --wait-limit 20 "$@" >said 2>&1 </dev/null) &
  jobs_of[p]=$!
}
jobs_of=()
dying=() # of each party four settings: where it is killed (tests/cli/preload_rename.c)
begin() { # OPTION...: both
  local port
  job 0 --listen 127.0.0.1:0 "$@"
  says 0 'waits for party 1 on port'
  port=$(sed -nE 's/.*waits for party 1 on port ([0-9]+), .*/\1/p' 0/said)
  job 1 --connect "127.0.0.1:$port" "$@"
  says 0 'serves: at most 8 sequences'
  says 1 'serves: at most 8 sequences'
}
ends() { # PARTY CODE TEXT
  local status=0
  wait "${jobs_of[$1]}" || status=$?
  [ "$status" = "$2" ] || show "party $1 ends with $status, not $2"
  grep -qE "^twain: party $1 on [^ ]+: .*$3" "$1/said" || [ -z "$3" ] || show "party $1 does not say '$3'"
}
stop() { # PARTY: the other one's service ends, too
  touch "$1/q/stop"
  ends 0 0 ''
  ends 1 0 ''
}
wait_in_both() { # NAME: before a service begins
  local p
  for p in 0 1; do cp "n.input.p$p.h5" "$p/q/$1.input.p$p.h5"; done
}
ask() { "$TWAIN" ask n --to 0/q --to 1/q --from 0/out --from 1/out "$@"; }

# ---- two clients at once, and a share that is torn on one side

begin
ask 'a question' -q -o a.h5 >asked 2>&1 &
first=$!
ask 'another' 'and a second text' -q --client al -o b.h5 || show "no answer to al"
wait $first || { cat asked; show "no answer"; }
[ -e a.h5 ] && [ -e b.h5 ] || fail "no answer is written"
[ -z "$(find 0/q 1/q -name '*.h5')" ] || fail "inputs are left"
before="$(marks 0) $(marks 1)"
[ "$before" = '3 3' ] || fail "$before marks of three slots"
"$TWAIN" encode n 'some words' -q
"$TWAIN" share n --input -q
head -c 4000 n.input.p0.h5 >0/q/.torn && mv 0/q/.torn 0/q/torn.input.p0.h5
cp n.input.p1.h5 1/q/.torn && mv 1/q/.torn 1/q/torn.input.p1.h5
says 0 'refused torn: torn.input.p0.h5: '
says 1 'refused torn: party 0 refuses its share'
[ -s 0/out/torn.error.p0.txt ] && [ -s 1/out/torn.error.p1.txt ] || fail "no reasons are written"
cp n.input.p1.h5 1/q/.alone && mv 1/q/.alone 1/q/alone.input.p1.h5
says 1 'refused alone: party 0 has not got its share within 2 s'
[ "$(marks 0) $(marks 1)" = "$before" ] || fail "what is refused has used key slots"
stop 1
[ ! -e 1/q/stop ] && no_leftovers

# ---- a client with a site file: its inputs come sealed, its results go sealed, carried by programs of its own

for who in client thief; do "$TWAIN" site init $who --role client -q; done
for p in 0 1; do
  mkdir $p/q/cy $p/clients
  cp client/site.pem $p/clients/cy.pem
  printf '#!/bin/sh\ncp "$1" %s/q/cy/.new && mv %s/q/cy/.new %s/q/cy/"$(basename "$1")"\n' $p $p $p >put$p
  printf '#!/bin/sh\ncp %s/out/cy/"$1" "$2" 2>/dev/null\n' $p >get$p
done
chmod +x put? get?
sealed() { # SITE CLIENT OPTION...
  local site=$1 client=$2
  shift 2
  ask --client "$client" --site "$site" --seal-to 0/site/site.pem --seal-to 1/site/site.pem -q "$@"
}
begin --clients clients
sealed client cy 'a question' -o s1.h5 || show "no answer to a sealed question"
TMPDIR=$PWD "$TWAIN" ask n --put ./put0 --put ./put1 --get ./get0 --get ./get1 --site client --seal-to 0/site/site.pem \
  --seal-to 1/site/site.pem -q -o s2.h5 'carried' || show "no answer to a sealed question that is carried"
[ -z "$(ls -d twain-ask-* 2>/dev/null)" ] || fail "ask has left its folder"
[ -s s1.h5 ] && [ -s s2.h5 ] || fail "no answer is written"
for p in 0 1; do
  [ "$(find $p/out/cy -type f -name '*.result.p'$p'.h5.sealed' | wc -l)" = 2 ] || fail "not two sealed results: $(find $p/out)"
  [ -z "$(find $p/out/cy -type f ! -name '*.sealed')" ] || fail "a plain result is left: $(find $p/out)"
  [ -z "$(find $p/q $p/out -name '.*.p?.*')" ] || fail "a copy is left: $(find $p/q $p/out)"
done
file=$(find 0/out/cy -name '*.sealed' | head -n 1)
expect 12 'sealed to another site|another recipient|not sealed to|for another' "$TWAIN" unseal "$file" --site thief --from 0/site/site.pem -o x.h5
before="$(marks 0) $(marks 1)"
expect 7 'refuses the input: .*is not sealed, and this client has a site file here' \
  "$TWAIN" ask n --to 0/q --to 1/q --from 0/out --from 1/out --client cy -o x.h5 'plain'
expect 7 'refuses the input: .*is sealed, and this client has no site file here' \
  "$TWAIN" ask n --to 0/q --to 1/q --from 0/out --from 1/out --client al --site client --seal-to 0/site/site.pem \
  --seal-to 1/site/site.pem -o x.h5 'sealed'
expect 7 'refuses the input: .*is not from clients/cy.pem' \
  "$TWAIN" ask n --to 0/q --to 1/q --from 0/out --from 1/out --client cy --site thief --seal-to 0/site/site.pem \
  --seal-to 1/site/site.pem -o x.h5 'of another site'
"$TWAIN" encode n 'some words' -q --force
"$TWAIN" share n --input -q --force --site client --seal-to 0/site/site.pem --seal-to 1/site/site.pem
cp n.input.p0.h5.sealed 0/q/cy/.swap && mv 0/q/cy/.swap 0/q/cy/swap.input.p0.h5.sealed
cp n.input.p0.h5.sealed 1/q/cy/.swap && mv 1/q/cy/.swap 1/q/cy/swap.input.p1.h5.sealed # party 0's
says 1 'refused cy/swap: swap.input.p1.h5.sealed: '
says 0 'refused cy/swap: party 1 refuses its share'
[ "$(marks 0) $(marks 1)" = "$before" ] || fail "what is refused has used key slots"
ask 'and a plain one' -q --client al -o s3.h5 || show "a client without a site file is not served"
[ -z "$(find 0/q 1/q -type f)" ] || fail "inputs are left: $(find 0/q 1/q -type f)"
stop 0
expect 2 'said of both parties, or of none' "$TWAIN" ask n --to 0/q --to 1/q --from 0/out --from 1/out --site client --seal-to 0/site/site.pem x
expect 2 'clients needs a party of its own' mpirun -np 2 "$TWAIN" run n --serve --queue 0/q --out 0/out --clients 0/clients
"$TWAIN" share n --input -q --force

port=$(free_port)
job 0 --listen "127.0.0.1:$port" --batch 4
job 1 --connect "127.0.0.1:$port" --batch 6
ends 0 5 'differ in --batch.*party 0 has 4, party 1 has 6'
ends 1 5 'differ in --batch.*party 1 has 6, party 0 has 4'

# ---- what waits is served by the next service; one party is killed, and the other one says what was in hand

wait_in_both waits
begin
says 0 ' waits: 1 sequence, key slot 6, '
kill -s KILL "${jobs_of[1]}"
ends 0 7 'party 1.*; 1 inputs were served before, and none was in hand'
wait "${jobs_of[1]}" || true
[ -e 0/out/waits.result.p0.h5 ] && [ -e 1/out/waits.result.p1.h5 ] || fail "the result from before has gone"

# a peer that is slow, and is killed in the middle: its slots are used up, the input stays
wait_in_both held
begin --link-latency 100ms
until [ "$(marks 0)" -gt 7 ]; do sleep 0.01; done
kill -s KILL "${jobs_of[1]}"
ends 0 7 'in hand, and in the queue still: held; used up: key slots 7'
wait "${jobs_of[1]}" || true
[ -e 0/q/held.input.p0.h5 ] && [ ! -e 0/out/held.result.p0.h5 ] || fail "what was in hand is not where it was"
begin
says 1 ' held: 1 sequence, key slot 8, '
stop 0
no_leftovers

# ---- a party dies between finishing a result and delivering it: there are two halves of one result, or none

# dies ENDING0 ENDING1 [FILE]: where the parties are killed, "-" for nowhere; party 1 not before FILE is there
dies() {
  local p preload=$TWAIN_PRELOAD/preload_rename.so
  dying=()
  for p in 1 2; do
    if [ "${!p}" = - ]; then
      dying+=(A=0 A=0 A=0 A=0)
    else
      dying+=(LD_PRELOAD="$preload" TWAIN_RENAME_KILL="${!p}" TWAIN_RENAME_WAIT="$([ $p = 1 ] || echo "${3:-}")" A=0)
    fi
  done
  begin "${options[@]}"
  dying=()
  for p in 0 1; do
    local status=0
    wait "${jobs_of[p]}" || status=$?
    [ "$status" != 0 ] || show "party $p ends well"
  done
}
options=()
used_since() { # COUNT: slots a party
  [ "$(marks 0) $(marks 1)" = "$((used[0] + $1)) $((used[1] + $1))" ]
}
answer_of() { # NAME: the two results are of one run and right, the inputs are gone, and nobody refused it
  local p
  for p in 0 1; do
    until [ -e "$p/out/$1.result.p$p.h5" ]; do
      kill -0 "${jobs_of[p]}" 2>/dev/null || show "no answer to $1"
      sleep 0.02
    done
  done
  until [ -z "$(find 0/q 1/q -name "$1.*")" ]; do sleep 0.02; done
  for p in 0 1; do
    mv "$p/out/$1.result.p$p.h5" "n.result.p$p.h5"
    [ ! -e "$p/out/$1.error.p$p.txt" ] || fail "an answer and a refusal of $1"
  done
  expect 0 '' "$TWAIN" reveal n
  expect 0 '' "$TWAIN" check n
  rm n.result.*
  [ -z "$(find 0/out 1/out -name '*.finished')" ] || fail "finished and not delivered: $(find 0/out 1/out -name '*.finished')"
}
if [ -e "$TWAIN_PRELOAD/preload_rename.so" ]; then
  # party 0 has delivered, party 1 has not
  used=("$(marks 0)" "$(marks 1)") # a party that was killed may have marked one less
  wait_in_both late
  dies - .result.p1.h5 "$PWD/0/out/late.result.p0.h5"
  [ -e 0/out/late.result.p0.h5 ] && [ -e 1/out/late.result.p1.h5.finished ] && [ -e 1/q/late.input.p1.h5 ] ||
    show "party 1 was killed elsewhere"
  begin
  says 1 'late: delivered, as the service before had finished it'
  answer_of late
  stop 0
  used_since 1 || fail "late has used more than one slot"

  # neither has delivered
  wait_in_both both
  dies .result.p0.h5 .result.p1.h5
  [ -e 0/out/both.result.p0.h5.finished ] && [ -e 1/out/both.result.p1.h5.finished ] || show "not both have finished"
  begin
  answer_of both
  stop 0
  used_since 2 || fail "both has used more than one slot"

  # party 1 has not finished: party 0 delivers nothing, and both compute it again
  wait_in_both torn2
  dies - .result.p1.h5.finished
  [ -e 0/out/torn2.result.p0.h5.finished ] && [ ! -e 0/out/torn2.result.p0.h5 ] || show "party 0 delivers what the other one has not"
  begin
  says 0 'torn2: party 1 has not finished its result; computed again'
  answer_of torn2
  stop 0
  used_since 4 || fail "torn2 has not used two slots"

  # sealed: party 1 dies before the sealed one has its name
  options=(--clients clients)
  "$TWAIN" encode n 'some words' -q --force
  "$TWAIN" share n --input -q --force --site client --seal-to 0/site/site.pem --seal-to 1/site/site.pem
  for p in 0 1; do mv n.input.p$p.h5.sealed $p/q/cy/odd.input.p$p.h5.sealed; done
  dies - .result.p1.h5.sealed "$PWD/0/out/cy/odd.result.p0.h5.sealed"
  [ -e 0/out/cy/odd.result.p0.h5.sealed ] && [ -e 1/out/cy/odd.result.p1.h5.sealed.finished ] || show "party 1 was killed elsewhere"
  cp 1/out/cy/odd.result.p1.h5.sealed.finished kept
  begin --clients clients
  says 1 'cy/odd: delivered, as the service before had finished it'
  [ -e 1/out/cy/odd.result.p1.h5.sealed ] && [ ! -e 1/out/cy/odd.result.p1.h5.sealed.finished ] || fail "no sealed result"
  "$TWAIN" unseal 1/out/cy/odd.result.p1.h5.sealed --site client --from 1/site/site.pem -o opened -q
  cmp -s opened kept || fail "another result is sealed than was finished"
  stop 1
  # and after it, with the plain one not removed yet
  cp kept 1/out/cy/odd.result.p1.h5.sealed.finished
  chmod 2750 1/out/cy
  chmod 600 1/out/cy/odd.result.p1.h5.sealed
  begin --clients clients
  says 1 'cy/odd: delivered, as the service before had finished it'
  stop 1
  [ ! -e 1/out/cy/odd.result.p1.h5.sealed.finished ] && [ ! -e 1/out/cy/odd.error.p1.txt ] || fail "it is finished still"
  [ "$(stat -c %a 1/out/cy/odd.result.p1.h5.sealed)" = 640 ] || fail "the client's group may not read it"

  # what one party can no longer seal is refused on both; what else is finished, or of the same run, is delivered
  "$TWAIN" unseal 0/out/cy/odd.result.p0.h5.sealed --site client --from 0/site/site.pem -o kept0 -q
  for p in 0 1; do
    [ $p = 0 ] && half=kept0 || half=kept
    cp $half $p/out/cy/lost.result.p$p.h5.sealed.finished
    cp $half $p/out/al/late2.result.p$p.h5.finished
  done
  port=$(free_port)
  job 0 --listen "127.0.0.1:$port"
  job 1 --connect "127.0.0.1:$port"
  for p in 0 1; do ends $p 2 'a result of cy is to be sealed: say --clients'; done
  mv 1/clients/cy.pem cy.pem
  begin --clients clients
  says 1 'refused cy/lost: its result cannot be sealed to this client: clients/cy.pem: the site file has gone'
  says 0 'refused cy/lost: party 1 refuses its share'
  for p in 0 1; do says $p 'al/late2: delivered, as the service before had finished it'; done
  stop 0
  "$TWAIN" share n --input -q --force --site client --seal-to 0/site/site.pem --seal-to 1/site/site.pem
  mv cy.pem 1/clients/cy.pem
  for p in 0 1; do mv n.input.p$p.h5.sealed $p/q/cy/gone.input.p$p.h5.sealed; done
  "$TWAIN" share n --input -q --force
  wait_in_both al/stays
  used=("$(marks 0)" "$(marks 1)")
  begin --clients clients --link-latency 30ms
  for p in 0 1; do until [ "$(marks $p)" -gt "${used[p]}" ]; do sleep 0.01; done; done
  mv 1/clients/cy.pem cy.pem
  says 1 'refused cy/gone: its result cannot be sealed to this client: clients/cy.pem: the site file has gone'
  says 0 'refused cy/gone: party 1 cannot seal its result to this client'
  for p in 0 1; do says $p ' al/stays: 2 sequences, key slots '; done
  stop 1
  mv cy.pem 1/clients/cy.pem
  for p in 0 1; do
    for id in lost gone; do
      [ -s $p/out/cy/$id.error.p$p.txt ] && [ -z "$(find $p/out/cy -name "$id.result.*")" ] || fail "$id on $p: $(find $p/out/cy)"
    done
    [ -e $p/out/al/late2.result.p$p.h5 ] && [ -e $p/out/al/stays.result.p$p.h5 ] || fail "not delivered on $p: $(find $p/out/al)"
  done
  [ -z "$(find 0/q 1/q -type f)" ] || fail "inputs are left: $(find 0/q 1/q -type f)"
  "$TWAIN" share n --input -q --force
  options=()

  # of two runs, and refused by the other party: refused here, too
  cp 0/out/waits.result.p0.h5 0/out/two.result.p0.h5.finished
  cp kept 1/out/two.result.p1.h5.finished
  cp kept 1/out/no.result.p1.h5.finished
  echo 'not this one' >0/out/no.error.p0.txt
  begin
  for p in 0 1; do says $p 'refused two: the parties finished different runs of it'; done
  says 1 'refused no: party 0 refuses its share'
  stop 0
  [ -s 1/out/no.error.p1.txt ] && [ -s 0/out/two.error.p0.txt ] && [ -z "$(find ?/out -name '*.finished')" ] ||
    fail "what both parties refuse stays"

  # damaged: neither serves, and nothing is lost
  head -c 3000 kept >1/out/bad.result.p1.h5.finished
  port=$(free_port)
  job 0 --listen "127.0.0.1:$port"
  job 1 --connect "127.0.0.1:$port"
  for p in 0 1; do ends $p 4 'bad.result.p1.h5.finished'; done
  rm 1/out/bad.result.p1.h5.finished
fi

# ---- keys come to an end: one result, then both end with the same code, and the other input stays

wait_in_both first
wait_in_both second
begin --keys few
for p in 0 1; do ends $p 6 '1 inputs were served before; in hand, and in the queue still: second; no key slot was used'; done
[ -e 0/out/first.result.p0.h5 ] && [ -e 1/q/second.input.p1.h5 ] || fail "not the first one is served"

# ---- a live dealer, asked for keys for each run

pin() { "$TWAIN" site show "$1" | sed -n 's/^pin //p'; }
cat >pairs.json <<JSON
{"format": "twain pairs", "version": 2, "pairs": [{"party_0": "$(pin 0/site/site.pem)", "party_1": "$(pin 1/site/site.pem)"}]}
JSON
: >dealer.said
"$TWAIN" deal n --serve 127.0.0.1:0 --site dealer --pairs pairs.json 2>dealer.said &
dealer=$!
until grep -q 'on port' dealer.said; do kill -0 $dealer || { cat dealer.said; fail "no dealer"; }; sleep 0.02; done
port=$(grep -oE 'on port [0-9]+, at ' dealer.said | grep -oE '[0-9]+')
begin --dealer "127.0.0.1:$port" --dealer-peer ../dealer/site.pem
says 1 ' second: 1 sequence, key slot 0, '
ask 'one more' -q -o c.h5 || show "no answer with a live dealer"
says 1 ': 1 sequence, key slot 1, '
kill $dealer
wait $dealer || true
ask 'and one that has no keys' -q -o d.h5 --wait-limit 20 >asked 2>&1 & # waits for a result that does not come
first=$!
for p in 0 1; do ends $p 7 '2 inputs were served before; in hand, and in the queue still: [0-9a-f]{32}; no key slot was used'; done
kill $first
wait $first || true
rm -f ?/q/*.h5

# ---- a limit on the whole; what one party has wrong is told before it waits for the other

begin --time-limit 3
for p in 0 1; do ends $p 7 'time limit|party'; done
expect 3 'queue gone: cannot open the folder' bash -c 'cd 0 && exec "$TWAIN" run n --party 0 --site site --peer peer.pem \
  --ledger ledger --serve --queue gone --out out --listen 127.0.0.1:0'
! grep -q 'waits for party' said || fail "waits before it looks at its own folders"
expect 2 'one NAME, and one process a party' env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 SLURM_LOCALID=0 \
  "$TWAIN" run n n --party 0 --site 0/site --peer 0/peer.pem --listen 0 --serve --queue 0/q --out 0/out
no_leftovers
