# The costs that a plan prints are those that a run has: correction bytes and rounds exactly, bytes sent but for the
# 64-byte header of every message; in all, gate by gate, and for a batch. One small shape, one layer of BERT-base's.
source "$SOURCE_DIR/tests/cli.bash"

same_ledger() { # SHAPE SEQ TEXT...
  local shape=$1 seq=$2 batch
  shift 2
  batch=$#
  "$TWAIN" import --synthetic "$shape" -o n -q --force
  "$TWAIN" plan n --seq "$seq" --force --json >plan.json
  "$TWAIN" share n -q --force
  "$TWAIN" deal n -n "$batch" -q --force
  "$TWAIN" encode n "$@" -q --force
  "$TWAIN" share n --input -q --force
  two_ranks n --ledger ledger --force --json >run.json 2>said || { cat said >&2; fail "run of $shape"; }
  python3 - "$batch" <<'PYTHON' || fail "plan and run of $shape differ"
import json
import sys

batch = int(sys.argv[1])
plan, run = (json.load(open(f)) for f in ("plan.json", "run.json"))
wrong = []


def compare(what, planned, ran):
    if planned != ran:
        wrong.append(f"{what}: plan {planned}, run {ran}")


compare("sequences", batch, run["sequences"])
compare("rounds", plan["rounds"], run["rounds"])
compare("correction bytes", batch * plan["correction_bytes_per_rank"], run["correction_bytes_per_rank"])
compare("bytes sent", batch * plan["sent_bytes_per_rank"] + 64 * plan["rounds"], run["sent_bytes_per_rank"])
compare("gates", [g["gate"] for g in plan["gates"]], [g["gate"] for g in run["gates"]])
for p, r in zip(plan["gates"], run["gates"]):
    compare(p["gate"] + ": rounds", p["rounds"], r["rounds"])
    for key in ("correction_bytes_per_rank", "sent_bytes_per_rank"):
        compare(f"{p['gate']}: {key}", batch * p[key], r[key])
print("\n".join(wrong), end="")
sys.exit(bool(wrong))
PYTHON
}
same_ledger 2x64x2x128 24 'a few words' 'some more words than those'
same_ledger 1x768x12x3072 128 'one sentence'
