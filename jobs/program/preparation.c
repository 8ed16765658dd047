#include "jobs/program/preparation.h"

#include "base/memory.h"
#include "kernels/device.h"

tw_status tw_preparation_forecast(tw_preparation *a, const tw_session_config *like) {
  tw_session_room room;
  TW_TRY(tw_session_forecast(like, TW_FORECAST_PREPARATION, &room));
  a->arena.bytes = room.arena;
  a->product_bytes = room.products;
  return TW_OK;
}

tw_status tw_preparation_create(tw_preparation *a, const tw_session_config *like) {
  tw_session_config config = *like;
  if (!a->arena.memory) TW_TRY(like->backend->alloc(a->arena.bytes, &a->arena.memory));
  config.arena = a->arena;
  config.observers.mark = NULL;
  a->open = true;
  a->beside = 0;
  return tw_session_create(&config, &a->session);
}

void tw_preparation_destroy(tw_preparation *a) {
#ifdef TWAIN_CUDA
  for (int i = 0; i < a->stretches; i++) tw_device_event_destroy(a->done[i]);
#endif
  tw_free(a->done);
  tw_free(a->ends);
  a->done = NULL;
  a->ends = NULL;
  a->stretches = 0;
  if (a->open) tw_session_destroy(&a->session);
  a->open = false;
}

void tw_preparation_rewind(tw_preparation *a) {
  tw_session_rewind(&a->session);
  a->beside = 0;
}

static tw_status prepare_to(tw_preparation *a, int end) {
  tw_session *s = &a->session;
  if (!a->mark || s->walk.next_op >= end) return tw_session_prepare_to(s, end);
  TW_TRY(a->mark(a->mark_state, s->program->ops[s->walk.next_op].step));
  if (s->preparation.keep_masks) TW_TRY(tw_session_draw_to(s, end));
  while (s->walk.next_op < end) {
    TW_TRY(a->mark(a->mark_state, s->program->ops[s->walk.next_op].step));
    TW_TRY(tw_session_prepare_to(s, s->walk.next_op + 1));
  }
  return a->mark(a->mark_state, -1);
}

tw_status tw_preparation_finish(tw_preparation *a) {
  return tw_session_prepare_to(&a->session, a->session.program->op_count);
}

// ---- a part of the batch ----

static uint64_t *product_of(const tw_taker *t, int op) {
  uint64_t *whole = t->from->session.preparation.products[op];
  size_t each = tw_t(t->online, t->online->program->ops[op].out[0])->n;
  return whole ? whole + (size_t)t->online->place.first_sequence * each : NULL;
}

static uint64_t *mask_of(const tw_taker *t, int id) {
  uint64_t *whole = t->from->session.memory.buffers[id].mask[t->online->party];
  return whole ? whole + (size_t)t->online->place.first_sequence * tw_words_of(t->online, id) : NULL;
}

// ---- CPU: product by product. Masks are drawn again online: they would take more memory than time ----

static tw_status take_product(void *state, int op) {
  tw_taker *t = state;
  if (!t->online->program->ops[op].gate->prepare) return TW_OK;
  TW_TRY(prepare_to(t->from, op + 1));
  t->online->preparation.products[op] = product_of(t, op);
  return TW_OK;
}

// A slice of a product, or one of the masks that it is made from: a wait may be short.
static tw_status next_slice(void *state, bool *more) {
  enum { SLICE = 1 << 18 };  // multiply-adds: a fraction of a millisecond
  tw_taker *t = state;
  tw_preparation *a = t->from;
  tw_session *s = &a->session;
  const tw_program *p = s->program;
  int next = s->walk.next_op;
  while (next < p->op_count && !p->ops[next].for_product) next++;
  *more = next < p->op_count;
  TW_TRY(tw_session_prepare_to(s, next));
  if (!*more) {
    t->online->preparer.idle = NULL;
    return TW_OK;
  }
  if (a->mark) TW_TRY(a->mark(a->mark_state, p->ops[next].step));
  TW_TRY(tw_session_prepare_slice(s, SLICE));
  a->beside += p->ops[next].gate->prepare && s->walk.next_op > next;
  return a->mark ? a->mark(a->mark_state, -1) : TW_OK;
}

// ---- GPU: stretches ----

static tw_status await_stretch(void *state, int op) {
  tw_taker *t = state;
#ifdef TWAIN_CUDA
  const tw_preparation *a = t->from;
  if (op == 0) t->waited = 0;
  for (; t->waited < a->stretches && (t->waited == 0 || a->ends[t->waited - 1] <= op); t->waited++)
    TW_TRY(tw_device_event_wait(a->done[t->waited], t->online->stream));
#endif
  (void)t, (void)op;
  return TW_OK;
}

void tw_preparation_attach(tw_preparation *a, tw_session *online, tw_taker *taker) {
  const tw_program *p = online->program;
  bool kept = online->preparation.keep_masks;
  *taker = (tw_taker){a, online, 0};
  for (int i = 0; i < p->op_count; i++) online->preparation.products[i] = product_of(taker, i);
  for (int i = 0; i < p->tensor_count && kept; i++) online->memory.buffers[i].mask[online->party] = mask_of(taker, i);
  online->preparer.state = taker;
  online->preparer.need = kept ? await_stretch : take_product;
  online->preparer.idle = kept || a->session.walk.next_op == p->op_count ? NULL : next_slice;
}

#ifdef TWAIN_CUDA
// A stretch is a layer; in the first, whose preparation its gates wait for, a run of gates of one step.
static bool begins_stretch(const tw_program *p, int op) {
  int step = p->ops[op].step, before = p->ops[op - 1].step, layer = p->steps[step].layer;
  return step != before && (layer <= 0 || layer != p->steps[before].layer);
}

tw_status tw_preparation_cut(tw_preparation *a, void *stream) {
  const tw_program *p = a->session.program;
  a->stream = stream;
  void *memory;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)(p->op_count + 1), &memory));
  a->ends = memory;
  TW_TRY(tw_alloc(sizeof(void *) * (size_t)(p->op_count + 1), &memory));
  a->done = memory;
  for (int i = 1; i <= p->op_count; i++) {
    if (i < p->op_count && !begins_stretch(p, i)) continue;
    TW_TRY(tw_device_event_create(&a->done[a->stretches]));
    a->ends[a->stretches++] = i;
  }
  return TW_OK;
}

tw_status tw_preparation_enqueue(tw_preparation *a, int stretch) {
  tw_session *s = &a->session;
  for (int i = s->walk.next_op; i < a->ends[stretch] && stretch > 0; i++)
    a->beside += s->program->ops[i].gate->prepare != NULL;
  void *online = s->stream;
  const tw_fan *fan = s->preparation.fan;
  s->stream = a->stream;
  s->preparation.fan = NULL;
  tw_status status = prepare_to(a, a->ends[stretch]);
  s->stream = online;
  s->preparation.fan = fan;
  TW_TRY(status);
  return tw_device_event_record(a->done[stretch], a->stream);
}
#endif
