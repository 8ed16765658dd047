#include "jobs/program/session.h"

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/program/limits.h"
#include "jobs/program/session_parts.h"

static tw_status allocate(tw_session *s) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_buffer) * (size_t)(s->program->tensor_count + 1), &memory));
  s->memory.buffers = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(s->program->op_count + 1), &memory));
  s->preparation.products = memory;
  TW_TRY(tw_alloc(sizeof(bool) * (size_t)(s->program->op_count + 1), &memory));
  s->preparation.joined = memory;
  TW_TRY(tw_alloc(sizeof(double) * (size_t)(s->program->step_count + 1), &memory));
  s->step_seconds = memory;
#ifdef TWAIN_DEBUG_PRG
  TW_TRY(tw_alloc(s->program->use_count + 1, &memory));
  s->drawn = memory;
#endif
  return TW_OK;
}

tw_status tw_session_create(const tw_session_config *c, tw_session *s) {
  *s = (tw_session){
      .program = c->program,
      .role = c->role,
      .party = c->party,
      .batch = c->batch,
      .backend = c->backend ? c->backend : &tw_cpu_backend,
      .stream = c->stream,
      .weights = c->weights,
      .place = c->place,
      .sequences = c->sequences,
      .copies = c->copies,
      .opener = c->opener,
      .observers = c->observers,
      .lanes = c->lanes,
      .chains = c->chains,
      .corrections = {.source = c->source, .sink = {c->sink[0], c->sink[1]}, .dealt = {c->dealt[0], c->dealt[1]}},
      .memory = {.arena = c->arena},
      .preparation = {.keep_masks = c->keep_masks, .fan = c->fan},
      .misses = {.first_op = -1}};
  if (!c->program->finished) return tw_fail(TW_ERR_INTERNAL, "session on an unfinished program");
  if (!s->copies.pool) s->copies.pool = s->program->pool;
  if (!s->sequences.backend_slots) s->sequences.backend_slots = s->sequences.slots;
  return allocate(s);
}

void tw_session_destroy(tw_session *s) {
  tw_session_release_blocks(s);
  tw_free(s->memory.buffers);
  tw_free(s->preparation.products);
  tw_free(s->preparation.joined);
  tw_free(s->step_seconds);
  tw_free(s->drawn);
  s->memory.buffers = NULL;
  s->preparation.products = NULL;
  s->preparation.joined = NULL;
  s->step_seconds = NULL;
  s->drawn = NULL;
}

static tw_status run_masks(tw_session *s, const tw_op *op) {
  if (!op->gate->mask || (s->preparation.keep_masks && (!s->preparation.running || op->opens)))
    return TW_OK;  // opens': draw_to
  if (s->role == TW_PARTY) return op->gate->mask(s, op, s->party);
  TW_TRY(op->gate->mask(s, op, 0));
  return op->gate->mask(s, op, 1);
}

// Masks that are not kept are drawn again online: only those of products are needed before.
static tw_status prepare_gate(tw_session *s, const tw_op *op) {
  if (!op->for_product && !s->preparation.keep_masks) return TW_OK;
  TW_TRY(run_masks(s, op));
  return op->gate->prepare ? op->gate->prepare(s, op) : TW_OK;
}

static tw_status run_gate(tw_session *s, const tw_op *op) {
  if (s->preparation.running) return prepare_gate(s, op);
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
  return op->opens && s->observers.watch ? s->observers.watch(s->observers.watch_state, s, op) : TW_OK;
}

void tw_session_release_inputs(tw_session *s, int index) {
  const tw_op *op = &s->program->ops[index];
  for (int j = 0; j < op->in_count; j++)
    if (tw_t(s, op->in[j])->last_op == index) tw_session_release_tensor(s, op->in[j]);
}

void tw_session_release_after(tw_session *s, int index) {
  const tw_op *op = &s->program->ops[index];
  // an opener may read its shares until the flush
  if (!op->opens || s->role != TW_PARTY || s->preparation.running) tw_session_release_inputs(s, index);
  for (int j = 0; j < op->out_count; j++)
    if (tw_t(s, op->out[j])->last_op == index) tw_session_release_tensor(s, op->out[j]);
}

tw_status tw_session_run_op(tw_session *s, int index) {
  const tw_op *op = &s->program->ops[index];
  if (s->preparer.need && !s->preparation.running) TW_TRY(s->preparer.need(s->preparer.state, index));
  if (s->observers.mark && !s->preparation.running) TW_TRY(s->observers.mark(s->observers.mark_state, op->step));
  double start = tw_seconds();
  s->walk.running = index;
  tw_status status = run_gate(s, op);
  s->step_seconds[op->step] += tw_seconds() - start;
  bool beside = s->keeps || (s->preparation.keep_masks && s->preparation.running);  // others may run beside it
  if (!beside) tw_session_release_scratch(s);
  if (status != TW_OK) {
    const tw_step *step = &s->program->steps[op->step];
    return tw_fail_in(status, "layer %d, %s, gate %s", step->layer, step->name, op->gate->name);
  }
  if (s->preparation.columns_done) return TW_OK;  // the rest of its product comes later
  if (s->opener.poll && s->role == TW_PARTY && !s->preparation.running) TW_TRY(s->opener.poll(s->opener.state));
  if (!s->keeps) tw_session_release_after(s, index);
  return TW_OK;
}

static tw_status report_opened(tw_session *s, int from, int to) {
  for (int i = from; s->observers.watch && s->role == TW_PARTY && i < to; i++)
    if (s->program->ops[i].opens) TW_TRY(s->observers.watch(s->observers.watch_state, s, &s->program->ops[i]));
  return TW_OK;
}

static bool in_chain(const tw_session *s, int index) { return s->chains.of_op && s->chains.of_op[index] >= 0; }

// An operation of a chain has been done with the first one of it; what nobody reads after it is released here.
static tw_status walk_op(tw_session *s, int index) {
  if (!in_chain(s, index)) return tw_session_run_op(s, index);
  const tw_op *op = &s->program->ops[index];
  s->walk.running = index;
  TW_TRY(s->chains.run(s->chains.state, s, index));
  tw_session_release_inputs(s, index);
  for (int j = 0; j < op->out_count; j++)
    if (tw_t(s, op->out[j])->last_op == index) tw_session_release_tensor(s, op->out[j]);
  return TW_OK;
}

static int end_of_level(const tw_program *p, int from) {
  int end = from;
  while (end < p->op_count && p->ops[end].level == p->ops[from].level) end++;
  return end;
}

// Of one level, which may be side by side unless some have been done by a chain.
static tw_status walk_gates(tw_session *s, int from, int to) {
  bool chained = false;
  for (int i = from; i < to; i++) chained = chained || in_chain(s, i);
  if (!chained) return tw_session_run_gates(s, from, to);
  for (int i = from; i < to; i++) TW_TRY(walk_op(s, i));
  return TW_OK;
}

tw_status tw_session_level(tw_session *s, bool *done) {
  const tw_program *p = s->program;
  TW_TRY(report_opened(s, s->walk.level_start, s->walk.next_op));
  s->walk.opening = false;
  s->walk.level_start = s->walk.next_op;
  int end = end_of_level(p, s->walk.next_op);
  for (int i = s->walk.next_op; i < end; i++)
    s->walk.opening = s->walk.opening || (s->role == TW_PARTY && p->ops[i].opens && !in_chain(s, i));
  TW_TRY(walk_gates(s, s->walk.next_op, end));
  s->walk.next_op = end;
  *done = s->walk.next_op == p->op_count && !s->walk.opening;  // the step after a last opening only reports
  return *done ? report_opened(s, s->walk.level_start, s->walk.next_op) : TW_OK;  // of chains
}

void tw_session_opened(tw_session *s) {
  for (int i = s->walk.level_start; i < s->walk.next_op; i++)
    if (s->program->ops[i].opens) tw_session_release_inputs(s, i);
}

static tw_status open_level(tw_session *s) {
  uint64_t message;
  if (s->observers.mark) TW_TRY(s->observers.mark(s->observers.mark_state, -1));
  TW_TRY(s->opener.start(s->opener.state, TW_FLUSH_DEMAND, &message));
  TW_TRY(s->opener.finish(s->opener.state, s->place.half, message));
  tw_session_opened(s);
  return TW_OK;
}

void tw_session_rewind(tw_session *s) {
  for (int i = 0; i < s->program->output_count; i++) tw_session_release_tensor(s, s->program->outputs[i]);
  if (s->program->guard >= 0) tw_session_release_tensor(s, s->program->guard);
  s->walk.next_op = s->walk.level_start = s->preparation.drawn_to = 0;
  s->preparation.columns_done = 0;
  s->walk.opening = false;
  s->chained = (tw_chain_counts){0, 0};
}

tw_status tw_session_walk_levels(tw_session *s) {
  while (s->walk.next_op < s->program->op_count) {
    s->walk.level_start = s->walk.next_op;
    s->walk.next_op = end_of_level(s->program, s->walk.level_start);
    TW_TRY(walk_gates(s, s->walk.level_start, s->walk.next_op));
    TW_TRY(open_level(s));
  }
  return TW_OK;
}

tw_status tw_session_run(tw_session *s) {
  for (bool done = false; !done;) {
    TW_TRY(tw_session_level(s, &done));
    if (s->walk.opening) TW_TRY(open_level(s));
  }
  return TW_OK;
}

void tw_out_of_bound(tw_session *s, const tw_op *op) {
  if (s->misses.count++ == 0) s->misses.first_op = (int)(op - s->program->ops);
}
