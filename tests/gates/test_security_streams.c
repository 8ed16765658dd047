// The rules that the proof of docs/security.md rests on, on the program of a whole encoder: every stream has one role
// and is consumed once by each party (R1), what is dealt depends on nothing later (R2), messages have fixed lengths
// (R3). And the proof's own step, measured: another value of one honest mask or pad moves its own entry of the view by
// just as much, and none before it.
//
// This file brings its own random streams and takes the place of kernels/prg.c.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/gates/gate.h"
#include "tests/common/suite.h"
#include "tests/common/tiny_model.h"

// ---- streams that keep a record and can be changed in one place ----

typedef struct {
  uint8_t *drawn;
  size_t n;
  int width;
  bool words;
} stream_record;  // width: ring bits

typedef struct {
  pthread_t main;               // the thread of dealer and emulator
  stream_record *record[2][2];  // [0 dealer and emulator, 1 party][side], one a use id; NULL: nothing is recorded
  int side;                     // change: side, or -1
  uint32_t use;
  size_t at;       // element, or word
  uint64_t delta;  // added; to words, XORed
} stream_state;

static stream_state streams = {.side = -1};
enum { MODEL = 2 };  // tag of model seeds, beside the sides

static uint64_t mixed(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

static uint64_t key_of(const tw_seed *seed) {
  uint64_t key;
  memcpy(&key, seed->key + 8, sizeof key);
  return key;
}

static uint64_t stream_word(const tw_seed *seed, uint32_t use, uint64_t slot, size_t at) {
  return mixed(key_of(seed) ^ mixed(slot ^ mixed((uint64_t)use << 40 | at)));
}

static void note(const tw_seed *seed, uint32_t use, int width, bool words, size_t first, size_t n) {
  int role = !pthread_equal(pthread_self(), streams.main), side = seed->key[0];
  if (side >= MODEL || !streams.record[role][side]) return;
  stream_record *r = &streams.record[role][side][use];
  if (first + n > r->n) {
    r->drawn = realloc(r->drawn, first + n);
    if (!r->drawn) abort();
    memset(r->drawn + r->n, 0, first + n - r->n);
    r->n = first + n;
  }
  CU_ASSERT(r->width == 0 || (r->width == width && r->words == words));  // one stream, one kind of use
  r->width = width;
  r->words = words;
  memset(r->drawn + first, 1, n);
}

void tw_prg_ring(const tw_seed *seed, uint32_t use, uint64_t slot, int ring_bits, uint64_t first, size_t n,
                 uint64_t *out) {
  note(seed, use, ring_bits, false, first, n);
  for (size_t i = 0; i < n; i++) {
    out[i] = stream_word(seed, use, slot, first + i);
    if (seed->key[0] == streams.side && use == streams.use && first + i == streams.at) out[i] += streams.delta;
    out[i] &= tw_mask(ring_bits);
  }
}

void tw_prg_words(const tw_seed *seed, uint32_t use, uint64_t slot, uint64_t first_word, size_t n, uint64_t *out) {
  note(seed, use, 64, true, first_word, n);
  for (size_t i = 0; i < n; i++) {
    out[i] = stream_word(seed, use, slot, first_word + i);
    if (seed->key[0] == streams.side && use == streams.use && first_word + i == streams.at) out[i] ^= streams.delta;
  }
}

void tw_seed_random(tw_seed *seed) {
  uint64_t key = walk_random();
  memset(seed, 0, sizeof *seed);
  seed->key[0] = MODEL;
  memcpy(seed->key + 8, &key, sizeof key);
}

void tw_seed_test(tw_seed *seed, uint64_t number, const char *label, uint64_t index) {
  tw_seed_random(seed);
  uint64_t key = mixed(number ^ mixed(index ^ mixed((uint64_t)label[0] << 8 | (uint64_t)label[1])));
  memcpy(seed->key + 8, &key, sizeof key);
}

typedef struct {
  tw_seed seed[2], model[2];
  uint64_t slot;
} keys;

static void fresh_keys(keys *k, walk *w) {
  for (int side = 0; side < 2; side++) {
    tw_seed_random(&k->seed[side]);
    tw_seed_random(&k->model[side]);
    k->seed[side].key[0] = (uint8_t)side;
    w->seeds[side] = &k->seed[side];
  }
  w->model_seeds = k->model;
  k->slot = walk_random();
  w->slots = &k->slot;
}

// ---- the program ----

// A post-norm layer in either rounding mode: between them they use every gate kind.
static void with_programs(void (*check)(tiny_model *)) {
  static const tw_rounding modes[] = {TW_DITHERED, TW_FAITHFUL};
  for (int i = 0; i < 2; i++) {
    tiny_model t;
    CU_ASSERT_FATAL(tiny_model_open(&t, "1x16x2x24", 5, 1, modes[i]));
    check(&t);
    tiny_model_close(&t);
  }
}

static void unique_ids(tiny_model *t) {
  const tw_program *p = &t->plan.program;
  int *seen = calloc(p->use_count, sizeof *seen), owned = 0;
  for (int i = 0; i < p->op_count; i++) {
    if (p->ops[i].opens) seen[p->ops[i].mask_use]++;
    owned += p->ops[i].correction_count;
  }
  for (int i = 0; i < p->correction_count; i++) seen[p->corrections[i].use]++;
  size_t wrong = 0;
  for (uint32_t use = 0; use < p->use_count; use++) wrong += seen[use] != 1;
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(owned, p->correction_count);
  CU_ASSERT(p->use_count > 100);
  free(seen);
}

static void every_id_has_one_role(void) { with_programs(unique_ids); }

// Largest use id on which a tensor's mask or the corrections of its gate depend. Every stream of a gate comes after it.
static void causal_order(tiny_model *t) {
  const tw_program *p = &t->plan.program;
  int64_t *latest = calloc((size_t)p->tensor_count, sizeof *latest);
  size_t wrong = 0;
  for (int i = 0; i < p->tensor_count; i++) latest[i] = -1;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    int64_t before = -1, after;
    for (int j = 0; j < op->in_count; j++) {
      const tw_tensor *in = &p->tensors[op->in[j]];
      wrong += in->first_op >= i || in->first_op < 0 || in->level > op->level;
      if (latest[op->in[j]] > before) before = latest[op->in[j]];
    }
    after = before;
    if (op->opens) {
      wrong += (int64_t)op->mask_use <= before || op->correction_count != 0;
      after = op->mask_use;
    }
    for (int j = 0; j < op->correction_count; j++) {
      int64_t use = p->corrections[op->correction + j].use;
      wrong += use <= after;
      after = use;
    }
    for (int j = 0; j < op->out_count; j++) latest[op->out[j]] = after;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  free(latest);
}

static void nothing_depends_on_later_streams(void) { with_programs(causal_order); }

// ---- what the roles draw ----

static size_t count_drawn(const stream_record *r, size_t from, size_t to) {
  size_t count = 0;
  for (size_t j = from; j < to && j < r->n; j++) count += r->drawn[j];
  return count;
}

// Drawn in [from, to) of every row, and nowhere else.
static bool drew_exactly(const stream_record *r, size_t rows, size_t row, size_t from, size_t to) {
  size_t inside = 0;
  for (size_t i = 0; i < rows; i++) inside += count_drawn(r, i * row + from, i * row + to);
  return inside == rows * (to - from) && count_drawn(r, 0, r->n) == inside;
}

// Both roles draw a mask whole; a pad of side s is drawn by the party where the other party reads a correction, and
// there the dealer hides the correction with it (the sign of a lookup needs the dealer's whole view of a pad).
static size_t wrong_pads(const tw_correction *c, int side, const stream_record *dealer, const stream_record *party) {
  size_t unit = (c->kind == TW_DEALT_BITS) ? tw_words(c->n) : c->n,
         h = (c->kind == TW_DEALT_BITS) ? tw_words(tw_first_half(c->n)) : tw_first_half(c->n);
  size_t rows = (c->kind == TW_DEALT_BITS) ? (size_t)c->width : 1, from = side == 0 ? h : 0, to = side == 0 ? unit : h,
         hidden = 0;
  for (size_t i = 0; i < rows; i++) hidden += count_drawn(dealer, i * unit + from, i * unit + to);
  bool kinds = (to == from) ||
               (party->words == (c->kind == TW_DEALT_BITS) && ((c->kind == TW_DEALT_BITS) || party->width == c->width));
  return !drew_exactly(party, rows, unit, from, to) + (hidden != rows * (to - from)) + !kinds;
}

static void consumed_once(tiny_model *t) {
  const tw_program *p = &t->plan.program;
  keys k;
  size_t wrong = 0;
  fresh_keys(&k, &t->w);
  streams.main = pthread_self();
  for (int i = 0; i < 4; i++) streams.record[i / 2][i % 2] = calloc(p->use_count, sizeof(stream_record));
  CU_ASSERT_EQUAL_FATAL(walk_run(&t->w), TW_OK);
  CU_ASSERT_EQUAL(t->w.mismatches, 0);
  for (int side = 0; side < 2; side++) {
    const stream_record *dealer = streams.record[0][side], *party = streams.record[1][side];
    for (int i = 0; i < p->op_count; i++) {
      const tw_tensor *out = &p->tensors[p->ops[i].out[0]];
      if (!p->ops[i].opens) continue;
      size_t n = out->kind == TW_WIRE ? out->n : (size_t)out->planes * tw_words(out->n);
      const stream_record *mask = &party[p->ops[i].mask_use];
      wrong += !drew_exactly(mask, 1, n, 0, n) || !drew_exactly(&dealer[p->ops[i].mask_use], 1, n, 0, n);
      wrong += mask->words != (out->kind != TW_WIRE) || (!mask->words && mask->width != out->ring);
    }
    for (int i = 0; i < p->correction_count; i++) {
      const tw_correction *c = &p->corrections[i];
      wrong += wrong_pads(c, side, &dealer[c->use], &party[c->use]);
    }
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (int i = 0; i < 4; i++) {
    stream_record *r = streams.record[i / 2][i % 2];
    streams.record[i / 2][i % 2] = NULL;
    for (uint32_t use = 0; use < p->use_count; use++) free(r[use].drawn);
    free(r);
  }
}

static void streams_are_consumed_once(void) { with_programs(consumed_once); }

// ---- messages ----

static void fixed_lengths(tiny_model *t) {
  const tw_program *p = &t->plan.program;
  tw_cost total, *costs = calloc((size_t)p->step_count + 1, sizeof *costs);
  tw_program_costs(p, costs, &total);
  for (int run = 0; run < 3; run++) {
    keys k;
    fresh_keys(&k, &t->w);
    tiny_model_draw_input(t);
    CU_ASSERT_EQUAL_FATAL(walk_run(&t->w), TW_OK);
    CU_ASSERT_EQUAL(t->w.payload_bytes, total.sent_bytes);
    CU_ASSERT_EQUAL(t->w.rounds, (uint64_t)p->levels);
  }
  free(costs);
}

static void messages_have_fixed_lengths(void) { with_programs(fixed_lengths); }

// ---- one honest value changed ----

// An entry of a corrupted party's view, in program order: an opened tensor, or the part of a correction that it reads.
typedef struct {
  uint32_t use;
  const tw_tensor *opened;
  const tw_correction *read;
  size_t first;
} entry;  // first: in walk.opened

static int list_entries(const tw_program *p, int party, entry *out) {
  int count = 0;
  size_t first = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    const tw_tensor *t = &p->tensors[op->out[0]];
    if (op->opens) {
      out[count++] = (entry){.use = op->mask_use, .opened = t, .first = first};
      first += t->kind == TW_WIRE ? t->n : (size_t)t->planes * tw_words(t->n);
    }
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      if (c->bytes[party] > 0) out[count++] = (entry){.use = c->use, .read = c};
    }
  }
  return count;
}

// The entry's values: words of planes, or ring elements. Returns their count.
static size_t entry_values(const entry *e, const walk *w, int party, uint64_t *out) {
  if (e->opened) {
    size_t n = e->opened->kind == TW_WIRE ? e->opened->n : (size_t)e->opened->planes * tw_words(e->opened->n);
    memcpy(out, w->opened + e->first, 8 * n);
    return n;
  }
  size_t h = tw_first_half(e->read->n), n = party == 0 ? h : e->read->n - h;
  const uint8_t *packed = w->corrections[party] + e->read->offset[party];
  if (!(e->read->kind == TW_DEALT_BITS)) {
    tw_unpack(packed, n, e->read->width, out);
    return n;
  }
  n = tw_words(n) * (size_t)e->read->width;
  memcpy(out, packed, 8 * n);
  return n;
}

enum { MOST_VALUES = 1 << 20 };

static size_t differing(const entry *e, const walk *a, const walk *b, int party, size_t *where, uint64_t pair[2]) {
  static uint64_t x[MOST_VALUES], y[MOST_VALUES];
  size_t n = entry_values(e, a, party, x), count = 0;
  entry_values(e, b, party, y);
  for (size_t j = 0; j < n; j++) {
    if (x[j] == y[j]) continue;
    count++;
    *where = j;
    pair[0] = x[j];
    pair[1] = y[j];
  }
  return count;
}

// A place in the honest stream of entry e whose change the corrupted party sees: element or word of the stream, and its
// index among the entry's values.
static void pick_place(const entry *e, int party, size_t *at, size_t *value) {
  bool bits = e->read ? (e->read->kind == TW_DEALT_BITS) : e->opened->kind != TW_WIRE;
  size_t n = e->read ? e->read->n : e->opened->n, row = bits ? tw_words(n) : n, first = 0, mine = row;
  if (e->read) {
    size_t h = bits ? tw_words(tw_first_half(n)) : tw_first_half(n);
    first = party == 0 ? 0 : h;
    mine = party == 0 ? h : row - h;
  }
  size_t planes = !bits ? 1 : (size_t)(e->read ? e->read->width : e->opened->planes);
  size_t plane = walk_random() % planes, j = walk_random() % mine;
  *at = plane * row + first + j;
  *value = plane * mine + j;
  streams.delta = walk_random() | 1;
  if (bits && first + j == row - 1 && n % 64) streams.delta &= tw_mask((int)(n % 64));
}

// The change appears in its own entry, at its own place, by its own amount.
static bool own_entry_moved(const entry *e, const walk *before, const walk *after, int party, size_t value) {
  size_t where = 0;
  uint64_t pair[2] = {0, 0};
  if (differing(e, before, after, party, &where, pair) != 1 || where != value) return false;
  if (e->read ? (e->read->kind == TW_DEALT_BITS) : e->opened->kind != TW_WIRE)
    return (pair[0] ^ pair[1]) == streams.delta;
  int ring = e->read ? e->read->width : e->opened->ring;
  return ((e->read ? pair[0] - pair[1] : pair[1] - pair[0]) & tw_mask(ring)) == (streams.delta & tw_mask(ring));
}

// Changes one value of the honest party's stream of entries[i]; true when the view moved as the proof says.
static bool triangular(const entry *entries, int i, const walk *before, int party) {
  walk after = *before;
  size_t value, where;
  uint64_t pair[2];
  after.output = after.opened = after.guard = NULL;
  after.corrections[0] = after.corrections[1] = NULL;
  pick_place(&entries[i], party, &streams.at, &value);
  streams.use = entries[i].use;
  streams.side = 1 - party;
  CU_ASSERT_EQUAL_FATAL(walk_run(&after), TW_OK);
  streams.side = -1;
  CU_ASSERT_EQUAL(after.mismatches, 0);
  bool good = own_entry_moved(&entries[i], before, &after, party, value);
  for (int j = 0; j < i && good; j++) good = differing(&entries[j], before, &after, party, &where, pair) == 0;
  walk_free(&after);
  return good;
}

// `samples` entries at random for either party, or those of one opened tensor; how many were not triangular.
static int not_triangular(tiny_model *t, int samples, const tw_tensor *opened) {
  const tw_program *p = &t->plan.program;
  entry *entries = calloc((size_t)p->use_count, sizeof *entries);
  int wrong = 0;
  for (int party = 0; party < 2; party++) {
    keys k;
    fresh_keys(&k, &t->w);
    CU_ASSERT_EQUAL_FATAL(walk_run(&t->w), TW_OK);
    int count = list_entries(p, party, entries), chosen = 0;
    while (opened && entries[chosen].opened != opened) chosen++;
    for (int i = 0; i < samples; i++)
      wrong += !triangular(entries, opened ? chosen : (int)(walk_random() % (uint64_t)count), &t->w, party);
  }
  free(entries);
  return wrong;
}

static void sampled(tiny_model *t) { CU_ASSERT_EQUAL(not_triangular(t, 150, NULL), 0); }
static void view_is_triangular(void) { with_programs(sampled); }

// The next opening after `from` of elements in a ring; of the shape of `like`, when given.
static int next_wire(const tw_program *p, int from, const tw_tensor *like) {
  for (int i = from; i < p->op_count; i++) {
    const tw_tensor *out = &p->tensors[p->ops[i].out[0]];
    if (p->ops[i].opens && out->kind == TW_WIRE && (!like || (out->n == like->n && out->ring == like->ring))) return i;
  }
  return -1;
}

// A mask that serves a second opening of the same shape moves an earlier entry: found, for either party.
static void reuse_is_found(void) {
  tiny_model t;
  CU_ASSERT_FATAL(tiny_model_open(&t, "1x16x2x24", 5, 1, TW_DITHERED));
  tw_program *p = &t.plan.program;
  int first = -1, second = -1;
  while (second < 0) {
    first = next_wire(p, first + 1, NULL);
    CU_ASSERT_FATAL(first >= 0);
    second = next_wire(p, first + 1, &p->tensors[p->ops[first].out[0]]);
  }
  p->ops[second].mask_use = p->ops[first].mask_use;
  CU_ASSERT_EQUAL(not_triangular(&t, 1, &p->tensors[p->ops[second].out[0]]), 2);
  tiny_model_close(&t);
}

SUITE_MAIN("streams", {"every id has one role", every_id_has_one_role},
           {"nothing depends on later streams", nothing_depends_on_later_streams},
           {"streams are consumed once", streams_are_consumed_once},
           {"messages have fixed lengths", messages_have_fixed_lengths}, {"the view is triangular", view_is_triangular},
           {"reuse is found", reuse_is_found})
