#!/usr/bin/env bash
# The Debian packages of two builds: each is built by cpack and installed by dpkg in a root of its own, where its
# dependencies are checked against this system. Then a client and model owner with one package, a dealer and two parties
# with the other go from text to result.    packaging/check_debian.sh BUILD CLIENT_BUILD, as root
set -euo pipefail
umask 022
build=$(realpath "$1") client=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

package() { # BUILD NAME: its .deb
  rm -rf "$work/$2" && mkdir "$work/$2"
  cmake --build "$1" >/dev/null
  (cd "$1" && cpack -G DEB -B "$work/$2" >"$work/said" 2>&1) || { cat "$work/said"; fail "cpack for $2"; }
  ls "$work/$2"/*.deb
}

# the script in the package asks this system's ldconfig to look again, which finds nothing new
in_root() { dpkg --root="$1" --no-triggers --force-script-chrootless --log="$work/log" "${@:2}" >"$work/said" 2>&1; }
root_with() { # ROOT PACKAGE: dpkg's database says what this system has; nothing of it is changed
  mkdir -p "$1/var/lib/dpkg/updates" "$1/var/lib/dpkg/triggers" "$1/var/lib/dpkg/info"
  cp /var/lib/dpkg/status "$1/var/lib/dpkg/"
  cp /var/lib/dpkg/info/*.list "$1/var/lib/dpkg/info/"
  in_root "$1" -i "$2" || { tail -n 20 "$work/said"; fail "dpkg -i $2"; }
}

full=$(package "$build" twain)
small=$(package "$client" twain-client)
root_with "$work/site" "$full"
root_with "$work/home" "$small"
twain() { LD_LIBRARY_PATH="$work/site/usr/lib" "$work/site/usr/bin/twain" "$@"; }
mine() { "$work/home/usr/bin/twain" "$@"; }

# ---- what is in them
dpkg --root="$work/site" -s twain | grep -q '^Status: install ok installed' || fail "twain is not installed"
dpkg --root="$work/home" -s twain-client | grep -q '^Status: install ok installed' || fail "twain-client is not installed"
for page in twain twain-encode; do
  zcat "$work/home/usr/share/man/man1/$page.1.gz" | grep -q '^.SH NAME' || fail "no man page $page"
done
[ -e "$work/site/usr/share/man/man1/twain-run.1.gz" ] || fail "no man page of run"
[ ! -e "$work/home/usr/share/man/man1/twain-run.1.gz" ] || fail "the client's package explains run"
[ -e "$work/home/usr/share/bash-completion/completions/twain" ] || fail "no completion"
for library in mpi cuda cublas nccl; do
  ! ldd "$work/home/usr/bin/twain" | grep -q "lib$library" || fail "the client's program needs $library"
done
dpkg-deb -f "$small" Depends | grep -q mpi && fail "the client's package depends on MPI"
dpkg-deb -f "$full" Depends | grep -q mpi || fail "the package does not depend on MPI"
[ "$(mine --version | head -1)" = "$(twain --version | head -1)" ] || fail "versions"
mine --version | grep -q '^MPI  *none' || fail "the client's program has MPI"
code=0
mine run n >/dev/null 2>&1 || code=$?
[ $code = 2 ] || fail "the client's program runs a party"
# both have /usr/bin/twain
if in_root "$work/home" -i "$full"; then fail "both packages at once"; fi
grep -q 'conflict' "$work/said" || { cat "$work/said"; fail "another reason than the conflict"; }

# ---- text to result
cd "$work" && umask 077 && mkdir run && cd run
mine import --shape 1x8x1x8 -o n -q
mine plan n --seq 8 -q
mine share n -q
twain deal n -n 2 -q
twain ledger --new ledger -q
mine encode n 'two words' -q
mine share n --input -q
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=isolated PMIX_MCA_gds=hash
LD_LIBRARY_PATH="$work/site/usr/lib" timeout 60 mpirun --oversubscribe --bind-to none -np 2 "$work/site/usr/bin/twain" \
  run n --ledger ledger --device cpu -q >"$work/said" 2>&1 || { cat "$work/said"; fail "the run"; }
mine reveal n -q
twain check n -q || fail "the result"

in_root "$work/site" -r twain || { cat "$work/said"; fail "dpkg -r"; }
[ -z "$(find "$work/site/usr" -type f 2>/dev/null)" ] || fail "dpkg -r leaves files"
printf '%s and %s: built, installed, used, removed\n' "$(basename "$full")" "$(basename "$small")"
