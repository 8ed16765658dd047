# Plans that read functions from keys of point functions: every family, each rounding, batches and their halves; a written
# text; two sites, with key files and with a live dealer. Parties equal the emulator bit for bit, and the float model.
source "$SOURCE_DIR/tests/cli/cli.bash"
families="$SOURCE_DIR/tests/cli/families.py"
children=()
trap 'kill "${children[@]}" 2>/dev/null || true' EXIT

"$TWAIN" ledger --new ledger -q
engines=(pfss pfss-rows pfss-exp+activation pfss-norms+activation)
roundings=(dithered faithful faithful-output)
turn=0

# go NAME ENGINE PLAN'S-OPTION...: a batch of three texts of different lengths
go() {
  local name=$1 engine=$2
  shift 2
  "$TWAIN" plan "$name" -q --force --engine "$engine" "$@"
  [ "$(json "$name.plan.json" 'j["choices"]["engine"]')" = "$engine" ] || fail "$name: the plan does not say $engine"
  "$TWAIN" deal "$name" -n 3 --test-seed 7 -q --force 2>/dev/null
  "$TWAIN" encode "$name" -q --force -- "${texts[@]}"
  "$TWAIN" share "$name" --input -q --force
  expect_run 0 '' "$name" --ledger ledger --allow-test-keys -q --force --device cpu --split-batch "${halves:-auto}"
  expect 0 'none counted|NOT counted' "$TWAIN" reveal "$name" --force
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check "$name" --exact --test-seed 7
  expect 0 '' "$TWAIN" check "$name"
}

mapfile -t texts < <(cd "$SOURCE_DIR/tests/cli" && "$python" -c 'import families; print("\n".join(families.TEXTS[:3]))')
for name in $(cd "$SOURCE_DIR/tests/cli" && "$python" -c 'import families; print(*families.FAMILIES)'); do
  "$python" "$families" "$name" "$name.folder"
  "$TWAIN" import "$name.folder" -o "$name" -q
  "$TWAIN" share "$name" -q
  halves=$([ $((turn % 2)) = 1 ] && echo always || echo never)
  go "$name" "${engines[turn % 4]}" --seq 40 --rounding "${roundings[turn % 3]}"
  turn=$((turn + 1))
done
[ $turn -ge 4 ] || fail "only $turn families"

mapfile -t texts < <(cd "$SOURCE_DIR/tests/cli" && "$python" -c 'import families; print("\n".join(families.DECODER_TEXTS[:3]))')
decoders=(pfss pfss-rows pfss-exp pfss-rows+activation)
for name in $(cd "$SOURCE_DIR/tests/cli" && "$python" -c 'import families; print(*families.DECODERS)'); do
  "$python" "$families" "$name" "$name.folder"
  "$TWAIN" import "$name.folder" -o "$name" -q
  "$TWAIN" share "$name" -q
  go "$name" "${decoders[turn % 4]}" --seq 12 --rounding "${roundings[turn % 3]}"
  turn=$((turn + 1))
done
go llama-tied pfss --seq 12 --generate 3

# ---- two sites, each with files and a ledger of its own: key files, then a live dealer
"$TWAIN" import --shape 1x64x2x128 -o n -q
"$TWAIN" plan n --seq 16 -q
"$TWAIN" share n -q
texts=('some words to encode' 'and a second text' 'and a third one')
for party in 0 1; do
  "$TWAIN" site init s$party --role $party -q --allow-unlocked
  "$TWAIN" ledger --new l$party -q
done
"$TWAIN" site init dealer --role dealer -q --allow-unlocked
party() { # PARTY OPTION...
  timeout 60 "$TWAIN" run n --party "$1" --site "s$1" --peer "s$((1 - $1))/site.pem" --ledger "l$1" --force \
    --silence-limit 20 --wait-limit 30 --allow-unlocked "${@:2}"
}
both() { # OPTION...
  local listen first status=0
  listen=127.0.0.1:$(free_port)
  party 0 --listen "$listen" "$@" >said0 2>&1 &
  first=$!
  party 1 --connect "$listen" "$@" >said1 2>&1 || status=$?
  wait $first || status=$?
  [ $status = 0 ] || { cat said0 said1 >&2; fail "a party ended with $status"; }
  "$TWAIN" reveal n -q --force
}
pin() { "$TWAIN" site show "$1/site.pem" | sed -n 's/^pin //p'; }
cat >pairs.json <<JSON
{"format": "twain pairs", "version": 2, "pairs": [{"party_0": "$(pin s0)", "party_1": "$(pin s1)"}]}
JSON
for rounding in dithered faithful; do
  "$TWAIN" plan n --seq 16 -q --force --engine pfss --rounding $rounding
  "$TWAIN" encode n -q --force -- "${texts[@]}"
  "$TWAIN" share n --input -q --force
  "$TWAIN" deal n -n 3 --test-seed 7 -q --force 2>/dev/null
  both --allow-test-keys --streams 2 --split-batch always
  expect 0 "equal the emulator.s, transcript equal" "$TWAIN" check n --exact --test-seed 7
  rm n.keys.p?.h5

  : >dealer.said
  "$TWAIN" deal n --serve 127.0.0.1:0 --site dealer --pairs pairs.json --allow-unlocked 2>dealer.said &
  dealer=$!
  children+=("$dealer")
  until grep -q 'on port' dealer.said; do kill -0 $dealer || { cat dealer.said >&2; fail "no dealer"; }; sleep 0.02; done
  port=$(grep -oE 'on port [0-9]+, at ' dealer.said | grep -oE '[0-9]+')
  both --dealer "127.0.0.1:$port" --dealer-peer dealer/site.pem
  expect 0 '' "$TWAIN" check n
  kill $dealer
  wait $dealer || fail "the dealer ended with $?"
done
