// What tw_halves_run counts, against an opener that sees every message come and go and every gate run. It opens
// nothing: counts follow from the program and how much shares a message, never from values.
#include "jobs/program/halves.h"
#include "kernels/prg.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { N = 96, COLS = 8, LARGE = 4, SMALL = 5, LEVELS = LARGE + SMALL, RING = 32, MESSAGES = 4 * LEVELS };

typedef struct {
  size_t words, jobs;  // queued
  bool in_flight[MESSAGES];
  uint64_t sent[2], largest_of[2];   // messages by reason; jobs of the largest
  uint64_t next, twice, early;       // finishes of a message that was there; of one that was never sent
  uint64_t pieces, idle[TW_HALVES];  // of preparation: each half's, and what was done in waits
  uint64_t this_wait, late, uneven;  // done in this wait; after an arrival; twice before the other half's turn
  int last_idle;
  uint64_t overlapped;  // levels whose first gate ran while something was in flight
  int level_seen[TW_HALVES];
  tw_session *halves[TW_HALVES];
} witness;

typedef struct {
  witness *w;
  int half;
} witness_of_half;

static tw_status queue_open(void *state, int half, const tw_open_request *r) {
  (void)half;
  witness *w = state;
  w->words += (r->n * (size_t)r->width + 63) / 64;
  w->jobs++;
  return TW_OK;
}

static void tell_queued(void *state, size_t *words, size_t *jobs) {
  const witness *w = state;
  *words = w->words;
  *jobs = w->jobs;
}

static tw_status start_message(void *state, tw_flush_reason reason, uint64_t *message) {
  witness *w = state;
  if (w->jobs == 0 || w->next == MESSAGES) return tw_fail(TW_ERR_INTERNAL, "a message too many");
  if (w->jobs > w->largest_of[reason]) w->largest_of[reason] = w->jobs;
  w->words = w->jobs = 0;
  w->sent[reason]++;
  w->in_flight[w->next] = true;
  *message = w->next++;
  return TW_OK;
}

static tw_status finish_message(void *state, int half, uint64_t message) {
  (void)half;
  witness *w = state;
  if (message >= w->next) {
    w->early++;
    return TW_OK;
  }
  if (!w->in_flight[message]) w->twice++;
  w->in_flight[message] = false;
  w->this_wait = 0;
  return TW_OK;
}

// Every message takes as long as two pieces of preparation.
static bool see_arrival(void *state, uint64_t message) {
  const witness *w = state;
  return !w->in_flight[message] || w->this_wait >= 2;
}

static tw_status see_idle(void *state, bool *more) {
  witness_of_half *l = state;
  witness *w = l->w;
  *more = w->idle[l->half] < w->pieces;
  if (!*more) return TW_OK;
  w->late += w->this_wait >= 2;
  w->this_wait++;
  w->idle[l->half]++;
  w->uneven += w->last_idle == l->half;
  w->last_idle = l->half;
  return TW_OK;
}

static tw_status see_gate(void *state, int step) {
  witness_of_half *l = state;
  witness *w = l->w;
  int level = w->halves[l->half]->walk.level_start;
  if (step < 0 || level == w->level_seen[l->half]) return TW_OK;
  w->level_seen[l->half] = level;
  for (uint64_t m = 0; m < w->next; m++)
    if (w->in_flight[m]) {
      w->overlapped++;
      break;
    }
  return TW_OK;
}

// Large openings (48 words a sequence), then small ones (6), one a level. Ends in gates, or in its last opening.
static void build(tw_program *p, bool ends_in_open) {
  tw_builder b;
  tw_builder_start(&b, p);
  int x = tw_open(&b, tw_build_input(&b, RING, 12, N));
  for (int i = 1; i < LARGE; i++) x = tw_open(&b, tw_as_share(&b, x));
  x = tw_row_sum(&b, tw_as_share(&b, x), COLS);
  for (int i = 0; i < SMALL; i++) x = tw_open(&b, i ? tw_as_share(&b, x) : x);
  if (!ends_in_open) x = tw_add_constant(&b, x, 1);
  tw_build_output(&b, x);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

typedef struct {
  int count, batch;  // halves, sequences a half
  bool ends_in_open;
  size_t coalesce;
  uint64_t pieces;  // of preparation, each half's
} run_case;

static void open_half(const run_case *c, const tw_program *p, witness_of_half *l, const tw_seed *seeds,
                      const uint64_t *slots, const uint64_t *input, tw_session *s) {
  tw_session_config config = {
      .program = p,
      .role = TW_PARTY,
      .batch = c->batch,
      .place = {.half = l->half, .first_sequence = l->half * c->batch, .total_batch = c->count * c->batch},
      .sequences = {.seeds = {seeds}, .slots = slots, .inputs = {input}},
      .opener = {queue_open, tell_queued, start_message, finish_message, l->w, NULL, see_arrival},
      .observers = {.mark = see_gate, .mark_state = l}};
  CU_ASSERT_EQUAL_FATAL(tw_session_create(&config, s), TW_OK);
  s->preparer = (tw_preparer){.idle = see_idle, .state = l};
  CU_ASSERT_EQUAL_FATAL(tw_session_prepare(s), TW_OK);
}

static void run(const run_case *c, witness *w, tw_open_counters *counters) {
  enum { MOST = 4 };
  static const uint64_t input[MOST * N], slots[MOST] = {0, 1, 2, 3};
  tw_program program = {0};
  tw_session session[TW_HALVES], *halves[TW_HALVES];
  witness_of_half of_half[TW_HALVES];
  tw_seed seeds[MOST];
  for (int i = 0; i < MOST; i++)
    for (int j = 0; j < 32; j++) seeds[i].key[j] = (uint8_t)walk_random();
  build(&program, c->ends_in_open);
  *w = (witness){.level_seen = {-1, -1}, .last_idle = -1, .pieces = c->pieces};
  *counters = (tw_open_counters){0};
  for (int i = 0; i < c->count; i++) {
    of_half[i] = (witness_of_half){w, i};
    halves[i] = w->halves[i] = &session[i];
    open_half(c, &program, &of_half[i], seeds, slots, input, &session[i]);
  }
  CU_ASSERT_EQUAL(tw_halves_run(halves, c->count, c->coalesce, counters, NULL, NULL), TW_OK);
  for (int i = 0; i < c->count; i++) {
    CU_ASSERT_EQUAL(session[i].walk.next_op, program.op_count);
    tw_session_destroy(&session[i]);
  }
  tw_program_free(&program);
}

// What holds whatever shares a message: the counters are what the witness saw, and nothing stays behind.
static void agree(const run_case *c, witness *w, tw_open_counters *counters) {
  run(c, w, counters);
  CU_ASSERT_EQUAL(counters->open_flushes_demand, w->sent[TW_FLUSH_DEMAND]);
  CU_ASSERT_EQUAL(counters->open_flushes_budget, w->sent[TW_FLUSH_BUDGET]);
  CU_ASSERT_EQUAL(counters->flushes_overlapped, w->overlapped);
  CU_ASSERT_EQUAL(w->early, 0);
  CU_ASSERT_EQUAL(w->jobs, 0);
  for (uint64_t m = 0; m < w->next; m++) CU_ASSERT_FALSE(w->in_flight[m]);
}

static void one_half_waits_for_every_message(void) {
  for (int ends = 0; ends < 2; ends++)
    for (size_t words = 0; words < 2; words++) {
      witness w;
      tw_open_counters counters;
      agree(&(run_case){.count = 1, .batch = 3, .ends_in_open = ends, .coalesce = words}, &w, &counters);
      CU_ASSERT_EQUAL(counters.open_flushes_demand, LEVELS);
      CU_ASSERT_EQUAL(counters.open_flushes_budget, 0);
      CU_ASSERT_EQUAL(counters.flushes_overlapped, 0);
    }
}

// Both halves share every message, and the half that asks for it waits: nothing is hidden, and nothing is said to be.
static void on_demand_nothing_overlaps(void) {
  for (int ends = 0; ends < 2; ends++) {
    witness w;
    tw_open_counters counters;
    agree(&(run_case){.count = 2, .batch = 2, .ends_in_open = ends}, &w, &counters);
    CU_ASSERT_EQUAL(counters.open_flushes_budget, 0);
    CU_ASSERT_EQUAL(counters.flushes_overlapped, 0);
    CU_ASSERT_EQUAL(w.largest_of[TW_FLUSH_DEMAND], 4);
    CU_ASSERT(counters.open_flushes_demand < 2 * LEVELS);
  }
}

static void at_once_overlaps_all_but_the_ends(void) {
  for (int ends = 0; ends < 2; ends++) {
    witness w;
    tw_open_counters counters;
    agree(&(run_case){.count = 2, .batch = 1, .ends_in_open = ends, .coalesce = 1}, &w, &counters);
    CU_ASSERT_EQUAL(counters.open_flushes_demand, 0);
    CU_ASSERT_EQUAL(counters.open_flushes_budget, 2 * LEVELS);
    // not the first level of the first half; and without a last opening in flight not the last one of the second
    CU_ASSERT_EQUAL(counters.flushes_overlapped, 2 * (LEVELS + !ends) - 1 - !ends);
  }
}

// Every size from one word to more than a level has: large openings leave alone, small ones of both halves together.
static void any_size(void) {
  witness w;
  tw_open_counters counters;
  uint64_t shared = 0;
  for (size_t limit = 1; limit <= 2 * 2 * 48 + 1; limit++)
    for (int ends = 0; ends < 2; ends++) {
      agree(&(run_case){.count = 2, .batch = 2, .ends_in_open = ends, .coalesce = limit}, &w, &counters);
      uint64_t messages = counters.open_flushes_demand + counters.open_flushes_budget;
      CU_ASSERT(messages >= LEVELS && messages <= 2 * LEVELS);
      if (limit > 12 && limit <= 48) shared += w.largest_of[TW_FLUSH_BUDGET] > 2;
    }
  CU_ASSERT(shared > 0);
}

// Two pieces in the wait for each message, in turns, as long as there are any, and none once it has come.
static void waits_prepare(void) {
  for (uint64_t pieces = 0; pieces < 2 * LEVELS; pieces += 3)
    for (int count = 1; count <= TW_HALVES; count++) {
      witness w;
      tw_open_counters counters;
      agree(&(run_case){.count = count, .batch = 1, .coalesce = 1, .pieces = pieces}, &w, &counters);
      uint64_t waits = 2 * LEVELS, most = pieces < waits ? pieces : waits;
      for (int i = 0; i < count; i++) CU_ASSERT_EQUAL(w.idle[i], most);
      CU_ASSERT_EQUAL(w.late, 0);
      CU_ASSERT_TRUE(count == 1 || w.uneven == 0);
    }
}

SUITE_MAIN("halves' counters", {"one half waits for every message", one_half_waits_for_every_message},
           {"all on demand: nothing overlaps", on_demand_nothing_overlaps},
           {"at once: all but the ends overlaps", at_once_overlaps_all_but_the_ends}, {"any size", any_size},
           {"waits prepare", waits_prepare})
