# Where the roles of demo/two_sites.sh live: users, hosts and a line in namespaces, or folders of one user. Sourced.
# `at WHO COMMAND` runs a command there, `as WHO COMMAND` shows it first; `enter WHO COMMAND` becomes it.
# shellcheck disable=SC2034,SC2154 # of and for demo/two_sites.sh and steps.bash

readonly namespaces=(setpriv --pdeathsig KILL unshare --mount --pid --fork --mount-proc --kill-child)
readonly powerless=(--clear-groups --no-new-privs --inh-caps -all --bounding-set -all) # for setpriv
readonly roles=(owner dealer client party0 party1)
declare -A host=([owner]=owner [dealer]=dealer [client]=client [party0]=site0 [party1]=site1)
readonly one_way=0.5ms one_way_us=500 rate=1Gbit/s # of the line, for plan and for what makes it

# Why there can be no users and hosts here; fails where there can.
refused() {
  local tool said
  [ "$(id -u)" = 0 ] || { echo "only root can start programs of several users"; return; }
  for tool in ip tc unshare nsenter setpriv python3; do
    command -v $tool >/dev/null || { echo "no $tool (Debian: apt-get install iproute2 util-linux python3)"; return; }
  done
  said=$("${namespaces[@]}" unshare --net --uts bash -c '
    set -e
    mount --bind /etc /mnt
    mount --bind /etc/passwd /etc/passwd
    setpriv --reuid 52000 --regid 52000 "$@" true
    echo host >/proc/sys/kernel/hostname
    tc qdisc add dev lo root tbf rate 1gbit burst 128k latency 1s' bash "${powerless[@]}" 2>&1) ||
    { echo "namespaces: ${said:-refused}"; return; }
  said=$(unshare --net python3 tests/cli/slow_line.py 0 a b </dev/null 2>&1) || { echo "TUN devices: $said"; return; }
  return 1
}

# ---- users and hosts

declare -A uid network
make_users() {
  local who free=52000
  mount --bind "$work" $top
  grep -vE "^($(IFS='|' && echo "${roles[*]}")):" /etc/passwd >$top/passwd
  for who in "${roles[@]}"; do
    while getent passwd $free >/dev/null; do free=$((free + 1)); done
    uid[$who]=$free
    echo "$who:x:$free:$free::$top/$who:/bin/bash" >>$top/passwd
    chown -R "$free:$free" "$top/$who"
    free=$((free + 1))
  done
  mount --bind $top/passwd /etc/passwd
}

make_line() {
  local number=0 site paths
  nice -n -10 unshare --net python3 tests/cli/slow_line.py $one_way_us site0 site1 dealer < <(exec sleep infinity) >$top/line 2>&1 &
  until grep -qs "^ready" $top/line; do kill -0 $! || { cat $top/line; exit 1; }; sleep 0.02; done
  read -r _ paths < <(grep '^ready' $top/line)
  printf '127.0.0.1 localhost\n' >$top/hosts
  for site in party0 party1 dealer; do
    network[$site]=${paths%% *} paths=${paths#* } number=$((number + 1))
    printf '10.213.77.%d %s\n' $number ${host[$site]} >>$top/hosts
    nsenter --net="${network[$site]}" bash -e -c "ip link set lo up; ip addr add 10.213.77.$number/24 dev ${host[$site]}
      ip link set ${host[$site]} mtu 65000 up
      tc qdisc add dev ${host[$site]} root tbf rate 1gbit burst 128k latency 20s"
  done
  mount --bind $top/hosts /etc/hosts
}

enter_users() { # WHO COMMAND
  local net=(unshare --net) cores=() id=${uid[$1]}
  [ -z "${network[$1]:-}" ] || net=(nsenter --net="${network[$1]}")
  [ -z "${cores_of[$1]:-}" ] || cores=(taskset --cpu-list "${cores_of[$1]}")
  cd "$top/$1"
  umask 077
  exec "${net[@]}" unshare --uts bash -c 'echo "$0" >/proc/sys/kernel/hostname; exec "$@"' \
    "${host[$1]}" "${cores[@]}" setpriv --reuid "$id" --regid "$id" "${powerless[@]}" \
    env -i PATH="$top/bin:$PATH" HOME="$top/$1" TMPDIR="$top/$1" LANG=C.UTF-8 bash -c "$2"
}

# A site's processors: half of those that this process may use.
declare -A cores_of
share_cores() {
  local cores half
  read -ra cores < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)))')
  half=$((${#cores[@]} / 2))
  [ $half -ge 1 ] || return 0
  cores_of=([party0]=$(IFS=, && echo "${cores[*]:0:half}") [party1]=$(IFS=, && echo "${cores[*]:half}"))
}

# ---- one user

enter_one_user() { # WHO COMMAND
  cd "$top/$1"
  umask 077
  PATH=$top/bin:$PATH exec bash -c "$2"
}

free_port() { python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'; }

# ----

# Around what lies in $work/bin and in homes there.
make_world() {
  local who
  mkdir -p "${roles[@]/#/$work/}" "$work/mail"
  chmod 700 "${roles[@]/#/$work/}"
  chmod 1777 "$work/mail"
  chmod 755 "$work/bin/twain"
  if [ "$TWO_SITES" = users ]; then
    top=/mnt site0=site0 dealer=dealer port=4433 dealer_port=4500
    make_users
    ulimit -l unlimited 2>/dev/null || ulimit -l "$(ulimit -Hl)"
    make_line
    share_cores
    at party0 'twain --version >/dev/null' || {
      echo "Other users than root cannot run twain: are its libraries in a folder that only root may enter?" >&2
      exit 1
    }
  else
    top=$work site0=127.0.0.1 dealer=127.0.0.1 port=$(free_port) dealer_port=$(free_port)
    for who in "${roles[@]}"; do host[$who]=$(uname -n); done
  fi
}

enter() { "enter_$TWO_SITES" "$@"; }
at() { (enter "$@"); }
tell() { # WHO COMMAND
  local user=$1
  [ "$TWO_SITES" = users ] || user="as $1, $(id -un)"
  printf '  %s@%s $ %s\n' "$user" "${host[$1]}" "$2"
}
stopped() { # CODE
  printf '\nThe demonstration stopped: exit code %d. See docs/operating.md for what it means.\n' "$1" >&2
  exit "$1"
}
as() { # WHO COMMAND: shown first; the first one that fails ends the demonstration
  tell "$@"
  { at "$@" 2>&1 | sed 's/^/    /'; } || stopped $?
}
