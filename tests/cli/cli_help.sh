# Help, version, hints and exit codes of the command line.
source "$SOURCE_DIR/tests/cli/cli.bash"

commands="import plan share deal encode ledger run reveal check report destroy doctor bench"
expect 0 'exit codes:' "$TWAIN" --help
for command in $commands; do
  grep -qE "^  $command " said || fail "--help does not list $command"
done
for command in $commands; do
  expect 0 "^usage: twain $command" "$TWAIN" "$command" --help
  [ "$command" = bench ] || grep -q -- '-q, --quiet' said || fail "$command --help has no --quiet"
  cp said first
  expect 0 "^usage: twain $command" "$TWAIN" help "$command"
  cmp -s first said || fail "help $command differs from $command --help"
done
for workload in model opens deal kernels gemm; do
  expect 0 "^  $workload " "$TWAIN" help bench
  expect 0 "^usage: (mpirun -np 2 )?twain bench $workload \[options\]" "$TWAIN" bench "$workload" --help
  cp said first
  expect 0 "[-]q, --quiet" "$TWAIN" help bench "$workload"
  cmp -s first said || fail "help bench $workload differs from bench $workload --help"
done
expect 0 '^.TH TWAIN' "$TWAIN" help --man
expect 0 '^.TH TWAIN.-RUN' "$TWAIN" help --man run
expect 2 "unknown command 'rnu'" "$TWAIN" help --man rnu
expect 0 '^complete -F _twain twain$' "$TWAIN" help --completion bash
expect 0 '^#compdef twain$' "$TWAIN" help --completion zsh
expect 2 'is for bash or zsh' "$TWAIN" help --completion fish
expect 2 "unknown word 'nothing'" "$TWAIN" help bench nothing
expect 2 'unknown option --prepare' "$TWAIN" bench gemm --prepare before
expect 2 "silence-limit '0': a number from 0.1" "$TWAIN" bench model --silence-limit 0

# every line fits, whatever the width; a terminal's is found without COLUMNS
for page in '' $commands 'bench model' 'bench opens' 'bench kernels'; do
  for width in 60 80 132; do
    # shellcheck disable=SC2086
    COLUMNS=$width "$TWAIN" help $page >said
    [ "$(awk -v w="$width" 'length > w' said)" = "" ] || fail "help $page is wider than $width columns: $(awk -v w="$width" 'length > w' said)"
  done
done
COLUMNS= "$TWAIN" help plan >said
[ "$(awk 'length > most { most = length } END { print most }' said)" -le 80 ] || fail "help is wider than 80 columns"

# an old name's error gives the new one
renamed() { expect 2 "unknown option --$1: .* is --$2 now" "$TWAIN" "${@:3}"; }
renamed timeout silence-limit run n --timeout 3
renamed emulate-link link-latency run n --emulate-link 10,10
renamed link link-latency plan n --link 10,10
renamed output result plan n --output tokens
renamed bind affinity run n --bind none
renamed overlap split-batch bench model --overlap=never
renamed open-budget-words coalesce bench model --open-budget-words 64
renamed by-gate verbose bench model --by-gate
renamed trace timeline report n --trace out
renamed model shape plan --model bert-tiny
renamed synthetic shape import --synthetic bert-tiny -o n
expect 2 'unknown option --output; `twain help reveal`' "$TWAIN" reveal n --output x # which has nothing of it

expect 0 'default 128' "$TWAIN" bench model --help
expect 0 'not given: 128, or all positions' env COLUMNS=200 "$TWAIN" plan --help
# a party of its own comes first, and what protects nothing is called so
expect 0 '^usage: twain run NAME --party R --site FOLDER --peer FILE' "$TWAIN" help run
tr -s ' \n' ' ' <said | grep -q 'mpirun -np 2 twain run NAME... \[options\], for a trial' || fail "help run has no trial"
expect 2 'an argument is missing; usage: twain run NAME --party R' "$TWAIN" run
expect 2 'for a trial in one place; or --party R, with --site' "$TWAIN" run n
expect 0 'default 60' "$TWAIN" run -h
expect 0 'default dithered' env COLUMNS=200 "$TWAIN" plan NAME --help # help wins over everything else

expect 0 '^twain [0-9]+\.[0-9]+\.[0-9]+$' "$TWAIN" --version
for part in 'commit +([0-9a-f]{40}|unknown)' 'build +[A-Z][A-Za-z]+ by ' 'ISA +(portable|avx2|avx512)$' 'CUDA +(none|[0-9.]+, for )' \
  'NCCL +(none|[0-9.]+)$' 'MPI +.*[0-9]' 'HDF5 +[0-9.]+$' 'libsodium +[0-9.]+$' 'OpenSSL +3[0-9.]+$' 'Jansson +[0-9.]+$' \
  'utf8proc +[0-9.]+$' 'PCRE2 +[0-9.]+ ' 'hwloc +[0-9.]+, ' 'ISA-L +[0-9.]+, ' 'sentencepiece +(none|[0-9.]+, )' 'libc +[0-9.]+$'; do
  grep -qE "^$part" said || fail "--version does not say $part"
done
"$TWAIN" --version >said
[ "$("$TWAIN" -V)" = "$(cat said)" ] || fail "-V differs from --version"
TWAIN_ISA=portable expect 0 '^ISA +portable$' "$TWAIN" --version

expect 2 'a command is missing' "$TWAIN"
expect 2 "unknown command 'shaer'; did you mean share\?" "$TWAIN" shaer
expect 2 "unknown command 'rnu'; did you mean run\?" "$TWAIN" rnu # two letters that changed places
expect 2 "unknown command 'paln'; did you mean plan\?" "$TWAIN" paln
expect 2 "unknown command 'xyzzy'; " "$TWAIN" xyzzy
! grep -q 'did you mean' said || fail "a command is meant that is not near"
expect 2 'unknown option --sequence; did you mean --seq\?' "$TWAIN" plan n --sequence 9
expect 2 'unknown option --rouding; did you mean --rounding\?' "$TWAIN" plan n --rouding faithful
expect 2 'unknown option -Z; `twain help plan`' "$TWAIN" plan n -Z
expect 2 '--seq needs a value' "$TWAIN" plan n --seq
expect 2 "--seq '12x'" "$TWAIN" plan n --seq 12x
expect 2 "--seq '0': a whole number from 1 to 2048" "$TWAIN" plan n --seq=0
expect 2 "--seq '99999999999999999999'" "$TWAIN" plan n -s99999999999999999999
expect 2 "--margin 'nan'" "$TWAIN" plan n --margin nan
expect 2 "--margin '0x2'" "$TWAIN" plan n --margin 0x2
for number in 0x10us 0X1p3ms infs 1e400s; do
  expect 2 "link-latency: '$number'|is too large" "$TWAIN" plan n --link-latency $number
done
expect 0 'a link of 1000 us' "$TWAIN" plan --shape bert-tiny --link-latency 1.0e-3s
expect 2 '--json takes no value' "$TWAIN" plan n --json=yes
expect 2 "link-rate: '10' has no unit: kbit/s" "$TWAIN" plan n --link-rate 10
expect 2 "link-latency '11s': is 11 s, from 1e-09 to 10 are possible" "$TWAIN" plan n --link-latency 11s
expect 2 'a workload is missing' "$TWAIN" bench
expect 0 'a link of 500 us one way and 0.1 Gbit/s' "$TWAIN" plan --shape bert-tiny --link-latency 0.5ms --link-rate 100Mbit/s
expect 2 "'m' is one argument too many" "$TWAIN" plan n m
expect 2 'an argument is missing' "$TWAIN" deal
expect 2 'either a folder or --shape' "$TWAIN" import -o n
expect 2 'texts, --file FILE, or a table.s FILE by --csv, --tsv or --jsonl are needed; usage' "$TWAIN" encode n
expect 2 'go together' "$TWAIN" check n --exact
expect 2 "is a file; give the NAME" "$TWAIN" deal n.plan.json
expect 2 'unknown workload' "$TWAIN" bench nothing
expect 2 "unknown shape 'bert-huge'" "$TWAIN" plan --shape bert-huge

# an error is one line on stderr, and nothing on stdout
"$TWAIN" deal n >out 2>err && fail "deal without files went through"
[ ! -s out ] || fail "an error went to stdout"
[ "$(wc -l <err)" = 1 ] || fail "an error is not one line"

# a plan needs no file; output that cannot be written is an error
"$TWAIN" plan --shape bert-tiny --seq 16 --json >plan.json
[ "$(json plan.json 'j[0]["rounds"] > 0 and j[0]["key_bytes"] > 0 and j[0]["sent_bytes"] > 0')" = True ] ||
  fail "plan --json lacks costs"
[ "$(json plan.json 'len(j[0]["rings"])')" = 2 ] || fail "plan --json lacks rings"
[ "$(json plan.json 'sum(j[0]["step_sent_bytes"]) == j[0]["sent_bytes"]')" = True ] ||
  fail "the steps' bytes do not add up"
[ -z "$("$TWAIN" plan --shape bert-tiny -q)" ] || fail "-q prints"
expect 3 'standard output' bash -c '"$TWAIN" plan --shape bert-tiny >/dev/full'
