# A peer that lies about its status, its terms, lengths, sequence numbers, checksums or the transcript, that drips, falls
# silent or never joins (tests/cli/preload_peer.c): the honest party ends with the right code, says why on one line, and
# leaves no result and nothing unfinished; a slot that was marked is not used again, and an earlier result does not pass
# for the new input's.
source "$SOURCE_DIR/tests/cli/cli.bash"
[ -e "$TWAIN_PRELOAD/preload_peer.so" ] || exit 77

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 60 -q
"$TWAIN" encode n 'the first input' 'b' -q
"$TWAIN" share n --input -q

marked() { find ledger/p0 -mindepth 2 -type f -name '[0-9]*' 2>/dev/null | sort; } # by the honest party

# Party 0 is honest, party 1 is not: with OPTIONS... for both. Says party 0's words; the exit code is in `code`.
with_liar() { # LIE AT VALUE OPTION...
  local settings=(-x LD_PRELOAD="$TWAIN_PRELOAD/preload_peer.so" -x TWAIN_PEER_LIE="$1" -x TWAIN_PEER_AT="$2"
    -x TWAIN_PEER_VALUE="$3" -x TWAIN_PEER_TEXT="${text-a reason}")
  shift 3
  code=0
  timeout 60 mpirun -np 1 "$TWAIN" run n --ledger ledger "$@" : \
    -np 1 "${settings[@]}" "$TWAIN" run n --ledger ledger "$@" >said 2>&1 </dev/null || code=$?
}

expect_lie() { # CODE WORDS LIE AT VALUE OPTION...
  local wanted=$1 words=$2
  shift 2
  with_liar "$@"
  [ "$code" = "$wanted" ] || { cat said >&2; fail "exit code $code, not $wanted: $*"; }
  grep -qE "^twain: party 0 on .*$words" said || { cat said >&2; fail "party 0 does not say '$words': $*"; }
  [ -z "$(compgen -G 'n.result.p0*')" ] || fail "left behind: $(compgen -G 'n.result.p0*'): $*"
  rm -f n.result.p1.*
}

# ---- before a slot is marked
for found in 256 -1; do expect_lie 7 'a greeting that no twain sends \(its status\)' status 3 $found; done
expect_lie 7 'a greeting that no twain sends' status 0 256
expect_lie 3 'the other party \(1\) stopped: a reason' status 2 3
expect_lie 5 'differ in protocol version: party 0 has [0-9]+, party 1 has 77' version 0 77
expect_lie 5 'differ in plan' terms 7 0
expect_lie 7 'a word without end' words 0 0
expect_lie 7 'sent one of another size' cut 1 100
expect_lie 7 "sent a host's name that no twain sends" host 0 0
expect_lie 7 'sent a description of its hardware that no twain sends' hardware 0 0
expect_lie 7 'sent a list of cores that no twain sends' cores 0 0
expect_lie 7 'nothing moved for 1 s' silent 1 0 --silence-limit 1
text=$(printf 'disk full\n\033[2J\033[31mtwain: party 0 on honest: done, result written\033[0m \xff')
expect_lie 3 'stopped: disk full' status 2 3
[ "$(grep -c 'party 0 on honest' said)" = 1 ] || fail "a peer's text made a line of its own"
! LC_ALL=C grep -q '[^[:print:]]' <(grep '^twain' said) || { cat -v said >&2; fail "control characters of a peer"; }
unset text
[ -z "$(marked)" ] || fail "a refused agreement marked $(marked)"

# ---- from the marks on: each run spends its slots, and no other
before=
spends() { # as expect_lie
  expect_lie "$@"
  local now
  now=$(marked)
  [ "$(wc -l <<<"$now")" = $(($(grep -c . <<<"$before" || true) + 2)) ] || fail "slots marked: $now"
  before=$now
}
spends 7 'a greeting that no twain sends' status 13 256
spends 7 'message 5: the sequence number is 5 here and 6' sequence 5 0
spends 7 'another size|the payload length' length 7 0
spends 7 'message 6.*(checksum|CRC|damaged)' checksum 6 0
spends 7 'the parties opened different values' values 40 0
spends 7 'the parties opened different values' transcript 0 0
spends 7 'nothing moved for 1 s' silent 60 0 --silence-limit 1
spends 7 'the time limit of the whole run \(--time-limit\) has passed' drip 0 100 --silence-limit 10 --time-limit 4
spends 7 'a greeting that no twain sends' status 14 256 # the other party's last word, its result is written

# ---- party 0 names the rows of its first batch again and again: party 1 does not run them twice
seq 9 >texts
"$TWAIN" encode n --file texts -q --force
"$TWAIN" share n --input -q --force
code=0
timeout 60 mpirun -np 1 -x LD_PRELOAD="$TWAIN_PRELOAD/preload_peer.so" -x TWAIN_PEER_LIE=rows -x TWAIN_PEER_VALUE=2 \
  "$TWAIN" run n --ledger ledger --batch 2 : -np 1 "$TWAIN" run n --ledger ledger --batch 2 >said 2>&1 </dev/null || code=$?
[ "$code" = 7 ] || { cat said >&2; fail "exit code $code, not 7: rows that come again"; }
grep -qE '^twain: party 1 on .*party 0 names rows of a batch as no twain does' said || { cat said >&2; fail "rows come again"; }
[ "$("$python" -c 'import glob, h5py
print(*sorted(int(r) for name in glob.glob("n.parts.p1/*.h5") for r in h5py.File(name)["input_rows"]))')" = '0 1' ] ||
  fail "party 1 has run rows twice"
rm -rf n.parts.p?
"$TWAIN" encode n 'the first input' 'b' -q --force
"$TWAIN" share n --input -q --force
before=$(marked)

# ---- an honest run takes other slots; what it leaves does not pass for another input's
expect_run 0 WARNING n --ledger ledger
now=$(marked)
[ "$(wc -l <<<"$now")" = $(($(wc -l <<<"$before") + 2)) ] || fail "an honest run after liars marked: $now"
"$TWAIN" reveal n -q
"$TWAIN" encode n 'other words entirely here' 'c' -q --force
"$TWAIN" share n --input -q --force
with_liar status 3 256 --force
[ "$code" = 7 ] || { cat said >&2; fail "exit code $code, not 7, over an earlier result"; }
cp n.result.h5 earlier
expect 5 'n.input.h5: is input [0-9a-f]{32}, but the result is of input' "$TWAIN" reveal n --force
cmp -s earlier n.result.h5 || fail "a refused reveal touched the earlier result"
expect 5 'input' "$TWAIN" check n
expect 0 'note: n.input.h5: is input' "$TWAIN" report n
expect_run 0 WARNING n --ledger ledger --force
expect 0 written "$TWAIN" reveal n --force
no_leftovers
