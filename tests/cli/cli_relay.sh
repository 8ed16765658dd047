# The line relay: what plain sockets see of it, and what its command line refuses.
source "$SOURCE_DIR/tests/cli/cli.bash"

relay() { "$TWAIN" relay --port-0 "${1:-127.0.0.1:0}" --port-1 "${2:-127.0.0.1:0}" --allow-0 "${3:-any}" --allow-1 "${4:-any}"; }
export -f relay
refused() { # CODE TEXT WORD...
  expect "$1" "$2" bash -c 'relay "$@"' relay "${@:3}"
}
expect 2 '--port-0 is missing' "$TWAIN" relay
expect 2 'who may come to --port-1' "$TWAIN" relay --port-0 0 --port-1 0 --allow-0 any
refused 2 "--port-0 'host:': is not PORT or ADDR:PORT" host:
refused 2 "--port-1 '::1:80': is not .* stands in brackets" 0 ::1:80
refused 2 "--port-0 '70000'" 70000
refused 2 "--port-0 no-such-host.invalid:80: " no-such-host.invalid:80
refused 2 "--allow-0 '192.0.2.7/24': is no address or network" 0 0 192.0.2.7/24
refused 2 "--allow-1 'localhost': is no address" 0 0 any 127.0.0.1,localhost
refused 2 "--allow-1 '': is no address" 0 0 any ::1,
refused 3 "--port-1 192.0.2.77:0: this host has no such address" 127.0.0.1:0 192.0.2.77:0

python3 "$SOURCE_DIR/tests/cli/relay_clients.py" "$TWAIN" || fail "plain sockets"
