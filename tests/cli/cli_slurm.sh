# The scripts of slurm/ for each party and the dealer under a real Slurm (slurm.bash): jobs of three users. Left out
# without Slurm or root.
source "$SOURCE_DIR/tests/cli/cli.bash"

source "$SOURCE_DIR/tests/cli/slurm.bash"

users=(party0 party1 dealer)
slurm_begin n1
install -d -m 700 owner
job() { # job USER SCRIPT VARIABLE=VALUE...: waits for its end, and ends with its code
  local user=$1 script=$2
  shift 2
  as "$user" timeout 200 env "$@" bash -c 'exec sbatch --quiet --wait --output=job.log ${SBATCH_OPTIONS:---cpus-per-task=2} "$0"' "$top/$script"
}
post() { for file in "$@"; do install -m 644 "$file" mail; done; }

# ---- sites and files
for i in 0 1; do
  as party$i "$TWAIN" site init site --role $i -q
  as party$i "$TWAIN" ledger --new ledger -q
done
as dealer "$TWAIN" site init site --role dealer -q
"$TWAIN" site init owner/site --role owner -q
"$TWAIN" site init client --role client -q
for who in party0 party1 dealer owner; do install -m 644 $who/site/site.pem mail/$who.pem; done
install -m 644 client/site.pem mail/client.pem
"$TWAIN" import --shape 1x8x1x8 -o owner/n -q
"$TWAIN" plan owner/n --seq 4 -q
"$TWAIN" share owner/n -q --site owner/site --seal-to mail/party0.pem --seal-to mail/party1.pem --seal-to mail/dealer.pem
"$TWAIN" encode owner/n 'two words' -q
"$TWAIN" share owner/n --input -q --site client --seal-to mail/party0.pem --seal-to mail/party1.pem
post owner/n.*.sealed owner/n.plan.json
for user in "${users[@]}"; do as "$user" cp ../mail/n.plan.json .; done

# ---- the dealer's job
as dealer "$TWAIN" unseal ../mail/n.model.dealer.h5.sealed --site site --from ../mail/owner.pem -o n.model.dealer.h5 -q
dealer=(NAME=n SITE=site PARTY_0=../mail/party0.pem PARTY_1=../mail/party1.pem COUNT=3)
job dealer twain-deal.sbatch "${dealer[@]}" || { cat dealer/job.log; fail "the dealer's job"; }
grep -q "n.keys.p1.h5.sealed .*party 1" dealer/job.log || { cat dealer/job.log; fail "the dealer's job says no digest"; }
[ ! -e dealer/n.keys.p0.h5 ] && [ -s dealer/n.keys.p0.h5.sealed ] || fail "the dealer's keys are not sealed"
post dealer/n.keys.p?.h5.sealed

# ---- the parties' jobs
for i in 0 1; do
  for from in owner:model dealer:keys client:input; do
    file=n.${from#*:}.p$i.h5
    as party$i "$TWAIN" unseal "../mail/$file.sealed" --site site --from "../mail/${from%:*}.pem" -o "$file" --ledger ledger -q
  done
done
party0=(NAME=n PARTY=0 LISTEN=4433 SITE=site PEER=../mail/party1.pem LEDGER=ledger SEAL_TO=../mail/client.pem)
party1=(NAME=n PARTY=1 CONNECT=localhost:4433 SITE=site PEER=../mail/party0.pem LEDGER=ledger SEAL_TO=../mail/client.pem)
job party1 twain-party.sbatch "${party1[@]}" & # comes first, and waits
other=$!
job party0 twain-party.sbatch "${party0[@]}" || { cat party0/job.log; fail "party 0's job"; }
wait $other || { cat party1/job.log; fail "party 1's job"; }
for i in 0 1; do
  "$TWAIN" unseal party$i/n.result.p$i.h5.sealed --site client --from mail/party$i.pem -o owner/n.result.p$i.h5 -q
  as party$((1 - i)) test -r ../party$i/n.keys.p$i.h5 && fail "a party reads the other's keys"
done
"$TWAIN" reveal owner/n -q
expect 0 '' "$TWAIN" check owner/n

# ---- the same with a live dealer and without key files
pin() { "$TWAIN" site show "mail/$1.pem" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pin"])'; }
cat >mail/pairs.json <<END
{"format": "twain pairs", "version": 2, "pairs": [{"party_0": "$(pin party0)", "party_1": "$(pin party1)"}]}
END
as dealer "$TWAIN" deal n --serve 4500 --site site --pairs ../mail/pairs.json >dealer.log 2>&1 &
dealer=$!
until grep -qs 'deals to 1 pair' dealer.log; do kill -0 $dealer 2>/dev/null || { cat dealer.log; fail "no live dealer"; }; sleep 0.1; done
for i in 0 1; do as party$i rm n.keys.p$i.h5 n.result.p$i.h5.sealed job.log; done
live=(DEALER=localhost:4500 DEALER_PEER=../mail/dealer.pem OPTIONS=--force)
job party1 twain-party.sbatch "${party1[@]}" "${live[@]}" &
other=$!
job party0 twain-party.sbatch "${party0[@]}" "${live[@]}" || { cat party0/job.log; fail "party 0's job with a live dealer"; }
wait $other || { cat party1/job.log; fail "party 1's job with a live dealer"; }
for i in 0 1; do
  "$TWAIN" unseal party$i/n.result.p$i.h5.sealed --site client --from mail/party$i.pem -o live.result.p$i.h5 -q
done
# two processes a party, with a name each
for i in 0 1; do
  for file in party$i/n.*; do
    case $file in *.result.*) ;; *) as party$i ln -s "${file#*/}" "m.${file#*/n.}" ;; esac
  done
  rm -f party$i/job.log party$i/*.result.*
done
live+=('NAME=n m' 'SBATCH_OPTIONS=--ntasks=2 --cpus-per-task=1')
job party1 twain-party.sbatch "${party1[@]}" "${live[@]}" &
other=$!
job party0 twain-party.sbatch "${party0[@]}" "${live[@]}" || { cat party0/job.log; fail "party 0's job of two processes"; }
wait $other || { cat party1/job.log; fail "party 1's job of two processes"; }
for name in n m; do for i in 0 1; do [ -s party$i/$name.result.p$i.h5.sealed ] || fail "no result of process $name"; done; done
# a service: a question is answered, and the signal that comes before the end of the time ends both jobs well
for i in 0 1; do
  as party$i mkdir q out
  rm -f party$i/job.log
  printf '#!/bin/sh\ninstall -m 600 -o party%s -g %s "$1" %s/party%s/q/.new && mv %s/party%s/q/.new "%s/party%s/q/$(basename "$1")"\n' $i $((52000 + i)) $top $i $top $i $top $i >put$i
  printf '#!/bin/sh\ncp "%s/party%s/out/$1" "$2" 2>/dev/null\n' $top $i >get$i
done
chmod 700 put? get?
serve=(NAME=n QUEUE=q OUT=out SEAL_TO= DEALER=localhost:4500 DEALER_PEER=../mail/dealer.pem)
job party1 twain-service.sbatch "${party1[@]}" "${serve[@]}" &
other=$!
job party0 twain-service.sbatch "${party0[@]}" "${serve[@]}" &
first=$!
"$TWAIN" ask owner/n 'two words' --put ./put0 --put ./put1 --get ./get0 --get ./get1 --wait-limit 100 -o asked.h5 -q ||
  { cat party?/job.log; fail "no answer of the service"; }
[ -s asked.h5 ] || fail "the answer is not written"
scancel --batch --signal=USR1 --user=party0
wait $first || { cat party0/job.log; fail "party 0's service does not end well"; }
wait $other || { cat party1/job.log; fail "party 1's service does not end well"; }
for i in 0 1; do rm -f party$i/job.log; done
kill "$(pgrep -u dealer -x twain)"
wait $dealer || { cat dealer.log; fail "the live dealer"; }
cp owner/n.plan.json live.plan.json
cp owner/n.model.json live.model.json
cp owner/n.input.h5 live.input.h5
cp owner/n.client.h5 live.client.h5
"$TWAIN" reveal live -q
as party0 touch n.keys.p0.h5 # for the checks below, of which none comes as far as to read it

# ---- what the scripts refuse, and a job that is cancelled while it waits
refused() { # CODE TEXT VARIABLE...: of party 0's job
  local code=$1 text=$2 status=0
  shift 2
  rm -f party0/job.log
  job party0 twain-party.sbatch "${party0[@]}" "$@" || status=$?
  [ $status = "$code" ] && grep -q -- "$text" party0/job.log || { cat party0/job.log; fail "code $status, not $code with '$text'"; }
}
refused 2 'set LISTEN' CONNECT=localhost:4433
refused 2 'set LISTEN' LISTEN=
refused 12 'is the file of the dealer' PEER=../mail/dealer.pem OPTIONS=--force
as party0 touch n.keys.p1.h5
refused 5 "is the other party's"
as party0 rm n.keys.p1.h5
rm -f party0/job.log
job party0 twain-party.sbatch "${party0[@]}" DEALER=localhost:4500 DEALER_PEER=../mail/dealer.pem OPTIONS='--force --silence-limit 20' &
waits=$!
until grep -qs 'waits for party 1' party0/job.log || ! kill -0 $waits 2>/dev/null; do sleep 0.2; done
scancel --signal=TERM --user=party0
! wait $waits || fail "a cancelled job ended well"
grep -qE 'SIGTERM|ended by' party0/job.log || { cat party0/job.log; fail "a cancelled job says nothing"; }
[ -z "$(find party0 -name '*.partial')" ] || fail "a cancelled job left something"
echo "three users' jobs under $(slurmctld -V)"
