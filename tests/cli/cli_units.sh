# The units of systemd/: systemd takes them, they give a relay next to nothing and a live dealer little, and their command
# lines work with the variables that README.md names. A relay makes no call that its unit forbids. Left out without
# systemd-analyze.
source "$SOURCE_DIR/tests/cli/cli.bash"

leave_out() { echo "left out: $*"; exit 77; }
command -v systemd-analyze >/dev/null || leave_out "no systemd-analyze"
mkdir bin
cp "$TWAIN" bin/twain

# what README.md shows for relay-minilm.conf or dealer-minilm.conf
shown() { sed -n "/^\`\/etc\/twain\/$1-minilm.conf/,/^|/s/^    \([A-Z_0-9]*=.*\)/\1/p" "$SOURCE_DIR/systemd/README.md"; }

check_unit() { # KIND WORST: the unit of a pair, with this folder in the place of the system's
  local unit=twain-$1@pair.service exposure
  sed "s|/usr/local/bin/twain|$PWD/bin/twain|; s|/etc/twain|$PWD|" "$SOURCE_DIR/systemd/twain-$1@.service" >"$unit"
  systemd-analyze verify "./$unit" >said 2>&1 || { cat said; fail "systemd refuses $unit"; }
  ! grep -F "$unit" said || fail "systemd complains of $unit"
  exposure=$({ systemd-analyze security --offline=true "./$unit" 2>/dev/null || true; } | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
  [ -n "$exposure" ] || { echo "$unit: stands; this systemd-analyze has no --offline"; return; }
  python3 -c 'import sys; sys.exit(not float(sys.argv[1]) <= float(sys.argv[2]))' "$exposure" "$2" || fail "exposure of $unit is $exposure"
  echo "$unit: exposure $exposure"
}

# start KIND TRACER...: the unit's command line, as systemd splits it: ${X} is one word, $X is split at blanks
start() {
  local kind=$1 line variable value
  shift
  line=$(sed -n 's/^ExecStart=//p' "twain-$kind@pair.service" | sed 's/\${\([A-Z_0-9]*\)}/"$\1"/g')
  while IFS='=' read -r variable value; do export "$variable=$value"; done <"$kind-pair.conf"
  eval "exec $* $line" >"$kind.log" 2>&1
}
await() { until grep -qs "$2" "$1.log" || ! kill -0 "$3" 2>/dev/null; do sleep 0.1; done; }

# ---- a line relay
check_unit relay 2.0
shown relay >readme.conf
[ "$(wc -l <readme.conf)" = 5 ] || { cat readme.conf; fail "README.md shows another file"; }
sed 's/^PORT_\(.\)=.*/PORT_\1=0/; s/^ALLOW_\(.\)=/&127.0.0.1,/' readme.conf >relay-pair.conf
tracer=()
command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null && tracer=(strace -f -o calls)
start relay "${tracer[@]}" &
relay=$!
await relay 'comes to port' $relay
read -r port_0 port_1 < <(sed -n 's/.*party 0 comes to port \([0-9]*\), party 1 to port \([0-9]*\).*/\1 \2/p' relay.log)
[ -n "${port_1:-}" ] || { cat relay.log; fail "the unit's command line does not start a relay"; }
python3 - "$port_0" "$port_1" <<'PY'
import socket, sys
a, b = (socket.create_connection(("127.0.0.1", int(port)), timeout=20) for port in sys.argv[1:])
a.sendall(b"to the other")
got = b""
while len(got) < 12:
    got += b.recv(12)
assert got == b"to the other", got
PY
kill "$(pgrep -P $relay -x twain || echo $relay)"
wait $relay || { cat relay.log; fail "a relay that is stopped fails"; }

# the calls that the unit's filter lets through
allowed() {
  local word
  for word in $(systemd-analyze syscall-filter "$1" | sed 1d | grep -v '#'); do
    case $word in @*) allowed "$word" ;; *) echo "$word" ;; esac
  done
}
if [ -s calls ]; then
  ! grep -E 'socket\(AF_' calls | grep -vE 'AF_(INET6?|NETLINK|UNIX),' || fail "a socket that the unit forbids"
  ! grep -E 'PROT_WRITE\|PROT_EXEC' calls || fail "memory that the unit forbids"
  grep -q '^SystemCallFilter=@system-service$' twain-relay@pair.service || fail "another filter than is tested"
  sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' calls | sort -u >made
  allowed @system-service | sort -u >lets
  [ -z "$(comm -23 made lets)" ] || fail "calls that the unit forbids: $(comm -23 made lets | tr '\n' ' ')"
fi

# ---- a live dealer
check_unit dealer 2.5
shown dealer >readme.conf
[ "$(wc -l <readme.conf)" = 5 ] || { cat readme.conf; fail "README.md shows another file for a dealer"; }
"$TWAIN" import --shape 1x8x1x8 -o n -q
"$TWAIN" plan n --seq 4 -q
"$TWAIN" share n -q
for role in dealer 0 1; do "$TWAIN" site init site-$role --role $role -q; done
pin() { "$TWAIN" site show site-$1/site.pem --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pin"])'; }
echo "{\"format\": \"twain pairs\", \"version\": 2, \"pairs\": [{\"party_0\": \"$(pin 0)\", \"party_1\": \"$(pin 1)\"}]}" >pairs.json
sed "s|^NAME=.*|NAME=$PWD/n|; s|^SITE=.*|SITE=$PWD/site-dealer|; s|^PAIRS=.*|PAIRS=$PWD/pairs.json|; s|^SERVE=.*|SERVE=0|" readme.conf >dealer-pair.conf
start dealer &
dealer=$!
await dealer 'deals to 1 pair' $dealer
kill -0 $dealer 2>/dev/null || { cat dealer.log; fail "the unit's command line does not start a live dealer"; }
kill $dealer
wait $dealer || { cat dealer.log; fail "a live dealer that is stopped fails"; }

# ---- a party that serves
check_unit party 2.5
shown party >readme.conf
[ "$(wc -l <readme.conf)" = 9 ] || { cat readme.conf; fail "README.md shows another file for a party"; }
"$TWAIN" deal n -n 1 -q
"$TWAIN" ledger --new ledger -q
mkdir -m 700 queue out
sed "s|/var/lib/twain-party/minilm|$PWD/n|; s|/var/lib/twain-party/site|$PWD/site-0|; s|/var/lib/twain-party/party1.pem|$PWD/site-1/site.pem|
     s|/var/lib/twain-party|$PWD|; s|^LINE=.*|LINE=--listen 127.0.0.1:0|; s|^OPTIONS=.*|OPTIONS=--wait-limit 1|" readme.conf >party-pair.conf
status=0
start party & wait $! || status=$?
[ "$status" = 7 ] && grep -q 'waits for party 1 on port' party.log || { cat party.log; fail "the unit's command line does not start a party"; }
# what stops it: the file, and then the end of the process is awaited
sleep 1 & main=$!
QUEUE=$PWD/queue MAINPID=$main bash -c "$(sed -n 's/^ExecStop=//p' twain-party@pair.service | sed 's/\$\$/$/g')"
! kill -0 $main 2>/dev/null && [ -e queue/stop ] || fail "the unit's ExecStop does not stop by the file"
