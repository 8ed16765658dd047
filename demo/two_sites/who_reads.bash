# The end of demo/two_sites.sh: attempts to read what is another's, and a table of them. Sourced.
# shellcheck disable=SC2154 # top, roles: world.bash; started: steps.bash

denied() { # WHO COMMAND TEXT: fails, and says TEXT
  tell "$1" "$2"
  if at "$1" "$2" >"$top/said" 2>&1 || ! grep -q "$3" "$top/said"; then
    cat "$top/said"
    printf 'THIS SHOULD HAVE BEEN REFUSED.\n'
    exit 1
  fi
  sed 's/^/    /' "$top/said"
}

# What each role must be able to read: contents | file | owner dealer client party0 party1.
contents() {
  cat <<'TABLE'
plan and public ids|n.plan.json n.model.json|yes yes yes yes yes
the weights|n.model.h5 model/model.safetensors|yes no no no no
party 0's share of the weights|n.model.p0.h5|no no no yes no
party 1's share of the weights|n.model.p1.h5|no no no no yes
seeds of the weights' masks|n.model.dealer.h5|no yes no no no
vocabulary, embedding tables|n.client.h5|yes no yes no no
party 0's keys|n.keys.p0.h5|no no no yes no
party 1's keys|n.keys.p1.h5|no no no no yes
the sentences|sentences.txt n.input.h5|no no yes no no
party 0's share of the input|n.input.p0.h5|no no no yes no
party 1's share of the input|n.input.p1.h5|no no no no yes
party 0's half of the result|n.result.p0.h5|no no yes yes no
party 1's half of the result|n.result.p1.h5|no no yes no yes
the result|n.result.h5|no no yes no no
TABLE
}

# One of these files: a plain one read, or a sealed one opened, whoever sealed it.
reads() { # FILE...
  local file sender
  for file; do
    if [[ $file != *.sealed ]]; then
      ! cat "$file" >/dev/null 2>&1 || return 0
      continue
    fi
    for sender in ../mail/*.pem; do
      ! twain verify "$file" --site site --from "$sender" >/dev/null 2>&1 || return 0
    done
  done
  return 1
}

# yes or no of each of contents, one a line, tried as WHO on every copy on this machine, whoever's it is.
attempts() { # WHO
  local words files file copy program
  program=$(declare -f reads)
  while IFS='|' read -r words files _; do
    program+=$'\n'"reads"
    for file in $files; do
      for copy in "$top"/*/"$file" "$top"/*/"$file.sealed"; do
        case $copy in "$top"/check/*) ;; *) [ ! -e "$copy" ] || program+=" $copy" ;; esac
      done
    done
    program+=' && echo yes || echo no'
  done < <(contents)
  at "$1" "$program"
}

who_reads() {
  local who words found wanted bad=0 row='  %-30s %-6s %-7s %-7s %-8s %-8s\n'
  local columns=()
  for who in "${roles[@]}"; do attempts "$who" >"$top/could.$who"; columns+=("$top/could.$who"); done
  # shellcheck disable=SC2059
  printf "$row" '' owner dealer client 'party 0' 'party 1' | sed 's/ *$//'
  while IFS='|' read -r words _ wanted && read -r -u 4 found; do
    # shellcheck disable=SC2059,SC2086
    printf "$row" "$words" $found | sed 's/ *$//'
    [ "$found" = "$wanted" ] || { bad=1; printf '    THIS SHOULD HAVE BEEN: %s\n' "$wanted"; }
  done < <(contents) 4< <(paste -d ' ' "${columns[@]}")
  return $bad
}

end_of_story() {
  if [ "$TWO_SITES" = one_user ]; then
    title "Done in $((SECONDS - started)) s"
    printf '  THIS SHOWED NOTHING ABOUT PROTECTION: one user ran it all, and can read every file above.\n'
    return
  fi
  title "9. Who must not"
  denied party1 'cat ../party0/n.keys.p0.h5' 'Permission denied'
  denied party1 'twain verify ../mail/n.keys.p0.h5.sealed --site site --from ../mail/dealer.pem' 'sealed to another site'
  denied dealer 'cat ../client/sentences.txt' 'Permission denied'

  title "Who could read what"
  who_reads || exit 1
  cat <<'TEXT'

  Each word was found by trying as that user, to read every copy and to open every sealed one. Model owner and dealer
  sealed what they made for others at once, and cannot open it. The live dealer's keys were in no file.
  A share, a key or a half alone is random. Both parties' files together give everything, and so do the dealer's
  memory and one party's files. That is why the three must not be the same people.
  This machine has one administrator, who can read all of it. In earnest each site is a machine of its own.
TEXT
  title "Done in $((SECONDS - started)) s. Users, hosts, line and files are removed"
}
