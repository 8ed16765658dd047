# Two sites that meet by a detour: a line relay, an HTTP proxy, a command, inherited sockets. The same result as between
# two ranks; what fails says so, and uses no slot up unless it was marked.
source "$SOURCE_DIR/tests/cli/cli.bash"

detours=$SOURCE_DIR/tests/cli/detours.py
children=()
trap 'kill "${children[@]}" 2>/dev/null || true' EXIT

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 64 -q
"$TWAIN" encode n 'some words to encode' -q
"$TWAIN" share n --input -q
for party in 0 1; do
  "$TWAIN" site init s$party --role $party -q --allow-unlocked
  "$TWAIN" ledger --new l$party -q
done

party() { # PARTY OPTION...
  timeout 60 "$TWAIN" run n --party "$1" --site "s$1" --peer "s$((1 - $1))/site.pem" --ledger "l$1" --force \
    --silence-limit 20 --wait-limit 30 --allow-unlocked "${@:2}"
}
export -f party
digest() { h5dump -d /value "$1" | grep -v HDF5 | sha256sum; }

# both CODE TEXT0 TEXT1 -- OPTION0... -- OPTION1...: both parties end with CODE and say their text.
both() {
  local code=$1 text=("$2" "$3") words0=() status status0=0 status1=0
  shift 4
  while [ "$1" != -- ]; do words0+=("$1"); shift; done
  shift
  rm -f n.result.p?.h5
  party 0 "${words0[@]}" >said0 2>&1 & local first=$!
  [ -z "${late:-}" ] || sleep "$late"
  party 1 "$@" >said1 2>&1 || status1=$?
  wait $first || status0=$?
  for status in 0 1; do
    local here=$status0; [ $status = 0 ] || here=$status1
    [ "$here" = "$code" ] || { cat said0 said1; fail "party $status ended with $here, not $code"; }
    grep -qE -- "${text[status]}" said$status || { cat said0 said1; fail "party $status does not say '${text[status]}'"; }
  done
  if [ "$code" = 0 ]; then
    [ -e n.result.p0.h5 ] && [ -e n.result.p1.h5 ] || fail "no result"
    "$TWAIN" reveal n --force >/dev/null
    "$TWAIN" check n >/dev/null || fail "another result than the model's"
  else
    [ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a result of a run that failed"
  fi
}

start_relay() { # sets ports[0], ports[1] and relay
  : >relay.said
  "$TWAIN" relay --port-0 "127.0.0.1:${1:-$(free_port)}" --port-1 "127.0.0.1:${2:-$(free_port)}" --allow-0 127.0.0.1 --allow-1 127.0.0.1 \
    "${@:3}" 2>relay.said &
  relay=$!
  children+=("$relay")
  until grep -q 'comes to port' relay.said; do kill -0 $relay || fail "no relay"; sleep 0.02; done
  mapfile -t ports < <(grep -oE 'port [0-9]+' relay.said | cut -c6-)
}

# ---- a line relay, from the first in time to a late one and an early one
start_relay
both 0 '' '' -- --relay "127.0.0.1:${ports[0]}" -- --relay "127.0.0.1:${ports[1]}"
late=1.5 both 0 '' '' -- --relay "127.0.0.1:${ports[0]}" --streams 3 -- --relay "127.0.0.1:${ports[1]}" --streams 3
grep -q 'the run has ended: 6 connections' relay.said || { cat relay.said; fail "not six connections"; }
kill $relay
wait $relay || fail "the relay ended with $?"
start_relay "${ports[0]}" "${ports[1]}" --complete-limit 0.3   # ends each connection before the other party comes
late=2 both 0 '' '' -- --relay "127.0.0.1:${ports[0]}" -- --relay "127.0.0.1:${ports[1]}"
grep -q 'nobody came to the other port in time' relay.said || { cat relay.said; fail "nobody waited"; }
both 7 'party 1 has not come in time' 'no connection to 127.0.0.1' -- --relay "127.0.0.1:${ports[0]}" --wait-limit 2 \
  -- --relay 127.0.0.1:9 --wait-limit 2
"$TWAIN" site init other --role 0 -q --allow-unlocked
both 12 "party 1 refuses this party" "has another key" -- --relay "127.0.0.1:${ports[0]}" -- --relay "127.0.0.1:${ports[1]}" \
  --peer other/site.pem
kill $relay; wait $relay || true

# ---- an HTTP proxy
start_proxy() {
  python3 "$detours" proxy "$1" >proxy.port & children+=($!)
  until [ -s proxy.port ]; do sleep 0.02; done
  proxy=http://127.0.0.1:$(cat proxy.port)
  rm proxy.port
}
listen=127.0.0.1:$(free_port)
start_proxy good
both 0 '' '' -- --listen "$listen" -- --connect "$listen" --proxy "$proxy/" --streams 1
late=1 both 0 '' '' -- --connect "$listen" --proxy "$proxy" --streams 2 -- --listen "$listen" --streams 2
start_relay
both 0 '' '' -- --relay "127.0.0.1:${ports[0]}" --proxy "$proxy" -- --relay "127.0.0.1:${ports[1]}" --proxy "$proxy"
kill $relay
start_proxy late
both 0 '' '' -- --listen "$listen" -- --connect "$listen" --proxy "$proxy"
refused() { # MODE TEXT
  start_proxy "$1"
  expect 7 "--proxy 127.0.0.1:[0-9]+: $2.*no key slot was used" \
    bash -c 'party 1 --connect "$1" --proxy "$2" --wait-limit "$3"' refused "$listen" "$proxy" "${3:-30}"
}
refused 407 'the proxy asks for a name and a password .HTTP/1.1 407 Proxy Authentication Required'
refused 403 'the proxy does not allow connections to 127.0.0.1, port [0-9]+ .HTTP/1.1 403 Forb\?\[31midden'
refused 500 'the proxy refuses .HTTP/1.1 500 Broken'
refused garbage 'what answers there is no HTTP proxy'
refused endless 'what answers there is no HTTP proxy: its answer does not end'
refused cut 'the proxy has closed the connection without an answer'
refused good 'the proxy finds nobody at 127.0.0.1, port [0-9]+ .HTTP/1.1 503' 1
refused silent 'the proxy says nothing: silence' 1

# ---- a command
pipe="python3 '$detours' pipe %h %p"
late=1 both 0 '' '' -- --connect "$listen" --proxy-command "$pipe" --streams 2 -- --listen "$listen" --streams 2
both 7 'has not come in time' 'nobody has connected' -- --connect "$listen" --proxy-command 'false # %h 100%%' --wait-limit 2 \
  -- --listen 127.0.0.1:0 --wait-limit 1

# ---- inherited sockets
passed() { # WHAT OPTION-OF-0 OPTION-OF-1
  rm -f n.result.p?.h5
  timeout 60 python3 "$detours" pass "$1" bash -c "party 0 --listen fd:FD $2" -- bash -c "party 1 --connect $3" >said 2>&1 ||
    { cat said; fail "inherited sockets: $1"; }
  [ -e n.result.p0.h5 ] && [ -e n.result.p1.h5 ] || fail "no result by inherited sockets"
}
passed listening '' FD
passed 2 '' fd:FD
passed 4 '--streams 2' 'fd:FD --streams 2'

# ---- what does not go together
usage() { expect 2 "$1" bash -c 'party 1 "$@"' usage "${@:2}"; }
usage 'one of --listen, --connect and --relay' --connect h:1 --relay h:2
usage "is not http://HOST:PORT" --connect h:1 --proxy https://h:2
usage "is not http://HOST:PORT" --connect h:1 --proxy http://name:word@h:2
usage "either --proxy or --proxy-command" --connect h:1 --proxy http://h:2 --proxy-command x
usage "--proxy: is a way to HOST:PORT" --listen 1 --proxy http://h:2
usage "behind % stands h" --connect h:1 --proxy-command 'ssh %r'
usage "is no list of descriptors" --connect fd:
usage "is not an inherited socket" --connect fd:0
for number in 0 1 2; do # what is printed would go onto the line
  expect 2 '' python3 -c 'import os, socket, subprocess, sys
ours, theirs = socket.socketpair()
said = [subprocess.PIPE if fd != int(sys.argv[1]) else theirs for fd in (1, 2)]
done = subprocess.Popen(sys.argv[2:], stdin=theirs if sys.argv[1] == "0" else None, stdout=said[0], stderr=said[1])
theirs.close()
out, err = done.communicate()
print((err or ours.recv(9999)).decode())
sys.exit(done.returncode)' $number bash -c "party 1 --connect fd:$number,$number"
  grep -q '0, 1 and 2 are for what is typed and printed' said || { cat said; fail "descriptor $number is taken for the line"; }
done
expect 2 "say --party 0 or 1" "$TWAIN" run n --relay h:1
expect 2 "say --party 0 or 1" "$TWAIN" run n --proxy http://h:1

# ---- the line relay is lost during the run: both say so, the slot is used up, nothing is written
start_relay
before=$(find l0 l1 -type f | wc -l)
(
  until [ "$(find l0 l1 -type f | wc -l)" -ge $((before + 2)) ]; do sleep 0.002; done
  kill -9 $relay
) & children+=($!)
both 7 'the line to party 1 broke.*used up' 'the line to party 0 broke.*used up' -- --relay "127.0.0.1:${ports[0]}" \
  --link-latency 5ms -- --relay "127.0.0.1:${ports[1]}" --link-latency 5ms
