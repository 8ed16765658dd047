# A Slurm of one's own, for tests: slurmctld, a slurmd for each node, and munge, in namespaces and on a disk in memory;
# all of it goes with the last process. Source it first: it starts the script anew inside. Left out (77) without Slurm,
# root or namespaces.
#   users=(NAME ...); slurm_begin NODE...    a folder of its own below $top for each user; four CPUs a node, whatever the
#                                            machine has
leave_out() { echo "left out: $*"; exit 77; }
if [ -z "${OWN_NAMESPACE:-}" ]; then
  for tool in slurmctld slurmd munged sbatch unshare setpriv ip; do command -v "$tool" >/dev/null || leave_out "no $tool"; done
  [ "$(id -u)" = 0 ] || leave_out "only root starts a Slurm for several users"
  unshare --mount --pid --net --fork --mount-proc true 2>/dev/null || leave_out "no namespaces may be made"
  OWN_NAMESPACE=1 exec unshare --mount --pid --net --fork --mount-proc --kill-child bash "$0"
fi
top=/mnt

slurm_folders() {
  mount -t tmpfs none $top || leave_out "no tmpfs may be mounted"
  cp "$TWAIN" $top/twain
  cp "$SOURCE_DIR"/slurm/*.sbatch $top
  chmod -R go+rX $top
  export TWAIN=$top/twain SLURM_CONF=$top/slurm.conf
  cd $top
  umask 022
  mkdir munge mail
  install -d -m 700 state
}

slurm_users() {
  local i id
  grep -vE "^($(IFS='|' && echo "${users[*]}")):" /etc/passwd >passwd
  for i in "${!users[@]}"; do
    id=$((52000 + i))
    echo "${users[i]}:x:$id:$id::$top/${users[i]}:/bin/bash" >>passwd
    install -d -m 700 -o $id -g $id "${users[i]}"
  done
  mount --bind passwd /etc/passwd
}

# One node shares the network of the script. Several are joined by a bridge.
slurm_network() { # NODE...
  ip link set lo up
  if [ $# = 1 ]; then
    ip addr add 10.213.78.1/32 dev lo # with 127.0.0.1 alone Slurm finds no address to listen at
    return
  fi
  ip link add bridge type bridge 2>/dev/null || leave_out "no bridge between nodes may be made"
  ip addr add 10.213.78.1/24 dev bridge
  ip link set bridge up
  mkdir -p /run/netns && mount -t tmpfs none /run/netns
}

# A node has a name, an address, a spool folder, and a /tmp of its own, in which PMIx of two nodes would meet the same files.
start_node() { # NAME ADDRESS
  ip netns add "$1" && ip link add "to-$1" type veth peer name eth0 netns "$1" && ip link set "to-$1" master bridge up &&
    ip -n "$1" addr add "$2/24" dev eth0 && ip -n "$1" link set eth0 up && ip -n "$1" link set lo up &&
    nsenter --net="/run/netns/$1" unshare --mount --uts bash -c 'hostname "$1" && mount -t tmpfs none /tmp && chmod 1777 /tmp &&
      mount --bind "$2/spool.$1" "$2/spool" && exec slurmd -N "$1"' node "$1" $top
}

slurm_begin() { # NODE...: names; with ":gpus" behind one, that node says it has two
  local node names=() first
  slurm_folders
  slurm_network "$@"
  slurm_users
  head -c 128 /dev/urandom >munge/key
  chmod 400 munge/key
  munged --force --key-file=$top/munge/key --socket=$top/munge/socket --pid-file=$top/munge/pid \
    --log-file=$top/munge/log --seed-file=$top/munge/seed 2>said || leave_out "munged: $(cat said)"
  first=$(hostname -s)
  cat >slurm.conf <<END
ClusterName=twain
SlurmctldHost=$first(10.213.78.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$top/munge/socket
StateSaveLocation=$top/state
SlurmdSpoolDir=$top/spool
SlurmctldPidFile=$top/slurmctld.pid
SlurmdPidFile=$top/slurmd.%n.pid
SlurmctldLogFile=$top/slurmctld.log
SlurmdLogFile=$top/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=$top/jobs.log
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1
PartitionName=all Nodes=ALL Default=YES
END
  : >gres.conf
  local number=11
  [ $# -gt 1 ] || number=1
  for node; do
    names+=("${node%%:*}")
    echo "NodeName=${node%%:*} NodeHostname=${node%%:*} NodeAddr=10.213.78.$number CPUs=4$([ "$node" = "${node%%:*}" ] || echo " Gres=gpu:2")" >>slurm.conf
    # two that are none: what a job asks for and is told is tried, not what it computes on
    [ "$node" = "${node%%:*}" ] || printf "NodeName=${node%%:*} Name=gpu File=/dev/%s\\n" null zero >>gres.conf
    mkdir "spool.${node%%:*}"
    number=$((number + 1))
  done
  slurmctld >said 2>&1 || leave_out "slurmctld does not start: $(cat said)"
  mkdir spool
  if [ $# = 1 ]; then
    slurmd -N "${names[0]}" >said 2>&1 || leave_out "slurmd does not start: $(cat said)"
    names=() # started
  fi
  number=11
  for node in "${names[@]}"; do
    start_node "$node" 10.213.78.$number >said 2>&1 || leave_out "a node does not start: $(cat said)"
    number=$((number + 1))
  done
  until [ "$(timeout 5 sinfo --noheader --Node --format=%T 2>/dev/null | grep -c idle)" = $# ]; do
    [ $SECONDS -lt 60 ] || { cat slurmctld.log slurmd.*.log; sinfo -N; fail "the nodes do not come up"; }
    sleep 0.2
  done
}

as() { # as USER COMMAND...: in that user's folder
  local user=$1
  shift
  (umask 077 && cd "$top/$user" && HOME=$top/$user exec setpriv --reuid="$user" --regid="$(id -u "$user")" --clear-groups "$@")
}
