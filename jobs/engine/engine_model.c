// Set-up: a model's share as operands of weight products and masks of all else, in the backend's memory.
#include <string.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/engine/engine_state.h"
#include "jobs/program/build.h"

// Host values where the backend can read them: themselves on the CPU.
tw_status tw_engine_to_backend(tw_engine *e, const void *host, size_t bytes, void **out) {
  if (!e->device) {
    *out = (void *)host;
    return TW_OK;
  }
  TW_TRY(e->k->alloc(bytes, out));
  return e->k->upload(*out, host, bytes, e->stream);
}

void tw_engine_drop(tw_engine *e, void *memory, size_t bytes) {
  if (e->device && memory) e->k->release(memory, bytes);
}

// p_b of a tensor, drawn in backend memory.
static tw_status draw_model_mask(tw_engine *e, const tw_seed *seed, const uint64_t *zero_slot, int i, uint64_t **out) {
  void *memory;
  TW_TRY(e->k->alloc(8 * tw_engine_elements(e->o.model, i), &memory));
  *out = memory;
  tw_draw_args a = {.sequences = 1,
                    .seeds = seed,
                    .slots = zero_slot,
                    .use = (uint32_t)i,
                    .ring = 64,
                    .n = tw_engine_elements(e->o.model, i),
                    .out = *out};
  return e->k->draw(&a, e->stream);
}

// A matrix: operands of W^ and of V_b = b W^ - p_b.
static tw_status set_up_matrix(tw_engine *e, int i, int ring, const uint64_t *masked, uint64_t *mask) {
  const tw_model_share *m = e->o.model;
  size_t n = tw_engine_elements(m, i);
  TW_TRY(e->k->operand(m->rows[i], m->cols[i], ring, masked, e->stream, &e->masked_operand[i]));
  tw_share_args a = {.rows = 1,
                     .cols = n,
                     .X = masked,
                     .r = mask,
                     .out = mask,
                     .one = e->party ? ~0ull : 0,
                     .ring = ~0ull,
                     .pair = {1, n, 0, 1}};
  TW_TRY(e->k->share(&a, e->stream));
  return e->k->operand(m->rows[i], m->cols[i], ring, mask, e->stream, &e->share_operand[i]);
}

static tw_status set_up_tensor(tw_engine *e, const tw_seed *seed, const uint64_t *zero_slot, int i) {
  size_t bytes = 8 * tw_engine_elements(e->o.model, i);
  void *masked;
  uint64_t *mask;
  bool matrix = tw_shared_is_matrix(&e->o.model->config, i);
  int ring = matrix ? tw_weight_ring(&e->o.plan->program, i) : 0;
  if (matrix && !ring) return TW_OK;  // no product reads it
  TW_TRY(tw_engine_to_backend(e, e->o.model->masked[i], bytes, &masked));
  TW_TRY(draw_model_mask(e, seed, zero_slot, i, &mask));
  if (!matrix) {
    e->masked[i] = masked;
    e->vector_mask[i] = mask;
    return TW_OK;
  }
  tw_status status = set_up_matrix(e, i, ring, masked, mask);
  if (e->k->operand_is_values) {
    e->values[i] = mask;
    return status;
  }
  tw_engine_drop(e, masked, bytes);
  e->k->release(mask, bytes);
  return status;
}

tw_status tw_engine_set_up_model(tw_engine *e) {
  const tw_model_share *m = e->o.model;
  if (tw_engine_has_model(e)) return TW_OK;
  void **lists[] = {(void **)&e->masked, (void **)&e->values, (void **)&e->vector_mask, (void **)&e->masked_operand,
                    (void **)&e->share_operand};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    TW_TRY(tw_alloc(sizeof(void *) * (size_t)m->count, lists[i]));
  uint64_t zero = 0;
  void *seeds[2] = {NULL, NULL}, *zero_slot;
  int own = tw_model_tensor_count(&m->config);
  TW_TRY(tw_engine_to_backend(e, m->mask_seed, sizeof(tw_seed), &seeds[0]));
  if (m->prefix_seed) TW_TRY(tw_engine_to_backend(e, m->prefix_seed, sizeof(tw_seed), &seeds[1]));
  TW_TRY(tw_engine_to_backend(e, &zero, sizeof zero, &zero_slot));
  tw_status status = TW_OK;
  for (int i = 0; i < m->count && status == TW_OK; i++) status = set_up_tensor(e, seeds[i >= own], zero_slot, i);
  for (int i = 0; i < 2; i++) tw_engine_drop(e, seeds[i], sizeof(tw_seed));
  tw_engine_drop(e, zero_slot, sizeof zero);
  return status;
}

void tw_engine_take_over(tw_engine *e, tw_engine *before) {
  e->masked = before->masked;
  e->values = before->values;
  e->vector_mask = before->vector_mask;
  e->masked_operand = before->masked_operand;
  e->share_operand = before->share_operand;
  before->masked = before->values = before->vector_mask = NULL;
  before->masked_operand = before->share_operand = NULL;
  e->probe_latency = before->probe_latency;
  e->probe_bandwidth = before->probe_bandwidth;
}

void tw_engine_release_model(tw_engine *e) {
  const tw_model_share *m = e->o.model;
  for (int i = 0; i < m->count; i++) {
    size_t bytes = 8 * tw_engine_elements(m, i);
    if (e->masked) tw_engine_drop(e, e->masked[i], bytes);
    if (e->vector_mask && e->vector_mask[i]) e->k->release(e->vector_mask[i], bytes);
    if (e->values && e->values[i]) e->k->release(e->values[i], bytes);
    if (e->masked_operand && e->masked_operand[i]) e->k->operand_free(e->masked_operand[i]);
    if (e->share_operand && e->share_operand[i]) e->k->operand_free(e->share_operand[i]);
  }
  tw_free(e->masked);
  tw_free(e->vector_mask);
  tw_free(e->values);
  tw_free(e->masked_operand);
  tw_free(e->share_operand);
}
