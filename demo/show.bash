# What the demonstrations share; sourced. Every command is shown before it runs; the first one that fails ends the
# demonstration. Needs: work, its folder; name, of the files in it; count, inferences; started, of SECONDS.
# shellcheck disable=SC2154

# Two parties on any machine: as root, in a container, on a single core, without ssh. For Open MPI only; others ignore it.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none PMIX_MCA_gds=hash
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command -v ssh >/dev/null || export OMPI_MCA_plm=isolated
if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then export OMPI_MCA_btl_vader_single_copy_mechanism=none; fi

exec 3>&1

title() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

hint() {
  case $1 in
    1) echo "an internal error: please report it with the message above" ;;
    2) echo "the command line was not understood: build/twain help" ;;
    3) echo "a file could not be read or written; is the disk full? df -h ." ;;
    4) echo "a file is damaged; remove $work and start again" ;;
    5) echo "files or parties do not belong together; remove $work and start again" ;;
    6) echo "a one-time key was used before; deal new keys: twain deal $name -n $count" ;;
    7) echo "the other party ended or did not answer; its message is above" ;;
    8) echo "a value does not fit the plan; plan again with --calibrate" ;;
    9) echo "not enough memory; free -g" ;;
    10) echo "the result differs from the plain model's by more than is allowed; please report it" ;;
    127) echo "the program was not found; is it on PATH?" ;;
    *) echo "see the message above; the files are in $work" ;;
  esac
}

show() {
  printf '  $ %s\n' "$*"
  timed "$@"
}

show_to() { # FILE COMMAND...: its output goes to FILE
  local file=$1
  shift
  printf '  $ %s > %s\n' "$*" "$file"
  timed "$@" >"$file"
}

timed() {
  local status=0 start=$SECONDS
  "$@" || status=$?
  if [ "$status" != 0 ]; then
    printf '\nThe demonstration stopped: exit code %d.\nHint: %s\n' "$status" "$(hint "$status")" >&2
    exit "$status"
  fi
  [ $((SECONDS - start)) -lt 2 ] || printf '  (%d s)\n' $((SECONDS - start)) >&3
}

# The last word of a demonstration.
done_in() {
  title "Done in $((SECONDS - started)) s"
  printf '  Files: %s (%s). Remove them with: rm -r %s\n' "$work" "$(du -sh "$work" | cut -f1)" "$work"
}
