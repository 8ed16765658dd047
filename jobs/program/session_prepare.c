// Preparation: gate by gate, or, where masks are kept, many draws at a time and then in waves.
#include <string.h>

#include "jobs/program/session_parts.h"

static tw_status prepare_next(tw_session *s) {
  s->preparation.running = true;
  tw_status status = tw_session_run_op(s, s->walk.next_op);
  s->preparation.running = false;
  if (!s->preparation.columns_done) s->walk.next_op++;
  return status;
}

tw_status tw_session_draw_to(tw_session *s, int end) {
  tw_draw_args draws[TW_DRAWS];
  int count = 0;
  for (; s->preparation.drawn_to < end; s->preparation.drawn_to++) {
    const tw_op *op = &s->program->ops[s->preparation.drawn_to];
    if (!op->opens) continue;
    TW_TRY(tw_session_describe_draw(s, op, s->party, &draws[count++]));
    if (count < TW_DRAWS) continue;
    TW_TRY(s->backend->draw_all(draws, count, s->stream));
    count = 0;
  }
  return count ? s->backend->draw_all(draws, count, s->stream) : TW_OK;
}

// As good as a time for a comparison within a wave: words, or of products multiplications.
static double work_of(const tw_session *s, const tw_op *op) {
  if (s->preparation.joined[op - s->program->ops]) return 0;
  double words = (double)tw_words_of(s, op->out[0]);
  return op->gate->prepare ? words * (double)tw_words_of(s, op->in[0]) : words;
}

static int least_loaded(const double *load, int count) {
  int least = 0;
  for (int i = 1; i < count; i++)
    if (load[i] < load[least]) least = i;
  return least;
}

// The gates of a wave before `end`, on as many streams as there are.
static tw_status prepare_wave(tw_session *s, int wave, int end) {
  int count = 0;
  double load[TW_FAN] = {0};
  for (int i = s->walk.next_op; i < end; i++) count += s->program->ops[i].wave == wave;
  bool spread = s->preparation.fan && count > 1 && (wave < s->program->waves || s->preparation.fan->products);
  if (spread) TW_TRY(s->preparation.fan->fork(s->preparation.fan->state));
  for (int i = s->walk.next_op; i < end; i++) {
    if (s->program->ops[i].wave != wave) continue;
    int on = spread ? least_loaded(load, s->preparation.fan->count) : 0;
    if (s->preparation.fan) s->stream = s->preparation.fan->stream[on];
    load[on] += work_of(s, &s->program->ops[i]);
    TW_TRY(tw_session_run_op(s, i));
  }
  tw_session_release_scratch(s);
  return spread ? s->preparation.fan->join(s->preparation.fan->state) : TW_OK;
}

static tw_status prepare_waves(tw_session *s, int end) {
  void *stream = s->stream;
  if (s->preparation.fan) s->stream = s->preparation.fan->stream[0];
  tw_status status = tw_session_draw_to(s, end);
  s->preparation.running = true;
  s->preparation.end = end;
  for (int wave = 1; wave <= s->program->waves && status == TW_OK; wave++) status = prepare_wave(s, wave, end);
  s->preparation.running = false;
  s->stream = stream;
  if (end > s->walk.next_op) s->walk.next_op = end;
  return status;
}

tw_status tw_session_prepare_to(tw_session *s, int end) {
  if (s->preparation.keep_masks) return prepare_waves(s, end);
  while (s->walk.next_op < end) TW_TRY(prepare_next(s));
  return TW_OK;
}

tw_status tw_session_prepare_slice(tw_session *s, size_t work) {
  s->preparation.slice_work = work;
  tw_status status = prepare_next(s);
  s->preparation.slice_work = 0;
  return status;
}

tw_status tw_session_prepare(tw_session *s) {
  tw_status status = tw_session_prepare_to(s, s->program->op_count);
  tw_session_rewind(s);
  memset(s->step_seconds, 0, sizeof(double) * (size_t)s->program->step_count);
  return status;
}
