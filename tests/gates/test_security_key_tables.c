// The joint view of a segment table with an ideal function in ChaCha20's place (docs/security.md, theorem T1c): the
// honest party's masks, and its blocks on the path of alpha, run through all values, lane by lane. What the other party
// sees, the key's words and all that is opened, must then take every value equally often, for every secret. Seeds have
// one bit, beside which a node's number travels, so that a block is told apart by its place, not by chance.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/gates/gate.h"
#include "kernels/node_blocks.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"
#include "tests/gates/enumerated_streams.h"

enum { RING = 3, STEP = 1, LEVELS = RING - STEP };

// Mutants are what no key may be made of.
typedef enum { SOUND, VALUES_WITHOUT_PADS, CONTROL_FROM_SEED, BARE_VALUE, ONE_MASK_FOR_TWO } kind;

static struct {
  kind how;
  int ring_out;
  uint32_t mask_use;
  int block_at;  // first bit of the blocks' part in a lane's number
} ideal;

// ---- blocks

// Whose nodes a thread expands, by bits: a dealer does both parties', one after the other.
static _Thread_local unsigned expands, calls;

static uint64_t mask_at(int side, size_t lane) { return element(side, ideal.mask_use, lane); }

static int block_bits(int level) { return level < LEVELS ? 4 : 2 * ideal.ring_out; }

// The honest party's own bits of a level's block, of one lane.
static uint64_t drawn_block(size_t lane, int level) {
  int at = ideal.block_at;
  for (int i = 0; i < level; i++) at += block_bits(i);
  return lane >> at & tw_mask(block_bits(level));
}

static uint64_t known_block(int level, uint64_t node, uint32_t seed) {
  return mixed(tape.key ^ mixed((uint64_t)level << 40 | node << 8 | (seed & 1) << 1 | 1));
}

static int expanding_party(void) { return expands == 3 ? (int)(calls++ & 1) : (int)(expands >> 1); }

// seed[1] of a node is its number, one on top: both parties' are the same, so no word holds anything of it.
void tw_node_blocks_best(const tw_node_name *name, const uint32_t (*seed)[TW_NODES], size_t count,
                         uint32_t (*block)[TW_NODES]) {
  int party = expanding_party(), level = (int)name->level;
  memset(block, 0, sizeof(uint32_t) * TW_NODE_BLOCK_WORDS * TW_NODES);
  for (size_t j = 0; j < count; j++) {
    size_t lane = (size_t)name->element + j * (size_t)name->step;
    uint64_t node = level ? seed[1][j] : 1, alpha = ((mask_at(0, lane) + mask_at(1, lane)) & tw_mask(RING)) >> STEP;
    bool on_path = node == (1u << level | alpha >> (LEVELS - level));
    uint64_t bits = party == tape.honest && on_path ? drawn_block(lane & tw_mask(tape.bits), level)
                                                    : known_block(level, node, seed[0][j]);
    if (level < LEVELS) {
      block[0][j] = bits & 1;
      block[4][j] = bits >> 1 & 1;
      block[8][j] = bits >> 2 & 3;
      if (ideal.how == CONTROL_FROM_SEED) block[8][j] = bits & 3;
      block[1][j] = (uint32_t)(2 * node);
      block[5][j] = (uint32_t)(2 * node + 1);
    } else {
      block[10][j] = (uint32_t)(bits & tw_mask(ideal.ring_out));
      block[12][j] = (uint32_t)(bits >> ideal.ring_out & tw_mask(ideal.ring_out));
      if (ideal.how == VALUES_WITHOUT_PADS && party == tape.honest && on_path) block[10][j] = block[12][j] = 0;
    }
  }
}

// ---- a program

static tw_gate seeing;
static const tw_gate *table_gate;

static tw_status seeing_party(tw_session *s, const tw_op *op) {
  expands = 1u << s->party;
  return table_gate->party(s, op);
}
static tw_status seeing_deal(tw_session *s, const tw_op *op) {
  expands = 3;
  calls = 0;
  return table_gate->deal(s, op);
}

static tw_status bare_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_draw_mask(s, op, side));
  return s->backend->fill(tw_b(s, op->out[0])->mask[side], 0, 8 * tw_words_of(s, op->out[0]), s->stream);
}

static tw_op *nth_open(tw_program *p, int n) {
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].opens && n-- == 0) return &p->ops[i];
  abort();
}

static void mutate(tw_program *p) {
  static tw_gate bare;
  for (int i = 0; i < p->op_count; i++)
    if (strcmp(p->ops[i].gate->name, "segments by key") == 0) {
      table_gate = p->ops[i].gate;
      seeing = *table_gate;
      seeing.party = seeing_party;
      seeing.deal = seeing_deal;
      p->ops[i].gate = &seeing;
    }
  ideal.mask_use = nth_open(p, 0)->mask_use;
  if (ideal.how == ONE_MASK_FOR_TWO) nth_open(p, 2)->mask_use = nth_open(p, 1)->mask_use;
  if (ideal.how != BARE_VALUE) return;
  bare = *nth_open(p, 1)->gate;
  bare.mask = bare_mask;
  nth_open(p, 1)->gate = &bare;
}

// A table with one run of steps of 2, its value opened, and a product behind it.
static void build(size_t lanes, tw_program *p, const tw_table *tables) {
  static const tw_segments seg = {.ring = RING, .first_step = STEP, .runs = 1, .border = {1, 5}, .entries = 8};
  tw_builder b;
  tape.lanes = lanes;
  tape.lane_bits = __builtin_ctzll(lanes);
  *p = (tw_program){.tables = tables, .table_count = 2};
  tw_builder_start(&b, p);
  int x = tw_open(&b, tw_build_input(&b, RING, 0, lanes));
  int t = tw_open(&b, tw_read_segments(&b, x, &seg, (int[]){0, 1}, ideal.ring_out, 0, NULL));
  tw_build_output(&b, tw_open(&b, tw_multiply(&b, t, t, ideal.ring_out, TW_EACH)));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  mutate(p);
}

static void assign(uint32_t use, size_t n, int width) {
  if (use >= MAX_USES) abort();
  tape.offset[use] = tape.bits;
  tape.n[use] = n;
  tape.width[use] = width;
  tape.bits += width;
}

// Masks, pads, blocks; root seeds and pads of common words take no bits.
static void assign_streams(const tw_program *p) {
  bool seen[MAX_USES] = {false};
  tape.bits = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    if (op->opens && !seen[op->mask_use])
      assign(op->mask_use, p->tensors[op->out[0]].n, p->tensors[op->out[0]].ring), seen[op->mask_use] = true;
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      assign(c->use, c->n, c->kind == TW_DEALT_COMMON ? 0 : c->width);
    }
  }
  ideal.block_at = tape.bits;
  for (int level = 0; level <= LEVELS; level++) tape.bits += block_bits(level);
}

// ---- what is seen

typedef struct {
  uint64_t *value;
  int bits;  // so far
} views;

static void see(views *v, size_t first, size_t count, const uint64_t *values) {
  for (size_t j = 0; j < count; j++) v->value[first + j] |= values[j] << v->bits;
}

// Of words of a key nothing but what travels in it: a seed's bit, a level's two control bits.
static bool see_common(views *v, const tw_correction *c, const uint64_t *values) {
  bool clean = true, seeds = c->width == 64;
  for (size_t first = 0; first < c->n; first += tape.lanes) {
    bool high = seeds && first / tape.lanes % 2;
    int width = seeds ? !high : c->width;
    for (size_t j = first; j < first + tape.lanes; j++) clean &= values[j] <= tw_mask(width);
    if (width == 0) continue;
    see(v, 0, tape.lanes, values + first);
    v->bits += width;
  }
  return clean;
}

// Both halves of a correction that is read in halves have the same place in a view.
static bool see_all(views *v, const tw_program *p, const walk *w, int party) {
  const uint64_t *at = w->opened;
  bool clean = true;
  for (int i = 0; i < p->op_count; i++) {
    if (!p->ops[i].opens) continue;
    see(v, 0, tape.lanes, at);
    v->bits += p->tensors[p->ops[i].out[0]].ring;
    at += tape.lanes;
  }
  for (int i = 0; i < p->correction_count; i++) {
    const tw_correction *c = &p->corrections[i];
    tw_correction_part mine = tw_part_of(c, party);
    uint64_t *values = calloc(c->n, 8);
    tw_unpack(w->corrections[party] + c->offset[party], mine.count, c->width, values);
    if (c->kind == TW_DEALT_COMMON)
      clean &= see_common(v, c, values);
    else
      see(v, mine.first, mine.count, values);
    free(values);
  }
  return clean;
}

// Lanes of either half have read what the other half has not: each half for itself.
static bool uniform(const views *v, size_t first, size_t count, int bits) {
  uint32_t *seen = calloc((size_t)1 << bits, sizeof *seen);
  bool even = true;
  for (size_t j = first; j < first + count; j++) seen[v->value[j]]++;
  size_t views = 0;
  uint32_t most = 0;
  for (size_t i = 0; i < (size_t)1 << bits; i++) {
    views += seen[i] > 0;
    most = seen[i] > most ? seen[i] : most;
  }
  even = views * most == count && (views & (views - 1)) == 0;
  free(seen);
  return even && views == (size_t)1 << v->bits;
}

static bool view_is_uniform(const tw_program *p, uint64_t secret) {
  tw_seed seeds[2] = {tagged_seed(0, false), tagged_seed(1, false)},
          model[2] = {tagged_seed(0, true), tagged_seed(1, true)};
  uint64_t *input = calloc(tape.lanes, 8);
  for (size_t j = 0; j < tape.lanes; j++) input[j] = secret;
  walk w = {.program = p, .batch = 1, .input = input, .seeds = {&seeds[0], &seeds[1]}, .model_seeds = model};
  CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
  CU_ASSERT_EQUAL(w.mismatches, 0);
  views v = {calloc(tape.lanes, 8), 0};
  bool all = see_all(&v, p, &w, 1 - tape.honest);
  // the product's correction, of which each half of the lanes has read its part
  bool reads_first = 1 - tape.honest == 0;
  size_t half = tape.lanes / 2;
  v.bits += ideal.ring_out;
  all = all && uniform(&v, reads_first ? 0 : half, half, v.bits);
  v.bits -= ideal.ring_out;
  all = all && uniform(&v, reads_first ? half : 0, half, v.bits + ideal.ring_out);
  walk_free(&w);
  free(v.value);
  free(input);
  return all;
}

static bool all_views_uniform(kind how, int ring_out) {
  static uint64_t values[2][8] = {{1, 2, 3, 0, 2, 1, 0, 3}, {3, 1, 0, 2, 1, 1, 2, 3}};
  static const tw_table tables[2] = {{"A", 8, values[0]}, {"B", 8, values[1]}};
  tw_program p;
  bool all = true;
  ideal.how = how;
  ideal.ring_out = ring_out;
  build(128, &p, tables);
  assign_streams(&p);
  tw_program_free(&p);
  build((size_t)2 << tape.bits, &p, tables);
  assign_streams(&p);
  for (tape.honest = 0; tape.honest < 2; tape.honest++)
    for (uint64_t secret = 0; secret < 1 << RING; secret += how == SOUND ? 1 : 5) {
      tape.key = walk_random();
      all = view_is_uniform(&p, secret) && all;
    }
  tw_program_free(&p);
  return all;
}

static void sound(void) { CU_ASSERT(all_views_uniform(SOUND, 1)); }

static void mutants(void) {
  CU_ASSERT_FALSE(all_views_uniform(VALUES_WITHOUT_PADS, 1));
  CU_ASSERT_FALSE(all_views_uniform(CONTROL_FROM_SEED, 1));
  CU_ASSERT_FALSE(all_views_uniform(BARE_VALUE, 1));
  CU_ASSERT_FALSE(all_views_uniform(ONE_MASK_FOR_TWO, 1));
}

SUITE_MAIN("view of a segment table", {"a table and a product behind it", sound}, {"mutants are found", mutants})
