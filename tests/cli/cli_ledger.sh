# The costs that a plan prints are those that a run has: correction bytes and rounds exactly, bytes sent but for the
# 64-byte header of every message; in all, gate by gate, and for a batch. One small shape, one layer of BERT-base's.
# Halves that overlap send the same bytes in more messages.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
same_ledger() { # OVERLAP SHAPE SEQ TEXT...
  local overlap=$1 shape=$2 seq=$3 batch
  shift 3
  batch=$#
  "$TWAIN" import --shape "$shape" -o n -q --force
  "$TWAIN" plan n --seq "$seq" --force --json >plan.json
  "$TWAIN" share n -q --force
  "$TWAIN" deal n -n "$batch" -q --force
  "$TWAIN" encode n "$@" -q --force
  "$TWAIN" share n --input -q --force
  two_ranks n --ledger ledger --force --json --split-batch "$overlap" >run.json 2>said ||
    { cat said >&2; fail "run of $shape, overlap $overlap"; }
  python3 - "$batch" "$overlap" <<'PYTHON' || fail "plan and run of $shape differ, overlap $overlap"
import json
import sys

batch = int(sys.argv[1])
(plan,), (run,) = (json.load(open(f)) for f in ("plan.json", "run.json"))
wrong = []


def compare(what, planned, ran):
    if planned != ran:
        wrong.append(f"{what}: plan {planned}, run {ran}")


compare("sequences", batch, run["batch"])
compare("rounds", plan["rounds"], run["rounds"])
compare("key bytes", batch * plan["key_bytes"], run["key_bytes"])
messages = run["open_flushes_demand"] + run["open_flushes_budget"]
compare("bytes sent", batch * plan["sent_bytes"], run["sent_bytes"])
compare("bytes on the wire", batch * plan["sent_bytes"] + 64 * messages, run["sent_wire_bytes"])
if batch == 1 or sys.argv[2] == "never":
    compare("messages", plan["rounds"], messages)
elif not plan["rounds"] <= messages <= 2 * plan["rounds"]:
    wrong.append(f"{messages} messages of two halves in {plan['rounds']} rounds")
for key in ("step", "step_layer", "step_rounds"):
    compare(key, plan[key], run[key])
for key in ("step_key_bytes", "step_sent_bytes"):
    compare(key, [batch * x for x in plan[key]], run[key])
print("\n".join(wrong), end="")
sys.exit(bool(wrong))
PYTHON
}
same_ledger never 2x64x2x128 24 'a few words' 'some more words than those'
same_ledger always 2x64x2x128 24 'a few words' 'some more words than those'
same_ledger never 1x768x12x3072 128 'one sentence'
