// R1 (docs/security.md): every position of a random stream has one role.
#include "base/memory.h"
#include "jobs/program/program.h"

typedef struct {
  const tw_program *p;
  bool *taken;  // [use_count]
  uint32_t count;
} uses;

static tw_status take(uses *u, uint32_t use, int op, const char *role) {
  if (use >= u->p->use_count || u->taken[use])
    return tw_fail(TW_ERR_INTERNAL, "gate %d (%s): use id %u of its %s is %s", op, u->p->ops[op].gate->name,
                   (unsigned)use, role, use >= u->p->use_count ? "none of the program's" : "another's as well");
  u->taken[use] = true;
  u->count++;
  return TW_OK;
}

// Of one gate: the mask of the tensor that it opens, or what it draws, a pad for each of its corrections, which follow
// those of the gates before it, in the program's list and in both parties' slots.
static tw_status take_gate(uses *u, int i, int *corrections, uint64_t end[2]) {
  const tw_op *op = &u->p->ops[i];
  if (op->opens) {
    if (op->out_count != 1)
      return tw_fail(TW_ERR_INTERNAL, "gate %d (%s) opens more than one tensor", i, op->gate->name);
    TW_TRY(take(u, op->mask_use, i, "mask"));
  }
  if (op->draws) TW_TRY(take(u, op->mask_use, i, "random number"));
  if (op->correction_count && op->correction != *corrections)
    return tw_fail(TW_ERR_INTERNAL, "gate %d (%s) shares corrections with another", i, op->gate->name);
  for (int j = 0; j < op->correction_count; j++, (*corrections)++) {
    if (*corrections >= u->p->correction_count)
      return tw_fail(TW_ERR_INTERNAL, "gate %d (%s) has corrections that are not there", i, op->gate->name);
    const tw_correction *c = &u->p->corrections[*corrections];
    TW_TRY(take(u, c->use, i, "correction"));
    for (int party = 0; party < 2; party++) {
      if (c->bytes[party] != tw_correction_bytes(c, party))
        return tw_fail(TW_ERR_INTERNAL, "gate %d (%s): a correction's room in a slot does not fit its kind", i,
                       op->gate->name);
      if (c->offset[party] != end[party])
        return tw_fail(TW_ERR_INTERNAL, "gate %d (%s): a correction lies in another's place", i, op->gate->name);
      end[party] += c->bytes[party];
    }
  }
  return TW_OK;
}

static tw_status take_all(uses *u) {
  const tw_program *p = u->p;
  uint64_t end[2] = {0, 0};
  int corrections = 0;
  for (int i = 0; i < p->op_count; i++) TW_TRY(take_gate(u, i, &corrections, end));
  if (corrections != p->correction_count || u->count != p->use_count || end[0] != p->slot_bytes[0] ||
      end[1] != p->slot_bytes[1])
    return tw_fail(TW_ERR_INTERNAL, "%u of %u use ids and %d of %d corrections belong to gates", (unsigned)u->count,
                   (unsigned)p->use_count, corrections, p->correction_count);
  return TW_OK;
}

tw_status tw_program_check_uses(const tw_program *p) {
  uses u = {.p = p};
  TW_TRY(tw_alloc(sizeof(bool) * ((size_t)p->use_count + 1), (void **)&u.taken));
  tw_status status = take_all(&u);
  tw_free(u.taken);
  return status;
}
