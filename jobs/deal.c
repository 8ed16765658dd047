#include "jobs/deal.h"

#include <string.h>

#include "base/memory.h"

uint64_t tw_deal_bytes(const tw_plan *plan, uint64_t count) {
  uint64_t streams = plan->program.slot_bytes[0] + plan->program.slot_bytes[1];
  uint64_t index = 2 * sizeof(tw_key_index_entry) * (uint64_t)plan->program.correction_count;
  return count * (streams + streams / TW_KEY_CHUNK * 4 + 2 * 32) + index + (1u << 16);
}

void tw_deal_test_seed(uint64_t number, int rank, uint64_t slot, tw_seed *out) {
  tw_seed_test(out, number, rank == 0 ? "key rank 0" : "key rank 1", slot);
}

static tw_status append_key(void *state, const void *data, size_t bytes) { return tw_keys_append(state, data, bytes); }

void tw_model_masks_free(tw_model_masks *m) {
  for (int rank = 0; rank < 2; rank++) {
    for (int i = 0; m->mask[rank] && i < m->count; i++) tw_secret_free(m->mask[rank][i], 8 * m->rows[i] * m->cols[i]);
    tw_free(m->mask[rank]);
  }
  tw_free(m->rows);
  tw_free(m->cols);
}

tw_status tw_model_masks_draw(const tw_model_dealer *dealer, tw_model_masks *m) {
  memset(m, 0, sizeof *m);
  m->count = dealer->config.layers * TW_TENSORS_PER_LAYER;
  void *memory;
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)m->count, &memory));
  m->rows = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)m->count, &memory));
  m->cols = memory;
  for (int rank = 0; rank < 2; rank++) {
    TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)m->count, &memory));
    m->mask[rank] = memory;
  }
  for (int i = 0; i < m->count; i++) {
    char name[48];
    tw_model_tensor_shape(&dealer->config, i, name, &m->rows[i], &m->cols[i]);
    for (int rank = 0; rank < 2; rank++) {
      tw_seed seed;
      TW_TRY(tw_secret_alloc(8 * m->rows[i] * m->cols[i], &memory));
      m->mask[rank][i] = memory;
      memcpy(seed.key, dealer->mask_seed[rank], 32);
      tw_prg_ring(&seed, (uint32_t)i, 0, 64, 0, m->rows[i] * m->cols[i], m->mask[rank][i]);
      tw_wipe(&seed, sizeof seed);
    }
  }
  return TW_OK;
}

tw_status tw_deal_slot(const tw_plan *plan, const tw_model_masks *m, const tw_seed seed[2], uint64_t slot, const tw_sink sink[2],
                       void (*progress)(void *state, double fraction), void *progress_state) {
  tw_session s = {.program = &plan->program, .role = TW_DEALER, .batch = 1, .slots = &slot, .seeds = {&seed[0], &seed[1]},
                  .sink = {sink[0], sink[1]}};
  s.weights = (tw_weights){.count = m->count, .rows = m->rows, .cols = m->cols, .mask = {m->mask[0], m->mask[1]}};
  TW_TRY(tw_session_open(&s));
  tw_status status = TW_OK;
  for (bool done = false; !done && status == TW_OK;) {
    status = tw_session_step(&s, &done);
    if (progress) progress(progress_state, (double)s.next_op / s.program->op_count);
  }
  tw_session_close(&s);
  return status;
}

// Progress of one slot as progress of all.
typedef struct {
  const tw_deal_options *o;
  uint64_t slot;
} slot_progress;

static void show_progress(void *state, double fraction) {
  const slot_progress *p = state;
  if (p->o->progress) p->o->progress(p->o->progress_state, ((double)p->slot + fraction) / (double)p->o->count);
}

static tw_status deal_to_files(const tw_plan *plan, const tw_model_masks *m, const tw_deal_options *o, uint64_t slot,
                               tw_keys_writer *writer[2]) {
  tw_seed seed[2];
  tw_sink sink[2];
  slot_progress p = {o, slot};
  tw_status status = TW_OK;
  for (int rank = 0; rank < 2 && status == TW_OK; rank++) {
    if (o->test)
      tw_deal_test_seed(o->test_seed, rank, slot, &seed[rank]);
    else
      tw_seed_random(&seed[rank]);
    status = tw_keys_begin_slot(writer[rank], slot, seed[rank].key);
    sink[rank] = (tw_sink){append_key, writer[rank]};
  }
  if (status == TW_OK) status = tw_deal_slot(plan, m, seed, slot, sink, show_progress, &p);
  for (int rank = 0; rank < 2 && status == TW_OK; rank++) status = tw_keys_end_slot(writer[rank]);
  tw_wipe(seed, sizeof seed);
  return status;
}

static tw_status create_files(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o, const tw_id *key_id,
                              tw_key_index_entry *index[2], tw_keys_writer *writer[2]) {
  for (int rank = 0; rank < 2; rank++) {
    TW_TRY(tw_program_index(&plan->program, rank, &index[rank]));
    tw_keys_info info = {.rank = rank, .key_id = *key_id, .model_id = dealer->model_id, .plan = plan->digest, .test = o->test,
                         .count = o->count, .slot_bytes = plan->program.slot_bytes[rank],
                         .index_count = (uint64_t)plan->program.correction_count, .index = index[rank]};
    TW_TRY(tw_keys_create(o->path[rank], &info, &writer[rank]));
  }
  return TW_OK;
}

tw_status tw_deal(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o, tw_id *key_id) {
  tw_keys_writer *writer[2] = {NULL, NULL};
  tw_key_index_entry *index[2] = {NULL, NULL};
  tw_model_masks masks;
  tw_id_random(key_id);
  tw_status status = tw_model_masks_draw(dealer, &masks);
  if (status == TW_OK) status = create_files(plan, dealer, o, key_id, index, writer);
  for (uint64_t slot = 0; slot < o->count && status == TW_OK; slot++) status = deal_to_files(plan, &masks, o, slot, writer);
  for (int rank = 0; rank < 2; rank++) {
    if (writer[rank] && status == TW_OK)
      status = tw_keys_commit(writer[rank]);
    else if (writer[rank])
      tw_keys_abort(writer[rank]);
    tw_free(index[rank]);
  }
  tw_model_masks_free(&masks);
  return status;
}
