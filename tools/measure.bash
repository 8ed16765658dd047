# For measure.sh and measure_cpu.sh, which set $twain, $folder and $limit.
source "$(dirname "${BASH_SOURCE[0]}")/parties.bash"
export OMPI_MCA_btl_vader_single_copy_mechanism=none
pair=(mpirun -np 2)
failed=0
begun=$SECONDS
[ -x "$twain" ] || { echo "$twain: no program to measure" >&2; exit 2; }
mkdir -p "$folder"

measure() { # NAME COMMAND...: its standard output becomes NAME.json, its errors NAME.log
  local name=$1 start=$SECONDS left=$((limit + begun - SECONDS))
  shift
  if [ "$left" -le 0 ]; then
    echo "left out, out of time: $name"
    failed=1
    return
  fi
  if timeout $((left < 120 ? left + 30 : 150)) "$@" >"$folder/$name.json.part" 2>"$folder/$name.log"; then
    mv "$folder/$name.json.part" "$folder/$name.json"
    echo "$name: $((SECONDS - start)) s"
  else
    echo "FAILED ($?): $*"
    tail -n 3 "$folder/$name.log"
    failed=1
  fi
}

finish() {
  echo "$((SECONDS - begun)) s; records in $folder"
  exit "$failed"
}
