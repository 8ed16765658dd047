#include "tests/common/steps_here.h"

#include <string.h>

static size_t place_in(const tw_step_move *m, size_t tile, size_t j) {
  size_t run = (size_t)m->rows * m->inner, first = m->all > m->rows ? tile * m->rows : 0;
  return (j / run * m->all + first) * m->inner + j % run;
}

static void set_bit(uint64_t *plane, size_t j, uint64_t bit) {
  plane[j / 64] = (plane[j / 64] & ~(1ull << j % 64)) | bit << j % 64;
}

static void move_here(const tw_step_move *m, size_t tile, bool gather) {
  size_t n = (size_t)m->outer * m->rows * m->inner, words = (n + 63) / 64;
  for (size_t j = 0; j < n; j++) {
    size_t at = place_in(m, tile, j);
    if (m->planes == 0) *(gather ? &m->tile[j] : &m->whole[at]) = gather ? m->whole[at] : m->tile[j];
    for (size_t p = 0; p < m->planes; p++) {
      uint64_t *whole = m->whole + p * m->whole_words, *here = m->tile + p * words;
      if (gather)
        set_bit(here, j, tw_plane_bit(whole, at));
      else
        set_bit(whole, at, tw_plane_bit(here, j));
    }
  }
}

static tw_status send_here(tw_session *s, const tw_step_open *o) {
  size_t planes = o->bits ? o->words / ((o->live + 63) / 64) : 0;
  int width = o->bits ? (int)planes : o->ring == ~0ull ? 64 : __builtin_ctzll(o->ring + 1);
  tw_open_request q = {.bits = o->bits,
                       .width = width,
                       .n = o->live,
                       .words = o->words,
                       .share = o->share,
                       .mask = o->mask,
                       .out = o->out};
  return s->opener.open(s->opener.state, 0, &q);
}

static tw_status receive_here(tw_session *s) {
  uint64_t message;
  TW_TRY(s->opener.start(s->opener.state, TW_FLUSH_DEMAND, &message));
  return s->opener.finish(s->opener.state, 0, message);
}

static tw_status compute_here(const tw_chain_step *s) {
  const tw_step_sums *t = &s->as.sums;
  switch (s->kind) {
#define HERE(op)     \
  case TW_STEP_##op: \
    return tw_cpu_backend.op(&s->as.op, NULL);
    TW_CHAIN_RING_OPS(HERE)
    TW_CHAIN_BIT_OPS(HERE)
    case TW_STEP_SUMS:
      return tw_cpu_backend.row_sums(t->x, t->rows, t->cols, t->addend, t->ring, t->out, NULL);
    default:
      memcpy(s->as.copy.to, s->as.copy.from, 8 * (size_t)s->as.copy.words);
      return TW_OK;
  }
}

tw_status steps_here(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles, int sequence) {
  steps_seen *seen = state;
  (void)sequence;
  seen->run++;
  seen->steps = list->count;
  seen->shared_bytes = list->shared_bytes;
  memcpy(seen->memory, list->lists, 8 * list->list_words);
  for (size_t tile = 0; tile < tiles; tile++)
    for (int i = 0; i < list->count; i++) {
      const tw_chain_step *step = &list->steps[i];
      bool first = step->kind == TW_STEP_RECEIVE && list->steps[i - 1].kind != TW_STEP_RECEIVE;
      if (step->kind == TW_STEP_GATHER || step->kind == TW_STEP_SCATTER)
        move_here(&step->as.move, tile, step->kind == TW_STEP_GATHER);
      else if (step->kind == TW_STEP_SEND)
        TW_TRY(send_here(s, &step->as.open));
      else if (first)
        TW_TRY(receive_here(s));
      else if (step->kind != TW_STEP_RECEIVE)
        TW_TRY(compute_here(step));
    }
  return TW_OK;
}
