# `twain doctor`: a row for everything that a run needs of its host, a remedy where it is lacking, and an exit code.
source "$SOURCE_DIR/tests/cli/cli.bash"

row() { # STATE CHECK TEXT: as the last report has it
  "$python" - "$@" <<'PY' || { cat report.json; fail "no row: $*"; }
import json, re, sys
state, check, text = sys.argv[1:]
rows = [r for r in json.load(open("report.json")) if r["check"] == check and r["state"] == state and re.search(text, r["found"])]
assert rows and all(r["remedy"] is None for r in rows if r["state"] == "ok")
PY
}
report() { # CODE OPTION...
  local code=$1 status=0
  shift
  "$TWAIN" doctor --json "$@" >report.json 2>said || status=$?
  [ $status = "$code" ] || { cat report.json said; fail "exit code $status, not $code: doctor $*"; }
}

"$TWAIN" ledger --new ledger -q
for role in 0 1; do "$TWAIN" site init site$role --role $role -q; done
"$TWAIN" site init brief --role dealer --days 3 -q
port=$(free_port)
# a ledger under /tmp may be forgotten, and says so: then one row is BAD, and nothing else
code=0
case $(stat -f -c %T .) in tmpfs | ramfs | overlayfs) code=10 ;; esac
TWAIN_AUDIT=$PWD/audit.log report $code --ledger ledger --site site0 --peer site1/site.pem --peer brief/site.pem --listen 127.0.0.1:"$port" --connect 127.0.0.1:"$port"
row ok HDF5 'built with'
row ok MPI 'two ranks meet'
row ok locking 'flock works'
row ok files 'can be written and read'
row ok 'audit log' audit.log
row ok site 'party 0, certificate valid until 20'
row ok peer 'party 1, certificate'
row note peer 'dealer, certificate valid until .*, [23] days'
row ok port "$port is free"
row note connect 127.0.0.1
grep -q '"event":"doctor"' audit.log || fail "the audit log was not tried"
[ -z "$(find . -name '.twain-doctor*')" ] || fail "left behind"
expect $code '^ok +MPI ' "$TWAIN" doctor --ledger ledger

# ---- what is wrong is BAD, with its reason, and ends with 10
python3 -c "
import socket, time
s = socket.create_server(('127.0.0.1', $port))
print(flush=True)
time.sleep(60)" >up &
listener=$!
until [ -s up ]; do sleep 0.05; done
TWAIN_AUDIT=$PWD report 10 --ledger missing --site brief/site.pem --peer site0/site.key --listen 127.0.0.1:"$port" --connect 127.0.0.1:"$port"
kill $listener
row BAD ledger 'no such ledger'
row BAD site 'brief'
row BAD peer 'site0/site.key'
row BAD port "$port"
row ok connect answers
row BAD 'audit log' TWAIN_AUDIT
report 10 --folder nowhere
row BAD files nowhere

# ---- a launcher of another MPI: two processes that each see one rank
mkdir other
cat >other/mpirun <<'SH'
#!/bin/bash
[ "$1" != --version ] || { echo "mpirun (another) 1.0"; exit; }
shift 2
PMI_SIZE=2 PMI_RANK=0 "$@" & PMI_SIZE=2 PMI_RANK=1 "$@"
code=$?
wait
exit $code
SH
chmod +x other/mpirun
PATH=$PWD/other:$PATH report 10
row BAD MPI 'exactly two ranks|launcher belongs to another MPI'

# ---- as the ranks of a job
expect 0 'two ranks meet; an exchange of 4 KiB takes' mpirun -np 2 "$TWAIN" doctor --ranks
expect 2 'exactly two ranks' "$TWAIN" doctor --ranks
expect 2 'one argument too many' "$TWAIN" doctor name

# ---- locked memory, as a user for whom the limit counts
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  (ulimit -l 64 && setpriv --inh-caps=-ipc_lock --bounding-set=-ipc_lock "$TWAIN" doctor --json >report.json 2>said) && fail "64 KiB are enough"
  row BAD memlock '65.5 kB may be locked'
fi

# ---- a file system that knows no flock, and little memory
if [ -e "${TWAIN_PRELOAD:-}/preload_peer.so" ]; then
  LD_PRELOAD="$TWAIN_PRELOAD/preload_peer.so" TWAIN_PEER_LIE=noflock report 10 --ledger ledger
  row BAD locking 'flock '
fi
(ulimit -v 600000 && "$TWAIN" doctor --json >report.json 2>said) || true
if [ -s report.json ]; then row note memory 'are left, says the limit on address space \(ulimit -v\)'; fi
