# Help, version, hints and exit codes of the command line.
source "$SOURCE_DIR/tests/cli/cli.bash"

commands="import plan share deal encode ledger run reveal check report bench"
expect 0 'exit codes:' "$TWAIN" --help
for command in $commands; do
  grep -qE "^  $command " said || fail "--help does not list $command"
done
for command in $commands; do
  expect 0 "^usage: twain $command" "$TWAIN" "$command" --help
  grep -q -- '-q, --quiet' said || fail "$command --help has no --quiet"
  cp said first
  expect 0 "^usage: twain $command" "$TWAIN" help "$command"
  cmp -s first said || fail "help $command differs from $command --help"
done
expect 0 'default 128' "$TWAIN" plan --help
expect 0 'default 60' "$TWAIN" run -h
expect 0 'default dithered' "$TWAIN" plan NAME --help # help wins over everything else

expect 0 '^twain [0-9]+\.[0-9]+\.[0-9]+$' "$TWAIN" --version
for part in '^MPI   .*[0-9]' '^HDF5  [0-9.]+$' '^ISA   (portable|avx2|avx512)$'; do
  grep -qE "$part" said || fail "--version does not say $part"
done
TWAIN_ISA=portable expect 0 '^ISA   portable$' "$TWAIN" --version

expect 2 'a command is missing' "$TWAIN"
expect 2 "unknown command 'shaer'; did you mean share\?" "$TWAIN" shaer
expect 2 "unknown command 'xyzzy'; " "$TWAIN" xyzzy
expect 2 'unknown option --sequence; did you mean --seq\?' "$TWAIN" plan n --sequence 9
expect 2 'unknown option --rouding; did you mean --rounding\?' "$TWAIN" plan n --rouding faithful
expect 2 'unknown option -Z; `twain plan --help`' "$TWAIN" plan n -Z
expect 2 '--seq needs a value' "$TWAIN" plan n --seq
expect 2 "--seq '12x'" "$TWAIN" plan n --seq 12x
expect 2 "--seq '0': a whole number from 1 to 512" "$TWAIN" plan n --seq=0
expect 2 "--seq '99999999999999999999'" "$TWAIN" plan n -s99999999999999999999
expect 2 "--margin 'nan'" "$TWAIN" plan n --margin nan
expect 2 '--json takes no value' "$TWAIN" plan n --json=yes
expect 2 "'m' is one argument too many" "$TWAIN" plan n m
expect 2 'an argument is missing' "$TWAIN" deal
expect 2 'either a folder or --synthetic' "$TWAIN" import -o n
expect 2 'texts or --file FILE are needed' "$TWAIN" encode n
expect 2 'go together' "$TWAIN" check n --exact
expect 2 "is a file; give the NAME" "$TWAIN" deal n.plan.json
expect 2 'unknown workload' "$TWAIN" bench nothing
expect 2 "unknown shape 'bert-huge'" "$TWAIN" plan --model bert-huge

# an error is one line on stderr, and nothing on stdout
"$TWAIN" deal n >out 2>err && fail "deal without files went through"
[ ! -s out ] || fail "an error went to stdout"
[ "$(wc -l <err)" = 1 ] || fail "an error is not one line"

# a plan needs no file; output that cannot be written is an error
"$TWAIN" plan --model bert-tiny --seq 16 --json >plan.json
[ "$(json plan.json 'j["rounds"] > 0 and j["correction_bytes_per_party"] > 0 and j["sent_bytes_per_party"] > 0')" = True ] ||
  fail "plan --json lacks costs"
[ "$(json plan.json 'len(j["rings"])')" = 2 ] || fail "plan --json lacks rings"
[ "$(json plan.json 'sum(g["sent_bytes_per_party"] for g in j["steps"]) == j["sent_bytes_per_party"]')" = True ] ||
  fail "the gates' bytes do not add up"
[ -z "$("$TWAIN" plan --model bert-tiny -q)" ] || fail "-q prints"
expect 3 'standard output' bash -c '"$TWAIN" plan --model bert-tiny >/dev/full'
