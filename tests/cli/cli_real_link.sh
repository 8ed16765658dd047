# An emulated link takes as long as a real one: two network namespaces, packets that are delayed between them, and tc's
# token buckets. Left out where a namespace, a TUN device or tc is refused. All of it goes with its last process.
source "$SOURCE_DIR/tests/cli/cli.bash"

leave_out() { echo "left out: $*"; exit 77; }
if [ -z "${OWN_NAMESPACE:-}" ]; then
  for tool in ip tc unshare nsenter; do command -v "$tool" >/dev/null || leave_out "no $tool"; done
  unshare --net true 2>/dev/null || leave_out "no network namespace may be made"
  OWN_NAMESPACE=1 exec unshare --net bash "$0"
fi
ip link set lo up

line= # the process that carries packets
other= # the other namespace
there() { nsenter --net="$other" "$@"; }
begin_line() { # MICROSECONDS MBIT
  local status=0
  mkfifo line
  python3 "$SOURCE_DIR/tests/cli/slow_line.py" "$1" here there <line >ready 2>&1 &
  line=$!
  exec {to_line}>line
  rm line
  until grep -q '^ready' ready; do
    kill -0 "$line" 2>/dev/null || { wait "$line" || status=$?; [ $status = 77 ] && leave_out "$(cat ready)"; cat ready; fail "no line"; }
    sleep 0.05
  done
  read -r _ _ other <ready
  ip addr add 10.213.77.1/30 dev here
  ip link set here mtu 9000 up
  there ip addr add 10.213.77.2/30 dev there
  there ip link set there mtu 9000 up
  there ip link set lo up
  [ "$2" = 0 ] && return
  tc qdisc add dev here root tbf rate "$2mbit" burst 10000 latency 20s 2>said || leave_out "tc: $(cat said)"
  there tc qdisc add dev there root tbf rate "$2mbit" burst 10000 latency 20s
}
end_line() {
  exec {to_line}>&-
  kill "$line" 2>/dev/null || true
  wait "$line" || true
}

readonly bench=(bench model --shape bert-tiny --seq 32 --device cpu --repeat 3 --json)
online_ms() { python3 -c "import json; print(round(1e-6 * json.load(open('$1'))[0]['online_median_ns'], 1))"; }

# MPI would announce messages above its eager limit first, which costs two latencies more (docs/operating.md).
on_line() {
  timeout -k 2 30 env PMIX_MCA_ptl_tcp_if_include=here,there PMIX_MCA_ptl_tcp_remote_connections=1 \
    mpirun --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include 10.213.77.0/30 --mca btl_tcp_eager_limit 1048576 \
    -np 1 "$TWAIN" "${bench[@]}" : -np 1 nsenter --net="$other" "$TWAIN" "${bench[@]}" {to_line}>&-
}

compare() { # MICROSECONDS MBIT
  begin_line "$1" "$2"
  on_line >real.json
  end_line
  local link=(--link-latency "$1us")
  [ "$2" = 0 ] || link+=(--link-rate "$2Mbit/s")
  timeout -k 2 30 mpirun -np 2 "$TWAIN" "${bench[@]}" "${link[@]}" >emulated.json
  python3 - "$1" "$2" "$(online_ms real.json)" "$(online_ms emulated.json)" <<'PYTHON'
import sys
microseconds, rate, real, emulated = map(float, sys.argv[1:])
print(f"{microseconds:.0f} us, {rate:.0f} Mbit/s: {real} ms on the line, {emulated} ms emulated")
sys.exit(not 0.75 < emulated / real < 1.33)
PYTHON
}

# Other work on the machine slows the parties down, by chance more in one of the two: the best of five comparisons counts.
same_link() {
  for _ in 1 2 3 4 5; do compare "$@" && return; done
  fail "the emulated link is not the real one"
}
same_link 0 50
same_link 5000 0
same_link 2000 100
