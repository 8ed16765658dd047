# What `cmake --install` puts beside the program: man pages, completion, a module file, the Slurm scripts. (The library
# and what finds it: cli_library.sh.)
source "$SOURCE_DIR/tests/cli/cli.bash"

cmake --install "$TWAIN_BUILD" --prefix "$PWD/installed" >said || { cat said; fail "cmake --install"; }
prefix=$PWD/installed
twain=$prefix/bin/twain
commands=$("$TWAIN" help | sed -n '/^usage/,/^`twain/s/^  \([a-z]\+\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 19 ] || fail "help lists too few commands"
[ -r "$prefix/share/twain/slurm/twain-demo.sbatch" ] || fail "no scripts for Slurm"

# ---- man pages: one for each command, with every option of its help; troff has nothing to complain of
for command in $commands; do
  page=$prefix/share/man/man1/twain-$command.1
  [ -s "$page" ] || fail "no man page of $command"
  words=("$command")
  case $command in bench | site) words=() ;; esac
  for option in ${words:+$(COLUMNS=400 "$TWAIN" help "$command" | sed -n 's/^  \(-.,\|   \) --\([a-z0-9-]*\).*/\2/p')}; do
    grep -q -- "--$option\\\\fR" <(sed 's/\\-/-/g' "$page") || fail "twain-$command.1 lacks --$option"
  done
done
grep -q 'twain\\-run (1)' "$prefix/share/man/man1/twain.1" || fail "twain.1 does not name run's page"
if command -v groff >/dev/null; then
  for page in "$prefix"/share/man/man1/*.1; do
    groff -man -ww -z "$page" 2>said && [ ! -s said ] || { cat said; fail "groff: $page"; }
  done
fi
if command -v man >/dev/null && man --version >/dev/null 2>&1; then
  # a minimal system leaves man's program out, or says that this one is left out
  [ ! -s shown ] || grep -qE -- '--ledger DIR|minimized' shown || { head shown; fail "man twain-run"; }
fi

# ---- bash: what is offered behind a command line
mkdir work
touch work/note.plan.json work/note.keys.p1.h5 work/unlike.txt
offered() { # WORD...: what completes the last one
  (
    cd work
    # shellcheck disable=SC1091
    source "$prefix/share/bash-completion/completions/twain"
    compopt() { :; } # only while bash itself completes
    COMP_WORDS=(twain "$@")
    COMP_CWORD=$#
    _twain
    echo "${COMPREPLY[*]}"
  )
}
offers() { # EXPECTED WORD...
  local wanted=$1 found
  shift
  found=$(offered "$@")
  [ "$found" = "$wanted" ] || fail "behind 'twain $*' bash offers '$found', not '$wanted'"
}
offers 'run' ru
offers 'init show' site ''
offers '0 1 dealer client owner' site init x --role ''
offers 'auto cpu cuda' run note --device ''
offers 'cuda' run note --device cu
offers '--split-batch' run note --spl
offers 'note' run ''
offers 'note' run other --model n
[[ " $(offered verify '') " == *' unlike.txt '* ]] || fail "verify is offered no files"
offers 'share' help sha
# words that are offered are words that help knows
grep -oE "^    '[a-z ]+ --[a-z-]+'.*words='[^']*'" "$prefix/share/bash-completion/completions/twain" |
  sed "s/^    '\(.*\) --\([a-z-]*\)'.*words='\(.*\)'/\1|\2|\3/" >choices
[ "$(wc -l <choices)" -ge 12 ] || fail "few options have words"
mkdir rows # of one option with the same words; a command may say less of it than another
while IFS='|' read -r command option words; do
  # shellcheck disable=SC2086
  COLUMNS=2000 "$TWAIN" help $command | grep -- " --$option " >>"rows/$option|$words"
done <choices
for row in rows/*; do
  for word in ${row#*|}; do
    grep -qE -- "(^|[^a-z0-9])(${word}|${word#bert})([^a-z0-9-]|\$)" "$row" || fail "$row: help does not know '$word'"
  done
done

# ---- zsh reads its own
if command -v zsh >/dev/null; then
  zsh -n "$prefix/share/zsh/site-functions/_twain" || fail "zsh's completion"
fi

# ---- the module file, by whichever program reads such files
module=$prefix/share/twain/modulefiles
if command -v tclsh >/dev/null; then
  cat >module.tcl <<'TCL'
proc prepend-path {name value} { puts "$name=$value" }
proc setenv {name value} { puts "$name=$value" }
proc module-whatis {text} {}
proc conflict {name} {}
set ModulesCurrentModulefile [lindex $argv 0]
source $ModulesCurrentModulefile
TCL
  tclsh module.tcl "$(echo "$module"/twain/*)" >said
  for pair in "PATH=$prefix/bin" "MANPATH=$prefix/share/man" "TWAIN_SLURM=$prefix/share/twain/slurm"; do
    grep -qx "$pair" said || { cat said; fail "the module file does not say $pair"; }
  done
fi
if [ -r /usr/share/modules/init/bash ]; then
  found=$(bash -c 'source /usr/share/modules/init/bash; module use "$0"; module load twain; command -v twain' "$module" 2>said)
  [ "$found" = "$twain" ] || { cat said; fail "module load twain finds '$found'"; }
fi

# ---- recipes are well-formed
python3 - "$SOURCE_DIR/packaging/spack/packages/twain/package.py" <<'PY' || fail "the Spack recipe"
import ast, sys
tree = ast.parse(open(sys.argv[1]).read())
recipe = next(node for node in tree.body if isinstance(node, ast.ClassDef))
called = {node.value.func.id for node in recipe.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)}
assert recipe.name == "Twain" and {"version", "depends_on", "variant"} <= called, called
PY
