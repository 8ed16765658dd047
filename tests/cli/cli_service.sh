# A service of two ranks: inputs as they come, several in one run, what is refused and why, limits, the end by a file,
# the end of keys, a killed party. Results equal the emulator's; what is refused uses no key slot.
source "$SOURCE_DIR/tests/cli/cli.bash"
trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT

"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 12 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 40 --test-seed 5 -q 2>/dev/null
"$TWAIN" deal few --model n -n 4 --test-seed 6 -q 2>/dev/null
"$TWAIN" ledger --new ledger -q
for client in q q/al q/bo out; do mkdir $client; done

make() { # NAME TEXT...: an input and its shares
  "$TWAIN" encode "$1" --model n -q -- "${@:2}"
  "$TWAIN" share "$1" --input --model n -q
}
put() { # NAME [FOLDER]: into the queue, each share by a rename
  local p
  for p in ${parties:-0 1}; do
    cp "$1.input.p$p.h5" q/.on-its-way
    mv q/.on-its-way "q/${2:-.}/${as:-$1}.input.p$p.h5"
  done
}
marks() { find ledger -type f -regex '.*/[0-9]+' | wc -l; }
begin() { # OPTION...: until it serves
  : >log
  mpirun -np 2 "$TWAIN" run n --ledger ledger --allow-test-keys --serve --queue q --out out --pair-limit 2 "$@" >log 2>&1 &
  service=$!
  wait_for 'party 0 on .*serves: at most' && wait_for 'party 1 on .*serves: at most'
}
ended() { # CODE
  local status=0
  wait "$service" || status=$?
  [ "$status" = "$1" ] || { cat log >&2; fail "the service ends with $status, not $1"; }
}
stop() {
  touch q/stop
  ended 0
  [ ! -e q/stop ] || fail "the file that stops it is left"
}
served() { # NAME [FOLDER [SEED]]: its result is the emulator's
  local start=$SECONDS
  until [ -e "out/${2:-.}/$1.result.p0.h5" ] && [ -e "out/${2:-.}/$1.result.p1.h5" ]; do
    [ $((SECONDS - start)) -lt 60 ] || { cat log >&2; fail "no result of $1"; }
    sleep 0.02
  done
  cp "out/${2:-.}/$1.result.p0.h5" "out/${2:-.}/$1.result.p1.h5" .
  "$TWAIN" reveal "$1" --model n -q
  "$TWAIN" check "$1" --model n --exact --test-seed "${3:-5}" -q || fail "another result than the emulator's: $1"
}
refused() { # NAME PARTY TEXT: with a file that says so, and the input is gone
  wait_for "party $2 on .*refused $1: .*$3"
  grep -qE "$3" "out/$1.error.p$2.txt" || fail "no reason in out/$1.error.p$2.txt"
  [ "$(wc -l <"out/$1.error.p$2.txt")" = 1 ] || fail "a reason of several lines"
  [ ! -e "q/$1.input.p$2.h5" ] || fail "q/$1.input.p$2.h5 is left"
}

# ---- several inputs in one run, of several clients, each with its own result; what is chosen is the oldest first

make one 'some words'
make two 'other words' 'and a second text'
make three 'a third text'
put one
put two al
put three bo
begin --batch 4
served one
served two al
served three bo
wait_for 'one, al/two, bo/three: 4 sequences, key slots 0-3,'
[ "$(marks)" = 8 ] || fail "$(marks) marks of four slots"
[ -z "$(find q -type f)" ] || fail "inputs that were served are left: $(find q -type f)"
[ -z "$(find out -name '.input*')" ] || fail "a copy of an input is left"
python3 - out/one.result.p0.h5 out/al/two.result.p0.h5 <<'P' || fail "costs are not those of the input's own sequences"
import subprocess, sys
sent = [int(next(line.split()[1] for line in subprocess.run(["h5dump", "-a", "/sent_bytes", f], capture_output=True, text=True).stdout.splitlines() if "(0):" in line)) for f in sys.argv[1:]]
sys.exit(sent[1] != 2 * sent[0])
P

# ---- what is wrong is refused on both sides, uses no slot, and does not end the service

before=$(marks)
echo torn >torn.input.p0.h5
head -c 3000 one.input.p1.h5 >torn.input.p1.h5
put torn
refused torn 0 'is not an HDF5 file, or cut off'
refused torn 1 'torn.input.p1.h5: '
for file in model.h5 client.h5 model.json; do cp "n.$file" "m.$file"; done
"$TWAIN" plan m --seq 9 -q
"$TWAIN" encode other --model m -q 'some words'
"$TWAIN" share other --input --model m -q
put other
for p in 0 1; do refused other $p 'the input was shared for plan'; done
make half 'one text'
as=mixed parties=0 put half
as=mixed parties=1 put one
for p in 0 1; do refused mixed $p 'the two shares are not of one input'; done
parties=0 put half
refused half 0 'party 1 has not got its share within 2 s'
for p in 0 1; do cp one.input.p1.h5 swapped.input.p$p.h5; done
put swapped
refused swapped 0 'belongs to party 1'
refused swapped 1 'party 0 refuses its share'
make five a b c d e
put five
for p in 0 1; do refused five $p '5 sequences, and this service takes at most 4 at once'; done
mkdir kept
echo secret >kept/secret
ln -s "$PWD/kept/secret" q/link.input.p0.h5
refused link 0 'is not a regular file'
[ "$(cat kept/secret)" = secret ] || fail "what a link points to has changed"
mkfifo q/pipe.input.p1.h5
refused pipe 1 'is not a regular file'
mkdir q/folder.input.p0.h5
wait_for 'refused folder: .*is not a regular file .and: .*cannot be removed'
rmdir q/folder.input.p0.h5
head -c 9000000 /dev/zero >q/.on-its-way
mv q/.on-its-way q/large.input.p0.h5
refused large 0 'is larger than an input of this plan can be'
put one # its result is there
wait_for 'refused one: one.input.p0.h5: has a result already; an id serves once'
[ ! -e out/one.error.p0.txt ] || fail "a refusal beside a result"
# names that no client has: left alone, and nothing outside the folders is touched
ln -s "$PWD/kept" q/linked
cp one.input.p0.h5 kept/x.input.p0.h5
touch 'q/a b.input.p0.h5' q/..input.p0.h5 q/-x.input.p0.h5 q/a.b.input.p0.h5 "q/$(printf 'y%.0s' {1..65}).input.p0.h5"
[ "$(marks)" = "$before" ] || fail "what was refused has used key slots"
make four 'and it goes on'
put four
served four
[ -e kept/x.input.p0.h5 ] && [ -e 'q/a b.input.p0.h5' ] && [ -e q/..input.p0.h5 ] || fail "what is not the queue's was touched"
rm -f q/*.h5 q/.*.h5 q/linked

# ---- ask: two clients at once; what they write and what is left of it

mkdir tmp
export TMPDIR=$PWD/tmp
"$TWAIN" ask n 'a question' --to q --to q --from out --from out --client al -o asked.al.h5 >asked.al 2>&1 &
first=$!
"$TWAIN" ask n 'another' 'two of them' --to q --to q --from out --from out --client bo -o asked.bo.h5 >asked.bo 2>&1 ||
  { cat asked.bo log; fail "no answer to bo"; }
wait $first || { cat asked.al log; fail "no answer to al"; }
[ -e asked.al.h5 ] && [ -e asked.bo.h5 ] || fail "no answer is written"
[ -z "$(ls tmp)" ] || fail "ask has left something: $(ls tmp)"
expect 2 'is not printed: say --output FILE' "$TWAIN" ask n 'a text' --to q --to q --from out --from out
expect 2 'DIR or --put COMMAND: one of them, twice' "$TWAIN" ask n 'a text' --to q --from out --from out
expect 2 "--client '../x'" "$TWAIN" ask n 'a text' --to q --to q --from out --from out --client ../x
expect 3 'asked.al.h5: exists already' "$TWAIN" ask n 'a text' --to q --to q --from out --from out -o asked.al.h5
expect 3 'none' "$TWAIN" ask n 'a text' --to none --to none --from out --from out -o x.h5
expect 7 'party [01] refuses the input: .*at most 4 at once' "$TWAIN" ask n a b c d e --to q --to q --from out --from out -o x.h5
cat >carry <<'S'
#!/bin/sh
[ -f "$1" ] && cp "$1" q/.by-hand && mv q/.by-hand "q/$(basename "$1")"
S
cat >bring <<'S'
#!/bin/sh
cp "out/$1" "$2" 2>/dev/null
S
chmod +x carry bring
expect 0 'written: x.h5' "$TWAIN" ask n 'a $(touch broken); text' --put ./carry --put ./carry --get ./bring --get ./bring -o x.h5
rm x.h5
expect 3 'no-such-program: cannot be run' "$TWAIN" ask n 'a text' --put ./no-such-program --put ./carry --get ./bring --get ./bring -o x.h5
expect 3 'false .*: ended with code 1: party 0 has not got its share' "$TWAIN" ask n 'a text' --put false --put ./carry --get ./bring --get ./bring -o x.h5
[ -z "$(ls tmp)" ] || fail "ask has left something: $(ls tmp)"
stop
expect 7 'no result of party 0 and none of party 1 after 0.3 s' "$TWAIN" ask n 'a text' --to q --to q --from out --from out -o x.h5 --wait-limit 0.3

# ---- limits of the queue, and of one client: the newest are refused

rm -f q/*.h5
begin --queue-limit 4 --client-limit 2 --pair-limit 60
parties=0
for i in 1 2 3; do as=al$i put half al; done
for i in 1 2 3; do as=bo$i put half bo; done
as=late put half
wait_for 'refused al/al3: 2 inputs of this client wait already'
wait_for 'refused bo/bo3: 2 inputs of this client wait already'
wait_for 'refused late: the queue is full: 4 inputs wait already'
[ "$(find q -name '*.h5' | wc -l)" = 4 ] || fail "not four wait: $(find q)"
parties=1
as=late put half # its other share is not waited for
refused late 1 'party 0 refuses its share'
parties='0 1'
stop
rm -f q/*/*.h5

# ---- keys come to an end: a whole batch takes what is left, what waits stays, and the next service takes it

for i in 1 2 3 4 5 6; do make "k$i" "text $i"; put "k$i"; done
begin --keys few --batch 3
ended 6
grep -q 'slots: 1 needed, 0 free on both parties .*4 inputs were served before; in hand, and in the queue still: k5; no key slot was used' log ||
  { cat log; fail "does not say what waits"; }
for i in 1 2 3 4; do served "k$i" . 6; done
[ "$(find q -name "*.h5" | wc -l)" = 4 ] || fail "what waits has gone"
begin
for i in 5 6; do served "k$i"; done

# ---- a party is killed: the launcher ends, what waits stays

parties=0 put half # something is there to be looked at
kill -s KILL "$(party_one "$service")"
status=0
wait "$service" || status=$?
[ "$status" != 0 ] || fail "the service ends well although a party was killed"
rm -f q/half*
make after 'after that'
put after
begin
served after
stop
no_leftovers

# ---- command lines, and folders that are not one's own

serve() { expect "$1" "$2" mpirun -np 2 "$TWAIN" run n --ledger ledger --allow-test-keys "${@:3}"; }
serve 2 'needs --queue DIR and --out DIR' --serve
serve 2 'say --serve' --queue q
serve 2 'are of one run' --serve --queue q --out out --json
serve 3 'queue none: cannot open the folder' --serve --queue none --out out
chmod 777 q
serve 3 'everybody may write there; run .chmod o-w q' --serve --queue q --out out
chmod 700 q && chmod 770 out
serve 3 'others may write there; run .chmod go-w out' --serve --queue q --out out
chmod 700 out
