#include "jobs/parties/device_dealer.h"

#ifdef TWAIN_CUDA
#include <stdlib.h>

#include "base/memory.h"
#include "kernels/device.h"

enum { CHUNK = 8 << 20, MOST_BUFFERS = 2, STAGES = 8 };
static const uint64_t most_whole = 1 << 30;  // bytes of a half that lies on the GPU as a whole

// One party's half of the slot on its way out: dealt where it lies on the GPU as a whole, or, when it is large, gate by
// gate through chunks in turn.
typedef struct {
  tw_device_dealer *dealer;
  bool whole;
  uint8_t *device, *pinned[MOST_BUFFERS];  // pinned: NULL when nobody wants it
  void *left[STAGES];                      // not whole: the chunk has left the GPU
  uint64_t bytes, dealt, copied;
} half;

struct tw_device_dealer {
  const tw_plan *plan;
  tw_model_masks masks;
  tw_session session;
  bool open;
  void *stream, *copies, *event;
  half half[2];
  int buffers, buffer;               // buffer: being recorded
  void *graph[MOST_BUFFERS], *wipe;  // wipe: of all that a walk leaves; where nothing is wanted
  uint64_t slot;
  // GPU memory
  tw_seed *seeds;
  uint64_t *device_slot;
  int64_t *pool;
  uint64_t **tables;  // of the program; the list itself is in host memory
};

static const tw_backend *const k = &tw_cuda_backend;

static int stage_of(uint64_t at) { return (int)(at / CHUNK % STAGES); }
static size_t device_bytes(const half *h) { return h->whole ? h->bytes : (size_t)STAGES * CHUNK; }
static uint8_t *device_place(const half *h, uint64_t at) {
  return h->device + (h->whole ? at : at % ((uint64_t)STAGES * CHUNK));
}

// What was dealt since the last chunk may leave now.
static tw_status copy_out(half *h, uint64_t end) {
  tw_device_dealer *d = h->dealer;
  if (!h->pinned[0] || end == h->copied) return TW_OK;
  TW_TRY(tw_device_event_record(d->event, d->stream));
  TW_TRY(tw_device_event_wait(d->event, d->copies));
  TW_TRY(tw_device_copy_out(h->pinned[d->buffer] + h->copied, device_place(h, h->copied), end - h->copied, d->copies));
  if (!h->whole) TW_TRY(tw_device_event_record(h->left[stage_of(h->copied)], d->copies));
  h->copied = end;
  return TW_OK;
}

// Into the chunks; before one is written again, what it held has left.
static tw_status stage(half *h, const uint8_t *data, size_t bytes) {
  tw_device_dealer *d = h->dealer;
  while (bytes > 0) {
    uint64_t room = CHUNK - h->dealt % CHUNK, part = bytes < room ? bytes : room;
    if (room == CHUNK && h->dealt >= (uint64_t)STAGES * CHUNK)
      TW_TRY(tw_device_event_wait(h->left[stage_of(h->dealt)], d->stream));
    TW_TRY(k->copy(device_place(h, h->dealt), data, part, d->stream));
    h->dealt += part;
    data += part;
    bytes -= part;
    if (h->dealt % CHUNK == 0) TW_TRY(copy_out(h, h->dealt));
  }
  return TW_OK;
}

static tw_status append(void *state, const void *data, size_t bytes) {
  half *h = state;
  if (!h->whole) return h->pinned[0] ? stage(h, data, bytes) : TW_OK;
  h->dealt += bytes;
  return h->dealt - h->copied >= CHUNK ? copy_out(h, h->dealt) : TW_OK;
}

// Everything between seeds in GPU memory and halves in pinned memory, enqueued.
static tw_status enqueue(tw_device_dealer *d, int buffer) {
  d->buffer = buffer;
  tw_session_rewind(&d->session);
  for (int party = 0; party < 2; party++) d->half[party].dealt = d->half[party].copied = 0;
  TW_TRY(tw_session_run(&d->session));
  for (int party = 0; party < 2; party++) TW_TRY(copy_out(&d->half[party], d->half[party].dealt));
  if (d->half[0].copied + d->half[1].copied == 0) return TW_OK;  // the copies' stream has not forked
  TW_TRY(tw_device_event_record(d->event, d->copies));
  return tw_device_event_wait(d->event, d->stream);
}

static tw_status record(tw_device_dealer *d, int buffer) {
  TW_TRY(tw_device_capture_begin(d->stream));
  return tw_device_capture_end(d->stream, enqueue(d, buffer), &d->graph[buffer]);
}

static tw_status enqueue_wipe(tw_device_dealer *d) {
  TW_TRY(k->fill(d->seeds, 0, 2 * sizeof(tw_seed), d->stream));
  for (int party = 0; party < 2; party++) TW_TRY(k->fill(d->half[party].device, 0, d->half[party].bytes, d->stream));
  return tw_session_wipe(&d->session);
}

static tw_status record_wipe(tw_device_dealer *d) {
  TW_TRY(tw_device_capture_begin(d->stream));
  return tw_device_capture_end(d->stream, enqueue_wipe(d), &d->wipe);
}

// Reserving completes the pool; the first real walk lets products plan themselves. Recorded ones then allocate nothing.
static tw_status record_all(tw_device_dealer *d) {
  TW_TRY(tw_session_reserve(&d->session));
  TW_TRY(enqueue(d, 0));
  TW_TRY(tw_device_wait(d->stream));
  for (int buffer = 0; buffer < d->buffers; buffer++) TW_TRY(record(d, buffer));
  return d->half[0].pinned[0] || d->half[1].pinned[0] ? TW_OK : record_wipe(d);
}

static tw_status allocate(tw_device_dealer *d, const bool wanted[2]) {
  const tw_program *p = &d->plan->program;
  void *memory;
  TW_TRY(k->alloc(2 * sizeof(tw_seed), &memory));
  d->seeds = memory;
  TW_TRY(k->alloc(sizeof(uint64_t), &memory));
  d->device_slot = memory;
  TW_TRY(k->alloc(sizeof(int64_t) * p->pool_count, &memory));
  d->pool = memory;
  TW_TRY(k->upload(d->pool, p->pool, sizeof(int64_t) * p->pool_count, d->stream));
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)(p->table_count + 1), &memory));
  d->tables = memory;
  for (int i = 0; i < p->table_count; i++) {
    TW_TRY(k->alloc(8 * p->tables[i].n, &memory));
    d->tables[i] = memory;
    TW_TRY(k->upload(d->tables[i], p->tables[i].values, 8 * p->tables[i].n, d->stream));
  }
  bool stays = !wanted[0] && !wanted[1];  // until tw_device_dealer_into takes it
  for (int party = 0; party < 2; party++) {
    half *h = &d->half[party];
    *h = (half){.dealer = d, .bytes = p->slot_bytes[party], .whole = stays || p->slot_bytes[party] <= most_whole};
    TW_TRY(k->alloc(device_bytes(h), &memory));
    h->device = memory;
    for (int i = 0; i < STAGES && !h->whole; i++) TW_TRY(tw_device_event_create(&h->left[i]));
    for (int buffer = 0; wanted[party] && buffer < d->buffers; buffer++) {
      TW_TRY(tw_pinned_alloc(h->bytes, &memory));
      h->pinned[buffer] = memory;
    }
  }
  return TW_OK;
}

static tw_status open_session(tw_device_dealer *d) {
  tw_session_config config = {
      .program = &d->plan->program,
      .role = TW_DEALER,
      .batch = 1,
      .backend = k,
      .stream = d->stream,
      .sequences = {.slots = &d->slot, .backend_slots = d->device_slot, .seeds = {&d->seeds[0], &d->seeds[1]}},
      .copies = {.pool = d->pool, .tables = (const uint64_t *const *)d->tables},
      .weights = tw_model_masks_weights(&d->masks)};
  for (int party = 0; party < 2; party++) {
    config.sink[party] = (tw_sink){append, &d->half[party]};
    config.dealt[party] = d->half[party].whole ? d->half[party].device : NULL;
  }
  d->open = true;
  return tw_session_create(&config, &d->session);
}

static tw_status open_all(tw_device_dealer *d, const tw_model_dealer *dealer, const bool wanted[2]) {
  TW_TRY(tw_device_stream_create(&d->stream));
  TW_TRY(tw_device_stream_create(&d->copies));
  TW_TRY(tw_device_event_create(&d->event));
  TW_TRY(tw_model_masks_draw(dealer, &d->plan->program, k, d->stream, &d->masks));
  TW_TRY(allocate(d, wanted));
  TW_TRY(open_session(d));
  TW_TRY(record_all(d));
  return tw_device_wait(d->stream);
}

tw_status tw_device_dealer_create(const tw_plan *plan, const tw_model_dealer *dealer, const bool wanted[2], int buffers,
                                  tw_device_dealer **out) {
  *out = NULL;
  tw_device_dealer *d = calloc(1, sizeof *d);
  if (!d) return tw_fail(TW_ERR_MEMORY, "out of memory for a dealer");
  d->plan = plan;
  d->buffers = buffers;
  tw_status status = open_all(d, dealer, wanted);
  *out = d;
  if (status != TW_OK) {
    tw_device_dealer_destroy(d);
    *out = NULL;
  }
  return status;
}

void tw_device_dealer_destroy(tw_device_dealer *d) {
  if (!d) return;
  if (d->stream) (void)tw_device_wait(d->stream);
  for (int buffer = 0; buffer < MOST_BUFFERS; buffer++) tw_device_graph_destroy(d->graph[buffer]);
  tw_device_graph_destroy(d->wipe);
  if (d->open) tw_session_destroy(&d->session);
  for (int party = 0; party < 2; party++) {
    half *h = &d->half[party];
    if (h->device) k->release(h->device, device_bytes(h));
    for (int i = 0; i < STAGES; i++) tw_device_event_destroy(h->left[i]);
    for (int buffer = 0; buffer < MOST_BUFFERS; buffer++) tw_pinned_free(h->pinned[buffer], h->bytes);
  }
  if (d->seeds) k->release(d->seeds, 2 * sizeof(tw_seed));
  if (d->device_slot) k->release(d->device_slot, sizeof(uint64_t));
  if (d->pool) k->release(d->pool, sizeof(int64_t) * d->plan->program.pool_count);
  for (int i = 0; d->tables && i < d->plan->program.table_count; i++)
    if (d->tables[i]) k->release(d->tables[i], 8 * d->plan->program.tables[i].n);
  tw_free(d->tables);
  if (d->masks.backend) tw_model_masks_free(&d->masks);
  tw_device_event_destroy(d->event);
  tw_device_stream_destroy(d->copies);
  tw_device_stream_destroy(d->stream);
  free(d);
}

tw_status tw_device_dealer_begin(tw_device_dealer *d, int buffer, const tw_seed seed[2], uint64_t slot) {
  TW_TRY(k->upload(d->seeds, seed, 2 * sizeof(tw_seed), d->stream));
  TW_TRY(k->upload(d->device_slot, &slot, sizeof slot, d->stream));
  return tw_device_graph_launch(d->graph[buffer], d->stream);
}

tw_status tw_device_dealer_wait(tw_device_dealer *d) { return tw_device_wait(d->stream); }
const uint8_t *tw_device_dealer_half(const tw_device_dealer *d, int buffer, int party) {
  return d->half[party].pinned[buffer];
}

tw_status tw_device_dealer_into(tw_device_dealer *d, const tw_seed seed[2], uint64_t slot, uint8_t *const to[2]) {
  TW_TRY(tw_device_dealer_begin(d, 0, seed, slot));
  for (int party = 0; party < 2; party++)
    TW_TRY(k->copy(to[party], d->half[party].device, d->half[party].bytes, d->stream));
  TW_TRY(tw_device_graph_launch(d->wipe, d->stream));
  return tw_device_wait(d->stream);
}
#endif
