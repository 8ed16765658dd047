#include "jobs/parties/deal.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "jobs/parties/device_dealer.h"

uint64_t tw_deal_bytes(const tw_plan *plan, uint64_t count) {
  uint64_t streams = plan->program.slot_bytes[0] + plan->program.slot_bytes[1];
  uint64_t index = 2 * sizeof(tw_key_index_entry) * (uint64_t)plan->program.correction_count;
  return count * (streams + streams / TW_KEY_CHUNK * 4 + 2 * 32) + index + (1u << 16);
}

tw_status tw_deal_to_memory(void *state, const void *data, size_t bytes) {
  uint8_t **at = state;
  memcpy(*at, data, bytes);
  *at += bytes;
  return TW_OK;
}

void tw_deal_test_seed(uint64_t number, int party, uint64_t slot, tw_seed *out) {
  tw_seed_test(out, number, party == 0 ? "key rank 0" : "key rank 1", slot);
}

static tw_status append_key(void *state, const void *data, size_t bytes) { return tw_keys_append(state, data, bytes); }

tw_status tw_deal_session(const tw_plan *plan, const tw_model_masks *m, const tw_seed *const seed[2],
                          const uint64_t *slot, const tw_sink sink[2], tw_session *out) {
  tw_session_config config = {.program = &plan->program,
                              .role = TW_DEALER,
                              .batch = 1,
                              .sequences = {.slots = slot, .seeds = {seed[0], seed[1]}},
                              .sink = {sink[0], sink[1]},
                              .weights = tw_model_masks_weights(m)};
  return tw_session_create(&config, out);
}

tw_status tw_deal_slot(const tw_plan *plan, const tw_model_masks *m, const tw_seed seed[2], uint64_t slot,
                       const tw_sink sink[2], void (*progress)(void *state, double fraction), void *progress_state) {
  tw_session s;
  tw_status status = tw_deal_session(plan, m, (const tw_seed *const[2]){&seed[0], &seed[1]}, &slot, sink, &s);
  for (bool done = false; !done && status == TW_OK;) {
    status = tw_session_level(&s, &done);
    if (progress) progress(progress_state, (double)s.walk.next_op / s.program->op_count);
  }
  tw_session_destroy(&s);
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

static void make_seeds(const tw_deal_options *o, uint64_t slot, tw_seed seed[2]) {
  for (int party = 0; party < 2; party++)
    if (o->test)
      tw_deal_test_seed(o->test_seed, party, slot, &seed[party]);
    else
      tw_seed_random(&seed[party]);
}

static tw_status deal_on_host(const tw_plan *plan, const tw_model_masks *m, const tw_deal_options *o, uint64_t slot,
                              tw_seed seed[2], tw_keys_writer *writer[2]) {
  tw_sink sink[2];
  slot_progress p = {o, slot};
  tw_status status = TW_OK;
  make_seeds(o, slot, seed);
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    status = tw_keys_begin_slot(writer[party], slot, seed[party].key);
    sink[party] = (tw_sink){append_key, writer[party]};
  }
  if (status == TW_OK) status = tw_deal_slot(plan, m, seed, slot, sink, show_progress, &p);
  for (int party = 0; party < 2 && status == TW_OK; party++) status = tw_keys_end_slot(writer[party]);
  return status;
}

static tw_status deal_all_on_host(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                                  tw_keys_writer *writer[2]) {
  tw_model_masks masks;
  tw_seed *seed;
  TW_TRY(tw_seed_alloc(2 * sizeof *seed, (void **)&seed));
  tw_status status = tw_model_masks_draw(dealer, &plan->program, &tw_cpu_backend, NULL, &masks);
  for (uint64_t slot = 0; slot < o->count && status == TW_OK; slot++)
    status = deal_on_host(plan, &masks, o, slot, seed, writer);
  tw_model_masks_free(&masks);
  tw_seed_free(seed, 2 * sizeof *seed);
  return status;
}

#ifdef TWAIN_CUDA
static tw_status write_slot(const tw_plan *plan, const tw_device_dealer *d, int buffer, const tw_seed seed[2],
                            uint64_t slot, tw_keys_writer *writer[2]) {
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_keys_begin_slot(writer[party], slot, seed[party].key));
    TW_TRY(tw_keys_append(writer[party], tw_device_dealer_half(d, buffer, party), plan->program.slot_bytes[party]));
    TW_TRY(tw_keys_end_slot(writer[party]));
  }
  return TW_OK;
}

// While one slot is written to disk, the next is dealt into the other buffer.
static tw_status deal_with_device(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                                  tw_seed seed[2][2], tw_keys_writer *writer[2]) {
  tw_device_dealer *d;
  TW_TRY(tw_device_dealer_create(plan, dealer, (const bool[2]){true, true}, o->count > 1 ? 2 : 1, &d));
  make_seeds(o, 0, seed[0]);
  tw_status status = tw_device_dealer_begin(d, 0, seed[0], 0);
  for (uint64_t slot = 0; slot < o->count && status == TW_OK; slot++) {
    int buffer = (int)(slot % 2);
    status = tw_device_dealer_wait(d);
    if (status == TW_OK && slot + 1 < o->count) {
      make_seeds(o, slot + 1, seed[1 - buffer]);
      status = tw_device_dealer_begin(d, 1 - buffer, seed[1 - buffer], slot + 1);
    }
    if (status == TW_OK) status = write_slot(plan, d, buffer, seed[buffer], slot, writer);
    slot_progress p = {o, slot};
    if (status == TW_OK) show_progress(&p, 1);
  }
  tw_device_dealer_destroy(d);
  return status;
}

static tw_status deal_all_on_device(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                                    tw_keys_writer *writer[2]) {
  tw_seed(*seed)[2];
  TW_TRY(tw_seed_alloc(2 * sizeof *seed, (void **)&seed));
  tw_status status = deal_with_device(plan, dealer, o, seed, writer);
  tw_seed_free(seed, 2 * sizeof *seed);
  return status;
}
#endif

static tw_status deal_all(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                          tw_keys_writer *writer[2]) {
#ifdef TWAIN_CUDA
  if (o->device == TW_DEVICE_CUDA) return deal_all_on_device(plan, dealer, o, writer);
#endif
  return deal_all_on_host(plan, dealer, o, writer);
}

static tw_status create_files(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o,
                              const tw_id *key_id, tw_key_index_entry *index[2], tw_keys_writer *writer[2]) {
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_program_index(&plan->program, party, &index[party]));
    tw_keys_info info = {.party = party,
                         .key_id = *key_id,
                         .model_id = dealer->model_id,
                         .plan = plan->digest,
                         .test = o->test,
                         .count = o->count,
                         .slot_bytes = plan->program.slot_bytes[party],
                         .index_count = (uint64_t)plan->program.correction_count,
                         .index = index[party]};
    TW_TRY(tw_keys_create(o->path[party], &info, &writer[party]));
  }
  return TW_OK;
}

tw_status tw_deal(const tw_plan *plan, const tw_model_dealer *dealer, const tw_deal_options *o, tw_id *key_id) {
  tw_keys_writer *writer[2] = {NULL, NULL};
  tw_key_index_entry *index[2] = {NULL, NULL};
  bool committed = false;
  tw_id_random(key_id);
  tw_status status = create_files(plan, dealer, o, key_id, index, writer);
  if (status == TW_OK) status = deal_all(plan, dealer, o, writer);
  for (int party = 0; party < 2; party++) {
    if (writer[party] && status == TW_OK)
      status = tw_keys_commit(writer[party]);
    else if (writer[party])
      tw_keys_abort(writer[party]);
    if (party == 1 && status != TW_OK && committed) unlink(o->path[0]);  // half of the keys is of no use
    committed = writer[party] && status == TW_OK;
    tw_free(index[party]);
  }
  return status;
}
