#include "jobs/program/session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/program/limits.h"
#include "jobs/program/session_parts.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

// ---- the host's collector as opener ----
static tw_status host_open(void *state, int half, const tw_open_request *r) {
  (void)half;
  tw_session *s = state;
  tw_mask_args a = {.rows = 1,
                    .cols = r->words,
                    .share = r->share,
                    .mask = r->mask,
                    .out = r->out,
                    .ring = tw_mask(r->bits ? 64 : r->width),
                    .bits = r->bits};
  TW_TRY(s->backend->mask(&a, s->stream));
  tw_opens_place(s->opens, r->index);
  if (r->bits) return tw_opens_bits(s->opens, r->use, r->slot, r->width, r->n, r->out);
  return tw_opens_ring(s->opens, r->use, r->slot, r->width, r->n, r->out);
}
static void host_queued(void *state, size_t *words, size_t *jobs) {
  tw_opens_queued(((tw_session *)state)->opens, words, jobs);
}
static tw_status host_start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)reason;
  return tw_opens_start(((tw_session *)state)->opens, message);
}
static tw_status host_finish(void *state, int half, uint64_t message) {
  (void)half;
  return tw_opens_finish(((tw_session *)state)->opens, message);
}

static tw_status host_poll(void *state) { return tw_opens_poll(((tw_session *)state)->opens); }
static bool host_arrived(void *state, uint64_t message) {
  return tw_opens_arrived(((tw_session *)state)->opens, message);
}

tw_status tw_session_create(tw_session *s) {
  if (!s->program->finished) return tw_fail(TW_ERR_INTERNAL, "session on an unfinished program");
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_buffer) * (size_t)(s->program->tensor_count + 1), &memory));
  s->buffers = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(s->program->op_count + 1), &memory));
  s->prepared = memory;
  TW_TRY(tw_alloc(sizeof(double) * (size_t)(s->program->step_count + 1), &memory));
  s->step_seconds = memory;
#ifdef TWAIN_DEBUG_PRG
  TW_TRY(tw_alloc(s->program->use_count + 1, &memory));
  s->drawn = memory;
#endif
  if (!s->backend) s->backend = &tw_cpu_backend;
  s->pool = s->program->pool;
  s->backend_slots = s->slots;
  if (s->opens) s->opener = (tw_opener){host_open, host_queued, host_start, host_finish, s, host_poll, host_arrived};
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(s->program->table_count + 1), &memory));
  s->tables = memory;
  for (int i = 0; i < s->program->table_count; i++) s->tables[i] = s->program->tables[i].values;
  s->blocks = NULL;
  s->next_op = s->level_start = s->drawn_to = 0;
  s->opening = false;
  s->bytes_held = s->arena_used = 0;
  s->preparing = false;
  s->slice_work = s->columns_done = 0;
  s->out_of_bound = 0;
  s->first_out_of_bound = -1;
  return TW_OK;
}

void tw_session_destroy(tw_session *s) {
  tw_session_release_blocks(s);
  tw_free(s->buffers);
  tw_free(s->prepared);
  tw_free(s->step_seconds);
  tw_free(s->drawn);
  tw_free(s->tables);
  s->buffers = NULL;
  s->prepared = NULL;
  s->step_seconds = NULL;
  s->drawn = NULL;
  s->tables = NULL;
}

static void assert_role(tw_session *s, uint32_t use, uint8_t role) {
#ifdef TWAIN_DEBUG_PRG
  // R1: a stream serves one tensor in one role; drawing it again for the same role is allowed
  if (s->drawn[use] != 0 && s->drawn[use] != role) abort();
  s->drawn[use] = role;
#else
  (void)s, (void)use, (void)role;
#endif
}

tw_status tw_session_describe_draw(tw_session *s, const tw_op *op, int side, tw_draw_args *out) {
  int id = op->out[0];
  const tw_tensor *t = tw_t(s, id);
  TW_TRY(tw_make_mask(s, id, side));
  assert_role(s, op->mask_use, 1);
  *out = (tw_draw_args){.sequences = (size_t)s->batch,
                        .seeds = s->seeds[side],
                        .slots = s->backend_slots,
                        .use = op->mask_use,
                        .ring = t->kind == TW_WIRE ? t->ring : 0,
                        .n = tw_words_of(s, id),
                        .out = s->buffers[id].mask[side]};
  return TW_OK;
}

tw_status tw_draw_mask(tw_session *s, const tw_op *op, int side) {
  tw_draw_args a;
  TW_TRY(tw_session_describe_draw(s, op, side, &a));
  return s->backend->draw(&a, s->stream);
}

static tw_status run_masks(tw_session *s, const tw_op *op) {
  if (!op->gate->mask || (s->keep_masks && (!s->preparing || op->opens))) return TW_OK;  // opens': draw_to
  if (s->role == TW_PARTY) return op->gate->mask(s, op, s->party);
  TW_TRY(op->gate->mask(s, op, 0));
  return op->gate->mask(s, op, 1);
}

// Masks that are not kept are drawn again online: only those of products are needed before.
static tw_status prepare_gate(tw_session *s, const tw_op *op) {
  if (!op->for_product && !s->keep_masks) return TW_OK;
  TW_TRY(run_masks(s, op));
  return op->gate->prepare ? op->gate->prepare(s, op) : TW_OK;
}

static tw_status run_gate(tw_session *s, const tw_op *op) {
  if (s->preparing) return prepare_gate(s, op);
  TW_TRY(run_masks(s, op));
  switch (s->role) {
    case TW_DEALER:
      return op->gate->deal ? op->gate->deal(s, op) : TW_OK;
    case TW_PARTY:
      return op->gate->party ? op->gate->party(s, op) : TW_OK;
    default:
      break;
  }
  TW_TRY(op->gate->emulate ? op->gate->emulate(s, op) : TW_OK);
  for (int i = 0; i < op->out_count; i++)
    if (tw_t(s, op->out[i])->limit) tw_limits_watch(s, op, op->out[i]);
  return op->opens && s->watch ? s->watch(s->watch_state, s, op) : TW_OK;
}

static void release_inputs(tw_session *s, int index) {
  const tw_op *op = &s->program->ops[index];
  for (int j = 0; j < op->in_count; j++)
    if (tw_t(s, op->in[j])->last_op == index) tw_session_release_tensor(s, op->in[j]);
}

tw_status tw_session_run_op(tw_session *s, int index) {
  const tw_op *op = &s->program->ops[index];
  if (s->need && !s->preparing) TW_TRY(s->need(s->preparation, index));
  if (s->mark && !s->preparing) TW_TRY(s->mark(s->mark_state, op->step));
  double start = tw_seconds();
  tw_status status = run_gate(s, op);
  s->step_seconds[op->step] += tw_seconds() - start;
  if (!s->keep_masks || !s->preparing) tw_session_release_scratch(s);  // else others of its wave may run beside it
  if (status != TW_OK) {
    const tw_step *step = &s->program->steps[op->step];
    return tw_fail_in(status, "layer %d, %s, gate %s", step->layer, step->name, op->gate->name);
  }
  if (s->columns_done) return TW_OK;  // the rest of its product comes later
  if (s->opener.poll && s->role == TW_PARTY && !s->preparing) TW_TRY(s->opener.poll(s->opener.state));
  // an opener may read its shares until the flush
  if (!op->opens || s->role != TW_PARTY || s->preparing) release_inputs(s, index);
  for (int j = 0; j < op->out_count; j++)
    if (tw_t(s, op->out[j])->last_op == index) tw_session_release_tensor(s, op->out[j]);
  return TW_OK;
}

static tw_status report_opened(tw_session *s, int from, int to) {
  for (int i = from; s->watch && s->role == TW_PARTY && i < to; i++)
    if (s->program->ops[i].opens) TW_TRY(s->watch(s->watch_state, s, &s->program->ops[i]));
  return TW_OK;
}

tw_status tw_session_level(tw_session *s, bool *done) {
  const tw_program *p = s->program;
  TW_TRY(report_opened(s, s->level_start, s->next_op));
  int level = s->next_op < p->op_count ? p->ops[s->next_op].level : 0;
  s->opening = false;
  s->level_start = s->next_op;
  while (s->next_op < p->op_count && p->ops[s->next_op].level == level) {
    s->opening = s->opening || (s->role == TW_PARTY && p->ops[s->next_op].opens);
    TW_TRY(tw_session_run_op(s, s->next_op));
    s->next_op++;
  }
  *done = s->next_op == p->op_count && !s->opening;  // the step after a last opening only reports
  return TW_OK;
}

void tw_session_opened(tw_session *s) {
  for (int i = s->level_start; i < s->next_op; i++)
    if (s->program->ops[i].opens) release_inputs(s, i);
}

static tw_status open_level(tw_session *s) {
  uint64_t message;
  if (s->mark) TW_TRY(s->mark(s->mark_state, -1));
  TW_TRY(s->opener.start(s->opener.state, TW_FLUSH_DEMAND, &message));
  TW_TRY(s->opener.finish(s->opener.state, s->half, message));
  tw_session_opened(s);
  return TW_OK;
}

void tw_session_rewind(tw_session *s) {
  if (s->program->output >= 0) tw_session_release_tensor(s, s->program->output);
  if (s->program->guard >= 0) tw_session_release_tensor(s, s->program->guard);
  s->next_op = s->level_start = s->drawn_to = 0;
  s->columns_done = 0;
  s->opening = false;
}

tw_status tw_session_walk_levels(tw_session *s) {
  while (s->next_op < s->program->op_count) {
    int level = s->program->ops[s->next_op].level;
    for (s->level_start = s->next_op; s->next_op < s->program->op_count && s->program->ops[s->next_op].level == level;
         s->next_op++)
      TW_TRY(tw_session_run_op(s, s->next_op));
    TW_TRY(open_level(s));
  }
  return TW_OK;
}

tw_status tw_session_run(tw_session *s) {
  for (bool done = false; !done;) {
    TW_TRY(tw_session_level(s, &done));
    if (s->opening) TW_TRY(open_level(s));
  }
  return TW_OK;
}

void tw_draw_pad(tw_session *s, const tw_correction *c, int side, int b, uint64_t *out) {
  assert_role(s, c->use, 2);
  if (c->bits)
    tw_prg_words(&s->seeds[side][b], c->use, s->slots[b], 0, (size_t)c->width * tw_words(c->n), out);
  else
    tw_prg_ring(&s->seeds[side][b], c->use, s->slots[b], c->width, 0, c->n, out);
}

// The packed halves of a gate's corrections, of all sequences: where their source has them, or copied out of it.
typedef struct {
  const uint8_t *first;  // the first sequence's
  size_t stride;         // to the next one's
} packed_halves;

static tw_status read_packed(tw_session *s, size_t bytes, packed_halves *out) {
  uint64_t *copies;
  size_t words = bytes / 8 + 1;
  TW_TRY(tw_scratch(s, (size_t)s->batch * words, &copies));
  *out = (packed_halves){(const uint8_t *)copies, 8 * words};
  for (int b = 0; b < s->batch; b++) TW_TRY(s->source.read(s->source.state, b, copies + (size_t)b * words, bytes));
  return TW_OK;
}

static tw_status find_packed(tw_session *s, size_t bytes, packed_halves *out) {
  if (!s->source.window) return read_packed(s, bytes, out);
  *out = (packed_halves){NULL, 0};
  for (int b = 0; b < s->batch; b++) {
    const uint8_t *at;
    TW_TRY(s->source.window(s->source.state, b, bytes, &at));
    if (b == 0) out->first = at;
    if (b == 1) out->stride = (size_t)((uintptr_t)at - (uintptr_t)out->first);
    if ((uintptr_t)at != (uintptr_t)out->first + (size_t)b * out->stride)
      return tw_fail(TW_ERR_INTERNAL, "key slots of a batch do not lie at equal distances");
  }
  return TW_OK;
}

// All corrections of a gate; the first one into memory that the gate has for it, if it has.
static tw_status describe_taken(tw_session *s, const tw_op *op, uint64_t *first) {
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  packed_halves packed;
  TW_TRY(find_packed(s, last->offset[s->party] + last->bytes[s->party] - c->offset[s->party], &packed));
  for (int i = 0; i < op->correction_count; i++) {
    size_t words = c[i].bits ? (size_t)c[i].width * tw_words(c[i].n) : c[i].n, h = tw_first_half(c[i].n);
    uint64_t *out = first;
    assert_role(s, c[i].use, 2);
    if (i > 0 || !first) TW_TRY(tw_scratch(s, (size_t)s->batch * words, &out));
    s->taken[i] = (tw_correction_args){.sequences = (size_t)s->batch,
                                       .seeds = s->seeds[s->party],
                                       .slots = s->backend_slots,
                                       .use = c[i].use,
                                       .bits = c[i].bits,
                                       .width = c[i].width,
                                       .n = c[i].n,
                                       .first = s->party == 0 ? 0 : h,
                                       .count = s->party == 0 ? h : c[i].n - h,
                                       .packed = packed.first + (c[i].offset[s->party] - c->offset[s->party]),
                                       .packed_stride = packed.stride,
                                       .out = out};
  }
  return TW_OK;
}

tw_status tw_take(tw_session *s, const tw_op *op, int i, uint64_t **out) {
  if (i == 0) {
    TW_TRY(describe_taken(s, op, NULL));
    TW_TRY(s->backend->corrections(s->taken, op->correction_count, s->stream));
  }
  *out = s->taken[i].out;
  return TW_OK;
}

tw_status tw_take_into(tw_session *s, const tw_op *op, uint64_t *memory) {
  TW_TRY(describe_taken(s, op, memory));
  return s->backend->corrections(s->taken, op->correction_count, s->stream);
}

tw_status tw_take_later(tw_session *s, const tw_op *op, int i, uint64_t **out) {
  if (i == 0) TW_TRY(describe_taken(s, op, NULL));
  *out = s->taken[i].out;
  return TW_OK;
}

// Party 0's file holds c - u_1 on the first half, party 1's c - u_0 on the rest (bits: XOR).
static tw_give_args half_of(tw_session *s, const tw_correction *c, int party, const uint64_t *values, uint8_t *packed) {
  size_t h = tw_first_half(c->n);
  return (tw_give_args){.seed = &s->seeds[1 - party][0],
                        .slot = &s->backend_slots[0],
                        .use = c->use,
                        .bits = c->bits,
                        .width = c->width,
                        .n = c->n,
                        .first = party == 0 ? 0 : h,
                        .count = party == 0 ? h : c->n - h,
                        .values = values,
                        .packed = packed,
                        .bytes = c->bytes[party]};
}

static tw_status give_all(tw_session *s, const tw_op *op) {
  tw_give_args args[TW_GIVE_MOST];
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  size_t bytes[2];
  int count = 0;
  for (int party = 0; party < 2; party++) {
    uint8_t *packed = s->dealt[party] ? s->dealt[party] + c->offset[party] : NULL;
    uint64_t *memory;
    bytes[party] = last->offset[party] + last->bytes[party] - c->offset[party];
    if (!packed) {
      TW_TRY(tw_scratch(s, bytes[party] / 8, &memory));
      packed = (uint8_t *)memory;
    }
    s->packed[party] = (const uint64_t *)(const void *)packed;
    for (int i = 0; i < op->correction_count; i++)
      args[count++] = half_of(s, &c[i], party, s->given[i], packed + (c[i].offset[party] - c->offset[party]));
  }
  TW_TRY(s->backend->give(args, count, s->stream));
  for (int party = 0; party < 2; party++)
    TW_TRY(s->sink[party].append(s->sink[party].state, s->packed[party], bytes[party]));
  return TW_OK;
}

tw_status tw_give(tw_session *s, const tw_op *op, int i, const uint64_t *values) {
  assert_role(s, s->program->corrections[op->correction + i].use, 2);
  s->given[i] = values;
  return i + 1 == op->correction_count ? give_all(s, op) : TW_OK;
}

void tw_out_of_bound(tw_session *s, const tw_op *op) {
  if (s->out_of_bound++ == 0) s->first_out_of_bound = (int)(op - s->program->ops);
}
