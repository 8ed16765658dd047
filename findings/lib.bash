# What the findings share: a scratch folder to work in, pinned packages, and a verdict. Read with `source`.
#
# A finding ends with 0 (as seen before), 1 (changed) or 2 (what it needs is not here).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
cd "$scratch" # names without a folder lie there
changed=0
# shellcheck disable=SC2046
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1

absent() { # absent WHAT...: ends the finding
  echo "skipped: $*"
  exit 2
}

need() { # need COMMAND...
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || absent "no $command here"
  done
}

# venv NAME PACKAGE==VERSION... [alone PACKAGE==VERSION...]: $scratch/NAME; packages after `alone` come without those
# that they depend on. tools/findings names a folder in which findings with the same list share one installation.
venv() {
  local name=$1 folder list with=() alone=()
  shift
  list="$*"
  while [ $# -gt 0 ] && [ "$1" != alone ]; do
    with+=("$1")
    shift
  done
  [ $# -eq 0 ] || alone=("${@:2}")
  folder=${TWAIN_FINDINGS_VENVS:-$scratch}/venv-$(printf '%s' "$list" | sha256sum | cut -c 1-16)
  if [ ! -e "$folder/complete" ]; then
    need python3
    rm -rf "$folder"
    python3 -m venv "$folder" 2>"$scratch/err" || absent "python3 cannot make environments"
    [ ${#with[@]} -eq 0 ] || install "$folder" "${with[@]}"
    [ ${#alone[@]} -eq 0 ] || install "$folder" --no-deps "${alone[@]}"
    touch "$folder/complete"
  fi
  ln -s "$folder" "$scratch/$name"
}

install() { # install FOLDER PIP-ARGUMENT...
  "$1/bin/pip" install -q --no-cache-dir --disable-pip-version-check "${@:2}" >"$scratch/err" 2>&1 && return
  tail -n 3 "$scratch/err"
  absent "pip cannot install ${*:2}"
}

packages() { # packages NAME: the folder that holds the packages of this environment
  echo "$scratch/$1"/lib/python3*/site-packages
}

python() { # python NAME ARGUMENT...: runs standard input; what it writes to standard error is shown only if it fails
  local code=0
  "$scratch/$1/bin/python" - "${@:2}" 2>"$scratch/err" || code=$?
  [ $code -eq 0 ] || tail -n 5 "$scratch/err"
  return $code
}

same() { # same WHAT VALUE WANTED
  echo "$1: $2"
  [ "$2" = "$3" ] || { echo "  CHANGED, was: $3" && changed=1; }
}

verdict() { # the last line of a finding written in bash
  exit $changed
}
