// Chains of a program, and a walk by tiles of them: every value that it opens is the one that levels open, bit for bit.
// A number as an argument: so many random programs.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "kernels/pack.h"
#include "tests/common/chained.h"
#include "tests/common/suite.h"

enum { SOME_SECONDS = 30 };  // of random programs where nobody says how many

static int wanted;  // random programs; 0: as many as the time allows

// By levels, and by tiles of `rows` rows.
static bool same_by_tiles(chained *c, const tw_chains *chains, size_t rows) {
  walk levels = chained_walk_of(c, NULL, 0, NULL), tiles = chained_walk_of(c, chains, rows, NULL);
  CU_ASSERT_EQUAL_FATAL(walk_run(&levels), TW_OK);
  CU_ASSERT_EQUAL_FATAL(walk_run(&tiles), TW_OK);
  bool same = levels.opened_count == tiles.opened_count && levels.mismatches == tiles.mismatches &&
              memcmp(levels.opened, tiles.opened, 8 * levels.opened_count) == 0;
  for (int party = 0; party < 2; party++)
    same = same && memcmp(levels.transcript[0], tiles.transcript[party], sizeof levels.transcript[0]) == 0;
  walk_free(&levels);
  walk_free(&tiles);
  return same;
}

static tw_chains chains_of(const tw_program *p, int rounds) {
  tw_chains chains;
  CU_ASSERT_EQUAL_FATAL(tw_chains_find(p, rounds, &chains), TW_OK);
  return chains;
}

static size_t rows_of_tile(const chained *c) { return c->of_heads ? 1 : chained_one_of(1, CHAINED_ROWS); }

static void random_programs(void) {
  double begin = tw_seconds();
  size_t wrong = 0, chains = 0, rounds = 0, levels = 0;
  int made = 0;
  for (; wanted ? made < wanted : tw_seconds() - begin < SOME_SECONDS; made++) {
    chained c;
    chained_random(&c);
    tw_chains found = chains_of(&c.program, 1);
    chains += (size_t)found.count;
    for (int i = 0; i < found.count; i++) rounds += (size_t)found.chains[i].rounds;
    levels += (size_t)c.program.levels;
    wrong += !same_by_tiles(&c, &found, rows_of_tile(&c));
    tw_chains_free(&found);
    chained_end(&c);
  }
  printf("\n    %d programs, %zu chains, %zu of %zu rounds in them, %zu differ", made, chains, rounds, levels, wrong);
  CU_ASSERT_EQUAL(wrong, 0);
  if (made > 100) CU_ASSERT(rounds > levels / 3);
}

// ---- whole gates: one chain each, of all their rounds, at every size of tile

static void check_gate(chained *c, int output, int rounds) {
  chained_finish(c, output);
  tw_chains found = chains_of(&c->program, 2);
  CU_ASSERT_EQUAL(found.count, 1);
  CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds : 0, rounds);
  CU_ASSERT_EQUAL(c->program.levels, rounds + 1);
  CU_ASSERT(same_by_tiles(c, &found, 1));
  CU_ASSERT(same_by_tiles(c, &found, c->rows - 1));
  CU_ASSERT(same_by_tiles(c, &found, c->rows));
  tw_chains_free(&found);
  chained_end(c);
}

static void norms(void) {
  for (int mean = 0; mean < 2; mean++) {
    chained c;
    int x = chained_start(&c, 9, 48, 2, 28, 17);
    check_gate(&c, chained_norm(&c, x, mean), 8 + mean);
  }
}

static void softmaxes(void) {
  for (int causal = 0; causal < 2; causal++) {
    chained c;
    int x = chained_start(&c, 10, 19, 2, 22, 18);
    c.causal = causal;
    chained_finish(&c, chained_softmax(&c, x));
    tw_chains found = chains_of(&c.program, 2);
    CU_ASSERT_EQUAL(found.count, 1);
    CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds + 1 : 0, c.program.levels);
    for (size_t rows = 1; rows <= c.rows; rows += 3) CU_ASSERT(same_by_tiles(&c, &found, rows));
    tw_chains_free(&found);
    chained_end(&c);
  }
}

static void places(void) {
  chained c;
  int x = chained_start(&c, 13, 17, 1, CHAINED_RING, CHAINED_RING - 4);
  int out = chained_place(&c, x);
  chained_finish(&c, out);
  tw_chains found = chains_of(&c.program, 2);
  CU_ASSERT_EQUAL(found.count, 1);
  CU_ASSERT_EQUAL(found.count ? found.chains[0].rounds + 1 : 0, c.program.levels);
  for (size_t rows = 1; rows <= c.rows; rows += 4) CU_ASSERT(same_by_tiles(&c, &found, rows));
  tw_chains_free(&found);
  chained_end(&c);
}

// ---- chains that save rounds

enum { MOST_OPS = 64, MOST_CHAINS = 3, ASKED = 2 };

// Programs of openings alone, and who has them: a word a level, a letter an opening. '.' is in no chain, 'A' in the
// first one, 'a' is an operation of the first one that opens nothing.
typedef struct {
  const char *levels, *left;
} overlay;

static void *room(size_t bytes) {
  void *memory;
  if (tw_alloc(bytes, &memory) != TW_OK) abort();
  return memory;
}

static void add_op(tw_op *ops, int index, char letter, int level, tw_chains *chains) {
  int of = letter == '.' ? -1 : (letter & 31) - 1;
  ops[index] = (tw_op){.level = level, .opens = letter < 'a'};
  chains->of_op[index] = of;
  if (of < 0) return;
  tw_chain *c = &chains->chains[of];
  if (of >= chains->count) chains->count = of + 1;
  if (!c->ops) *c = (tw_chain){.rows = (size_t)of, .ops = room(sizeof(int) * MOST_OPS)};
  bool counted = false;
  for (int i = 0; i < c->op_count; i++) counted = counted || (ops[c->ops[i]].opens && ops[c->ops[i]].level == level);
  c->rounds += ops[index].opens && !counted;
  c->ops[c->op_count++] = index;
}

static void check_saving(const overlay *o) {
  tw_op ops[MOST_OPS];
  tw_chains chains = {.chains = room(sizeof(tw_chain) * MOST_CHAINS), .of_op = room(sizeof(int) * MOST_OPS)};
  tw_program p = {.ops = ops};
  for (const char *letter = o->levels; *letter; letter++) {
    if (*letter == ' ')
      p.levels++;
    else
      add_op(ops, p.op_count++, *letter, p.levels, &chains);
  }
  p.levels++;
  CU_ASSERT_EQUAL(tw_chains_keep_saving(&p, ASKED, &chains), TW_OK);
  char left[MOST_CHAINS + 1] = "";
  for (int i = 0; i < chains.count; i++) left[i] = (char)('A' + chains.chains[i].rows);
  if (strcmp(left, o->left) != 0) printf("\n    '%s' leaves '%s', not '%s'", o->levels, left, o->left);
  CU_ASSERT_STRING_EQUAL(left, o->left);
  int of_chains = 0, in_chains = 0;
  for (int i = 0; i < chains.count; i++) of_chains += chains.chains[i].op_count;
  for (int i = 0; i < p.op_count; i++) in_chains += chains.of_op[i] >= 0 && chains.of_op[i] < chains.count;
  CU_ASSERT_EQUAL(in_chains, of_chains);
  tw_chains_free(&chains);
}

static void saving(void) {
  static const overlay overlays[] = {{"A. A. A.", ""},             // it saves no level
                                     {"A", ""},                    // one
                                     {"A A", "A"},                 // two
                                     {"AA AA", "A"},               // two openings of one level
                                     {"Aa aA a", "A"},             // with operations that open nothing
                                     {"AA. A", ""},                // one, and one beside another opening
                                     {"A A A. A.", "A"},           // two, half of its own
                                     {"A A A. A. A.", ""},         // less than half
                                     {"A A . B B B", "AB"},        // one behind the other
                                     {"A A . B. B. B", "A"},       // the second one saves one
                                     {"AB AB", ""},                // side by side: one of two levels each
                                     {"AB AB AB AB", "AB"},        // two of four
                                     {"AB. AB AB AB AB", ""},      // two of five
                                     {"ABC ABC ABC ABC ABC", ""},  // three side by side
                                     {"A A A AB AB AB AB", "AB"},  // the second one has two of its four
                                     {"A A AB AB", "A"},           // only one; the first one still has two
                                     {"A AB AB AB", ""}};          // what the second one does not save is lost for both
  for (size_t i = 0; i < sizeof overlays / sizeof *overlays; i++) check_saving(&overlays[i]);
}

// ---- chains that a runner refuses

// A runner that takes nothing with more than so many steps.
static tw_status take_few(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles) {
  const int *most = state;
  CU_ASSERT(s->silent && tiles > 1);
  return list->count <= *most ? TW_OK : tw_fail(TW_ERR_USAGE, "%d steps", list->count);
}

// Which chains are left, where tiles have this memory and this many steps.
static int left_of(const chained *c, tw_chains *found, size_t room, int most) {
  const uint64_t *tables[CHAINED_TABLES] = {NULL};
  uint64_t *nothing[CHAINED_WEIGHTS] = {NULL};
  const size_t one[CHAINED_WEIGHTS] = {1, 1};
  tw_tile_runner runner = {
      .place = {.shared_base = 1 << 20, .shared_bytes = room, .tables = tables}, .run = take_few, .state = &most};
  tw_session_config like = {
      .program = &c->program,
      .role = TW_PARTY,
      .batch = c->batch,
      .sequences = {.slots = c->slots, .lengths = c->lengths},
      .weights = {.count = CHAINED_WEIGHTS, .rows = one, .cols = c->shape, .masked = nothing, .mask = {nothing}}};
  CU_ASSERT_EQUAL_FATAL(tw_tiles_probe(&like, found, 1, &runner), TW_OK);
  int ops = 0;
  for (int i = 0; i < c->program.op_count; i++) ops += found->of_op[i] >= 0;
  for (int i = 0; i < found->count; i++) {
    ops -= found->chains[i].op_count;
    for (int j = 0; j < found->chains[i].op_count; j++) CU_ASSERT_EQUAL(found->of_op[found->chains[i].ops[j]], i);
  }
  CU_ASSERT_EQUAL(ops, 0);
  return found->count;
}

// What a runner cannot take goes level by level; the rest is the same.
static void refused_chains(void) {
  enum { ROOM = 4 << 20, ALL = 512, PROGRAMS = 30 };
  int dropped = 0, kept = 0;
  for (int i = 0; i < PROGRAMS; i++) {
    chained c;
    chained_random(&c);
    tw_chains found = chains_of(&c.program, 1), same = chains_of(&c.program, 1);
    int most = (int)chained_one_of(10, 100), left = left_of(&c, &found, ROOM, most);
    dropped += same.count - left;
    kept += left;
    CU_ASSERT(same_by_tiles(&c, &found, rows_of_tile(&c)));
    CU_ASSERT_EQUAL(left_of(&c, &same, 1024, ALL), 0);
    tw_chains_free(&found);
    tw_chains_free(&same);
    chained_end(&c);
  }
  CU_ASSERT(dropped > 0 && kept > 0);
}

// ---- a walk that fails

typedef enum { FAIL_ASIDE, FAIL_CORRECTIONS, FAIL_STEPS, FAIL_RUN, FAIL_NOWHERE } failure;

// A runner that has corrections expanded on another stream, and what it and its backend are to fail at.
typedef struct {
  failure at;
  int own, other;  // their addresses are streams
  int asides, expansions, runs;
} astray;

static astray *expected;  // the backend's

static tw_status fail_here(failure here) {
  return expected->at == here ? tw_fail(TW_ERR_IO, "failure %d", here) : TW_OK;
}

static tw_status stray(void *state, tw_session *s) {
  astray *a = state;
  CU_ASSERT_PTR_EQUAL(s->stream, &a->own);
  s->stream = &a->other;
  a->asides++;
  return fail_here(FAIL_ASIDE);
}

static tw_status expand(const tw_correction_args *args, int count, void *stream) {
  CU_ASSERT_PTR_EQUAL(stream, &expected->other);
  expected->expansions++;
  TW_TRY(fail_here(FAIL_CORRECTIONS));
  return tw_cpu_backend.corrections(args, count, stream);
}

static tw_status run_astray(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles) {
  astray *a = state;
  CU_ASSERT(list->count > 0 && tiles > 0);
  CU_ASSERT_PTR_EQUAL(s->stream, &a->own);
  CU_ASSERT_PTR_NULL(s->corrections.room);
  a->runs++;
  return fail_here(FAIL_RUN);
}

static tw_status read_zeros(void *state, int sequence, void *to, size_t bytes) {
  (void)state, (void)sequence;
  memset(to, 0, bytes);
  return TW_OK;
}

// An opener without another party.
static tw_status open_alone(void *state, int half, const tw_open_request *request) {
  (void)state, (void)half;
  memset(request->out, 0, 8 * request->words);
  return TW_OK;
}
static tw_status start_alone(void *state, tw_flush_reason reason, uint64_t *message) {
  (void)state, (void)reason;
  *message = 0;
  return TW_OK;
}
static tw_status finish_alone(void *state, int half, uint64_t message) {
  (void)state, (void)half, (void)message;
  return TW_OK;
}

// One party's walk, which fails there; the session is on its own stream afterwards.
static void walk_astray(chained *c, const tw_chains *chains, failure at) {
  const uint64_t *tables[CHAINED_TABLES];
  astray a = {.at = at};
  tw_backend backend = tw_cpu_backend;
  tw_session s;
  for (int i = 0; i < CHAINED_TABLES; i++) tables[i] = c->tables[i].values;
  backend.corrections = expand;
  expected = &a;
  tw_tile_runner runner = {
      .place = {.shared_base = 1 << 20, .shared_bytes = at == FAIL_STEPS ? 1024 : 4 << 20, .tables = tables},
      .run = run_astray,
      .aside = stray,
      .state = &a};
  tw_session_config config = {.program = &c->program,
                              .role = TW_PARTY,
                              .batch = c->batch,
                              .backend = &backend,
                              .stream = &a.own,
                              .sequences = {.seeds = {c->seeds[0]}, .slots = c->slots, .inputs = {c->input}},
                              .opener = {.open = open_alone, .start = start_alone, .finish = finish_alone},
                              .source = {.read = read_zeros}};
  CU_ASSERT_EQUAL_FATAL(tw_session_create(&config, &s), TW_OK);
  CU_ASSERT_EQUAL(tw_session_prepare(&s), TW_OK);
  tw_status status = tw_session_run_tiles(&s, chains, 1, &runner);
  CU_ASSERT_EQUAL(status, at == FAIL_NOWHERE ? TW_OK : at == FAIL_STEPS ? TW_ERR_USAGE : TW_ERR_IO);
  CU_ASSERT_PTR_EQUAL(s.stream, &a.own);
  CU_ASSERT_PTR_NULL(s.corrections.room);
  CU_ASSERT_EQUAL(a.asides, 1);
  CU_ASSERT_EQUAL(a.expansions > 0, at > FAIL_ASIDE);
  CU_ASSERT_EQUAL(a.runs, at >= FAIL_RUN);
  tw_session_destroy(&s);
}

static void failures(void) {
  chained c;
  int x = chained_start(&c, 6, 8, 2, CHAINED_RING, CHAINED_RING - 4);
  chained_finish(&c, chained_fresh(&c.b, chained_less_maximum(&c, x)));
  tw_chains found = chains_of(&c.program, 1);
  CU_ASSERT_EQUAL(found.count, 1);
  for (failure at = FAIL_ASIDE; at <= FAIL_NOWHERE; at++) walk_astray(&c, &found, at);
  tw_chains_free(&found);
  chained_end(&c);
}

// ---- what is noticed

// Opened bits whose rows and places are exchanged: a tile takes lanes of its neighbours.
static bool exchange_lanes(tw_chains *found, const tw_program *p) {
  for (int i = 0; i < found->count; i++)
    for (int j = 0; j < found->chains[i].tensor_count; j++) {
      tw_chain_tensor *t = &found->chains[i].tensors[j];
      const tw_op *maker = &p->ops[p->tensors[t->tensor].first_op];
      if (t->input || !maker->opens || p->tensors[t->tensor].kind != TW_BITWIRE || t->rows.outer * t->rows.inner == 1)
        continue;
      t->rows = t->rows.outer > 1 ? tw_rows_split(1, t->rows.outer * t->rows.inner) : tw_rows_split(t->rows.inner, 1);
      return true;
    }
  return false;
}

// Where few bits are opened, a neighbour's may be the same by chance, in one of 600 programs.
static void neighbours_lanes(void) {
  enum { PROGRAMS = 20, BY_CHANCE = 2 };
  int tried = 0, noticed = 0;
  while (tried < PROGRAMS) {
    chained c;
    chained_random(&c);
    tw_chains found = chains_of(&c.program, 1);
    if (exchange_lanes(&found, &c.program)) {
      tried++;
      noticed += !same_by_tiles(&c, &found, 1);
    }
    tw_chains_free(&found);
    chained_end(&c);
  }
  CU_ASSERT(noticed >= tried - BY_CHANCE);
}

// Rows of two heads that see different keys are no tile.
static void two_heads(void) {
  chained c;
  int x = chained_start(&c, 6, 8, 1, CHAINED_RING, CHAINED_RING - 4);
  c.causal = true;
  c.heads = 2;
  chained_finish(&c, chained_fresh(&c.b, chained_less_maximum(&c, x)));
  tw_chains found = chains_of(&c.program, 1);
  tw_tile tile;
  CU_ASSERT_EQUAL_FATAL(found.count, 1);
  CU_ASSERT_EQUAL(tw_tile_make(&c.program, &found.chains[0], 2, &tile), TW_OK);
  CU_ASSERT_EQUAL(tw_tile_move(&tile, 2), TW_ERR_RANGE);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "two heads"));
  CU_ASSERT_EQUAL(tw_tile_move(&tile, 4), TW_OK);
  tw_tile_free(&tile);
  tw_chains_free(&found);
  chained_end(&c);
}

// ---- plans

// Of steps of these names, how many openings there are and how many are in no chain.
static void count_openings(const tw_program *p, const tw_chains *found, const char *name, int *all, int *outside) {
  *all = *outside = 0;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens || strncmp(p->steps[p->ops[i].step].name, name, strlen(name)) != 0) continue;
    ++*all;
    *outside += found->of_op[i] < 0;
  }
}

// Kept chains send fewer messages than the program has rounds.
static void check_kept(const tw_program *p) {
  tw_chains kept = chains_of(p, 2);
  int rounds = 0;
  CU_ASSERT_EQUAL(tw_chains_keep_saving(p, 2, &kept), TW_OK);
  for (int i = 0; i < kept.count; i++) rounds += kept.chains[i].rounds;
  printf("; %d with %d save", kept.count, rounds);
  CU_ASSERT(rounds > 0 && rounds < p->levels);
  tw_chains_free(&kept);
}

static void plans(void) {
  static const char *const shapes[] = {"bert-tiny", "bert-base", "bert-large", "gpt2"};
  const tw_choices few_rounds = {.wide_nodes = true,
                                 .flat_windows = true,
                                 .centred = true,
                                 .flat_norms = true,
                                 .early_groups = true,
                                 .maximum = {16, 8}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    static const char *const names[] = {"norm ", "row maximum", "reciprocal"};
    tw_model_config config;
    tw_plan plan;
    CU_ASSERT_EQUAL_FATAL(tw_shape_config(shapes[i], &config), TW_OK);
    tw_plan_request request = {.seq = 128, .choices = few_rounds};
    CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, NULL, &plan), TW_OK);
    tw_chains found = chains_of(&plan.program, 2);
    int rounds = 0;
    for (int j = 0; j < found.count; j++) rounds += found.chains[j].rounds;
    printf("\n    %s: %d chains with %d rounds, of %d rounds", shapes[i], found.count, rounds, plan.program.levels);
    check_kept(&plan.program);
    for (size_t j = 0; j < 3; j++) {
      int all, outside;
      count_openings(&plan.program, &found, names[j], &all, &outside);
      CU_ASSERT(all > 0);
      if (strcmp(shapes[i], "gpt2") != 0 || j == 0)
        CU_ASSERT_EQUAL(outside, 0);  // packed pairs of a causal model have no rows
    }
    tw_chains_free(&found);
    tw_plan_free(&plan);
  }
}

int main(int count, char **arguments) {
  static const suite_test tests[] = {{"plans", plans},
                                     {"norms", norms},
                                     {"softmax up to the reciprocal", softmaxes},
                                     {"argmax", places},
                                     {"chains that save rounds", saving},
                                     {"chains that are refused", refused_chains},
                                     {"walks that fail", failures},
                                     {"a neighbour's lanes", neighbours_lanes},
                                     {"rows of two heads", two_heads},
                                     {"random programs", random_programs}};
  if (count > 1) wanted = atoi(arguments[1]);
  return suite_run("chains", tests, sizeof tests / sizeof tests[0]);
}
