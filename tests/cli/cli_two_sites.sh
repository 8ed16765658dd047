# Two parties as two jobs, each with files, ledger and site of its own, TLS between them: what they compute, who is not let
# in, what a listener sees. Each failure is one line on each side, says what became of the slots, and leaves nothing half
# written.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" import --shape bert-tiny -o n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 60 --test-seed 5 -q
"$TWAIN" encode n 'some words' 'and others' -q
"$TWAIN" share n --input -q
mkdir 0 1 strangers
for p in 0 1; do
  "$TWAIN" site init $p/site --role $p -q
  "$TWAIN" ledger --new $p/ledger -q
  cp n.plan.json $p
  mv n.*.p$p.h5 $p
done
cp 0/site/site.pem 1/peer.pem
cp 1/site/site.pem 0/peer.pem
"$TWAIN" site init strangers/p0 --role 0 -q
"$TWAIN" site init strangers/p1 --role 1 -q
"$TWAIN" site init strangers/dealer --role dealer -q

# ---- two jobs

job() { # FOLDER OPTION...: what it says is in FOLDER/said, its code in FOLDER/code; folders are of parties 0, 1, 0, 1
  local folder=$1 status=0
  shift
  (cd "$folder" && timeout 60 "$TWAIN" run "${name:-n}" --party $((folder % 2)) --site site --peer peer.pem --ledger ledger \
    --allow-test-keys --force --silence-limit "${silence:-20}" --wait-limit 20 "$@" >said 2>&1 </dev/null) || status=$?
  echo "$status" >"$folder/code.new"
  mv "$folder/code.new" "$folder/code"
}

begin() { # as job, in the background
  rm -f "$1/said" "$1/code"
  job "$@" &
}

listens() { # FOLDER: the port, once it does
  local port='' start=$SECONDS
  until [ -n "$port" ]; do
    port=$(sed -nE 's/.*waits for party [01] on port ([0-9]+), .*/\1/p' "$1/said" 2>/dev/null) || true
    [ -n "$port" ] && break
    [ ! -e "$1/code" ] && [ $((SECONDS - start)) -lt 30 ] || { cat "$1/said" >&2; fail "party of folder $1 does not listen"; }
    sleep 0.02
  done
  echo "$port"
}

# meet [KIND...]: party 0 listens with the options in listener, party 1 connects with those in dialler, through between.py
# if its words are there.
listener=() dialler=()
meet() {
  local port first via=
  begin 0 --listen 127.0.0.1:0 "${listener[@]}"
  first=$!
  port=$(listens 0)
  if [ $# -gt 0 ]; then
    rm -f port
    python3 "$SOURCE_DIR/tests/cli/between.py" "$port" "$@" >port &
    via=$!
    until [ -s port ]; do sleep 0.02; done
    port=$(cat port)
  fi
  job 1 --connect "127.0.0.1:$port" "${dialler[@]}"
  wait "$first"
  [ -z "$via" ] || { kill "$via"; wait "$via"; }
}

marks() { find "$1/ledger" -type f -regex '.*/[0-9]+' | wc -l; }
show() { tail -n 100 0/said 1/said >&2; fail "$@"; }

# ends FOLDER CODE TEXT: with one line about it, the slots said, and no result.
ends() {
  local line party=$(($1 % 2))
  [ "$(cat "$1/code")" = "$2" ] || show "party $1 ends with $(cat "$1/code"), not $2"
  line=$(grep -cE "^twain: party $party on [^ ]+: .*$3.*; (no key slot was used|used up: key slots [0-9])" "$1/said") || true
  [ "$line" = 1 ] || show "party $1 has $line lines with '$3'"
  [ "$(grep -vcE 'WARNING|waits for party|forecast: ' "$1/said")" = 1 ] || show "party $1 says more than that"
  [ ! -e "$1/n.result.p$party.h5" ] || show "party $1 has a result"
  [ -z "$(find "$1" -name '*.partial' -o -name '*.replaced')" ] || show "party $1 has left something behind"
}
spends() { # COMMAND...: how many slots of each party
  local before0 before1 wanted=$1
  shift
  before0=$(marks 0) before1=$(marks 1)
  "$@"
  [ "$(($(marks 0) - before0)) $(($(marks 1) - before1))" = "$wanted $wanted" ] || show "other slots than $wanted are marked"
}
works() {
  spends 2 meet
  [ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "the run fails"
  cp 0/n.result.p0.h5 1/n.result.p1.h5 .
  "$TWAIN" reveal n -q --force
  "$TWAIN" check n --exact --test-seed 5 -q || show "another result than the emulator's"
  rm -f n.result* ./?/n.result*
}

# ---- what works: each party may listen, addresses of both kinds, several streams, either order

works
grep -q 'opens by tls' 0/said && grep -q 'opens by tls' 1/said || show "no TLS"
listener=(--streams 3 --split-batch always) dialler=(--streams 3 --split-batch always)
works
listener=() dialler=()
spends 2 eval 'begin 1 --listen 0; port=$(listens 1); job 0 --connect "localhost:$port"; wait $!'
[ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "party 0 cannot connect"
if ip -6 addr show lo 2>/dev/null | grep -q ::1; then
  spends 2 eval 'begin 0 --listen "[::1]:0"; port=$(listens 0); job 1 --connect "[::1]:$port"; wait $!'
  [ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "no IPv6"
fi
port=$(free_port)
spends 2 eval 'begin 1 --connect "127.0.0.1:$port"; sleep 0.3; job 0 --listen "$port"; wait $!'
[ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "who dials does not wait"
rm -f ./?/n.result*

# ---- standard files that are closed: what is said goes nowhere, least of all into keys or line

closed() {
  local port
  port=$(free_port)
  (cd 0 && exec "$TWAIN" run n --party 0 --site site --peer peer.pem --ledger ledger --allow-test-keys --listen "127.0.0.1:$port" \
    --wait-limit 20 $1 <&- >&- 2>&-) &
  job 1 --connect "127.0.0.1:$port"
  closed=0
  wait $! || closed=$?
}
for words in -q -v; do # -v has much to say, and says that it cannot
  spends 2 closed $words
  [ "$closed$(cat 1/code)" = "$([ $words = -q ] && echo 00 || echo 30)" ] || show "closed standard files: $closed"
  "$TWAIN" verify 0/n.keys.p0.h5 >/dev/null && "$TWAIN" verify 0/n.result.p0.h5 >/dev/null || show "something was written into a file"
  rm -f ./?/n.result*
done

# ---- a ledger that is exchanged, or lost, while the run waits

exchanged() { # COMMAND: what happens to 0/ledger
  local port
  begin 0 --listen 127.0.0.1:0
  port=$(listens 0)
  mv 0/ledger 0/kept
  eval "$1"
  job 1 --connect "127.0.0.1:$port"
  wait $!
  [ -z "$(find 0/ledger -type f -name '[0-9]*' 2>/dev/null)" ] || show "a slot is marked in another ledger"
  rm -rf 0/ledger
  mv 0/kept 0/ledger
}
spends 0 exchanged '"$TWAIN" ledger --new 0/ledger -q'
for p in 0 1; do ends $p 5 'ledger: is another ledger than when this run began'; done
spends 0 exchanged :
for p in 0 1; do ends $p 3 'ledger'; done

# ---- whoever reads what is said has gone: the run goes on

unread() {
  (cd 0 && { "$TWAIN" run n --party 0 --site site --peer peer.pem --ledger ledger --allow-test-keys --listen "127.0.0.1:$1" -q \
    --wait-limit 20 2>&1; echo $? >code; } | true) &
  job 1 --connect "127.0.0.1:$1"
  wait $!
}
spends 2 unread "$(free_port)"
[ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "a run whose words nobody reads"
rm -f ./?/n.result*

# ---- command lines

refused() { # TEXT OPTION...
  local text=$1
  shift
  expect 2 "$text" "$TWAIN" run n "$@"
}
refused 'say --party 0 or 1' --listen 4433
refused 'needs --site FOLDER, --peer FILE' --party 0 --listen 4433
refused 'one of --listen, --connect and --relay is needed, and no more' --party 0 --listen 1 --connect a:1 --site 0/site --peer 0/peer.pem
refused "'nowhere': is not HOST:PORT" --party 0 --connect nowhere --site 0/site --peer 0/peer.pem
refused "'::1:80': is not PORT" --party 0 --listen ::1:80 --site 0/site --peer 0/peer.pem
expect 12 'is the site of party 1, and --party 0 needs one of party 0' "$TWAIN" run n --party 0 --listen 0 \
  --site 1/site --peer 0/peer.pem
expect 12 'is the file of party 0, and --party 0 needs the one of party 1' "$TWAIN" run n --party 0 --listen 0 \
  --site 0/site --peer 1/peer.pem
alone() { # PARTY OPTION...: one party, in its folder
  local p=$1
  shift
  cd "$p" && exec "$TWAIN" run n --party "$p" --site site --peer peer.pem --ledger ledger --allow-test-keys "$@"
}
export -f alone
expect 3 'this host has no such address' bash -c 'alone 0 --listen 192.0.2.1:0'
expect 7 'nobody has connected to port [0-9]+ in time \(waited for [0-9.]+ s\); no key slot was used' \
  bash -c 'alone 0 --listen 127.0.0.1:0 --wait-limit 0.2'
grep -qE 'waits for party 1 on port [0-9]+, at 127.0.0.1$' said || { cat said; fail "does not say where it listens"; }
expect 7 'nobody has connected' bash -c 'alone 0 --listen 0 --wait-limit 0.1'
grep -qE 'waits for party 1 on port [0-9]+, at all addresses of this host$' said || { cat said; fail "does not say where it listens"; }
expect 7 'no connection to 127.0.0.1, port 1: .* \(tried for [0-9.]+ s\); no key slot was used' \
  bash -c 'alone 1 --connect 127.0.0.1:1 --wait-limit 0.2'

# ---- a party's own mistakes are told at once, before anybody is waited for, and change nothing

own() { # CODE TEXT OPTION...: of party 0, which would wait for ten minutes
  local code=$1 text=$2
  shift 2
  find 0 -type f -exec sha256sum {} + | sort >before
  expect "$code" "$text" bash -c 'alone 0 --listen 127.0.0.1:0 "$@"' own "$@"
  ! grep -q 'waits for' said || { cat said; fail "waits before it looks at its own files"; }
  find 0 -type f -exec sha256sum {} + | sort | cmp -s before - || fail "a look at one's own files changed one: $text"
}
for file in n.plan.json n.model.p0.h5 n.keys.p0.h5 n.input.p0.h5; do
  mv 0/$file kept
  own 3 "$file: no such file.*; no key slot was used"
  echo damaged >0/$file
  chmod 600 0/$file
  own 4 "$file: "
  mv kept 0/$file
done
mv 0/n.keys.p0.h5 kept
touch 0/n.keys.p0.h5.sealed
own 3 'n.keys.p0.h5: no such file, but n.keys.p0.h5.sealed is there: open it with `twain unseal`'
rm 0/n.keys.p0.h5.sealed
mv 0/n.model.p0.h5 kept.model
live=(--dealer 127.0.0.1:1 --dealer-peer ../strangers/dealer/site.pem) # nobody is there: nobody is asked
own 3 'n.model.p0.h5: no such file' "${live[@]}"
mv kept.model 0/n.model.p0.h5
mv kept 0/n.keys.p0.h5
cp 1/n.keys.p1.h5 other && mv 0/n.keys.p0.h5 kept && mv other 0/n.keys.p0.h5
own 5 'n.keys.p0.h5: belongs to party 1, but this is party 0'
mv kept 0/n.keys.p0.h5
own 3 'none: no such ledger' --ledger none
"$TWAIN" ledger --new 0/second -q
own 5 'is recorded|ledger' --ledger second
rm -rf 0/second
touch 0/n.result.p0.h5
own 3 'n.result.p0.h5: exists already'
rm 0/n.result.p0.h5
own 6 'from key slot 59 on: the key file holds slots 0 to 59' --slot 59
own 6 'key slot|used' --slot 0
own 2 '--keys names a key file, --dealer needs none' --keys n "${live[@]}"
own 2 'a live dealer numbers the slots itself' --slot 3 "${live[@]}"
cp 0/n.plan.json kept
"$TWAIN" plan n --seq 15 -q --force
mv n.plan.json 0/n.plan.json
own 5 'the keys were dealt for plan'
cp kept 0/n.plan.json
mv kept n.plan.json
chmod 644 1/site/site.key
expect 3 'site.key' "$TWAIN" run n --party 1 --connect 127.0.0.1:1 --site 1/site --peer 1/peer.pem
chmod 600 1/site/site.key

# ---- who it is: a refusal at either end, both say it, nothing is spent

cp 1/site/site.pem 0/good.pem
cp 0/site/site.pem 1/good.pem
cp strangers/p1/site.pem 0/peer.pem # party 1 is not whom party 0 wants to talk to
spends 0 meet
ends 0 12 'has another key'
ends 1 12 "party 0 refuses this party: it does not know this party's public key"
mv 0/good.pem 0/peer.pem
cp strangers/p0/site.pem 1/peer.pem
spends 0 meet
ends 1 12 'has another key'
ends 0 12 "party 1 refuses this party: it does not know this party's public key"
mv 1/good.pem 1/peer.pem

# ---- a certificate that has expired, one that is not valid yet; a twain of another version. The other side is an honest one

if [ -e "$TWAIN_PRELOAD/preload_site.so" ]; then
  for when in '-60 has expired|was valid until' '60 not valid (yet|before)|valid from'; do
    for party in 0 1; do
      mv $party/site $party/kept
      LD_PRELOAD=$TWAIN_PRELOAD/preload_site.so TWAIN_CLOCK_DAYS=${when%% *} "$TWAIN" site init $party/site --role $party --days 30 -q
      cp $((1 - party))/peer.pem $((1 - party))/good.pem
      cp $party/site/site.pem $((1 - party))/peer.pem
      spends 0 meet
      ends $((1 - party)) 12 "(${when#* })"
      ends $party 12 "party $((1 - party)) refuses this party: this party's certificate is not valid at this time"
      rm -r $party/site
      mv $party/kept $party/site
      mv $((1 - party))/good.pem $((1 - party))/peer.pem
    done
  done
  for other in 0 1; do # who answers hears the other's version first
    spends 0 eval 'begin $((1 - other)) --listen 127.0.0.1:0; port=$(listens $((1 - other)))
      LD_PRELOAD=$TWAIN_PRELOAD/preload_site.so TWAIN_LINE_VERSION="$other 7" job $other --connect "127.0.0.1:$port"; wait $!'
    ends $((1 - other)) 5 'differ in version of the line between sites: this one has 1, the other 7; run the same twain on both'
    ends $other 5 'stopped: the parties differ in version of the line'
  done
fi

# ---- what it is: no twain, no TLS, no word

stranger() { # PYTHON TEXT-OF-0 CODE: connects instead of party 1; the program has the port in `port`
  begin 0 --listen 127.0.0.1:0
  python3 - "$(listens 0)" <<PYTHON &
import socket, ssl, sys, time
port = int(sys.argv[1])
$1
PYTHON
  wait
  ends 0 "$3" "$2"
}
spends 0 stranger 's = socket.create_connection(("127.0.0.1", port)); s.sendall(b"GET / HTTP/1.0\r\n\r\n"); s.recv(99)' \
  'no TLS 1.3 with party 1 there' 12
spends 0 stranger 'import os; s = socket.create_connection(("127.0.0.1", port)); s.sendall(b"\xff" + os.urandom(999)); s.recv(99)' \
  'no TLS 1.3 with party 1 there' 12
# a TLS client without a certificate, one with another's, one that speaks TLS 1.2
client='c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE'
talk='s = c.wrap_socket(socket.create_connection(("127.0.0.1", port))); s.sendall(b"x"); s.recv(1)'
spends 0 stranger "$client
try: $talk
except OSError: pass" 'what connected has no certificate' 12
spends 0 stranger "$client
c.load_cert_chain('strangers/p1/site.pem', 'strangers/p1/site.key')
try: $talk
except OSError: pass" 'has another key' 12
spends 0 stranger "$client
c.load_cert_chain('1/site/site.pem', '1/site/site.key')
c.maximum_version = ssl.TLSVersion.TLSv1_2
try: $talk
except OSError: pass" 'no TLS 1.3 with party 1 there' 12
# the right key, and then words that no twain says: 4096 bytes, or fewer and the end
spends 0 stranger "$client
c.load_cert_chain('1/site/site.pem', '1/site/site.key')
s = c.wrap_socket(socket.create_connection(('127.0.0.1', port))); s.sendall(bytes(4096)); s.recv(1)" \
  "first words do not belong to it" 12
spends 0 stranger "$client
c.load_cert_chain('1/site/site.pem', '1/site/site.key')
s = c.wrap_socket(socket.create_connection(('127.0.0.1', port))); s.sendall(bytes(100))
try: s.unwrap()
except OSError: pass" 'closed the connection' 7
# silence: at once, in the handshake, behind it
silence=1
spends 0 stranger 's = socket.create_connection(("127.0.0.1", port)); s.recv(1)' 'TLS handshake: silence' 7
spends 0 stranger 's = socket.create_connection(("127.0.0.1", port)); s.sendall(b"\x16\x03\x01\x02"); s.recv(1)' \
  'TLS handshake: silence' 7
silence=5 # a busy machine must come as far as that in this time
spends 0 stranger "$client
c.load_cert_chain('1/site/site.pem', '1/site/site.key')
s = c.wrap_socket(socket.create_connection(('127.0.0.1', port))); s.recv(1)" 'says nothing: silence' 7
silence=

# ---- what differs

dialler=(--streams 2)
spends 0 meet
ends 0 5 'differ in number of streams: this one has 1, the other 2; give both the same --streams'
ends 1 5 'stopped: the parties differ in number of streams'
dialler=()
listener=(--slot 50) dialler=(--slot 51)
spends 0 meet
for p in 0 1; do ends $p 5 'the parties differ in the first key slot'; done
listener=() dialler=()

# ---- somebody in between

spends 0 meet cut 0 up 100 # in the handshake
ends 0 7 'the connection was cut'
ends 1 7 'the connection was cut'
spends 0 meet cut 0 up 5000 # in the first words
ends 0 7 'the connection was cut'
spends 0 meet flip 0 down 3000 # whatever it hits there, it is no TLS any more
[ "$(cat 0/code)" != 0 ] && [ "$(cat 1/code)" != 0 ] || show "a bit is wrong in the handshake"
for kind in cut flip insert drop; do
  spends 2 meet "$kind" 1 down 100000
  for p in 0 1; do ends $p 7 'the line to party [01] broke|the other party \([01]\) stopped'; done
done
silence=5
spends 2 meet freeze 0 up 100000
ends 0 7 'nothing moved for 5 s|the other party \(1\) stopped|the line to party 1 broke'
ends 1 7 'nothing moved for 5 s|the other party \(0\) stopped|the line to party 0 broke'
silence=
spends 2 meet drip
[ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "bytes in small pieces are not put together"
rm -f ./?/n.result*

# ---- ended by a signal: it says what became of the slots, too

rm -f 0/code
alone 0 --listen 127.0.0.1:0 >0/said 2>&1 &
signalled=$!
port=$(listens 0)
kill $signalled
wait $signalled && fail "no end by a signal"
grep -qE '^twain: party 0 on [^ ]+: ended by a signal, .*; no key slot was used$' 0/said || show "a signal while it waits"
before=$(marks 0)
alone 0 --listen 127.0.0.1:0 --link-latency 50ms >0/said 2>&1 &
signalled=$!
port=$(listens 0)
begin 1 --connect "127.0.0.1:$port" --link-latency 50ms
until [ "$(marks 0)" = $((before + 2)) ]; do kill -0 $signalled || show "party 0 has ended"; sleep 0.01; done
kill $signalled # asks for an end, after what is in hand
sleep 1.1
kill $signalled
wait $signalled && fail "no end by a signal"
wait
grep -qE '^twain: party 0 on [^ ]+: ended by a signal, .*; used up: key slots [0-9]+-[0-9]+$' 0/said || show "a signal in a run"
ends 1 7 'the line to party 0 broke'
[ "$(marks 1)" = $((before + 2)) ] || show "party 1 has marked $(marks 1) slots, not $((before + 2))"

# ---- what a listener sees: no id, no name, no server; and nothing that depends on a name's length

word() { h5dump -a "/$1" 0/n.keys.p0.h5 | grep -oE '"[0-9a-f]{32,64}"' | tr -d '"'; }
plan=$(sha256sum <n.plan.json | cut -d ' ' -f 1)
names=(n "$(printf 'x%.0s' {1..60})")
for name in "${names[@]}"; do
  for p in 0 1; do
    for file in plan.json "model.p$p.h5" "keys.p$p.h5" "input.p$p.h5"; do
      [ -e "$p/$name.$file" ] || cp "$p/n.$file" "$p/$name.$file"
    done
  done
  mkdir "kept.$name"
  listener=(--streams 2) dialler=(--streams 2)
  spends 2 meet keep "kept.$name"
  [ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "the run fails"
  [ "$(ls "kept.$name" | wc -l)" = 8 ] || fail "not all connections were kept"
  cat 0/said 1/said >>logs
  "$python" "$SOURCE_DIR/tests/cli/wire.py" "kept.$name" "$(word key_id)" "$(word plan)" "$(word model_id)" "$plan" \
    "$(hostname)" "$(id -un)" "${names[1]}" 'some words' 'twain two sites' twain party \
    >"records.$name" || fail "the wire shows what it should not"
done
cmp "records.${names[0]}" "records.${names[1]}" || fail "lengths of records depend on the run's name"
name=
rm -f ./?/*.result*

# ---- two runs of the same sites: their connections swapped, a run's bytes told to another

cp -r 0 2
cp -r 1 3
swapped() {
  local one two pids=()
  for p in 0 2; do begin $p --listen 127.0.0.1:0 --streams 2; pids+=($!); done
  one=$(listens 0) two=$(listens 2)
  rm -f port
  python3 - "$one" "$two" >port <<'PYTHON' &
import signal, sys, threading
import between
ports = [int(port) for port in sys.argv[1:]]
both = threading.Barrier(2)  # a run that is ahead would meet the other one's first connection
def port_for(number, run):
    if number != 2:
        return ports[run]
    both.wait()
    return ports[1 - run]
runs = [between.Between(lambda number, run=run: port_for(number, run)) for run in (0, 1)]
print(*(run.port for run in runs), flush=True)
signal.pause()
PYTHON
  local via=$!
  until [ -s port ]; do sleep 0.02; done
  read -r one two <port
  begin 1 --connect "127.0.0.1:$one" --streams 2
  pids+=($!)
  begin 3 --connect "127.0.0.1:$two" --streams 2
  wait "${pids[@]}" $!
  kill $via
}
spends 0 swapped
for p in 0 1 2 3; do ends $p 12 'connection 2 does not belong to this run'; done
[ "$(marks 2) $(marks 3)" = "$(marks 0) $(marks 1)" ] || show "a slot is marked"
rm -rf 2 3

spends 0 stranger "s = socket.create_connection(('127.0.0.1', port))
s.sendall(open('kept.n/0.up', 'rb').read())
try:
    while s.recv(9999): pass
except OSError: pass" 'no TLS 1.3 with party 1 there' 12

# ---- two processes a party, started by a launcher of its own: process i talks to process i

for p in 0 1; do
  ln -s "n.input.p$p.h5" "$p/m.input.p$p.h5" # one input twice; plan, model and keys by --model
done
two_ports() { # the first of two neighbours, chosen as free_port does
  python3 -c 'import random, socket
while True:
    port = random.randint(20000, 31999)
    try:
        for each in (port, port + 1): socket.create_server(("127.0.0.1", each)).close()
    except OSError: continue
    print(port); break'
}
party_of() { # PARTY PROCESSES NAMES... -- OPTION...
  local party=$1 processes=$2 status=0 names=()
  shift 2
  while [ "$1" != -- ]; do names+=("$1"); shift; done
  shift
  (cd "$party" && timeout 60 mpirun -np "$processes" "$TWAIN" run "${names[@]}" --model n --party "$party" --site site --peer peer.pem \
    --ledger ledger --allow-test-keys --force --wait-limit 20 "$@" >said 2>&1 </dev/null) || status=$?
  echo "$status" >"$party/code"
}
two_processes() {
  local port
  port=$(two_ports)
  party_of 0 2 n m -- --listen "127.0.0.1:$port" &
  party_of 1 2 n m -- --connect "127.0.0.1:$port"
  wait $!
}
spends 4 two_processes
[ "$(cat 0/code 1/code | tr -d '\n')" = 00 ] || show "two processes a party fail"
grep -q 'party 0, process 1 on .*waits for party 1' 0/said || show "process 1 does not say who it is"
for file in n.input.h5 n.model.h5 n.model.json n.plan.json n.model.dealer.h5 n.client.h5; do cp "$file" "m${file#n}"; done
for run in n m; do
  cp "0/$run.result.p0.h5" "1/$run.result.p1.h5" .
  "$TWAIN" reveal "$run" -q --force
  cp -n 0/n.keys.p0.h5 1/n.keys.p1.h5 0/n.model.p0.h5 1/n.model.p1.h5 0/n.input.p0.h5 1/n.input.p1.h5 . 2>/dev/null || true
  "$TWAIN" check "$run" --exact --test-seed 5 -q || fail "another result than the emulator's, of $run"
done
rm -f *.result* ./?/*.result*
one_and_two() {
  local port
  port=$(two_ports)
  party_of 0 2 n m -- --listen "127.0.0.1:$port" & # its launcher ends process 1, for which nobody comes
  party_of 1 1 n -- --connect "127.0.0.1:$port"
  wait $!
}
spends 0 one_and_two
grep -q 'differ in number of processes: this one has 2, the other 1; start as many on both sides' 0/said || show "no word on processes"
grep -q 'differ in number of processes' 1/said || show "no word on processes"
expect 2 '2 NAMEs for 1 process of this party' "$TWAIN" run n m --party 0 --listen 0 --site 0/site --peer 0/peer.pem
expect 2 '3 NAMEs for 2 processes of this party' env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 SLURM_LOCALID=0 \
  "$TWAIN" run n m l --party 0 --listen 0 --site 0/site --peer 0/peer.pem # srun
expect 2 '2 NAMEs for 1 process of this party' env SLURM_NTASKS=2 SLURM_PROCID=0 \
  "$TWAIN" run n m --party 0 --listen 0 --site 0/site --peer 0/peer.pem # a batch script's own process
expect 2 'several NAMEs are for the processes of a party of its own' "$TWAIN" run n m

# ---- no secret in what is said, and none in arguments: only the names of files stand there

for key in 0/site/site.key 0/site/seal.key 1/site/site.key 1/site/seal.key; do
  ! grep -qF "$(sed -n 2p $key)" logs ?/said || fail "a private key is in what a job says"
done
