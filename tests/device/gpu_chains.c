// Chains by kernels: both parties of one process, each on a GPU of its own where two reach each other. A norm goes
// through a chain, tile by tile; every value that it opens must be the emulator's. Then the same chain again and again,
// timed. Row maxima with all up to the reciprocal follow, and random programs. "steps" as an argument: also where a
// tile's time goes; "small": few tiles, not timed; "time": BERT-base's chains alone. A number behind it: so many random
// programs.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/models/blocks.h"
#include "kernels/backend.h"
#include "kernels/pack.h"
#include "tests/common/chained.h"
#include "tests/device/chains_bed.h"

enum { RING = 28, TABLES = 2, MOST_STEPS = 200, RANDOM_STEPS = 400, TIMES = 50, MOST_MOVES = 512 };
enum { DIGESTS = 1 << 12, PACKED_WORDS = 1 << 24 };

// Both parties' ends.
typedef struct {
  pthread_barrier_t both;
  uint64_t *mailbox[2];
  bool detailed, small;
  uint32_t blocks;     // 0: as many as tiles, where the GPU holds them
  size_t shared_most;  // bytes of a tile; 0: as many as there are
  uint32_t blocks_run;
  double seconds[2];
  int steps, rounds, faults;
  size_t shared_bytes;
} meeting;

typedef struct {
  meeting *m;
  int party;
  void *stream, *equal, *beside;  // the first one's blocks are started before those of others
  int most_steps;
  tw_tile_place place;
  const uint64_t *tables[CHAINED_TABLES];
} side;

static void must(tw_status status) {
  if (status == TW_OK) return;
  fprintf(stderr, "gpu_chains: %s\n", tw_error_message());
  exit(3);
}

static size_t words_of(const tw_step_move *m) {
  return m->planes ? m->planes * m->whole_words : (size_t)m->outer * m->all * m->inner;
}

// The session's arrays on the GPU, each once.
typedef struct {
  int count;
  uint64_t *host[MOST_MOVES], *device[MOST_MOVES];
  size_t words[MOST_MOVES];
  int *counts[MOST_MOVES];  // of live tokens
  int count_count;
} copies;

// A step's counts of live tokens.
static void copy_counts(copies *c, tw_chain_step *step, size_t batch) {
  tw_liveness *live = step->kind == TW_STEP_kill ? &step->as.kill.live : &step->as.zero.live;
  if ((step->kind != TW_STEP_kill && step->kind != TW_STEP_zero) || !live->lengths) return;
  int *device = bed_memory(batch * sizeof *device);
  bed_put(device, live->lengths, batch * sizeof *device);
  live->lengths = c->counts[c->count_count++] = device;
}

// What is packed is on the GPU alone.
static uint64_t *copy_of(copies *c, const tw_tile_place *place, uint64_t *host, size_t words) {
  if (host - place->packed >= 0 && (size_t)(host - place->packed) < place->packed_words) return host;
  for (int i = 0; i < c->count; i++)
    if (c->host[i] == host) return c->device[i];
  if (c->count == MOST_MOVES) abort();
  uint64_t *device = bed_memory(8 * words);
  bed_put(device, host, 8 * words);
  c->host[c->count] = host;
  c->words[c->count] = words;
  return c->device[c->count++] = device;
}

static void explain(const tw_tile_steps *list, const uint64_t *times) {
#define NAME_OF(op) #op,
  static const char *const names[] = {
      "gather",   "scatter",    "send",
      "receive",  "sums",       "copy",
      "products", "digest",     "digits",
      "leaves",   "few leaves", TW_CHAIN_ELEMENT_OPS(NAME_OF) TW_CHAIN_WHOLE_OPS(NAME_OF) TW_CHAIN_TOKEN_OPS(NAME_OF)};
  double of[TW_STEP_KINDS] = {0};
  for (int i = 0, next; i < list->count; i = next) {
    for (next = i + 1; next < list->count && times[next] == 0;) next++;  // those that were done with step i
    of[list->steps[i].kind] += 1e-3 * (double)(times[next] - times[i]);
  }
  printf("tile 0, us: all %.1f", 1e-3 * (double)(times[list->count] - times[0]));
  for (int k = 0; k < TW_STEP_KINDS; k++)
    if (of[k] > 0.05) printf(", %s %.1f", names[k], of[k]);
  printf("\n");
}

// The same without what only the test reads.
static int leave_out(tw_chain_step *steps, int count) {
  int left = 0;
  for (int i = 0; i < count; i++)
    if (steps[i].kind != TW_STEP_SCATTER || !steps[i].as.move.watched) steps[left++] = steps[i];
  return left;
}

// As in a model: one launch each, behind what leaves other data in the GPU's cache, other code in that for
// instructions, or while another stream's blocks come and go.
enum { BEHIND_DATA, BEHIND_CODE, BESIDE_EQUALS, BESIDE_OTHERS, WAYS };

static void go_before(side *s, int way, void *memory, size_t bytes) {
  if (way == BEHIND_DATA) must(tw_cuda_backend.fill(memory, 0, bytes, s->stream));
  if (way == BEHIND_CODE) bed_other_code(s->stream, memory);
  if (way == BEHIND_DATA || way == BEHIND_CODE) bed_wait(s->stream);
  pthread_barrier_wait(&s->m->both);
  if (way >= BESIDE_EQUALS && s->party == 0) bed_others(s->beside, memory);
  pthread_barrier_wait(&s->m->both);
}

static void time_way(side *s, tw_chain_launch *a, const tw_tile_steps *list, uint32_t rounds_of_launch, int way) {
  enum { COLD_BYTES = 512 << 20, COLD_TIMES = 8 };
  static const char *const names[WAYS] = {"behind other kernels' data", "behind other kernels' code",
                                          "beside other kernels", "urgent beside other kernels"};
  void *stream = way == BESIDE_EQUALS ? s->equal : s->stream;
  void *memory = bed_memory(COLD_BYTES), *begin = bed_event(), *end = bed_event();
  size_t bytes = 8 * ((size_t)list->count + 1);
  uint64_t *here = calloc(1, bytes), *none = calloc(1, bytes), sum = 0;
  double seconds = 0;
  for (int i = 0; i < COLD_TIMES; i++) {
    bed_put(a->times, none, bytes);
    a->base += rounds_of_launch;
    go_before(s, way, memory, COLD_BYTES);
    bed_note(begin, stream);
    must(tw_chain_run(a, stream));
    bed_note(end, stream);
    bed_wait(stream);
    seconds += bed_between(begin, end);
    bed_get(here, a->times, bytes);
    sum += here[list->count] - here[0];
  }
  bed_wait(s->beside);
  if (s->party == 0) {
    printf("%s: %.1f us, tile 0 %.1f; the last one: ", names[way], 1e6 * seconds / COLD_TIMES,
           1e-3 * (double)sum / COLD_TIMES);
    explain(list, here);
  }
  free(here);
  free(none);
  bed_free(memory);
}

// Back to back; on one GPU one by one, as the next one of one party would take the places of the other's.
static double time_launches(side *s, tw_chain_launch *a, uint32_t rounds_of_launch) {
  void *begin = bed_event(), *end = bed_event();
  int together = bed_gpus() == 1 ? 1 : TIMES;
  double seconds = 0;
  for (int i = 0; i < TIMES; i += together) {
    pthread_barrier_wait(&s->m->both);
    bed_note(begin, s->stream);
    for (int j = 0; j < together; j++) {
      a->base += rounds_of_launch;
      must(tw_chain_run(a, s->stream));
    }
    bed_note(end, s->stream);
    bed_wait(s->stream);
    seconds += bed_between(begin, end);
  }
  return seconds / TIMES;
}

static void time_chain(side *s, tw_chain_launch *a, const tw_tile_steps *list, uint32_t rounds_of_launch) {
  tw_chain_step *left = calloc((size_t)list->count, sizeof *left);
  memcpy(left, list->steps, (size_t)list->count * sizeof *left);
  a->count = (uint32_t)leave_out(left, list->count);
  bed_put((void *)a->steps, left, a->count * sizeof *left);
  tw_tile_steps timed = {.steps = left, .count = (int)a->count};
  uint64_t *times = bed_memory(8 * ((size_t)list->count + 1));
  for (int warm = 0; warm < 2; warm++) s->m->seconds[s->party] = time_launches(s, a, rounds_of_launch);
  if (!s->m->detailed) {
    free(left);
    return;
  }
  uint64_t *here = calloc((size_t)list->count + 1, 8);
  a->times = times;
  a->base += rounds_of_launch;
  pthread_barrier_wait(&s->m->both);
  must(tw_chain_run(a, s->stream));
  bed_wait(s->stream);
  bed_get(here, times, 8 * ((size_t)list->count + 1));
  if (s->party == 0) explain(&timed, here);
  for (int way = 0; way < WAYS; way++) time_way(s, a, &timed, rounds_of_launch, way);
  a->times = NULL;
  free(here);
  free(left);
}

static bool fails(side *s, const tw_chain_launch *a, bool here, double *seconds) {
  int bad = 0;
  void *begin = bed_event(), *end = bed_event();
  bed_put(a->failed, &bad, sizeof bad);
  pthread_barrier_wait(&s->m->both);
  bed_note(begin, s->stream);
  if (here) must(tw_chain_run(a, s->stream));
  bed_note(end, s->stream);
  bed_wait(s->stream);
  bed_get(&bad, a->failed, sizeof bad);
  *seconds = bed_between(begin, end);
  pthread_barrier_wait(&s->m->both);
  return bad != 0;
}

// A twin that does not come ends the wait at its limit; one that is ahead ends it at once.
static void check_faults(side *s, tw_chain_launch *a, uint32_t rounds_of_launch) {
  enum { LIMIT_MS = 50 };
  double seconds;
  a->patience_ns = (uint64_t)LIMIT_MS * 1000000;
  a->base += rounds_of_launch;
  bool failed = fails(s, a, s->party == 0, &seconds);
  if (s->party == 0) s->m->faults += !failed || seconds < 1e-3 * LIMIT_MS || seconds > 3e-3 * LIMIT_MS;
  a->base += 1000 + (s->party ? 500 : 0);
  failed = fails(s, a, true, &seconds);
  if (s->party == 0) s->m->faults += !failed || seconds > 0.5e-3 * LIMIT_MS;
  if (s->party == 0) printf("a twin that does not come, or is ahead, ends the chain: %d faults\n", s->m->faults);
}

// Of every move that reads or writes the session's arrays: to those on the GPU.
static void take_copies(const side *s, copies *c, const tw_tile_steps *list, size_t batch) {
  for (int i = 0; i < list->count + list->pack_count; i++) {
    bool packs = i >= list->count;
    tw_step_move *move = packs ? &list->packs[i - list->count] : &list->steps[i].as.move;
    if (packs || list->steps[i].kind <= TW_STEP_SCATTER)
      move->whole = copy_of(c, &s->place, move->whole, (batch - 1) * move->sequence_words + words_of(move));
    if (!packs) copy_counts(c, &list->steps[i], batch);
  }
}

static tw_status run_chain(void *state, tw_session *session, const tw_tile_steps *list, size_t of_sequence) {
  side *s = state;
  meeting *m = s->m;
  size_t batch = (size_t)session->batch, tiles = of_sequence * batch;
  if (list->count > s->most_steps) return tw_fail(TW_ERR_USAGE, "a chain of %d steps", list->count);
  bed_take(s->party);
  if (!s->stream) s->stream = bed_stream(true), s->equal = bed_stream(false), s->beside = bed_stream(false);
  copies c = {0};
  take_copies(s, &c, list, batch);
  tw_step_move *packs = bed_memory((size_t)(list->pack_count + 1) * sizeof *packs);
  bed_put(packs, list->packs, (size_t)list->pack_count * sizeof *packs);
  tw_chain_step *steps = bed_memory((size_t)list->count * sizeof *steps);
  bed_put(steps, list->steps, (size_t)list->count * sizeof *steps);
  int64_t *lists = bed_memory(8 * list->list_words);
  bed_put(lists, list->lists, 8 * list->list_words);
  m->mailbox[s->party] = bed_memory(tiles * TW_CHAIN_SLOTS * (size_t)list->packets * TW_CHAIN_PACKET_BYTES);
  int *failed = bed_memory(sizeof *failed), bad;
  uint32_t resident;
  must(tw_chain_resident(list->shared_bytes, (uint32_t)list->count, &resident));
  if (bed_gpus() == 1) resident /= 2;  // both parties' blocks at once
  if (m->blocks && m->blocks < resident) resident = m->blocks;
  if (tiles < resident) resident = (uint32_t)tiles;
  pthread_barrier_wait(&m->both);
  tw_chain_launch a = {.steps = steps,
                       .lists = lists,
                       .list_words = (uint32_t)list->list_words,
                       .count = (uint32_t)list->count,
                       .tiles = (uint32_t)tiles,
                       .of_sequence = (uint32_t)of_sequence,
                       .blocks = resident,
                       .rounds = list->rounds,
                       .packets = list->packets,
                       .shared_bytes = list->shared_bytes,
                       .sent = m->mailbox[1 - s->party],
                       .received = m->mailbox[s->party],
                       .failed = failed,
                       .patience_ns = 5000000000};
  must(tw_chain_pack(packs, (uint32_t)list->pack_count, (uint32_t)tiles, (uint32_t)of_sequence, s->stream));
  must(tw_chain_run(&a, s->stream));
  bed_wait(s->stream);
  bed_get(&bad, failed, sizeof bad);
  for (int i = 0; i < c.count; i++) bed_get(c.host[i], c.device[i], 8 * c.words[i]);
  m->steps = list->count;
  m->rounds = (int)list->rounds;
  m->shared_bytes = list->shared_bytes;
  m->blocks_run = a.blocks;
  uint32_t rounds = list->rounds * ((a.tiles + a.blocks - 1) / a.blocks);
  if (!bad && !m->small) time_chain(s, &a, list, rounds);
  if (!bad && !m->small) check_faults(s, &a, rounds);
  pthread_barrier_wait(&m->both);
  for (int i = 0; i < c.count; i++) bed_free(c.device[i]);
  for (int i = 0; i < c.count_count; i++) bed_free(c.counts[i]);
  bed_free(steps);
  bed_free(lists);
  bed_free(packs);
  bed_free(m->mailbox[s->party]);
  bed_free(failed);
  return bad ? tw_fail(TW_ERR_PEER, "the twin's packets did not come") : TW_OK;
}

static tw_tile_runner runner_of(side *s, const tw_program *p) {
  bed_take(s->party);
  tw_tile_runner r = {.run = run_chain, .state = s};
  must(tw_chain_shared((uint32_t)s->most_steps, &r.place.shared_base, &r.place.shared_bytes));
  if (s->m->shared_most && s->m->shared_most < r.place.shared_bytes) r.place.shared_bytes = s->m->shared_most;
  for (int i = 0; i < p->table_count; i++) {
    uint64_t *table = bed_memory(8 * p->tables[i].n);
    bed_put(table, p->tables[i].values, 8 * p->tables[i].n);
    s->tables[i] = table;
  }
  r.place.tables = s->tables;
  if (!s->place.packed) {
    s->place.packed = bed_memory(8 * (size_t)PACKED_WORDS);
    s->place.digests = bed_memory(8 * (size_t)DIGESTS);
  }
  r.place.packed = s->place.packed;
  r.place.packed_words = s->place.packed_words = PACKED_WORDS;
  r.place.digests = s->place.digests;
  return r;
}

static void build_norm(tw_program *p, tw_table tables[TABLES], size_t rows, size_t cols) {
  tw_builder b;
  must(tw_spec_fit(&tw_spec_rsqrt, tables));
  *p = (tw_program){.tables = tables, .table_count = TABLES};
  tw_builder_start(&b, p);
  b.choices.flat_norms = true;
  int x = tw_open(&b, tw_build_input(&b, RING, TW_SCALE, rows * cols));
  int gamma = tw_weight_wire(&b, 0, TW_SCALE, cols), beta = tw_weight_wire(&b, 1, TW_SCALE, cols);
  tw_build_output(&b, tw_build_norm(&b, (tw_tokens){rows, rows, 0, false}, x, false, gamma, beta, cols,
                                    (tw_norm_rings){40, 54, 29, 24, false}, 36, 1e-12));
  must(tw_builder_finish(&b));
}

static void report(const meeting *m, const char *name, size_t rows, size_t cols, size_t tile_rows, bool good) {
  printf("%s of %zu rows of %zu, tiles of %zu: %s; %d steps, %d rounds, %u blocks, %zu bytes; %.1f us, %.1f us\n", name,
         rows, cols, tile_rows, good ? "equal" : "DIFFERS", m->steps, m->rounds, m->blocks_run, m->shared_bytes,
         1e6 * m->seconds[0], 1e6 * m->seconds[1]);
}

static bool run_norm(meeting *m, size_t rows, size_t cols, size_t tile_rows) {
  tw_program p;
  tw_table tables[TABLES];
  tw_chains chains;
  side sides[2] = {{.m = m, .party = 0, .most_steps = MOST_STEPS}, {.m = m, .party = 1, .most_steps = MOST_STEPS}};
  build_norm(&p, tables, rows, cols);
  must(tw_chains_find(&p, 2, &chains));
  tw_tile_runner runner[2] = {runner_of(&sides[0], &p), runner_of(&sides[1], &p)};
  size_t one[2] = {1, 1}, width[2] = {cols, cols};
  uint64_t *weights[2] = {chained_some(cols, 12), chained_some(cols, 10)}, *input = chained_some(rows * cols, 16);
  walk w = {.program = &p,
            .batch = 1,
            .input = input,
            .weight_count = 2,
            .weight_rows = one,
            .weight_cols = width,
            .weight_values = weights,
            .chains = &chains,
            .tile_rows = tile_rows,
            .runner = {&runner[0], &runner[1]}};
  tw_status status = walk_run(&w);
  bool good = status == TW_OK && w.mismatches == 0 && chains.count == 1;
  report(m, "norm", rows, cols, tile_rows, good);
  if (status == TW_OK && !good) printf("  %zu of %zu values differ\n", (size_t)w.mismatches, w.opened_count);
  walk_free(&w);
  tw_chains_free(&chains);
  tw_program_free(&p);
  tw_tables_free(tables, TABLES);
  free(weights[0]);
  free(weights[1]);
  free(input);
  return good;
}

// From the logits' truncation to the reciprocal, with BERT-base's levels where it has its columns.
static bool run_softmax(meeting *m, size_t rows, size_t cols, size_t heads, size_t tile_rows, bool causal) {
  chained c;
  tw_chains chains;
  int x = chained_start(&c, rows, cols, 1, 22, 18);
  c.heads = heads;
  c.causal = causal;
  c.b.choices.early_groups = true;
  if (cols == 128) c.b.choices.maximum[0] = 16, c.b.choices.maximum[1] = 8;
  chained_finish(&c, chained_softmax(&c, x));
  must(tw_chains_find(&c.program, 2, &chains));
  side sides[2] = {{.m = m, .party = 0, .most_steps = MOST_STEPS}, {.m = m, .party = 1, .most_steps = MOST_STEPS}};
  tw_tile_runner runner[2] = {runner_of(&sides[0], &c.program), runner_of(&sides[1], &c.program)};
  walk w = chained_walk_of(&c, &chains, tile_rows, (const tw_tile_runner *const[]){&runner[0], &runner[1]});
  tw_status status = walk_run(&w);
  bool good = status == TW_OK && w.mismatches == 0 && chains.count == 1;
  if (status != TW_ERR_USAGE) report(m, causal ? "causal softmax" : "softmax", rows, cols, tile_rows, good);
  walk_free(&w);
  tw_chains_free(&chains);
  chained_end(&c);
  return good || status == TW_ERR_USAGE;  // a tile that has no room was said
}

// BERT-base's, and on one GPU half of each, as both parties' blocks share it: 24 norms, 12 softmaxes; tiles of more
// rows need more memory, and fewer blocks share a multiprocessor.
static bool run_bert(meeting *m) {
  enum { NORMS = 24, SOFTMAXES = 12 };
  static const size_t most[] = {0, 112 << 10, 74 << 10};
  size_t shared = bed_gpus() == 1 ? 2 : 1;
  double best = 1;
  bool good = run_norm(m, 128 / shared, 768, 1);
  double norms = m->seconds[0];
  for (size_t i = 0; i < sizeof most / sizeof *most; i++)
    for (size_t rows = 1; rows <= 4; rows *= 2) {
      m->shared_most = most[i];
      m->seconds[0] = 1;
      good = run_softmax(m, 1536 / shared, 128, 12 / shared, rows, false) && good;
      if (m->seconds[0] < best) best = m->seconds[0];
    }
  m->shared_most = 0;
  printf("BERT-base, ms: %d norms %.2f, %d softmaxes up to the reciprocal %.2f\n", NORMS, 1e3 * NORMS * norms,
         SOFTMAXES, 1e3 * SOFTMAXES * best);
  return good;
}

// Levels and tiles, bit for bit. False where no kernel takes one of the chains, or none is there.
static bool run_random(meeting *m, int *wrong) {
  chained c;
  tw_chains chains;
  chained_random(&c);
  size_t rows = c.of_heads ? 1 : chained_one_of(1, c.shape[0]);
  while (c.shape[0] % rows || c.shape[1] % rows) rows--;
  side sides[2] = {{.m = m, .party = 0, .most_steps = RANDOM_STEPS}, {.m = m, .party = 1, .most_steps = RANDOM_STEPS}};
  must(tw_chains_find(&c.program, 1, &chains));
  tw_tile_runner runner[2] = {runner_of(&sides[0], &c.program), runner_of(&sides[1], &c.program)};
  walk levels = chained_walk_of(&c, NULL, 0, NULL),
       tiles = chained_walk_of(&c, &chains, rows, (const tw_tile_runner *const[]){&runner[0], &runner[1]});
  must(walk_run(&levels));
  tw_status status = walk_run(&tiles);
  if (status != TW_OK && status != TW_ERR_USAGE) must(status);
  if (status == TW_OK)
    *wrong += levels.opened_count != tiles.opened_count || levels.mismatches != tiles.mismatches ||
              memcmp(levels.opened, tiles.opened, 8 * levels.opened_count) != 0;
  bool ran = status == TW_OK && chains.count > 0;
  walk_free(&levels);
  walk_free(&tiles);
  tw_chains_free(&chains);
  chained_end(&c);
  return ran;
}

static bool run_randoms(meeting *m, int count) {
  int ran = 0, wrong = 0;
  m->small = true;
  for (int i = 0; i < count; i++) ran += run_random(m, &wrong);
  printf("random programs: %d of %d went through kernels, %d differ\n", ran, count, wrong);
  return wrong == 0 && ran > count / 4;
}

int main(int count, char **arguments) {
  meeting m = {.detailed = count > 1 && strcmp(arguments[1], "steps") == 0,
               .small = count > 1 && strcmp(arguments[1], "small") == 0};
  int gpus = bed_gpus();
  if (gpus == 0) {
    fprintf(stderr, "gpu_chains: no GPU\n");
    return 2;
  }
  pthread_barrier_init(&m.both, NULL, 2);
  printf("%d GPU%s\n", gpus, gpus > 1 ? "s that reach each other" : " for both parties");
  bool small = m.small, timed = count > 1 && strcmp(arguments[1], "time") == 0, good = true;
  if (!timed) {
    good = run_norm(&m, 4, 48, 1) && run_norm(&m, 12, 96, 3) && run_softmax(&m, 12, 19, 2, 2, false);
    m.blocks = 2;  // in turn
    good = good && run_norm(&m, 10, 64, 2) && run_softmax(&m, 12, 19, 2, 3, true);
    m.blocks = 0;
  }
  if (!small) good = run_bert(&m) && good;
  if (!small && !timed) good = good && run_randoms(&m, count > 2 ? atoi(arguments[2]) : 100);
  printf("%s\n", good && m.faults == 0 ? "0 faults" : "FAULTS");
  return !good || m.faults;
}
