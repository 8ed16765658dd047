# An emulated link takes as long as a real one: two network namespaces, packets that are delayed between them, and tc's
# token buckets. Left out where a namespace, a TUN device or tc is refused.
source "$SOURCE_DIR/tests/cli.bash"
readonly space=twain$$ here=tw$$a there=tw$$b addresses=10.213.77
line= # the process that carries packets; it ends with its standard input

end_line() {
  [ -z "$line" ] || { exec {to_line}>&-; wait "$line" || true; }
  line=
}
leave() {
  end_line
  ip netns del "$space" 2>/dev/null || true
}
leave_out() { echo "left out: $*"; exit 77; }

for tool in ip tc; do command -v "$tool" >/dev/null || leave_out "no $tool"; done
[ -c /dev/net/tun ] || leave_out "no /dev/net/tun"
ip netns add "$space" 2>/dev/null || leave_out "no network namespace may be made"
trap leave EXIT

begin_line() { # MICROSECONDS MBIT
  local device
  mkfifo line
  python3 "$SOURCE_DIR/tests/slow_line.py" "$1" "$here" "$space" "$there" <line >ready 2>&1 &
  line=$!
  exec {to_line}>line
  rm line
  for _ in $(seq 100); do grep -q ready ready && break; sleep 0.05; done
  grep -q ready ready || leave_out "no TUN device may be made: $(tail -n 1 ready)"
  ip addr add $addresses.1/30 dev "$here"
  ip link set "$here" mtu 9000 up
  ip -n "$space" addr add $addresses.2/30 dev "$there"
  ip -n "$space" link set "$there" mtu 9000 up
  ip -n "$space" link set lo up
  [ "$2" = 0 ] && return
  tc qdisc add dev "$here" root tbf rate "$2mbit" burst 10000 latency 20s 2>said || leave_out "tc: $(cat said)"
  ip netns exec "$space" tc qdisc add dev "$there" root tbf rate "$2mbit" burst 10000 latency 20s
}

readonly bench=(bench model --model bert-tiny --seq 32 --device cpu --repeat 3 --json)
online_ms() { python3 -c "import json; print(round(1e3 * json.load(open('$1'))['online_seconds'], 1))"; }

# MPI would announce messages above its eager limit first, which costs two latencies more (docs/operating.md).
on_line() {
  timeout 100 env PMIX_MCA_ptl_tcp_if_include="$here,$there" PMIX_MCA_ptl_tcp_remote_connections=1 \
    mpirun --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include $addresses.0/30 --mca btl_tcp_eager_limit 8388608 \
    -np 1 "$TWAIN" "${bench[@]}" : -np 1 ip netns exec "$space" "$TWAIN" "${bench[@]}"
}

compare() { # MICROSECONDS MBIT
  begin_line "$1" "$2"
  on_line >real.json
  end_line
  timeout 100 mpirun -np 2 "$TWAIN" "${bench[@]}" --emulate-link "$1,$(python3 -c "print($2 / 1000)")" >emulated.json
  python3 - "$1" "$2" "$(online_ms real.json)" "$(online_ms emulated.json)" <<'PYTHON'
import sys
microseconds, rate, real, emulated = map(float, sys.argv[1:])
print(f"{microseconds:.0f} us, {rate:.0f} Mbit/s: {real} ms on the line, {emulated} ms emulated")
assert 0.75 < emulated / real < 1.33, "the emulated link is not the real one"
PYTHON
}

compare 0 50
compare 5000 0
compare 2000 100
