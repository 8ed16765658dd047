#!/usr/bin/env bash
# twain from a fresh clone: packages, build, tests, demonstration. See ./bootstrap.sh help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

preset=${TWAIN_PRESET:-default} # a configure preset of CMakePresets.json
jobs=$(nproc 2>/dev/null || echo 2)
started=$SECONDS

# CUDA's usual place; without it the build is for the CPU only, which is complete.
command -v nvcc >/dev/null || [ ! -x /usr/local/cuda/bin/nvcc ] || PATH=$PATH:/usr/local/cuda/bin

usage() {
  cat <<'TEXT'
usage: ./bootstrap.sh COMMAND

  demo    build twain, fetch a small sentence-embedding model, run it between two parties on secret shares,
          compare the result with the plain model; with --model smollm2 a language model (93 MB, 4 GB of disk) that says
          which words may come next; with --generate the same model writes 16 tokens behind each of two prompts (3 GB of
          disk), which neither party can read; with --two-sites the parties, the dealer, the model owner and the client are users on
          hosts of their own (as root: in namespaces), TLS connects the parties over a slow line, and at the end a table
          says who could read what
  test    build twain and run every test, the unit tests again under the sanitizers, and, where there is clang,
          what reads files and messages under libFuzzer
  build   build twain: build/twain
  deps    install the packages that are missing (Debian and Ubuntu), or list them
  help    this text

Environment:
  TWAIN_PRESET   configure preset of CMakePresets.json: default, debug, asan, ci
  TWAIN_MODEL    demo: folder of a Hugging Face model of the same kind to use instead of the one fetched
  TWAIN_MINILM   test: folder of all-MiniLM-L6-v2; by default the one that a demo has fetched, if any
TEXT
}

title() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
fail() { printf '\nbootstrap.sh: %s\n' "$*" >&2; exit 1; }

# step LABEL COMMAND...: runs quietly, shows the time; on failure the end of the output.
step() {
  local label=$1 log start=$SECONDS
  shift
  log=$(mktemp)
  printf '  %-34s' "$label"
  if "$@" >"$log" 2>&1; then
    printf '%4d s\n' $((SECONDS - start))
    rm -f "$log"
  else
    printf 'failed\n\n'
    tail -n 40 "$log"
    rm -f "$log"
    fail "this command failed: $*"
  fi
}

# What is needed: a check, the Debian package, the usual environment module, the Spack package.
requirements() {
  cat <<'TABLE'
command -v gcc              | gcc            | gcc           | gcc
command -v cmake            | cmake          | cmake         | cmake
command -v ninja            | ninja-build    | ninja         | ninja
command -v pkg-config       | pkg-config     | pkgconf       | pkgconf
command -v mpicc            | libopenmpi-dev | openmpi       | openmpi
command -v mpirun           | openmpi-bin    | openmpi       | openmpi
command -v h5cc             | libhdf5-dev    | hdf5          | hdf5
command -v h5dump           | hdf5-tools     | hdf5          | hdf5
pkg-config --exists hwloc   | libhwloc-dev   | hwloc         | hwloc
pkg-config --exists cunit   | libcunit1-dev  | cunit         | cunit
pkg-config --exists libsodium | libsodium-dev | libsodium    | libsodium
pkg-config --exists libutf8proc | libutf8proc-dev | utf8proc | utf8proc
pkg-config --exists libpcre2-8 | libpcre2-dev | pcre2      | pcre2
pkg-config --exists sentencepiece | libsentencepiece-dev | sentencepiece | sentencepiece
command -v g++              | g++            | gcc           | gcc
pkg-config --exists jansson | libjansson-dev | jansson       | jansson
pkg-config --atleast-version=3.0 libssl | libssl-dev | openssl | openssl
pkg-config --exists libisal | libisal-dev    | isa-l         | isa-l
command -v valgrind         | valgrind       | valgrind      | valgrind
command -v pgrep            | procps         | procps        | procps
python_has ensurepip        | python3-venv   | python        | python
python_has h5py             | python3-h5py   | h5py          | py-h5py
TABLE
}

python_has() { python3 -c "import $1" || /usr/bin/python3 -c "import $1"; }

missing_requirements() {
  local check package rest
  requirements | while IFS='|' read -r check package rest; do
    # shellcheck disable=SC2086 # the check is a command line
    $check >/dev/null 2>&1 || printf '%s|%s|%s\n' "$check" "$package" "$rest"
  done
}

install_with_apt() {
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n env)
  else
    as_root=(env)
  fi
  step "apt-get update" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update
  step "apt-get install" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "$@"
}

deps() {
  local missing packages
  missing=$(missing_requirements)
  [ -n "$missing" ] || return 0
  packages=$(printf '%s\n' "$missing" | cut -d'|' -f2 | xargs)
  title "Packages"
  printf '  missing: %s\n' "$packages"
  # shellcheck disable=SC2086 # one argument a package
  if install_with_apt $packages; then
    missing=$(missing_requirements)
    [ -n "$missing" ] || return 0
  fi
  {
    printf '\nThese are still missing and cannot be installed from here:\n\n'
    printf '  %-18s %-20s %s\n' "Debian, Ubuntu" "environment module" "Spack"
    printf '%s\n' "$missing" | while IFS='|' read -r _ package module spack; do
      printf '  %-18s %-20s %s\n' "$(xargs <<<"$package")" "$(xargs <<<"$module")" "$(xargs <<<"$spack")"
    done
    printf '\n  As root:       apt-get install %s\n' "$packages"
    printf '  On a cluster:  module load ...   (names differ between sites; see "module avail")\n'
    printf '  With Spack:    spack install %s\n' "$(printf '%s\n' "$missing" | cut -d'|' -f4 | xargs -n1 | sort -u | xargs)"
  } >&2
  fail "install the packages above, then run this command again"
}

build_folder() {
  case $preset in
    default | ci) echo build ;;
    *) echo "build-$preset" ;;
  esac
}

build() { # build [TARGET...]
  title "Build"
  step "configure (preset $preset)" cmake --preset "$preset"
  step "compile" cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
}

passed=0 failed=0
# suite FOLDER CTEST-ARGUMENTS...: runs tests and adds their numbers up.
suite() {
  local folder=$1 log summary bad total
  shift
  log=$(mktemp)
  (cd "$folder" && ctest --output-on-failure --no-tests=error -j "$jobs" "$@") 2>&1 | tee "$log" || true
  summary=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p' "$log")
  rm -f "$log"
  read -r bad total <<<"${summary:-1 1}"
  passed=$((passed + total - bad)) failed=$((failed + bad))
}

# clang with libFuzzer is asked for, not needed: without it this part is left out, and says so.
has_libfuzzer() {
  local program
  program=$(mktemp)
  echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p && n ? 0 : 0; }' |
    clang -fsanitize=fuzzer,address -x c - -o "$program" 2>/dev/null || { rm -f "$program"; return 1; }
  rm -f "$program"
}

fuzz() {
  title "Readers of files and messages under libFuzzer, ten seconds each"
  if ! has_libfuzzer; then
    printf '  left out: no clang with libFuzzer (Debian 12: apt-get install clang libclang-rt-14-dev)\n'
    return
  fi
  preset=fuzz
  build fuzz_targets
  suite "$(build_folder)" -L fuzz
}

tests() {
  local minilm=${XDG_CACHE_HOME:-${HOME:-}/.cache}/twain/all-MiniLM-L6-v2
  [ -n "${TWAIN_MINILM:-}" ] || [ ! -e "$minilm/model.safetensors" ] || export TWAIN_MINILM=$minilm
  deps
  build
  title "Tests"
  suite "$(build_folder)"
  preset=asan
  build unit_tests
  title "Unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
  suite "$(build_folder)" -L unit
  fuzz
  printf '\n%d passed, %d failed   (%d s)\n' "$passed" "$failed" $((SECONDS - started))
  [ "$failed" = 0 ]
}

# The folder of the model that FETCH makes, or --synthetic.
model_of() { # FETCH WHAT
  if [ -n "${TWAIN_MODEL:-}" ]; then
    model=$TWAIN_MODEL
    printf '  %s\n' "$model"
  elif ! model=$("$1"); then
    printf '  The model could not be fetched. The demonstration goes on with SYNTHETIC (random) weights of the same\n'
    printf '  shape: times, key sizes and traffic are the same, %s mean nothing.\n' "$2"
    model=--synthetic
  fi
}

demo() { # [--model MODEL | --generate | --two-sites]
  local model vectors=
  case "$*" in
    '' | '--model minilm' | '--model smollm2' | --generate | --two-sites) ;;
    *) usage >&2; exit 2 ;;
  esac
  deps
  build twain
  title "Model"
  if [ "${2:-}" = smollm2 ]; then
    model_of tools/fetch_smollm2.sh "the words"
    demo/words.sh "$(build_folder)/twain" "$model"
  elif [ "${1:-}" = --generate ]; then
    model_of tools/fetch_smollm2.sh "the texts"
    demo/words.sh "$(build_folder)/twain" "$model" --generate
  else
    model_of tools/fetch_minilm.sh "the sentences' similarities"
    [ -n "${TWAIN_MODEL:-}" ] || [ "$model" = --synthetic ] || vectors=tests/vectors/minilm.json
    if [ "${1:-}" = --two-sites ]; then
      # without it the demonstration says what it cannot show
      command -v tc >/dev/null || (install_with_apt iproute2) || true
      demo/two_sites.sh "$(build_folder)/twain" "$model" $vectors
    else
      demo/run.sh "$(build_folder)/twain" "$model" $vectors
    fi
  fi
  printf '\nTotal, with build and download: %d s\n' $((SECONDS - started))
}

case ${1:-help} in
  demo) shift && demo "$@" ;;
  test) tests ;;
  build) deps && build ;;
  deps) deps && printf 'All packages are present.\n' ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
