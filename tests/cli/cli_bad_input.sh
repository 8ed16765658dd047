# Files and requests that must be refused: the exit code, the cause, the file's name; no final file is left behind.
source "$SOURCE_DIR/tests/cli/cli.bash"

vectors=$SOURCE_DIR/tests/vectors/tiny-bert

# ---- import
expect 3 'missing: No such file' "$TWAIN" import missing -o m
cp -r "$vectors/f32" broken
printf '{"model_type": "bert",' >broken/config.json
expect 4 'broken/config.json' "$TWAIN" import broken -o m
cp "$vectors/f32/config.json" broken/config.json
truncate -s -100 broken/model.safetensors
expect 4 'broken/model.safetensors' "$TWAIN" import broken -o m
cp "$vectors/f32/model.safetensors" broken
sed -i 's/"hidden_size": 32/"hidden_size": 64/' broken/config.json
expect 4 'weight has shape \[32 x 32\]' "$TWAIN" import broken -o m
cp "$vectors/f32/config.json" broken
printf '\0\0\300\177' | dd of=broken/model.safetensors bs=1 conv=notrunc status=none \
  seek=$(($(stat -c %s broken/model.safetensors) - 4))
expect 4 'broken/model.safetensors: .* NaN' "$TWAIN" import broken -o m
rm broken/config.json
expect 3 'broken/config.json' "$TWAIN" import broken -o m
mkdir broken/config.json
expect 4 'broken/config.json' "$TWAIN" import broken -o m
expect 2 'unknown shape' "$TWAIN" import --shape bert-enormous -o m
expect 3 'nowhere' "$TWAIN" import --shape 1x32x2x64 -o nowhere/m
[ -z "$(ls m.* 2>/dev/null)" ] || fail "a refused import left $(ls m.*)"

# ---- the good files that everything below spoils
"$TWAIN" import --shape 1x32x2x64 -o n -q
expect 3 'n.model.h5: exists already' "$TWAIN" import --shape 1x32x2x64 -o n
expect 3 'n.plan.json: no such file; run `twain plan' "$TWAIN" encode n hello
"$TWAIN" plan n --seq 8 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 3 -q
"$TWAIN" encode n 'one two three' -q
"$TWAIN" share n --input -q
"$TWAIN" ledger --new ledger -q
mkdir good
cp n.* good
restore() { cp good/* .; }

# ---- encode, plan, deal, share
expect 8 'text 2 has 12 tokens, more than the sequence length 8' "$TWAIN" encode n --force ok 'a b c d e f g h i j'
cmp -s n.input.h5 good/n.input.h5 || fail "a refused encode touched the earlier input"
printf 'good line\nbad \xff line\n' >latin.txt
expect 4 'text 2' "$TWAIN" encode n --force --file latin.txt
printf '\n \n' >empty.txt
expect 4 'empty.txt: no text' "$TWAIN" encode n --force --file empty.txt
expect 3 'none.txt' "$TWAIN" encode n --force --file none.txt
expect 4 'none.txt|latin.txt|UTF-8' "$TWAIN" plan n --seq 4 --calibrate latin.txt --force
cmp -s n.plan.json good/n.plan.json || fail "a refused plan touched the earlier one"
expect 3 'n.keys.p0.h5: exists already.*--force' "$TWAIN" deal n
expect 3 'bytes are needed for 100000000 slots' "$TWAIN" deal n -n 100000000 --force
cmp -s n.keys.p0.h5 good/n.keys.p0.h5 || fail "a refused deal touched the earlier keys"
expect 3 'n.model.p0.h5: exists already' "$TWAIN" share n
bash -c 'ulimit -f 4; trap "" XFSZ; exec "$TWAIN" deal n --force' >said 2>&1 && fail "deal went through on a full disk"
cmp -s n.keys.p0.h5 good/n.keys.p0.h5 || fail "a full disk cost the earlier keys"
no_leftovers

# ---- the plan
sed -i 's/"rings":{"input":[0-9]*/"rings":{"input":50/' n.plan.json
expect 5 'n.plan.json: layers\[0\].rings.input is 50' "$TWAIN" share n --input --force
restore
head -c 1000 good/n.plan.json >n.plan.json
expect 4 'n.plan.json: line' "$TWAIN" deal n --force
echo '[1, 2]' >n.plan.json
expect 4 'n.plan.json: not a file of twain' "$TWAIN" deal n --force
restore
expect 4 'n.plan.json: line|n.plan.json: not' bash -c 'cp n.model.h5 n.plan.json; "$TWAIN" deal n --force'
restore

# ---- HDF5 files
head -c 1000 good/n.model.h5 >n.model.h5
expect 4 'n.model.h5' "$TWAIN" share n --force
cp good/n.client.h5 n.model.h5
expect 5 'n.model.h5: is a twain-client file' "$TWAIN" share n --force
restore
expect 3 'n.result.h5: no such file; run `twain reveal`' "$TWAIN" check n
expect 3 'n.result.p0.h5: no such file' "$TWAIN" reveal n
cmp -s n.model.p0.h5 good/n.model.p0.h5 || fail "a refused share touched the earlier shares"

# ---- run: both parties end, with the same code
expect 2 'exactly two ranks, not 1' "$TWAIN" run n
expect 2 'party 2 on .*exactly two ranks, not 3' timeout 60 mpirun -np 3 "$TWAIN" run n
for party in 0 1 2; do grep -q "party $party on .*exactly two ranks" said || fail "party $party says nothing"; done

rm n.model.p1.h5
expect_run 3 'n.model.p1.h5: no such file' n --ledger ledger
parties_say 'n.model.p1.h5: no such file'
cp good/n.model.p0.h5 n.model.p1.h5
expect_run 5 'n.model.p1.h5: belongs to party 0' n --ledger ledger
parties_say 'n.model.p1.h5: belongs to party 0'
restore
chmod 644 n.keys.p0.h5
expect_run 3 'n.keys.p0.h5.*chmod 600' n --ledger ledger
restore
chmod 600 n.*

"$TWAIN" deal n -n 3 --force -q
cp good/n.keys.p1.h5 .
expect_run 5 'key_id|key' n --ledger ledger # one party's keys of another dealing
parties_say 'key'
restore
expect_run 6 'choose a lower --slot' n --ledger ledger --slot 3
"$TWAIN" encode four --model n a b c d -q
"$TWAIN" share four --model n --input -q
expect_run 6 'slots: 4 needed, the key file has 3 in all; add slots \(`twain deal NAME --append`\)' \
  four --model n --ledger ledger --batch 2
! grep -q -e '--slot' said || { cat said; fail "a --slot that nobody gave"; }
rm -r four.*
expect 2 "NAME '\.\.' has no last part" "$TWAIN" encode .. --model n 'a text'
expect 2 "NAME 'good/\.' has no last part" "$TWAIN" encode good/. --model n 'a text'
"$TWAIN" encode n 'another input' --force -q
"$TWAIN" share n --input --force -q
cp good/n.input.p1.h5 .
expect_run 5 'input' n --ledger ledger # one party's share of another input
parties_say 'input'
restore
"$TWAIN" plan n --seq 9 --force -q
expect_run 5 'plan' n --ledger ledger # keys and input of another plan
parties_say 'plan'
restore
"$TWAIN" share n --force -q
expect_run 5 'model' n --ledger ledger # keys and input of another sharing
parties_say 'model'
restore
[ -z "$(find ledger -type f -name '[0-9]*')" ] || fail "a refused run marked slots: $(find ledger -type f -name '[0-9]*')"

# a disk without room for the result: known before a slot is marked (where mounting is allowed)
run_on_full_disk() {
  mount -t tmpfs -o size=64k,mode=0700 tmpfs full
  ln -s "$PWD"/n.plan.json "$PWD"/n.*.p?.h5 full
  cat /dev/zero >full/filler 2>/dev/null
  two_ranks full/n --ledger ledger --slot 2
  echo "exit code $?"
  ls -A full
}
mkdir full
export -f run_on_full_disk
if unshare -m mount -t tmpfs tmpfs full 2>/dev/null; then
  unshare -m bash -c run_on_full_disk >said 2>&1
  grep -q 'exit code 3' said && grep -q 'No space left' said || { cat said >&2; fail "no word of a full disk"; }
  ! grep -q '^n.result' said || { cat said >&2; fail "a full disk left a result"; }
  [ -z "$(find ledger -type f -name '[0-9]*' 2>/dev/null)" ] || fail "a run without room marked $(find ledger -type f -name '[0-9]*')"
  restore
fi

# a damaged key slot is found while it is read: the run fails, the slot is spent
python3 - <<'PYTHON'
data = bytearray(open("n.keys.p1.h5", "rb").read())
data[len(data) // 2] ^= 1
open("n.keys.p1.h5", "wb").write(data)
PYTHON
expect_run 4 'n.keys.p1.h5' n --ledger ledger --slot 1
[ ! -e n.result.p0.h5 ] && [ ! -e n.result.p1.h5 ] || fail "a failed run left a result"
restore
expect_run 6 'slot 1 was used before' n --ledger ledger --slot 1
parties_say 'slot 1 was used before'

expect_run 0 'WARNING' n --ledger ledger
expect_run 3 'n.result.p[01].h5: exists already' n --ledger ledger
python3 - <<'PYTHON'
data = bytearray(open("n.result.p1.h5", "rb").read())
data[-9] ^= 1
open("n.result.p1.h5", "wb").write(data)
PYTHON
expect 4 'n.result.p1.h5' "$TWAIN" reveal n
[ ! -e n.result.h5 ] || fail "a refused reveal left a result"
no_leftovers
