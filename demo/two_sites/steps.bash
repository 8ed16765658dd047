# What happens in demo/two_sites.sh, from sites to a result and who could read what. Sourced.
# shellcheck disable=SC2154 # TWO_SITES_WORK: demo/two_sites.sh; top, host: world.bash

twain=$1
model=$2
vectors=${3:-}
work=$TWO_SITES_WORK
name=n
count=4
started=$SECONDS
background=()
end_background() {
  [ ${#background[@]} -gt 0 ] || return 0
  kill "${background[@]}" 2>/dev/null || true
  wait "${background[@]}" || true
}
trap end_background EXIT
trap 'exit 143' TERM PIPE

source demo/show.bash
source demo/two_sites/who_reads.bash

post() { # WHO FILES: by mail, which anybody can read
  as "$1" "install -m 644 $2 ../mail"
}
open_mail() { # WHO FILE SENDER [OPTION]
  as "$1" "twain unseal ../mail/$2.sealed --site site --from ../mail/$3.pem -o $2 -q${4:+ $4}"
}

# A command of each party at once; shown are times of party 0.
both() { # COMMAND-OF-0 COMMAND-OF-1
  local party status=0 parties=()
  for party in 0 1; do
    tell party$party "${@:party+1:1}"
    enter party$party "${@:party+1:1}" >"$top/said$party" 2>&1 &
    parties+=($!)
  done
  background+=("${parties[@]}")
  for party in 0 1; do wait "${parties[party]}" || status=$?; done
  if [ $status != 0 ]; then
    cat "$top"/said?
    stopped $status
  fi
  sed -nE 's/^(preparation|online) +([0-9.]+ m?s).*/    \1 \2/p' "$top/said0"
}

deliver() { # both halves of the result to the client, which joins them
  local party
  for party in 0 1; do
    as party$party "twain seal n.result.p$party.h5 --site site --seal-to ../mail/client.pem -q"
    post party$party n.result.p$party.h5.sealed
  done
  for party in 0 1; do open_mail client n.result.p$party.h5 party$party; done
  as client 'twain reveal n'
}

# With what only a demonstration has side by side: the weights and the sentences. Shows lines that begin with WORDS.
compare() { # WORDS
  rm -rf "$top/check"
  install -d -m 700 "$top/check"
  cp "$top"/owner/n.model.h5 "$top"/client/n.{plan.json,client.h5,input.h5,result.h5,result.p?.h5} "$top/check"
  "$top/bin/twain" check "$top/check/n" --show-texts >"$top/said" || { cat "$top/said"; stopped 10; }
  grep -E "^($1)" "$top/said" | sed 's/^/    /'
}

with_vectors() {
  local python=python3
  $python -c 'import h5py' 2>/dev/null || python=/usr/bin/python3
  $python demo/reference.py "$top/check/n" "$vectors" >"$top/said" || { cat "$top/said"; stopped 10; }
  sed 's/^/    /' "$top/said"
}

# plan tells the messages of one inference; of several run together bytes add up, and rounds do not.
forecast_and_time() {
  python3 - "$count" "$one_way_us" "$(cat "$top/plan")" "$(at party0 'twain report n --json')" <<'PYTHON'
import json, re, sys
count, one_way_us, plan, report = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])[0]
least, unit = re.search(r"messages take at least ([\d.]+) (ms|s)", plan).groups()
one = float(least) * {"ms": 1, "s": 1000}[unit]
rounds = int(re.search(r"rounds: (\d+)", plan)[1]) * one_way_us / 1000
messages, computing = rounds + count * (one - rounds), report["gate_ns"] / 1e6
for what, value in (("messages, by plan, at least", messages), ("computing, measured", computing),
                    ("both", messages + computing), ("online, measured", report["online_median_ns"] / 1e6)):
    print(f"    {what:28}{value:6.0f} ms")
PYTHON
}

# ----

# Copied before the hosts hide folders of this machine.
mkdir "$work/bin" "$work/client" "$work/owner"
cp "$twain" "$work/bin/twain"
head -n $count examples/sentences.txt >"$work/client/sentences.txt"
shape=minilm
case $model in
  --synthetic=*) shape=${model#*=} ;;
  --synthetic) ;;
  *) cp -rL "$model" "$work/owner/model" ;;
esac
make_world

if [ "$TWO_SITES" = users ]; then
  title "Users and hosts"
  printf '  Users: %s. Each has a home that no other may enter; ../mail is for all.\n' "${roles[*]}"
  printf '  Hosts: site0, site1 and dealer, with a line of 1 ms there and back and 1 Gbit/s; owner and client without a network.\n'
  printf '  All of them are namespaces of this machine. Each site has half of its processors.\n'
fi

title "1. Everybody: make a site, mail its public file to the others"
for who in "${roles[@]}"; do
  as "$who" "twain site init site --role ${who#party} -q && install -m 644 site/site.pem ../mail/$who.pem"
done
printf '  Then they telephone, and compare fingerprints:\n'
as party1 'twain site show site/site.pem | grep fingerprint'
as party0 'twain site show ../mail/party1.pem | grep fingerprint'

title "2. Model owner: import, plan, split the weights between the parties. What leaves a host is sealed"
if [ -d "$top/owner/model" ]; then
  as owner 'twain import model -o n -q'
else
  printf '  The weights are SYNTHETIC (random).\n'
  as owner "twain import --shape $shape -o n -q"
fi
as owner "twain plan n --seq 32 --result pooled --link-latency $one_way --link-rate $rate >plan && grep -E '^(keys|messages)' plan"
cp "$top/owner/plan" "$top/plan"
as owner 'twain share n --site site --seal-to ../mail/party0.pem --seal-to ../mail/party1.pem --seal-to ../mail/dealer.pem -q'
as owner 'twain seal n.client.h5 --site site --seal-to ../mail/client.pem -q'
as owner 'twain handover n | head -n 8 | cut -c 1-64'
post owner 'n.*.sealed n.plan.json n.model.json'

title "3. Dealer: one-time keys for $count inferences, before any input exists"
as dealer 'cp ../mail/n.*.json .'
open_mail dealer n.model.dealer.h5 owner
as dealer "twain deal n -n $count --site site --seal-to ../mail/party0.pem --seal-to ../mail/party1.pem -q"
post dealer 'n.keys.*.sealed'

title "4. Client: turn $count sentences into inputs, split them between the parties"
as client 'cp ../mail/n.*.json .'
open_mail client n.client.h5 owner
as client 'twain encode n --file sentences.txt -q'
as client 'twain share n --input --site site --seal-to ../mail/party0.pem --seal-to ../mail/party1.pem -q'
post client 'n.input.*.sealed'

title "5. Each party: a ledger of used keys (made once), open the mail, and the inference by TLS over the line"
for party in 0 1; do
  as party$party 'cp ../mail/n.*.json . && twain ledger --new ledger -q'
  [ $party = 1 ] || as party0 'twain verify ../mail/n.keys.p0.h5.sealed --site site --from ../mail/dealer.pem --plan n.plan.json'
  open_mail party$party n.model.p$party.h5 owner
  open_mail party$party n.keys.p$party.h5 dealer '--ledger ledger'
  open_mail party$party n.input.p$party.h5 client
done
listen="twain run n --party 0 --listen $port --site site --peer ../mail/party1.pem --ledger ledger"
connect="twain run n --party 1 --connect $site0:$port --site site --peer ../mail/party0.pem --ledger ledger"
both "$listen" "$connect"

title "6. Client: join the two halves of the result"
deliver

title "7. Check, as nobody could in earnest: with the weights and the sentences side by side"
printf '  against the plain model in floating point:\n'
compare 'cosine|largest'
[ -z "$vectors" ] || { printf '  against PyTorch:\n'; with_vectors; }
if [ "$TWO_SITES" = users ]; then
  printf '  time of the %d inferences on the line:\n' $count
  forecast_and_time
fi

title "8. The same with a live dealer: keys come during the run, and no key file is written"
# shellcheck disable=SC2016 # the dealer expands it
at dealer 'pin() { twain site show ../mail/$1.pem | sed -n "s/^pin //p"; }
  printf "{\"format\": \"twain pairs\", \"version\": 2, \"pairs\": [\n  {\"party_0\": \"%s\",\n   \"party_1\": \"%s\"}]}\n" \
    "$(pin party0)" "$(pin party1)" >pairs.json'
as dealer 'cat pairs.json'
serve="twain deal n --serve $dealer_port --site site --pairs pairs.json"
tell dealer "$serve"
enter dealer "$serve" >"$top/dealer.said" 2>&1 &
server=$!
background+=("$server")
until grep -qs 'on port' "$top/dealer.said"; do kill -0 "$server" || { cat "$top/dealer.said"; stopped 7; }; sleep 0.05; done
keys="--dealer $dealer:$dealer_port --dealer-peer ../mail/dealer.pem --force"
both "$listen $keys" "$connect $keys"
kill "$server"
printf '  Results go to the client as before:\n'
for who in client party0 party1; do at "$who" 'rm -f n.result.*'"$([ $who = client ] || echo sealed)"; done
deliver >"$top/said"
compare largest

end_of_story
