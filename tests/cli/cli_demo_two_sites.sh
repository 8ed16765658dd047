# The demonstration of two sites: five users on hosts of their own, who can read what is theirs and nothing else. A file
# that gets out is found. A signal at any time leaves no process and no file. Without the rights to make users and hosts
# it says that it shows nothing; then the rest is left out here.
source "$SOURCE_DIR/tests/cli/cli.bash"
chmod 755 .
export TMPDIR=$PWD
demo() { timeout 300 "$SOURCE_DIR/demo/two_sites.sh" "${twain:-$TWAIN}" --synthetic=bert-tiny; }
export -f demo
nothing_left() { ! compgen -G 'demo-two-sites-*' || fail "files are left"; }

# ---- one user
without_rights=()
[ "$(id -u)" != 0 ] || without_rights=(setpriv --bounding-set -sys_admin --inh-caps -sys_admin)
"${without_rights[@]}" bash -c demo >said 2>&1 || { cat said; fail "as one user"; }
for text in '^NO PROTECTION IS SHOWN: one user' 'THIS SHOWED NOTHING ABOUT PROTECTION' '^    online ' '^    largest relative error'; do
  grep -q "$text" said || { cat said; fail "one user's demonstration does not say: $text"; }
done
! grep -q 'Who could read what' said || { cat said; fail "a table that means nothing"; }
nothing_left

# ---- users
demo >said 2>&1 || { cat said; fail "as users"; }
if grep -q '^NO PROTECTION' said; then
  sed -n 's/^Users and hosts of their own/left out: users and hosts/p' said
  exit 77
fi
for text in 'party1@site1 . cat ../party0/n.keys.p0.h5' 'cat: ../party0/n.keys.p0.h5: Permission denied' 'is sealed to another site' \
  'cat: ../client/sentences.txt: Permission denied' 'online, measured +[0-9]+ ms' \
  '^  the weights  +yes +no +no +no +no' "^  party 0's keys  +no +no +no +yes +no" \
  "^  party 1's share of the input  +no +no +no +no +yes" '^  the result  +no +no +yes +no +no'; do
  grep -qE -- "$text" said || { cat said; fail "the demonstration does not say: $text"; }
done
[ "$(grep -c '^    largest relative error' said)" = 2 ] || { cat said; fail "not two results that were checked"; }
[ "$(grep -cE '^  [a-z].*( +(yes|no)){5} *$' said)" = 14 ] || { cat said; fail "not fourteen rows"; }
nothing_left

# A careless party 0 mails its keys in clear.
cp "$TWAIN" real
chmod 755 real
cat >careless <<END
#!/bin/bash
$PWD/real "\$@" || exit
[[ "\$1 \$2" != "unseal ../mail/n.keys.p0"* ]] || install -m 644 n.keys.p0.h5 ../mail
END
! twain=$PWD/careless demo >said 2>&1 || { cat said; fail "keys in the mail were not found"; }
grep -qE "^  party 0's keys  +yes +yes +yes +yes +yes" said && grep -q 'THIS SHOULD HAVE BEEN: no no no yes no' said ||
  { cat said; fail "the table does not show keys that all can read"; }
nothing_left

# ---- signals, while the parties run
trap '[ ! -s session ] || kill "$(cat session)" 2>/dev/null || true' EXIT
stop() { # SIGNAL CODE
  local status=0 start=$SECONDS
  rm -f said session
  setsid --wait env --default-signal=INT bash -c 'echo $$ >session && exec "$SOURCE_DIR/demo/two_sites.sh" "$TWAIN" --synthetic=bert-tiny' \
    >said 2>&1 &
  local waits=$!
  until grep -qs 'run n --party 1' said; do
    kill -0 $waits && [ $((SECONDS - start)) -lt 100 ] || { cat said; fail "the demonstration does not come to its run"; }
    sleep 0.02
  done
  kill -s "$1" "$(cat session)"
  wait $waits || status=$?
  [ $status = "$2" ] || { cat said; fail "code $status after $1"; }
  for _ in {1..100}; do pgrep --session "$(cat session)" >/dev/null || break; sleep 0.05; done
  ! pgrep --session "$(cat session)" || fail "processes are left after $1"
}
export SOURCE_DIR
for signal in INT TERM; do
  stop $signal 130
  grep -q 'everything is removed' said || { cat said; fail "it does not say that it stopped"; }
  nothing_left
done
stop KILL 137
