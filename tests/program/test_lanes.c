// Small gates of a level on several streams, against a witness of every event: a gate begins when those of its level
// that it reads from have ended, a level when the one before has, and no gate writes where another gate of its level
// works.
#include <string.h>

#include "jobs/program/session.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { N = 40, CHAINS = 6, LINKS = 3, ROUNDS = 5, RING = 24, START = TW_LANE_EVENTS - 1 };

typedef struct {
  tw_session *s;
  int level;                                      // first gate of the level that is enqueued
  bool known[TW_LANES][TW_LANE_EVENTS];           // gates of it that have ended when a lane's next one begins
  bool at_event[TW_LANE_EVENTS][TW_LANE_EVENTS];  // what a lane knew when it recorded an event
  int gates, beside;                              // enqueued; of them on other lanes than the first
  int levels, unknown, unjoined, shared;          // levels; and what must not be
  const uint64_t *taken[8 * TW_LANE_EVENTS];      // values that gates of the level work on
  int tensor[8 * TW_LANE_EVENTS], count;
} witness;

static void take(witness *w, int id) {
  const uint64_t *value = w->s->memory.buffers[id].value;
  for (int i = 0; i < w->count && value; i++) w->shared += w->taken[i] == value && w->tensor[i] != id;
  w->taken[w->count] = value;
  w->tensor[w->count++] = id;
}

static void begin_level(witness *w) {
  for (int i = 0; i < w->gates; i++) w->unjoined += !w->known[0][i];
  memset(w->known, 0, sizeof w->known);
  memset(w->at_event, 0, sizeof w->at_event);
  w->level = w->s->walk.level_start;
  w->gates = w->count = 0;
  w->levels++;
}

static void see_gate(witness *w, int index, int lane) {
  const tw_program *p = w->s->program;
  const tw_op *op = &p->ops[w->level + index];
  for (int j = 0; j < op->in_count; j++) {
    int maker = p->tensors[op->in[j]].first_op - w->level;
    w->unknown += maker >= 0 && !w->known[lane][maker];
    take(w, op->in[j]);
  }
  for (int j = 0; j < op->out_count && !op->opens; j++) take(w, op->out[j]);
  w->known[lane][index] = true;
  w->gates++;
  w->beside += lane > 0;
}

static tw_status record(void *state, int event, int lane) {
  witness *w = state;
  if (event == START)
    begin_level(w);
  else
    see_gate(w, event, lane);
  memcpy(w->at_event[event], w->known[lane], sizeof w->known[lane]);
  return TW_OK;
}

static tw_status wait(void *state, int event, int lane) {
  witness *w = state;
  for (int i = 0; i < TW_LANE_EVENTS; i++) w->known[lane][i] |= w->at_event[event][i];
  return TW_OK;
}

static tw_status no_keys(void *state, int batch_index, void *dst, size_t bytes) {
  (void)state, (void)batch_index;
  memset(dst, 0, bytes);
  return TW_OK;
}
static tw_status no_open(void *state, int half, const tw_open_request *r) {
  (void)state, (void)half, (void)r;
  return TW_OK;
}
static void none_queued(void *state, size_t *words, size_t *jobs) {
  (void)state;
  *words = *jobs = 0;
}
static tw_status no_start(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)state, (void)reason;
  *message = 0;
  return TW_OK;
}
static tw_status no_finish(void *state, int half, uint64_t message) {
  (void)state, (void)half, (void)message;
  return TW_OK;
}

// Chains of gates that do not wait for each other, and their sum; beside it gates with corrections.
static void build(tw_program *p) {
  tw_builder b;
  tw_builder_start(&b, p);
  int x = tw_open(&b, tw_build_input(&b, RING, 0, N)), wide = x;
  for (int round = 0; round < ROUNDS; round++) {
    int sum = tw_combine(&b, 1, x, 1, wide, false);
    for (int chain = 0; chain < CHAINS; chain++) {
      int y = x;
      for (int link = 0; link < LINKS; link++) y = tw_add_constant(&b, y, (int64_t)(walk_random() % 100));
      sum = tw_combine(&b, 1, sum, 1, walk_random() % 3 ? y : x, false);
      if (walk_random() % 3 == 0) sum = tw_combine(&b, 1, y, 1, sum, false);
    }
    wide = tw_open(&b, tw_extend(&b, x, RING + 8));
    x = tw_open(&b, tw_as_share(&b, sum));
  }
  tw_build_output(&b, tw_combine(&b, 1, x, 1, wide, false));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

static void run(witness *w, int batch, const tw_lanes *lanes) {
  enum { MOST = 3 };
  static const uint64_t input[MOST * N], slots[MOST] = {0, 1, 2};
  tw_program program = {0};
  tw_session s;
  tw_seed seeds[MOST];
  for (int i = 0; i < MOST; i++)
    for (int j = 0; j < 32; j++) seeds[i].key[j] = (uint8_t)walk_random();
  build(&program);
  tw_session_config config = {.program = &program,
                              .role = TW_PARTY,
                              .batch = batch,
                              .sequences = {.seeds = {seeds}, .slots = slots, .inputs = {input}},
                              .source = {.read = no_keys},
                              .opener = {no_open, none_queued, no_start, no_finish, NULL, NULL, NULL},
                              .lanes = lanes};
  CU_ASSERT_EQUAL_FATAL(tw_session_create(&config, &s), TW_OK);
  w->s = &s;
  CU_ASSERT_EQUAL_FATAL(tw_session_prepare(&s), TW_OK);
  CU_ASSERT_EQUAL(tw_session_run(&s), TW_OK);
  CU_ASSERT_EQUAL(s.walk.next_op, program.op_count);
  CU_ASSERT_PTR_NULL(s.stream);
  begin_level(w);
  tw_session_destroy(&s);
  tw_program_free(&program);
}

static void every_event(void) {
  enum { TRIALS = 40 };
  int streams[TW_LANES];
  for (int i = 0; i < TRIALS; i++) {
    witness w = {.level = 0};
    tw_lanes lanes = {.record = record, .wait = wait, .state = &w};
    for (int lane = 1; lane < TW_LANES; lane++) lanes.stream[lane] = &streams[lane];
    run(&w, 1 + i % 3, &lanes);
    CU_ASSERT(w.levels > ROUNDS / 2);
    CU_ASSERT(w.beside > ROUNDS);
    CU_ASSERT_EQUAL(w.unknown, 0);
    CU_ASSERT_EQUAL(w.unjoined, 0);
    CU_ASSERT_EQUAL(w.shared, 0);
  }
}

// Lanes whose waits are lost are seen.
static tw_status lose(void *state, int event, int lane) {
  (void)state, (void)event, (void)lane;
  return TW_OK;
}

static void lost_waits(void) {
  int streams[TW_LANES];
  witness w = {.level = 0};
  tw_lanes lanes = {.record = record, .wait = lose, .state = &w};
  for (int lane = 1; lane < TW_LANES; lane++) lanes.stream[lane] = &streams[lane];
  run(&w, 1, &lanes);
  CU_ASSERT(w.unknown > 0);
  CU_ASSERT(w.unjoined > 0);
}

int main(void) {
  static const suite_test tests[] = {{"every event of random chains", every_event}, {"lost waits", lost_waits}};
  return suite_run("lanes", tests, sizeof tests / sizeof *tests);
}
