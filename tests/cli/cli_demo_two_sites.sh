# The demonstration of two sites: five users on hosts of their own, who can read what is theirs and nothing else. A file
# that gets out is found. At its end, and after a signal, no process and no file is left. Without the rights to make users
# and hosts it says that it shows nothing; then the rest is left out here.
source "$SOURCE_DIR/tests/cli/cli.bash"
chmod 755 .
export TMPDIR=$PWD SOURCE_DIR

# demo CODE [COMMAND...]: through COMMAND, in a session of its own, whose number is in the file session.
demo() {
  local status=0 code=$1
  shift
  setsid --wait env --default-signal=INT bash -c 'echo $$ >session && exec "$@" --synthetic=bert-tiny' bash "$@" \
    "$SOURCE_DIR/demo/two_sites.sh" "${twain:-$TWAIN}" >said 2>&1 || status=$?
  [ $status = "$code" ] || { cat said; fail "the demonstration ends with $status, not $code"; }
}
says() { grep -qE -- "$1" said || { cat said; fail "the demonstration does not say: $1"; }; }
no_process_left() {
  for _ in {1..100}; do pgrep --session "$(cat session)" >/dev/null || return 0; sleep 0.05; done
  ps -o pid,args --sid "$(cat session)"
  fail "processes are left"
}
nothing_left() {
  no_process_left
  ! compgen -G 'demo-two-sites-*' || fail "files are left"
}
trap '[ ! -s session ] || pkill --session "$(cat session)" || true' EXIT

# Sends SIGNAL once the parties run, and expects CODE.
stop() { # SIGNAL CODE [COMMAND...]
  local waits start=$SECONDS
  rm -f said session
  demo "${@:2}" &
  waits=$!
  until grep -qs 'run n --party 1' said; do
    kill -0 $waits && [ $((SECONDS - start)) -lt 100 ] || fail "the demonstration does not come to its run"
    sleep 0.02
  done
  kill -s "$1" "$(cat session)"
  wait $waits || fail "after $1"
  no_process_left
  [ "$1" = KILL ] || { says 'everything is removed' && nothing_left; }
}

# ---- one user
without_rights=()
[ "$(id -u)" != 0 ] || without_rights=(setpriv --bounding-set -sys_admin --inh-caps -sys_admin)
demo 0 "${without_rights[@]}"
for text in '^NO PROTECTION IS SHOWN: one user' 'THIS SHOWED NOTHING ABOUT PROTECTION' '^    online ' '^    largest relative error'; do
  says "$text"
done
! grep -q 'Who could read what' said || { cat said; fail "a table that means nothing"; }
nothing_left
stop INT 130 "${without_rights[@]}"

# ---- users
demo 0
if grep -q '^NO PROTECTION' said; then
  sed -n 's/^Users and hosts of their own/left out: users and hosts/p' said
  exit 77
fi
for text in 'party1@site1 . cat ../party0/n.keys.p0.h5' 'cat: ../party0/n.keys.p0.h5: Permission denied' 'is sealed to another site' \
  'cat: ../client/sentences.txt: Permission denied' 'online, measured +[0-9]+ ms' \
  '^  the weights  +yes +no +no +no +no' "^  party 0's keys  +no +no +no +yes +no" \
  "^  party 1's share of the input  +no +no +no +no +yes" '^  the result  +no +no +yes +no +no'; do
  says "$text"
done
[ "$(grep -c '^    largest relative error' said)" = 2 ] || { cat said; fail "not two results that were checked"; }
[ "$(grep -cE '^  [a-z].*( +(yes|no)){5}$' said)" = 14 ] || { cat said; fail "not fourteen rows"; }
nothing_left
stop INT 130
stop TERM 130
stop KILL 137
rm -rf demo-two-sites-*

# A careless party 0 mails its keys in clear.
cp "$TWAIN" real
chmod 755 real
cat >careless <<END
#!/bin/bash
$PWD/real "\$@" || exit
[[ "\$1 \$2" != "unseal ../mail/n.keys.p0"* ]] || install -m 644 n.keys.p0.h5 ../mail
END
twain=$PWD/careless demo 1
says "^  party 0's keys  +yes +yes +yes +yes +yes"
says 'THIS SHOULD HAVE BEEN: no no no yes no'
nothing_left
