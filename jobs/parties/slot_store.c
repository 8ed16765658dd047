#include "jobs/parties/slot_store.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/device_dealer.h"
#include "kernels/device.h"

enum { PIECES = 2 };  // of a connection: one is copied while the other is sent

struct tw_slot_place {
  tw_slot_place *next;
  uint8_t *half[2];  // backend memory
};

struct tw_slot_staging {
  tw_slot_staging *next;
  tw_slot_store *store;
  bool lent;  // the pieces are the caller's
  int depth;
  tw_live_piece *piece[TW_STAGING_MOST];
  void *stream[TW_STAGING_MOST];  // a GPU's: each piece can be waited for alone
};

struct tw_slot_store {
  const tw_plan *plan;
  const tw_model_masks *masks;
  bool gpu;
  const tw_backend *backend;
  void *stream;  // wipes places
  int room, made;
  tw_slot_place *places;      // that nobody has
  tw_slot_staging *stagings;  // the same
  pthread_mutex_t lock;
  // who deals: one at a time, the one that waits longest
  pthread_cond_t turn;
  uint64_t tickets, now;
  tw_seed *seeds;  // [2], of the slot that is dealt
#ifdef TWAIN_CUDA
  tw_device_dealer *dealer;
#endif
};

// ---- the GPU's part

#ifdef TWAIN_CUDA
static tw_status gpu_open(tw_slot_store *s, const tw_model_dealer *dealer) {
  char name[64];
  uint64_t left, slot = s->plan->program.slot_bytes[0] + s->plan->program.slot_bytes[1];
  s->backend = &tw_cuda_backend;
  TW_TRY(tw_device_stream_create(&s->stream));
  TW_TRY(tw_device_dealer_create(s->plan, dealer, (const bool[2]){false, false}, 1, &s->dealer));
  TW_TRY(tw_device_describe(name, sizeof name, &left));
  if (!s->room) s->room = left / 2 / slot > 4096 ? 4096 : (int)(left / 2 / slot);
  if (s->room) return TW_OK;
  return tw_fail(TW_ERR_MEMORY, "%s: %llu bytes of memory are free, and a slot's keys take %llu; say --device cpu",
                 name, (unsigned long long)left, (unsigned long long)slot);
}

static void gpu_close(tw_slot_store *s) {
  tw_device_dealer_destroy(s->dealer);
  tw_device_stream_destroy(s->stream);
}

static tw_status gpu_deal(tw_slot_store *s, uint64_t slot, const tw_slot_place *place) {
  return tw_device_dealer_into(s->dealer, s->seeds, slot, place->half);
}

static tw_status gpu_wait(void *stream) { return tw_device_wait(stream); }
static tw_status gpu_copy(void *to, const void *from, size_t bytes, void *stream) {
  return tw_device_copy_out(to, from, bytes, stream);
}
static tw_status gpu_stream(void **stream) { return tw_device_stream_create(stream); }
static void gpu_stream_close(void *stream) { tw_device_stream_destroy(stream); }
static tw_status gpu_piece(tw_live_piece **piece) { return tw_pinned_alloc(sizeof **piece, (void **)piece); }
static void gpu_piece_free(tw_live_piece *piece) { tw_pinned_free(piece, sizeof *piece); }
#else
static tw_status no_gpu(void) { return tw_fail(TW_ERR_USAGE, "this twain was built without CUDA"); }
static tw_status gpu_open(tw_slot_store *s, const tw_model_dealer *dealer) {
  (void)s, (void)dealer;
  return no_gpu();
}
static void gpu_close(tw_slot_store *s) { (void)s; }
static tw_status gpu_deal(tw_slot_store *s, uint64_t slot, const tw_slot_place *place) {
  (void)s, (void)slot, (void)place;
  return no_gpu();
}
static tw_status gpu_wait(void *stream) {
  (void)stream;
  return no_gpu();
}
static tw_status gpu_copy(void *to, const void *from, size_t bytes, void *stream) {
  (void)to, (void)from, (void)bytes, (void)stream;
  return no_gpu();
}
static tw_status gpu_stream(void **stream) {
  (void)stream;
  return no_gpu();
}
static void gpu_stream_close(void *stream) { (void)stream; }
static tw_status gpu_piece(tw_live_piece **piece) {
  (void)piece;
  return no_gpu();
}
static void gpu_piece_free(tw_live_piece *piece) { (void)piece; }
#endif

// ---- the store

static tw_status open_store(tw_slot_store *s, const tw_model_dealer *dealer) {
  TW_TRY(tw_seed_alloc(2 * sizeof *s->seeds, (void **)&s->seeds));
  if (s->gpu) return gpu_open(s, dealer);
  s->backend = &tw_cpu_backend;
  return s->room > 0 ? TW_OK : tw_fail(TW_ERR_INTERNAL, "no room is said for slots in host memory");
}

tw_status tw_slot_store_create(const tw_plan *plan, const tw_model_dealer *dealer, const tw_model_masks *masks,
                               tw_device_kind device, int room, tw_slot_store **out) {
  tw_slot_store *s;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *s, (void **)&s));
  s->plan = plan;
  s->masks = masks;
  s->gpu = device == TW_DEVICE_CUDA;
  s->room = room;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->turn, NULL);
  tw_status status = open_store(s, dealer);
  if (status == TW_OK)
    *out = s;
  else
    tw_slot_store_destroy(s);
  return status;
}

int tw_slot_store_room(const tw_slot_store *s) { return s->room; }

static void free_place(tw_slot_store *s, tw_slot_place *p) {
  for (int party = 0; party < 2; party++)
    if (p->half[party]) s->backend->release(p->half[party], s->plan->program.slot_bytes[party]);
  tw_free(p);
}

static void free_staging(tw_slot_staging *g) {
  for (int i = 0; i < g->depth; i++) {
    if (g->store->gpu) gpu_stream_close(g->stream[i]);
    if (g->lent || !g->piece[i]) continue;
    if (g->store->gpu)
      gpu_piece_free(g->piece[i]);
    else
      tw_secret_free(g->piece[i], sizeof *g->piece[i]);
  }
  tw_free(g);
}

void tw_slot_store_destroy(tw_slot_store *s) {
  if (!s) return;
  for (tw_slot_place *p = s->places, *next; p; p = next) {
    next = p->next;
    free_place(s, p);
  }
  for (tw_slot_staging *g = s->stagings, *next; g; g = next) {
    next = g->next;
    free_staging(g);
  }
  if (s->gpu) gpu_close(s);
  tw_seed_free(s->seeds, 2 * sizeof *s->seeds);
  pthread_cond_destroy(&s->turn);
  pthread_mutex_destroy(&s->lock);
  tw_free(s);
}

// ---- places; the lock is held

static bool make_place(tw_slot_store *s, tw_slot_place **out) {
  tw_slot_place *p;
  void *memory;
  if (s->made == s->room || tw_alloc(sizeof *p, (void **)&p) != TW_OK) return false;
  for (int party = 0; party < 2; party++) {
    if (s->backend->alloc(s->plan->program.slot_bytes[party], &memory) != TW_OK) {
      free_place(s, p);
      return false;
    }
    p->half[party] = memory;
  }
  s->made++;
  *out = p;
  return true;
}

static bool take_one(tw_slot_store *s, tw_slot_place **out) {
  if (!s->places) return make_place(s, out);
  *out = s->places;
  s->places = s->places->next;
  return true;
}

bool tw_slot_store_take(tw_slot_store *s, int count, tw_slot_place **places) {
  int taken = 0;
  if (count > s->room) return false;
  pthread_mutex_lock(&s->lock);
  while (taken < count && take_one(s, &places[taken])) taken++;
  for (int i = taken; taken < count && i-- > 0;) {
    places[i]->next = s->places;
    s->places = places[i];
  }
  pthread_mutex_unlock(&s->lock);
  return taken == count;
}

static tw_status wipe(tw_slot_store *s, const tw_slot_place *p) {
  for (int party = 0; party < 2; party++)
    TW_TRY(s->backend->fill(p->half[party], 0, s->plan->program.slot_bytes[party], s->stream));
  return s->gpu ? gpu_wait(s->stream) : TW_OK;
}

void tw_slot_store_give_back(tw_slot_store *s, int count, tw_slot_place **places) {
  for (int i = 0; i < count; i++) {
    if (!places[i]) continue;
    pthread_mutex_lock(&s->lock);
    if (wipe(s, places[i]) == TW_OK) {
      places[i]->next = s->places;
      s->places = places[i];
    } else {  // a GPU that has failed; so will all that is asked of it
      free_place(s, places[i]);
      s->made--;
    }
    pthread_mutex_unlock(&s->lock);
    places[i] = NULL;
  }
}

// ---- dealing

static tw_status cpu_deal(tw_slot_store *s, uint64_t slot, const tw_slot_place *place) {
  uint8_t *at[2] = {place->half[0], place->half[1]};
  tw_sink sink[2] = {{tw_deal_to_memory, &at[0]}, {tw_deal_to_memory, &at[1]}};
  return tw_deal_slot(s->plan, s->masks, s->seeds, slot, sink, NULL, NULL);
}

tw_status tw_slot_store_deal(tw_slot_store *s, const tw_seed *const seed[2], uint64_t slot, tw_slot_place *place) {
  pthread_mutex_lock(&s->lock);
  uint64_t ticket = s->tickets++;
  while (s->now != ticket) pthread_cond_wait(&s->turn, &s->lock);
  pthread_mutex_unlock(&s->lock);
  for (int party = 0; party < 2; party++) s->seeds[party] = *seed[party];
  tw_status status = s->gpu ? gpu_deal(s, slot, place) : cpu_deal(s, slot, place);
  tw_wipe(s->seeds, 2 * sizeof *s->seeds);
  pthread_mutex_lock(&s->lock);
  s->now++;
  pthread_cond_broadcast(&s->turn);
  pthread_mutex_unlock(&s->lock);
  return status;
}

// ---- pieces on their way out

static tw_status make_staging(tw_slot_store *s, tw_live_piece *const *memory, int depth, tw_slot_staging **out) {
  tw_slot_staging *g;
  TW_TRY(tw_alloc(sizeof *g, (void **)&g));
  *g = (tw_slot_staging){.store = s, .lent = memory, .depth = depth};
  tw_status status = TW_OK;
  for (int i = 0; i < depth && status == TW_OK; i++) {
    if (s->gpu) status = gpu_stream(&g->stream[i]);
    if (memory)
      g->piece[i] = memory[i];
    else if (status == TW_OK)
      status = s->gpu ? gpu_piece(&g->piece[i]) : tw_secret_alloc(sizeof *g->piece[i], (void **)&g->piece[i]);
  }
  if (status == TW_OK)
    *out = g;
  else
    free_staging(g);
  return status;
}

tw_status tw_slot_staging_take(tw_slot_store *s, tw_live_piece *const *memory, int depth, tw_slot_staging **out) {
  if (memory) return make_staging(s, memory, depth, out);
  pthread_mutex_lock(&s->lock);
  *out = s->stagings;
  if (*out) s->stagings = (*out)->next;
  pthread_mutex_unlock(&s->lock);
  return *out ? TW_OK : make_staging(s, NULL, PIECES, out);
}

// What was begun ends first: a copy must not come into memory that another connection has by then.
void tw_slot_staging_give_back(tw_slot_store *s, tw_slot_staging *g) {
  tw_status status = TW_OK;
  for (int i = 0; s->gpu && i < g->depth; i++)
    if (gpu_wait(g->stream[i]) != TW_OK) status = TW_ERR_INTERNAL;
  if (g->lent || status != TW_OK) {
    free_staging(g);
    return;
  }
  for (int i = 0; i < g->depth; i++) tw_wipe(g->piece[i], sizeof *g->piece[i]);
  pthread_mutex_lock(&s->lock);
  g->next = s->stagings;
  s->stagings = g;
  pthread_mutex_unlock(&s->lock);
}

int tw_slot_staging_depth(const tw_slot_staging *g) { return g->depth; }

static size_t chunk_bytes(const tw_slot_store *s, int party, uint64_t number) {
  uint64_t left = s->plan->program.slot_bytes[party] - number * TW_KEY_CHUNK;
  return left < TW_KEY_CHUNK ? (size_t)left : TW_KEY_CHUNK;
}

tw_status tw_slot_copy_begin(tw_slot_staging *g, int at, const tw_slot_place *place, int party, uint64_t number) {
  tw_live_piece *p = g->piece[at];
  const uint8_t *from = place->half[party] + number * TW_KEY_CHUNK;
  size_t bytes = chunk_bytes(g->store, party, number);
  p->bytes = sizeof p->sent.head + bytes;
  p->sent.head = (tw_live_head){.bytes = (uint32_t)bytes, .number = number};
  if (g->store->gpu) return gpu_copy(p->sent.data, from, bytes, g->stream[at]);
  memcpy(p->sent.data, from, bytes);
  return TW_OK;
}

tw_status tw_slot_copy_end(tw_slot_staging *g, int at, tw_live_piece **piece) {
  *piece = g->piece[at];
  return g->store->gpu ? gpu_wait(g->stream[at]) : TW_OK;
}
