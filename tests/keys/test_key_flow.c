// Keys that pass through a memory smaller than their slot: every window lies in it in one piece, and whatever order
// copies and gates run in that streams and events allow, gates of both parties find their own keys for as long as they
// run, and everything ends. Without its waits the same work is caught.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/keys/key_flow.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "tests/common/suite.h"

enum { UNIT = 64, MOST_NODES = 40000, STREAMS = 1 + TW_HALVES, COPIES = TW_HALVES, LEVELS = 40, PARTIES = 2 };

static uint64_t below(uint64_t n) { return randombytes_uniform((uint32_t)n); }

// ---- a slot, cut into windows and blocks

typedef struct {
  tw_key_windows windows;
  int level[4 * LEVELS];  // of each window
  uint64_t *starts, block;
  int blocks;
} slot_case;

static uint64_t *list_of(size_t count) {
  void *memory;
  CU_ASSERT_EQUAL_FATAL(tw_alloc(8 * count, &memory), TW_OK);
  return memory;
}

static void make_slot(slot_case *c, uint64_t largest, uint64_t block) {
  *c = (slot_case){.block = block * UNIT};
  c->windows.ends = list_of(4 * LEVELS);
  for (int level = 0; level < LEVELS; level++)
    for (uint64_t gates = below(4); gates > 0; gates--) {
      c->windows.slot_bytes += UNIT * (1 + below(below(3) ? largest / 8 + 1 : largest));
      c->level[c->windows.count] = level;
      c->windows.ends[c->windows.count++] = c->windows.slot_bytes;
    }
  if (c->windows.count == 0) {
    c->windows.slot_bytes = UNIT;
    c->windows.ends[c->windows.count++] = UNIT;
  }
  c->starts = list_of(c->windows.slot_bytes / UNIT + 1);
  for (uint64_t at = 0; at < c->windows.slot_bytes; at += UNIT * (1 + below(block))) c->starts[c->blocks++] = at;
  c->starts[c->blocks] = c->windows.slot_bytes;
}

static void free_slot(slot_case *c) {
  tw_key_windows_free(&c->windows);
  tw_free(c->starts);
}

// ---- work that is enqueued, on the streams of one party

typedef enum { COPY, GATE_BEGINS, GATE_ENDS, WAIT, SEND, RECEIVE } node_kind;

typedef struct {
  node_kind kind;
  int part;
  int after;           // WAIT: node
  uint64_t from, end;  // COPY, GATE: of the slot
  uint64_t place;      // GATE
  int message;
} node;

typedef struct {
  int list[MOST_NODES];
  int count, next;
} stream;

typedef struct {
  const slot_case *slot;
  tw_key_laps laps;
  tw_key_flow flow;
  tw_key_flow_calls calls;
  node nodes[MOST_NODES];
  bool done[MOST_NODES];
  int count;
  stream streams[STREAMS];
  int copied[TW_HALVES][MOST_NODES];  // node, by block
  uint64_t *memory[TW_HALVES];        // a unit's place in the slot, and one; 0: nothing
  bool sent[TW_HALVES * LEVELS];      // messages
  int ahead;                          // copies before the job begins
  int wrong;
} party;

static party parties[PARTIES];

static int enqueue(party *p, int on, node n) {
  if (p->count == MOST_NODES) abort();
  p->nodes[p->count] = n;
  p->streams[on].list[p->streams[on].count++] = p->count;
  return p->count++;
}

static void enqueue_wait(party *p, int on, int after) {
  if (after >= 0) enqueue(p, on, (node){.kind = WAIT, .after = after});
}

static tw_status follow(void *state, int part) {
  party *p = state;
  const stream *s = &p->streams[part];
  enqueue_wait(p, COPIES, s->count ? s->list[s->count - 1] : -1);
  return TW_OK;
}

static tw_status copy(void *state, int part, int block) {
  party *p = state;
  const uint64_t *starts = p->slot->starts;
  p->copied[part][block] =
      enqueue(p, COPIES, (node){.kind = COPY, .part = part, .from = starts[block], .end = starts[block + 1]});
  return TW_OK;
}

static tw_status want(void *state, int part, int block) {
  (void)state, (void)part, (void)block;
  return TW_OK;
}

static tw_status await_copy(void *state, int part, int block) {
  party *p = state;
  enqueue_wait(p, part, p->copied[part][block]);
  return TW_OK;
}

static tw_status no_follow(void *state, int part) { return want(state, part, 0); }

static void open_party(party *p, const slot_case *slot, int parts, uint64_t most, uint64_t lead, uint64_t ahead) {
  memset(p, 0, sizeof *p);
  p->slot = slot;
  uint64_t room = tw_key_room(&slot->windows, slot->block, most);
  CU_ASSERT_EQUAL_FATAL(tw_key_laps_create(&slot->windows, room, &p->laps), TW_OK);
  p->calls = (tw_key_flow_calls){p, follow, copy, want, await_copy};
  p->flow = (tw_key_flow){.laps = &p->laps,
                          .starts = slot->starts,
                          .blocks = slot->blocks,
                          .parts = parts,
                          .lead = lead,
                          .calls = &p->calls};
  p->flow.ahead = tw_key_flow_ahead(&p->flow, ahead);
  CU_ASSERT(slot->starts[p->flow.ahead] <= ahead && slot->starts[p->flow.ahead] <= room);
  for (int part = 0; part < parts; part++) p->memory[part] = list_of(room / UNIT + 1);
}

static void close_party(party *p) {
  for (int part = 0; part < TW_HALVES; part++) tw_free(p->memory[part]);
  tw_key_laps_free(&p->laps);
}

static void enqueue_gates(party *p, int part, int level, int *next) {
  const tw_key_windows *w = &p->slot->windows;
  for (; *next < w->count && p->slot->level[*next] == level; ++*next) {
    uint64_t from = *next ? w->ends[*next - 1] : 0, place;
    CU_ASSERT_EQUAL_FATAL(tw_key_flow_take(&p->flow, part, w->ends[*next] - from, &place), TW_OK);
    node gate = {.kind = GATE_BEGINS, .part = part, .from = from, .end = w->ends[*next], .place = place};
    enqueue(p, part, gate);
    gate.kind = GATE_ENDS;
    enqueue(p, part, gate);
  }
}

// As halves do: a level of each part in turn, and what it opens is awaited before its next.
static void enqueue_all(party *p) {
  int next[TW_HALVES] = {0};
  CU_ASSERT_EQUAL_FATAL(tw_key_flow_copy_ahead(&p->flow), TW_OK);
  p->ahead = p->streams[COPIES].count;
  CU_ASSERT_EQUAL_FATAL(tw_key_flow_start(&p->flow), TW_OK);
  for (int level = 0; level < LEVELS; level++)
    for (int part = 0; part < p->flow.parts; part++) {
      int message = level * p->flow.parts + part;
      if (level > 0) enqueue(p, part, (node){.kind = RECEIVE, .message = message - p->flow.parts});
      enqueue_gates(p, part, level, &next[part]);
      enqueue(p, part, (node){.kind = SEND, .message = message});
    }
}

// ---- and run, in any order that is allowed

static bool may_run(const party *p, const stream *s, const party *other) {
  if (s->next == s->count) return false;
  const node *n = &p->nodes[s->list[s->next]];
  if (n->kind == WAIT) return p->done[n->after];
  return n->kind != RECEIVE || other->sent[n->message];
}

static void run_copy(party *p, const node *n) {
  for (uint64_t at = n->from; at < n->end; at += UNIT) {
    uint64_t place = tw_key_place(&p->laps, at);
    if (place + UNIT > p->laps.room) abort();
    p->memory[n->part][place / UNIT] = at / UNIT + 1;
  }
}

static bool finds_keys(const party *p, const node *n) {
  bool good = true;
  for (uint64_t at = n->from; at < n->end; at += UNIT)
    good = good && p->memory[n->part][(n->place + at - n->from) / UNIT] == at / UNIT + 1;
  return good;
}

static void run_next(party *p, stream *s) {
  int index = s->list[s->next++];
  const node *n = &p->nodes[index];
  if (n->kind == COPY) run_copy(p, n);
  if (n->kind == GATE_BEGINS || n->kind == GATE_ENDS) p->wrong += !finds_keys(p, n);
  if (n->kind == SEND) p->sent[n->message] = true;
  p->done[index] = true;
}

// Whom to ask first: copies as early as can be, or as late; or in an order of its own, with or without exceptions.
typedef enum { EARLY_COPIES, LATE_COPIES, STUBBORN, RANDOM, POLICIES } policy;

static void make_order(policy how, int order[PARTIES * STREAMS]) {
  for (int i = 0; i < PARTIES * STREAMS; i++) order[i] = i;
  for (int i = PARTIES * STREAMS - 1; i > 0; i--) {
    int j = (int)below((uint64_t)i + 1), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  for (int i = 0, front = 0; i < PARTIES * STREAMS && how <= LATE_COPIES; i++) {
    if ((order[i] % STREAMS == COPIES) != (how == EARLY_COPIES)) continue;
    int kept = order[front];
    order[front++] = order[i];
    order[i] = kept;
  }
}

static bool run_one(const int order[PARTIES * STREAMS]) {
  for (int i = 0; i < PARTIES * STREAMS; i++) {
    party *p = &parties[order[i] / STREAMS];
    stream *s = &p->streams[order[i] % STREAMS];
    if (!may_run(p, s, &parties[p == &parties[0]])) continue;
    run_next(p, s);
    return true;
  }
  return false;
}

// Reads that found something else; -1: all wait for ever.
static int run_all(policy how) {
  int order[PARTIES * STREAMS];
  make_order(how, order);
  for (int i = 0; i < PARTIES; i++) {
    party *p = &parties[i];
    memset(p->done, 0, sizeof p->done);
    for (int s = 0; s < STREAMS; s++) p->streams[s].next = 0;
    for (int part = 0; part < p->flow.parts; part++) memset(p->memory[part], 0, p->laps.room / UNIT * 8);
    memset(p->sent, 0, sizeof p->sent);
    p->wrong = 0;
    while (p->streams[COPIES].next < p->ahead) run_next(p, &p->streams[COPIES]);
  }
  while (run_one(order))
    if (how == RANDOM) make_order(how, order);
  for (int i = 0; i < PARTIES; i++)
    for (int s = 0; s < STREAMS; s++)
      if (parties[i].streams[s].next < parties[i].streams[s].count) return -1;
  return parties[0].wrong + parties[1].wrong;
}

typedef struct {
  int parts;
  uint64_t largest, block, most, lead, ahead;  // units
  bool no_follow, no_wait;                     // waits that are left out
} flow_case;

static void open_case(const flow_case *c, slot_case slots[PARTIES]) {
  for (int i = 0; i < PARTIES; i++) {
    make_slot(&slots[i], c->largest, c->block);
    open_party(&parties[i], &slots[i], c->parts, UNIT * c->most, UNIT * c->lead, UNIT * c->ahead);
    if (c->no_follow) parties[i].calls.follow = no_follow;
    if (c->no_wait) parties[i].calls.wait = want;
    enqueue_all(&parties[i]);
  }
}

static void close_case(slot_case slots[PARTIES]) {
  for (int i = 0; i < PARTIES; i++) {
    close_party(&parties[i]);
    free_slot(&slots[i]);
  }
}

// ---- tests

// Before a block is written, gates must have read whatever it writes over.
static void check_blocks(const slot_case *c, const tw_key_laps *l) {
  uint64_t *last = list_of(l->room / UNIT + 1);  // what lies there: the end of a unit of the slot
  for (int i = 0; i < c->blocks; i++)
    for (uint64_t at = c->starts[i]; at < c->starts[i + 1]; at += UNIT) {
      uint64_t *there = &last[tw_key_place(l, at) / UNIT];
      CU_ASSERT(*there <= tw_key_read_before(l, c->starts[i + 1]));
      *there = at + UNIT;
    }
  tw_free(last);
}

static void test_places(void) {
  for (int trial = 0; trial < 300; trial++) {
    slot_case c;
    tw_key_laps l;
    uint64_t largest = 1 + below(100), block = 1 + below(40);
    make_slot(&c, largest, block);
    uint64_t most = UNIT * below(c.windows.slot_bytes / UNIT + 100), room = tw_key_room(&c.windows, c.block, most);
    CU_ASSERT(tw_key_largest(&c.windows) <= UNIT * largest);
    CU_ASSERT(room <= c.windows.slot_bytes);
    CU_ASSERT(room <= most || room <= 2 * (tw_key_largest(&c.windows) + c.block) + 512);
    if (most >= c.windows.slot_bytes) CU_ASSERT_EQUAL(room, c.windows.slot_bytes);
    CU_ASSERT_EQUAL_FATAL(tw_key_laps_create(&c.windows, room, &l), TW_OK);
    if (room == c.windows.slot_bytes) CU_ASSERT_EQUAL(l.count, 1);
    for (int i = 0; i < c.windows.count; i++) {
      uint64_t from = i ? c.windows.ends[i - 1] : 0, end = c.windows.ends[i], place = tw_key_place(&l, from);
      CU_ASSERT_EQUAL(place + end - 1 - from, tw_key_place(&l, end - 1));
      CU_ASSERT_EQUAL(place % 256, from % 256);
      CU_ASSERT(place + end - from <= room);
      CU_ASSERT(tw_key_read_before(&l, end) <= from);
    }
    check_blocks(&c, &l);
    tw_key_laps_free(&l);
    free_slot(&c);
  }
}

static void test_too_small(void) {
  uint64_t ends[] = {640, 640 + 1280};
  tw_key_windows w = {.slot_bytes = 1920, .ends = ends, .count = 2};
  tw_key_laps l;
  CU_ASSERT_EQUAL(tw_key_laps_create(&w, 1279, &l), TW_ERR_INTERNAL);
  CU_ASSERT_PTR_NULL(l.starts);
}

static void test_any_order(void) {
  int around = 0, ahead = 0;
  for (int trial = 0; trial < 60; trial++) {
    slot_case slots[PARTIES];
    flow_case c = {.parts = 1 + trial % 2,
                   .largest = 1 + below(100),
                   .block = 1 + below(30),
                   .most = below(400),
                   .lead = 1 + below(below(2) ? 30 : 500),
                   .ahead = trial % 3 ? below(below(2) ? 100 : 10000) : 0};
    open_case(&c, slots);
    ahead += parties[0].ahead > 0;
    around += parties[0].laps.count > 3;
    for (int how = 0; how < POLICIES; how++)
      for (int again = 0; again < 2; again++) CU_ASSERT_EQUAL(run_all((policy)how), 0);
    close_case(slots);
  }
  CU_ASSERT(around > 20);
  CU_ASSERT(ahead > 10);
}

// What the runs above would have seen. Copies that wait for no gates write over keys that are still to be read.
static void test_missing_waits(void) {
  for (int trial = 0; trial < 20; trial++) {
    slot_case slots[PARTIES];
    flow_case c = {
        .parts = 1 + trial % 2, .largest = 20, .block = 10, .most = 0, .lead = 200, .no_follow = trial / 2 % 2 == 0};
    c.no_wait = !c.no_follow;
    open_case(&c, slots);
    CU_ASSERT_FATAL(parties[0].laps.count > 2);
    CU_ASSERT(run_all(c.no_follow ? EARLY_COPIES : LATE_COPIES) > 0);
    close_case(slots);
  }
}

// Gates that take other than what was declared are told, and get no keys.
static void test_other_windows(void) {
  slot_case slots[PARTIES];
  flow_case c = {.parts = 1, .largest = 20, .block = 10, .most = 0, .lead = 10};
  open_case(&c, slots);
  party *p = &parties[0];
  uint64_t place;
  CU_ASSERT_EQUAL(tw_key_flow_take(&p->flow, 0, UNIT, &place), TW_ERR_INTERNAL);  // the slot has ended
  CU_ASSERT_EQUAL_FATAL(tw_key_flow_start(&p->flow), TW_OK);
  CU_ASSERT_EQUAL(tw_key_flow_take(&p->flow, 0, p->laps.starts[1] + UNIT, &place), TW_ERR_INTERNAL);
  close_case(slots);
}

// A program's windows are what its gates declare, and the largest of a long decoder fits into the memory twice.
static void test_program(void) {
  tw_model_config config;
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("smollm2-135m", &config), TW_OK);
  config.layers = 1;
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &(tw_plan_request){.seq = 2048}, NULL, &plan), TW_OK);
  for (int side = 0; side < 2; side++) {
    tw_key_windows w;
    CU_ASSERT_EQUAL_FATAL(tw_key_windows_of(&plan.program, side, &w), TW_OK);
    uint64_t end = 0;
    int i = 0;
    for (int op = 0; op < plan.program.op_count; op++) {
      if (plan.program.ops[op].correction_count == 0) continue;
      CU_ASSERT_EQUAL(plan.program.corrections[plan.program.ops[op].correction].offset[side], end);
      CU_ASSERT_FATAL(i < w.count);
      end = w.ends[i++];
    }
    CU_ASSERT_EQUAL(w.ends[w.count - 1], plan.program.slot_bytes[side]);
    uint64_t room = tw_key_room(&w, 8 << 20, 1 << 30);
    CU_ASSERT(room <= 1 << 30 && room < w.slot_bytes && 2 * tw_key_largest(&w) < room);
    tw_key_windows_free(&w);
  }
  tw_plan_free(&plan);
}

int main(void) {
  if (sodium_init() < 0) return 2;
  static const suite_test tests[] = {
      {"every window in one piece", test_places}, {"a memory that is too small", test_too_small},
      {"in any order", test_any_order},           {"without waits", test_missing_waits},
      {"other windows", test_other_windows},      {"a program's windows", test_program}};
  return suite_run("key flow", tests, sizeof tests / sizeof *tests);
}
