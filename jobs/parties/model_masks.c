#include "jobs/parties/model_masks.h"

#include <string.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/program/build.h"

// Seeds and the slot of model streams, where the backend reads them.
enum { OF_MODEL, OF_PREFIX, SOURCES };
typedef struct {
  const tw_backend *k;
  void *stream;
  const void *seeds[SOURCES];  // [2] each
  void *copy[SOURCES];         // GPU
  uint64_t *slot;
} source;

static size_t elements(const tw_model_masks *m, int i) { return m->rows[i] * m->cols[i]; }

static tw_status source_open(const tw_model_dealer *dealer, const tw_backend *k, void *stream, source *s) {
  _Static_assert(sizeof(tw_seed) == sizeof dealer->mask_seed[0], "a mask seed is a seed");
  const void *seeds[SOURCES] = {dealer->mask_seed, dealer->prefix_seed};
  uint64_t slot = 0;
  void *memory;
  *s = (source){.k = k, .stream = stream};
  for (int i = 0; i < SOURCES && seeds[i]; i++) {
    s->seeds[i] = seeds[i];
    if (k == &tw_cpu_backend) continue;  // seeds are read where they are locked
    TW_TRY(k->alloc(2 * sizeof(tw_seed), &s->copy[i]));
    TW_TRY(k->upload(s->copy[i], seeds[i], 2 * sizeof(tw_seed), stream));
    s->seeds[i] = s->copy[i];
  }
  TW_TRY(k->alloc(sizeof slot, &memory));
  s->slot = memory;
  return k->upload(s->slot, &slot, sizeof slot, stream);
}

static void source_close(source *s) {
  for (int i = 0; i < SOURCES; i++)
    if (s->copy[i]) s->k->release(s->copy[i], 2 * sizeof(tw_seed));
  if (s->slot) s->k->release(s->slot, sizeof *s->slot);
}

static tw_status draw(const source *s, tw_model_masks *m, int of, int party, int i) {
  void *memory;
  TW_TRY(s->k->alloc(8 * elements(m, i), &memory));
  m->mask[party][i] = memory;
  tw_draw_args a = {.sequences = 1,
                    .seeds = (const tw_seed *)s->seeds[of] + party,
                    .slots = s->slot,
                    .use = (uint32_t)i,
                    .ring = 64,
                    .n = elements(m, i),
                    .out = m->mask[party][i]};
  return s->k->draw(&a, s->stream);
}

static void drop(const tw_model_masks *m, uint64_t **values, int i) {
  if (*values) m->backend->release(*values, 8 * elements(m, i));
  *values = NULL;
}

static tw_status add_up(const source *s, tw_model_masks *m, int i, int ring) {
  uint64_t **p0 = &m->mask[0][i], **p1 = &m->mask[1][i];
  size_t n = elements(m, i);
  tw_combine_args a = {
      .rows = 1, .cols = n, .x = *p0, .y = *p1, .out = *p0, .p = 1, .q = 1, .ring = ~0ull, .pair = {1, n, 0, 1}};
  TW_TRY(s->k->combine(&a, s->stream));
  drop(m, p1, i);
  TW_TRY(s->k->operand(m->rows[i], m->cols[i], ring, *p0, s->stream, &m->sum[i]));
  if (s->k->operand_is_values) {
    m->sum_values[i] = *p0;
    *p0 = NULL;
  } else {
    drop(m, p0, i);
  }
  return TW_OK;
}

static tw_status draw_all(const tw_model_dealer *dealer, const tw_program *program, const source *s,
                          tw_model_masks *m) {
  int own = tw_model_tensor_count(&dealer->config);
  for (int i = 0; i < m->count; i++) {
    char name[TW_TENSOR_NAME];
    tw_shared_shape(&dealer->config, dealer->prefix.rows, i, name, &m->rows[i], &m->cols[i]);
    bool matrix = tw_shared_is_matrix(&dealer->config, i);
    int ring = matrix ? tw_weight_ring(program, i) : 0;
    if (matrix && !ring) continue;  // no product reads it
    for (int party = 0; party < 2; party++) TW_TRY(draw(s, m, i < own ? OF_MODEL : OF_PREFIX, party, i));
    if (matrix) TW_TRY(add_up(s, m, i, ring));
  }
  return TW_OK;
}

tw_status tw_model_masks_draw(const tw_model_dealer *dealer, const tw_program *program, const tw_backend *backend,
                              void *stream, tw_model_masks *m) {
  *m = (tw_model_masks){.backend = backend, .count = tw_shared_count(&dealer->config, dealer->prefix.rows)};
  size_t count = (size_t)m->count;
  void **lists[] = {(void **)&m->mask[0], (void **)&m->mask[1], (void **)&m->sum, (void **)&m->sum_values};
  void *memory;
  source s;
  TW_TRY(tw_alloc(sizeof(size_t) * count, &memory));
  m->rows = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * count, &memory));
  m->cols = memory;
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) TW_TRY(tw_alloc(sizeof(void *) * count, lists[i]));
  tw_status status = source_open(dealer, backend, stream, &s);
  if (status == TW_OK) status = draw_all(dealer, program, &s, m);
  source_close(&s);
  return status;
}

void tw_model_masks_free(tw_model_masks *m) {
  for (int i = 0; i < m->count; i++) {
    for (int party = 0; party < 2; party++)
      if (m->mask[party]) drop(m, &m->mask[party][i], i);
    if (m->sum && m->sum[i]) m->backend->operand_free(m->sum[i]);
    if (m->sum_values) drop(m, &m->sum_values[i], i);
  }
  for (int party = 0; party < 2; party++) tw_free(m->mask[party]);
  tw_free(m->sum);
  tw_free(m->sum_values);
  tw_free(m->rows);
  tw_free(m->cols);
  memset(m, 0, sizeof *m);
}

tw_weights tw_model_masks_weights(const tw_model_masks *m) {
  return (tw_weights){
      .count = m->count, .rows = m->rows, .cols = m->cols, .mask = {m->mask[0], m->mask[1]}, .mask_sum = m->sum};
}
