#include "jobs/program/host_opener.h"

#include "kernels/backend.h"
#include "kernels/pack.h"

static tw_status open_one(void *state, int half, const tw_open_request *r) {
  (void)half;
  tw_opens *opens = state;
  tw_mask_args a = {.rows = 1,
                    .cols = r->words,
                    .share = r->share,
                    .mask = r->mask,
                    .out = r->out,
                    .ring = tw_mask(r->bits ? 64 : r->width),
                    .bits = r->bits};
  TW_TRY(tw_cpu_backend.mask(&a, NULL));
  tw_opens_next_index(opens, r->part ? TW_NO_INDEX : r->index);
  if (r->bits) return tw_opens_bits(opens, r->use, r->slot, r->width, r->n, r->out);
  return tw_opens_ring(opens, r->use, r->slot, r->width, r->n, r->out);
}

static void queued(void *state, size_t *words, size_t *jobs) { tw_opens_queued(state, words, jobs); }

static tw_status start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)reason;
  return tw_opens_start(state, message);
}

static tw_status finish(void *state, int half, uint64_t message) {
  (void)half;
  return tw_opens_finish(state, message);
}

static tw_status poll(void *state) { return tw_opens_poll(state); }
static bool arrived(void *state, uint64_t message) { return tw_opens_arrived(state, message); }

static tw_status add_digest(void *state, uint32_t index, uint64_t sum) {
  return tw_opens_add_digest(state, index, sum);
}

tw_opener tw_host_opener(tw_opens *opens) {
  return (tw_opener){open_one, queued, start, finish, opens, poll, arrived, add_digest};
}
