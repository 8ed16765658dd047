#!/usr/bin/env bash
# Two sites on one machine: demo/two_sites.sh TWAIN MODEL [VECTORS], where MODEL is a Hugging Face folder, --synthetic or
# --synthetic=SHAPE, and VECTORS holds embeddings of the sentences by an independent implementation. Model owner, dealer,
# client and two parties are users of their own on hosts of their own; a slow line connects those that talk. Users, hosts
# and line live in namespaces and go with their last process, so nothing of this machine is changed or left behind.
# Where that is refused everything runs as one user, and the demonstration says so. The files lie in a new folder of
# TMPDIR, or of the clone, and are removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

source demo/two_sites/world.bash

if [ -n "${TWO_SITES:-}" ]; then # inside, as begin below starts it
  source demo/two_sites/steps.bash
  exit
fi

work=$(mktemp -d "${TMPDIR:-$PWD}/demo-two-sites-XXXXXX")
chmod 755 "$work"
inside='' interrupted=''
finish() {
  local left=50 # tries: what was killed may still be ending
  [ -z "$inside" ] || kill "$how_to_end" "$inside" 2>/dev/null || true
  { wait; } 2>/dev/null
  until rm -rf "$work" 2>/dev/null || [ $((left -= 1)) = 0 ]; do sleep 0.1; done
  [ -z "$interrupted" ] || printf '\nStopped; everything is removed.\n' >&2
}
trap finish EXIT
trap 'interrupted=1; exit 130' INT TERM HUP PIPE

begin() { # WORLD LAUNCHER...: the steps, so that a signal finds this shell waiting
  export TWO_SITES=$1 TWO_SITES_WORK=$work
  "${@:2}" bash "$0" "${arguments[@]}" &
  inside=$!
}

arguments=("$@")
if why=$(refused); then
  how_to_end=-TERM
  printf '\nNO PROTECTION IS SHOWN: one user runs everything here, and can read everything.\n'
  printf 'Users and hosts of their own are not to be had: %s\n' "$why"
  begin one_user
else
  how_to_end=-KILL # all that is inside ends with it
  begin users "${namespaces[@]}"
fi
status=0
wait "$inside" || status=$?
inside=
exit "$status"
