# Files between sites: the owner, the dealer, two parties and a client, each with a folder of its own; all that changes
# hands is sealed. Then what must be refused, and that nothing half written is left.
source "$SOURCE_DIR/tests/cli/cli.bash"

mkdir owner dealer p0 p1 client mail
for role in owner dealer client; do "$TWAIN" site init $role/site --role $role -q; done
for role in 0 1; do "$TWAIN" site init p$role/site --role $role -q; done
for who in owner dealer client p0 p1; do cp $who/site/site.pem mail/$who.pem; done

seal() { "$TWAIN" "$@" -q; }
unseal() { # unseal WHO FROM FILE [OPTION ...]: out of the mail into WHO's folder
  local who=$1 from=$2 file=$3
  shift 3
  "$TWAIN" unseal "mail/$file.sealed" --site "$who/site" --from "mail/$from.pem" --output "$who/$file" -q "$@"
}

# ---- the way of an inference
seal import --shape 1x8x1x8 -o owner/n
seal plan owner/n --seq 4
seal share owner/n --site owner/site --seal-to mail/p0.pem --seal-to mail/p1.pem --seal-to mail/dealer.pem
seal seal owner/n.client.h5 --site owner/site --seal-to mail/client.pem --output mail/n.client.h5.sealed
mv owner/n.*.sealed mail
for who in dealer p0 p1 client; do cp owner/n.plan.json owner/n.model.json $who; done
unseal dealer owner n.model.dealer.h5
seal deal dealer/n -n 3 --site dealer/site --seal-to mail/p0.pem --seal-to mail/p1.pem
mv dealer/n.*.sealed mail
unseal client owner n.client.h5
seal encode client/n 'two words'
seal share client/n --input --site client/site --seal-to mail/p0.pem --seal-to mail/p1.pem
mv client/n.*.sealed mail
for party in 0 1; do
  "$TWAIN" ledger --new p$party/ledger -q
  unseal p$party owner n.model.p$party.h5
  unseal p$party dealer n.keys.p$party.h5 --ledger p$party/ledger
  unseal p$party client n.input.p$party.h5
done
[ -z "$(find . -name '*.p[01].h5' -newer mail/p0.pem ! -path './p[01]/*')" ] || fail 'a share or key lay in clear at its maker'
[ "$(stat -c %a p0/n.keys.p0.h5 p1/n.model.p1.h5 mail/n.keys.p0.h5.sealed | sort -u)" = 600 ] || fail 'mode of a file'
timeout 60 mpirun -np 1 "$TWAIN" run p0/n --ledger p0/ledger -q : -np 1 "$TWAIN" run p1/n --ledger p1/ledger -q
for party in 0 1; do
  seal seal p$party/n.result.p$party.h5 --site p$party/site --seal-to mail/client.pem -o mail/n.result.p$party.h5.sealed
  unseal client p$party n.result.p$party.h5
done
"$TWAIN" reveal client/n -q
expect 3 'the model in clear, which its owner alone has' "$TWAIN" check client/n
cp owner/n.model.h5 client
expect 0 '' "$TWAIN" check client/n

# what a sealed file says to everybody: neither plan nor key nor its kind
plan=$(json owner/n.plan.json 'j["digest"]')
"$python" - mail/n.keys.p0.h5.sealed p0/n.keys.p0.h5 "$plan" <<'PY'
import sys, h5py
sealed = open(sys.argv[1], "rb").read()
key = h5py.File(sys.argv[2]).attrs["key_id"].decode()
for word in key, sys.argv[3]:
    assert word.encode() not in sealed and bytes.fromhex(word)[:8] not in sealed, word
for word in b"twain-keys", b"keys-0", b"HDF":
    assert word not in sealed, word
PY

# ---- who gets what
"$TWAIN" handover mail/n >said
while read -r digest file; do
  grep -qE "^$file +(party [01]|dealer|client) .* $digest\$" said || { cat said; fail "$file is not listed with its digest"; }
done < <(cd mail && sha256sum ./*.sealed | sed 's| \./| mail/|')
expect 0 'n.plan.json +all +model owner +public' "$TWAIN" handover owner/n
expect 0 'p0/n.keys.p0.h5 +party 0 +dealer +no ' "$TWAIN" handover p0/n
grep -q '^plain: p0/n.model.p0.h5, p0/n.keys.p0.h5, p0/n.input.p0.h5, p0/n.result.p0.h5$' said || { cat said; fail 'handover does not name what is plain'; }
expect 0 'p0/n.keys.p0.h5 +party 0 +dealer +no, yours ' "$TWAIN" handover p0/n --site p0/site
grep -q '^plain: p0/n.result.p0.h5$' said || { cat said; fail 'what a site got is no more to be sealed'; }
cp mail/n.result.p0.h5.sealed p0
expect 0 'p0/n.result.p0.h5 +client +party 0 +no, beside ' "$TWAIN" handover p0/n --site p0/site
! grep -q plain: said || { cat said; fail 'what lies beside its sealed form is to be sealed again'; }
touch -d '1 minute ago' p0/n.result.p0.h5.sealed
expect 0 'p0/n.result.p0.h5 +client +party 0 +no, newer ' "$TWAIN" handover p0/n --site p0/site
grep -q '^plain: p0/n.result.p0.h5$' said || { cat said; fail 'a newer result passes for sealed'; }
rm p0/n.result.p0.h5.sealed
expect 3 'no file of that name' "$TWAIN" handover mail/other

# ---- is it whole, mine, of this plan?
from_dealer=(--site p0/site --from mail/dealer.pem)
"$TWAIN" plan owner/n --seq 5 -q --force
cp owner/n.plan.json other.plan.json
expect 0 "plan $plan, as wanted" "$TWAIN" verify mail/n.keys.p0.h5.sealed "${from_dealer[@]}" --plan p0/n.plan.json
expect 5 "is of plan $plan, not of other.plan.json" "$TWAIN" verify mail/n.keys.p0.h5.sealed "${from_dealer[@]}" --plan other.plan.json
expect 2 'is sealed: --site' "$TWAIN" verify mail/n.keys.p0.h5.sealed
expect 12 'sealed to another site' "$TWAIN" verify mail/n.keys.p0.h5.sealed --site p1/site --from mail/dealer.pem
for file in p0/n.model.p0.h5 p0/n.keys.p0.h5 p0/n.input.p0.h5 client/n.result.p1.h5 client/n.client.h5 dealer/n.model.dealer.h5; do
  expect 0 "$file: whole" "$TWAIN" verify $file --site "${file%%/*}/site" --plan p0/n.plan.json
done
expect 0 'n.plan.json: whole' "$TWAIN" verify p0/n.plan.json --plan p0/n.plan.json
expect 0 'n.model.json: whole' "$TWAIN" verify p0/n.model.json
expect 5 'is of plan' "$TWAIN" verify p0/n.plan.json --plan other.plan.json
sed 's/"seq":/"sep":/' p0/n.plan.json >bad.plan.json && expect 4 'bad.plan.json' "$TWAIN" verify bad.plan.json
expect 5 'keys-0 is for party 0, and p1/site is party 1' "$TWAIN" verify p0/n.keys.p0.h5 --site p1/site
expect 5 'is of plan' "$TWAIN" verify p0/n.keys.p0.h5 --plan other.plan.json
expect 2 'is not sealed' "$TWAIN" verify p0/n.keys.p0.h5 --from mail/dealer.pem
expect 4 'is no file that is handed over' "$TWAIN" verify said
python3 - p0/n.keys.p0.h5 p0/n.model.p0.h5 <<'PY'
import sys
for path in sys.argv[1:]:
    data = bytearray(open(path, "rb").read())
    data[-700] ^= 4
    open("bad." + path.split(".", 1)[1], "wb").write(data)
PY
expect 4 'bad.keys.p0.h5: ' "$TWAIN" verify bad.keys.p0.h5
expect 4 'bad.model.p0.h5: ' "$TWAIN" verify bad.model.p0.h5

# ---- keys are unsealed once
cp p0/n.keys.p0.h5 aside.h5 && rm p0/n.keys.p0.h5
expect 6 'was unsealed before' "$TWAIN" unseal mail/n.keys.p0.h5.sealed "${from_dealer[@]}" --ledger p0/ledger -o p0/n.keys.p0.h5
[ ! -e p0/n.keys.p0.h5 ] || fail 'a key file although it was refused'
expect 3 'no --ledger DIR names yours.*no such ledger' env XDG_STATE_HOME="$PWD/state" "$TWAIN" unseal mail/n.keys.p0.h5.sealed "${from_dealer[@]}" -o p0/n.keys.p0.h5
expect 3 'no such ledger' "$TWAIN" unseal mail/n.keys.p0.h5.sealed "${from_dealer[@]}" --ledger p0/none -o p0/n.keys.p0.h5
expect 0 '' "$TWAIN" unseal mail/n.keys.p0.h5.sealed "${from_dealer[@]}" --ledger p0/ledger -o p0/n.keys.p0.h5 --again
"$python" - aside.h5 p0/n.keys.p0.h5 <<'PY'
import sys, h5py
used, new = (h5py.File(path)["seeds"][()] for path in sys.argv[1:])
assert not used[0].any() and not new[0].any(), "slot 0 was used and has a seed"
assert (used == new).all() and new[1].any() and new[2].any()
PY
expect 0 '1 +2' "$TWAIN" ledger p0/ledger
[ "$(wc -l <p0/ledger/p0/*/unsealed)" -ge 8 ] || fail 'the ledger does not say that it was unsealed twice'

# ---- refused, with one line, and nothing is written
refuse() { # refuse CODE TEXT FILE [OPTION ...]: of unseal, by party 0
  local code=$1 text=$2 file=$3
  shift 3
  expect "$code" "$text" "$TWAIN" unseal "$file" --site p0/site --from mail/dealer.pem --ledger p0/ledger -o refused.h5 "$@"
  [ "$(wc -l <said)" = 1 ] || { cat said; fail 'more than one line'; }
  [ ! -e refused.h5 ] || fail "refused.h5 was written: $text"
  no_leftovers
}
keys=mail/n.keys.p1.h5.sealed
refuse 12 'is sealed to another site' $keys
refuse 12 'names another sender' mail/n.model.p0.h5.sealed
refuse 3 'cannot open' mail/nothing
refuse 4 'is no sealed file' mail/p0.pem
head -c 5000 $keys >cut.sealed && refuse 4 'has 5000 bytes' cut.sealed
head -c 8 $keys >cut.sealed && refuse 4 'has 8 bytes, .*; copy it again' cut.sealed
"$TWAIN" site init stranger --role dealer -q
expect 12 'names another sender' "$TWAIN" unseal $keys --site p1/site --from stranger/site.pem -o refused.h5
expect 12 'sealed to another site' "$TWAIN" unseal $keys --site dealer/site --from mail/dealer.pem -o refused.h5
expect 2 'does not end in .sealed' "$TWAIN" unseal said --site p1/site --from mail/dealer.pem
expect 2 '--site FOLDER' "$TWAIN" unseal $keys
expect 3 'exists' "$TWAIN" unseal mail/n.input.p0.h5.sealed --site p0/site --from mail/client.pem -o p0/n.input.p0.h5

expect 2 'go together' "$TWAIN" share owner/n --site owner/site
expect 2 'go together' "$TWAIN" share owner/n --seal-to mail/p0.pem
expect 2 "both parties' keys are sealed, or none" "$TWAIN" deal dealer/n --site dealer/site --seal-to mail/p0.pem
expect 2 'is of the client, for whom this command writes nothing' "$TWAIN" deal dealer/n --site dealer/site --seal-to mail/client.pem
expect 2 'party 0 is named already' "$TWAIN" deal dealer/n --site dealer/site --seal-to mail/p0.pem --seal-to mail/p0.pem
expect 12 'model-share-0 goes from the model owner' "$TWAIN" share owner/n --force --site dealer/site --seal-to mail/p0.pem
expect 12 'keys-0 goes from the dealer to party 0' "$TWAIN" seal p0/n.keys.p0.h5 --site p0/site --seal-to mail/p1.pem
expect 12 'model is handed to nobody' "$TWAIN" seal owner/n.model.h5 --site owner/site --seal-to mail/p0.pem
expect 2 'one --seal-to FILE is needed' "$TWAIN" seal owner/n.client.h5 --site owner/site
expect 4 'is no sound site file' "$TWAIN" seal owner/n.client.h5 --site owner/site --seal-to owner/n.plan.json
cp mail/n.input.p0.h5.sealed client
expect 3 'exists' "$TWAIN" share client/n --input --site client/site --seal-to mail/p0.pem --seal-to mail/p1.pem
expect 0 '' "$TWAIN" share client/n --input --site client/site --seal-to mail/p0.pem --seal-to mail/p1.pem --force
expect 0 'for party 1: client/n.input.p1.h5$' "$TWAIN" share client/n --input --site client/site --seal-to mail/p0.pem --force
no_leftovers

# ---- a file larger than memory would be: both ways at most 60 MB more than of a small one
head -c 150000000 /dev/zero >large
peak() { python3 -c 'import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"; }
small=$(peak "$TWAIN" seal said --site client/site --seal-to mail/p0.pem -q -o said.sealed)
for command in 'seal large --site client/site --seal-to mail/p0.pem' 'unseal large.sealed --site p0/site --from mail/client.pem -o back'; do
  read -ra words <<<"$command"
  used=$(peak "$TWAIN" "${words[@]}" -q)
  [ "$used" -lt $((small + 60000)) ] || fail "$command: $used KiB, of a small file $small"
done
cmp large back || fail 'a large file changed'
rm back
expect 3 '' bash -c 'ulimit -f 20000; trap "" XFSZ; exec "$TWAIN" unseal large.sealed --site p0/site --from mail/client.pem -o back'
[ ! -e back ] || fail 'a file that did not fit'
no_leftovers
echo "sealed files hold (a large file: $used KiB, a small one $small)"
