// Long because it stands in for a GPU: turns, packets, meetings, fetches, faults.
#include "tests/common/blocks_here.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "tests/common/walk.h"

// ThreadSanitizer takes a block's threads for threads, which meet only where a GPU's do: so it finds every access that
// no barrier keeps apart from another one. Taking turns is no meeting, and is not looked at.
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
#define MEET_BEFORE(at) __tsan_release((void *)(uintptr_t)(at))
#define MEET_AFTER(at) __tsan_acquire((void *)(uintptr_t)(at))
#else
#define UNSEEN
#define MEET_BEFORE(at) (void)(at)
#define MEET_AFTER(at) (void)(at)
#endif

typedef struct {
  uint64_t low, high;
} tw_packet;

enum {
  LANES = 32,
  WARPS = BLOCKS_HERE_THREADS / LANES,
  STACK = 64 << 10,
  FETCHES = 64,
  UNDER_WAY = 4096,
  PACKED = 1 << 20
};
typedef enum { LANES_VOTE, LANES_XOR, LANES_VALUE } lanes_kind;

typedef struct blocks_stage stage;
typedef struct block block;
typedef struct {
  ucontext_t context;
  void *fiber;  // ThreadSanitizer's
  block *of;
  uint32_t number;
  bool done;
  // what it waits for
  const uint64_t *packet;
  const uint64_t *seen_at;  // its last look
  uint64_t seen;
  uint64_t value, result;  // of its warp
  uint32_t lane;
  int any, barriers;
  int fetches;
  struct {
    uint64_t *to;
    const uint64_t *from;
  } fetch[FETCHES];
} thread;

struct block {
  stage *stage;
  blocks_side *side;
  tw_chain_launch launch;
  tw_chain_step *steps;
  uint64_t *memory;
  uint32_t number;
  thread threads[BLOCKS_HERE_THREADS];
  int waiting, any, lanes_waiting[WARPS];
};

struct blocks_stage {
  blocks_here *both;
  block blocks[2][BLOCKS_HERE_MOST];
  uint8_t (*stacks)[BLOCKS_HERE_MOST][BLOCKS_HERE_THREADS][STACK];  // [party]
  uint64_t *memory[2][BLOCKS_HERE_MOST], *mailbox[2];
  int failed[2], order, late;  // how the next thread is chosen; the party whose packets come late, if any
  ucontext_t home;
  void *home_fiber;
  thread *now, *ready[2 * BLOCKS_HERE_MOST * BLOCKS_HERE_THREADS];
  int ready_count, alive;
  bool stuck;
  struct {
    uint64_t *to;
    tw_packet packet;
    bool late;
  } under_way[UNDER_WAY];
  int under_way_count;
  uint64_t random;
};

static _Thread_local stage *here;

// Quick and repeatable: the operating system gives the seed.
UNSEEN static uint32_t some(stage *s, uint32_t below) {
  s->random = s->random * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)((s->random >> 33) % below);
}

// ---- turns

UNSEEN static void set_ready(stage *s, thread *t) { s->ready[s->ready_count++] = t; }

UNSEEN static void enter(void *fiber, ucontext_t *from, const ucontext_t *to) {
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync);
#else
  (void)fiber;
#endif
  swapcontext(from, to);
}

UNSEEN static void leave(thread *t) { enter(here->home_fiber, &t->context, &here->home); }

UNSEEN static thread *next_ready(stage *s) {
  enum { FIRST, LAST, ANY };
  int at = s->order == FIRST ? 0 : s->order == LAST ? s->ready_count - 1 : (int)some(s, (uint32_t)s->ready_count);
  thread *t = s->ready[at];
  s->ready[at] = s->ready[--s->ready_count];
  return t;
}

// ---- packets

UNSEEN static void deliver(stage *s, int at) {
  uint64_t *to = s->under_way[at].to;
  to[0] = s->under_way[at].packet.low;
  to[1] = s->under_way[at].packet.high;
  s->under_way[at] = s->under_way[--s->under_way_count];
  for (int party = 0; party < 2; party++)
    for (uint32_t b = 0; b < s->blocks[party][0].launch.blocks; b++)
      for (int i = 0; i < BLOCKS_HERE_THREADS; i++) {
        thread *t = &s->blocks[party][b].threads[i];
        if (t->packet != to) continue;
        t->packet = NULL;
        set_ready(s, t);
      }
}

// One that arrives now; -1: none. Those to `late` wait until nothing else happens.
UNSEEN static int next_packet(stage *s) {
  int count = s->under_way_count, first = count ? (int)some(s, (uint32_t)count) : 0;
  for (int i = 0; i < count; i++) {
    int at = (first + i) % count;
    if (!s->under_way[at].late) return at;
  }
  return count && s->ready_count == 0 ? first : -1;
}

// Bits that may be in packet number `number` of a round; all where it has elements.
UNSEEN static uint64_t lanes_of(const tw_tile_steps *list, uint32_t round, uint32_t number) {
  for (int i = 0; i < list->count; i++) {
    const tw_step_open *o = &list->steps[i].as.open;
    if (list->steps[i].kind != TW_STEP_SEND || !o->bits || o->round != round) continue;
    if (number < o->packet || number - o->packet >= o->words) continue;
    uint32_t words = (o->live + 63) / 64;
    return tw_low_bits(o->live - 64 * ((number - o->packet) % words));
  }
  return ~0ull;
}

UNSEEN static void put_packet(uint64_t *to, tw_packet p) {
  stage *s = here;
  const block *b = s->now->of;
  const blocks_side *side = b->side;
  size_t place = (size_t)(to - b->launch.sent) / 2, slot = place / b->launch.packets;
  uint32_t number = (uint32_t)(place % b->launch.packets), count = (uint32_t)(p.high >> 32);
  uint32_t round = (count - (uint32_t)b->launch.base - 1) % b->launch.rounds;
  uint64_t lanes = lanes_of(side->list, round, number);
  s->both->dead_lanes += (p.low & ~lanes) != 0;
  if (s->both->fault == FAULT_LANES && lanes != ~0ull && side->party == 0) p.low = (p.low >> 1 | p.low << 63) & lanes;
  if (s->both->fault == FAULT_SLOT) to -= slot % TW_CHAIN_SLOTS * 2 * b->launch.packets;
  while (s->under_way_count == UNDER_WAY) deliver(s, (int)some(s, UNDER_WAY));
  MEET_BEFORE(to);
  s->under_way[s->under_way_count].to = to;
  s->under_way[s->under_way_count].late = s->late == 1 - side->party;
  s->under_way[s->under_way_count++].packet = p;
}

// The first look at a packet is at once; another one, when something has come.
UNSEEN static tw_packet get_packet(const uint64_t *from) {
  stage *s = here;
  thread *t = s->now;
  const block *b = t->of;
  size_t slot = (size_t)(from - b->launch.received) / 2 / b->launch.packets;
  if (s->both->fault == FAULT_SLOT) from -= slot % TW_CHAIN_SLOTS * 2 * b->launch.packets;
  if (t->seen_at == from && t->seen == from[1] && !s->stuck) {
    t->packet = from;
    leave(t);
  }
  t->seen_at = from;
  t->seen = from[1];
  MEET_AFTER(from);
  return (tw_packet){from[0], from[1]};
}

UNSEEN static void say_failed(const tw_chain_launch *a) { __atomic_store_n(a->failed, 1, __ATOMIC_RELAXED); }

UNSEEN static bool gives_up(const tw_chain_launch *a, uint64_t *start) {
  (void)a, (void)start;
  return here->stuck;
}

// ---- how threads meet

UNSEEN static uint32_t block_thread(void) { return here->now->number; }

UNSEEN static int block_any(int x) {
  stage *s = here;
  thread *t = s->now;
  block *b = t->of;
  if (s->both->fault == FAULT_BARRIER && t->barriers++ == s->both->which) return x;
  if (s->both->fault != FAULT_BARRIER) t->barriers++;
  b->any |= x;
  MEET_BEFORE(b);
  if (++b->waiting < BLOCKS_HERE_THREADS) {
    leave(t);
    MEET_AFTER(b);
    return t->any;
  }
  for (int i = 0; i < BLOCKS_HERE_THREADS; i++) {
    b->threads[i].any = b->any;
    if (&b->threads[i] != t) set_ready(s, &b->threads[i]);
  }
  b->waiting = b->any = 0;
  set_ready(s, t);
  leave(t);  // another may be the first behind it
  MEET_AFTER(b);
  return t->any;
}

UNSEEN static uint64_t meet(lanes_kind kind, uint64_t value, uint32_t lane) {
  stage *s = here;
  thread *t = s->now, *warp = &t->of->threads[t->number / LANES * LANES];
  int *waiting = &t->of->lanes_waiting[t->number / LANES];
  t->value = value;
  t->lane = lane;
  MEET_BEFORE(waiting);
  if (++*waiting < LANES) {
    leave(t);
    MEET_AFTER(waiting);
    return t->result;
  }
  *waiting = 0;
  uint64_t all = 0;
  for (int i = 0; i < LANES; i++)
    if (kind == LANES_VOTE)
      all |= (uint64_t)(warp[i].value != 0) << i;
    else
      all ^= warp[i].value;
  for (int i = 0; i < LANES; i++) {
    warp[i].result = kind == LANES_VALUE ? warp[warp[i].lane].value : all;
    if (&warp[i] != t) set_ready(s, &warp[i]);
  }
  MEET_AFTER(waiting);
  return t->result;
}

UNSEEN static uint32_t lanes_vote(uint32_t x) { return (uint32_t)meet(LANES_VOTE, x, 0); }
UNSEEN static uint32_t lanes_xor(uint32_t v) { return (uint32_t)meet(LANES_XOR, v, 0); }
UNSEEN static uint64_t lane_value(uint64_t v, uint32_t lane) { return meet(LANES_VALUE, v, lane); }

static void fetched(thread *t) {
  for (int i = 0; i < t->fetches; i++) *t->fetch[i].to = *t->fetch[i].from;
  t->fetches = 0;
}

UNSEEN static void fetch_later(uint64_t *to, const uint64_t *from) {
  thread *t = here->now;
  if (t->fetches == FETCHES) fetched(t);
  t->fetch[t->fetches].to = to;
  t->fetch[t->fetches++].from = from;
  if (some(here, 4) == 0) fetched(t);
}

UNSEEN static void fetch_wait(void) {
  if (here->both->fault != FAULT_NO_WAITING) fetched(here->now);
}

UNSEEN static void set_whole_bit(uint64_t *word, uint64_t mask, uint64_t bit) {
  *word = bit ? *word | mask : *word & ~mask;
}

UNSEEN static void add_to_sum(uint64_t *sum, uint64_t v) { *sum += v; }

static void xor_into(uint64_t *word, uint64_t v) { __atomic_fetch_xor(word, v, __ATOMIC_RELAXED); }

// Barriers are counted anew at a tile's begin.
UNSEEN static void note_time(const tw_chain_launch *a, uint32_t tile, uint32_t step) {
  (void)tile;
  thread *t = here->now;
  if (step != 0 && step != a->count) return;
  here->both->barriers = t->barriers > here->both->barriers ? t->barriers : here->both->barriers;
  if (step == 0) t->barriers = 0;
}

#define TW_BLOCK static
#define TW_BLOCK_ONCE static
#define TW_UNROLL
#define TW_SEVERAL
#define TW_ROLLED
#define TW_BLOCK_THREADS ((uint32_t)BLOCKS_HERE_THREADS)
#define TW_BLOCK_LOOKS 1
#include "kernels/chain_block.h"

// ---- blocks

UNSEEN static thread *this_thread(void) { return here->now; }

// What a kernel of its own does on a GPU.
static void pack_tiles(const block *b) {
  const tw_tile_steps *list = b->side->list;
  for (uint32_t number = b->number; number < b->launch.tiles; number += b->launch.blocks) {
    tw_block_tile t = tile_of(&b->launch, b->number, number, 0);
    for (int i = 0; i < list->pack_count; i++) pack(&list->packs[i], &t);
  }
  block_any(0);
}

static void run_thread(void) {
  thread *t = this_thread();
  MEET_AFTER(&here);
  pack_tiles(t->of);
  walk_tiles(&t->of->launch, t->of->steps, t->of->number);
  t->done = true;
  MEET_BEFORE(&here);
  leave(t);
}

// Pointers into the memory that the list names become pointers into the block's.
static void take_steps(block *b, size_t bytes) {
  const tw_tile_steps *list = b->side->list;
  uint64_t from = (uint64_t)(uintptr_t)b->side->memory, to = (uint64_t)(uintptr_t)b->memory;
  b->steps = malloc((size_t)list->count * sizeof *b->steps);
  if (!b->steps) abort();
  memcpy(b->steps, list->steps, (size_t)list->count * sizeof *b->steps);
  for (int i = 0; i < list->count; i++) {
    uint64_t words[sizeof b->steps->as / 8];
    memcpy(words, &b->steps[i].as, sizeof words);
    for (size_t w = 0; w < sizeof words / 8; w++)
      if (words[w] - from < bytes) words[w] += to - from;
    memcpy(&b->steps[i].as, words, sizeof words);
  }
}

static void start_thread(stage *s, block *b, int party, int number) {
  thread *t = &b->threads[number];
  t->of = b;
  t->number = (uint32_t)number;
  if (getcontext(&t->context)) abort();
  t->context.uc_stack.ss_sp = s->stacks[party][b->number][number];
  t->context.uc_stack.ss_size = STACK;
  makecontext(&t->context, run_thread, 0);
#ifdef __SANITIZE_THREAD__
  t->fiber = __tsan_create_fiber(0);
#endif
  set_ready(s, t);
  s->alive++;
}

static void start_block(stage *s, int party, uint32_t number, const tw_chain_launch *launch, size_t bytes) {
  block *b = &s->blocks[party][number];
  blocks_side *side = &s->both->sides[party];
  *b = (block){.stage = s, .side = side, .launch = *launch, .number = number};
  b->memory = s->memory[party][number];
  for (size_t i = 0; i < bytes / 8; i++) b->memory[i] = (uint64_t)some(s, UINT32_MAX) * 0x9e3779b97f4a7c15u;
  memcpy(b->memory, side->list->lists, 8 * side->list->list_words);
  take_steps(b, bytes);
  for (int i = 0; i < BLOCKS_HERE_THREADS; i++) start_thread(s, b, party, i);
}

static void end_block(block *b) {
  free(b->steps);
#ifdef __SANITIZE_THREAD__
  for (int i = 0; i < BLOCKS_HERE_THREADS; i++) __tsan_destroy_fiber(b->threads[i].fiber);
#endif
}

// Until all threads are done. False: they wait for what does not come.
UNSEEN static bool take_turns(stage *s) {
  bool came = true;
  while (s->alive) {
    int next = s->ready_count == 0 || some(s, 16) == 0 ? next_packet(s) : -1;
    if (next >= 0) deliver(s, next);
    if (s->ready_count == 0 && s->under_way_count) continue;
    if (s->ready_count == 0) {  // all wait for packets: time is over
      if (s->stuck) abort();
      s->stuck = true;
      came = false;
      for (int party = 0; party < 2; party++)
        for (uint32_t b = 0; b < s->blocks[party][0].launch.blocks; b++)
          for (int i = 0; i < BLOCKS_HERE_THREADS; i++)
            if (s->blocks[party][b].threads[i].packet) set_ready(s, &s->blocks[party][b].threads[i]);
      if (s->ready_count == 0) return false;  // threads that wait for each other, at different barriers
    }
    s->now = next_ready(s);
    s->now->packet = NULL;
    enter(s->now->fiber, &s->home, &s->now->context);
    s->alive -= s->now->done;
  }
  return came;
}

#define BASE 0xfffffffffffffff0u  // the lower half of a count passes through 0, and all of it

static tw_status run_both(blocks_here *both, size_t of_sequence, int batch) {
  stage *s = both->stage;
  const tw_tile_steps *list = both->sides[0].list;
  size_t tiles = of_sequence * (size_t)batch;
  uint32_t blocks = both->blocks < tiles ? both->blocks : (uint32_t)tiles;
  size_t words = blocks * (size_t)TW_CHAIN_SLOTS * list->packets * 2;
  here = s;
#ifdef __SANITIZE_THREAD__
  s->home_fiber = __tsan_get_current_fiber();
#endif
  s->alive = s->ready_count = s->under_way_count = 0;
  s->stuck = false;
  s->order = (int)some(s, 4);
  s->late = (int)some(s, 4);
  for (int party = 0; party < 2; party++) {
    s->mailbox[party] = calloc(words + 2, 8);
    for (size_t i = 1; i < words; i += 2) s->mailbox[party][i] = BASE << 32;
    s->failed[party] = 0;
  }
  for (int party = 0; party < 2; party++) {
    tw_chain_launch launch = {.count = (uint32_t)both->sides[party].list->count,
                              .tiles = (uint32_t)tiles,
                              .of_sequence = (uint32_t)of_sequence,
                              .blocks = blocks,
                              .rounds = list->rounds,
                              .packets = list->packets,
                              .sent = s->mailbox[1 - party],
                              .received = s->mailbox[party],
                              .base = BASE,
                              .failed = &s->failed[party]};
    if (both->fault == FAULT_BASE) launch.base += 7 * (uint64_t)party;
    for (uint32_t b = 0; b < blocks; b++) start_block(s, party, b, &launch, both->sides[party].list->shared_bytes);
  }
  MEET_BEFORE(&here);
  bool came = take_turns(s) && !s->failed[0] && !s->failed[1];
  MEET_AFTER(&here);
  for (int party = 0; party < 2; party++) {
    free(s->mailbox[party]);
    for (uint32_t b = 0; b < blocks; b++) end_block(&s->blocks[party][b]);
  }
  both->run++;
  both->steps = list->count;
  both->shared_bytes = list->shared_bytes;
  both->list_bytes = 8 * list->list_words;
  here = NULL;
  return came ? TW_OK : tw_fail(TW_ERR_PEER, "the twin's packets did not come");
}

static bool agree(const blocks_here *b) {
  const tw_tile_steps *x = b->sides[0].list, *y = b->sides[1].list;
  return x->count == y->count && x->rounds == y->rounds && x->packets == y->packets;
}

static tw_status hand_over(tw_session *s, uint64_t *digests) {
  for (uint32_t i = 0; i < BLOCKS_HERE_DIGESTS; i++) {
    if (digests[i]) TW_TRY(s->opener.add_digest(s->opener.state, i, digests[i]));
    digests[i] = 0;
  }
  return TW_OK;
}

// Whoever comes second runs both.
static tw_status run_here(void *state, tw_session *session, const tw_tile_steps *list, size_t tiles) {
  enum { PATIENCE = 3600 };  // s; of a whole chain, on a machine that others use, too
  blocks_side *side = state;
  blocks_here *b = side->both;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE;
  pthread_mutex_lock(&b->lock);
  side->list = list;
  if (++b->arrived % 2 == 0) {
    b->status = agree(b) ? run_both(b, tiles, session->batch) : tw_fail(TW_ERR_INTERNAL, "parties with other lists");
    if (b->status != TW_OK) snprintf(b->message, sizeof b->message, "%s", tw_error_message());
    b->left = b->arrived;
    pthread_cond_broadcast(&b->changed);
  } else {
    int mine = b->arrived, error = 0;
    while (b->left < mine && !error) error = pthread_cond_timedwait(&b->changed, &b->lock, &until);
    if (error) b->status = TW_ERR_PEER;
    if (error) snprintf(b->message, sizeof b->message, "the other party does not come");
  }
  tw_status status = b->status;
  pthread_mutex_unlock(&b->lock);
  return status == TW_OK ? hand_over(session, side->digests) : tw_fail(status, "%s", b->message);
}

void blocks_here_begin(blocks_here *b, uint32_t blocks) {
  *b = (blocks_here){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .blocks = blocks};
  b->stage = calloc(1, sizeof *b->stage);
  if (!b->stage) abort();
  b->stage->both = b;
  b->stage->random = walk_random();
  b->packed = some(b->stage, 3) == 0 ? 0 : some(b->stage, 3) == 0 ? some(b->stage, PACKED) : PACKED;
  b->stage->stacks = malloc(2 * sizeof *b->stage->stacks);
  if (!b->stage->stacks) abort();
}

void blocks_here_end(blocks_here *b) {
  for (int party = 0; party < 2; party++) {
    free(b->sides[party].memory);
    free(b->sides[party].digests);
    free(b->sides[party].packed);
    for (int i = 0; i < BLOCKS_HERE_MOST; i++) free(b->stage->memory[party][i]);
  }
  free(b->stage->stacks);
  free(b->stage);
}

tw_tile_runner blocks_here_runner(blocks_here *b, int party, size_t shared_bytes, const uint64_t *const *tables) {
  blocks_side *side = &b->sides[party];
  *side = (blocks_side){b, party, NULL, malloc(shared_bytes), calloc(BLOCKS_HERE_DIGESTS, 8), malloc(8 * PACKED)};
  if (!side->memory || !side->digests || !side->packed) abort();
  for (int i = 0; i < PACKED; i++) side->packed[i] = (uint64_t)i * 0x9e3779b97f4a7c15u;
  for (uint32_t i = 0; i < b->blocks; i++)
    if (!(b->stage->memory[party][i] = malloc(shared_bytes))) abort();
  // all that may be packed before, some of it, or nothing; both parties alike
  return (tw_tile_runner){.place = {.shared_base = (uint64_t)(uintptr_t)side->memory,
                                    .shared_bytes = shared_bytes,
                                    .tables = tables,
                                    .digests = side->digests,
                                    .packed = side->packed,
                                    .packed_words = b->packed},
                          .run = run_here,
                          .state = side};
}
