// Boolean gates on bit planes: products of opened masked bits, XORs, reshaping (protocols, section 6).
#include <stdlib.h>

#include "jobs/gates/gate.h"

// ---- ANDs of opened bits: [AND (v ^ m)] from public v and one correction bit for every product of two or more masks
// ---- list: for each product: out plane, count, per literal (input, plane, negate), then 2^count correction planes
// (-1: none). Behind the list, in the pool, its outline (kernels/bit_ops.h)
enum { AND_PRODUCTS };

typedef struct {
  int out, count;
  const int64_t *literal, *subset;
} and_product;

static const int64_t *next_product(const int64_t *at, and_product *p) {
  p->out = (int)at[0];
  p->count = (int)at[1];
  p->literal = at + 2;
  p->subset = p->literal + 3 * p->count;
  return p->subset + ((size_t)1 << p->count);
}

static const uint64_t *literal_plane(const tw_session *s, const tw_op *op, const uint64_t *const *in,
                                     const int64_t *literal) {
  return in[literal[0]] + (size_t)literal[1] * tw_words(tw_t(s, op->out[0])->n);
}

static tw_status and_deal(tw_session *s, const tw_op *op) {
  if (op->correction_count == 0) return TW_OK;
  size_t words = tw_words(tw_t(s, op->out[0])->n);
  tw_deal_subsets_args a = {.words = words,
                            .list_count = op->list_count,
                            .products = (int)op->arg[AND_PRODUCTS],
                            .list = tw_list(s, op),
                            .starts = tw_list(s, op) + op->list_count + tw_t(s, op->out[0])->planes + 1};
  for (int i = 0; i < op->in_count; i++) {
    uint64_t *both;
    size_t all = tw_words_of(s, op->in[i]);
    TW_TRY(tw_scratch(s, all, &both));
    tw_mask_args x = {.rows = 1,
                      .cols = all,
                      .share = tw_b(s, op->in[i])->mask[0],
                      .mask = tw_b(s, op->in[i])->mask[1],
                      .out = both,
                      .bits = 1};
    TW_TRY(s->backend->mask(&x, s->stream));
    a.mask[i] = both;
  }
  TW_TRY(tw_dealt_memory(s, op, &a.out));
  TW_TRY(s->backend->deal_subsets(&a, s->stream));
  return tw_give(s, op, &a.out);
}

static tw_status and_party(tw_session *s, const tw_op *op) {
  uint64_t *dealt;
  size_t words = tw_words(tw_t(s, op->out[0])->n), out_words = tw_words_of(s, op->out[0]);
  TW_TRY(tw_take(s, op, &dealt));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_products_args a = {.sequences = (size_t)s->batch,
                        .words = words,
                        .list_count = op->list_count,
                        .operands = op->in_count,
                        .party = s->party,
                        .products = (int)op->arg[AND_PRODUCTS],
                        .dealt = dealt,
                        .out_words = out_words,
                        .list = tw_list(s, op),
                        .outline = tw_list(s, op) + op->list_count,
                        .out = tw_b(s, op->out[0])->value};
  if (dealt) a.dealt_words = (size_t)s->program->corrections[op->correction].width * words;
  for (int i = 0; i < op->in_count; i++) {
    a.value[i] = tw_b(s, op->in[i])->value;
    a.mask[i] = tw_b(s, op->in[i])->mask[s->party];
    a.operand_words[i] = tw_words_of(s, op->in[i]);
  }
  return s->backend->products(&a, s->stream);
}

static tw_status and_emulate(tw_session *s, const tw_op *op) {
  size_t words = tw_words(tw_t(s, op->out[0])->n);
  TW_TRY(tw_make_value(s, op->out[0]));
  memset(tw_b(s, op->out[0])->value, 0, 8 * tw_words_of(s, op->out[0]));
  const uint64_t *value[TW_MAX_IN];
  for (int i = 0; i < op->in_count; i++) value[i] = tw_b(s, op->in[i])->value;
  const int64_t *at = s->program->pool + op->list, *end = at + op->list_count;
  while (at < end) {
    and_product p;
    at = next_product(at, &p);
    for (size_t w = 0; w < words; w++) {
      uint64_t all = ~0ull;
      for (int i = 0; i < p.count; i++)
        all &= literal_plane(s, op, value, p.literal + 3 * i)[w] ^ (p.literal[3 * i + 2] ? ~0ull : 0);
      tw_b(s, op->out[0])->value[(size_t)p.out * words + w] ^= all;
    }
  }
  return TW_OK;
}

static const tw_gate and_gate = {"and", NULL, and_deal, NULL, and_party, and_emulate, .rows = tw_rows_each};

// Sets of literals that have a correction plane in this gate, by their sorted (input, plane) keys.
typedef struct {
  int count;
  int64_t key[8];
} literal_set;
enum { MAX_SETS = 8192, BUCKETS = 2 * MAX_SETS };
typedef struct {
  literal_set set[MAX_SETS];
  int16_t bucket[BUCKETS];  // 0: empty, else 1 + a set's number; collisions go to the next one
  int count;
} set_table;

static int find_or_add(set_table *t, const literal_set *wanted) {
  uint64_t hash = (uint64_t)wanted->count;
  for (int i = 0; i < wanted->count; i++) hash = (hash ^ (uint64_t)wanted->key[i]) * 0x9e3779b97f4a7c15;
  size_t at = hash >> 32 & (BUCKETS - 1), bytes = sizeof(int64_t) * (size_t)wanted->count;
  for (; t->bucket[at]; at = (at + 1) & (BUCKETS - 1)) {
    const literal_set *met = &t->set[t->bucket[at] - 1];
    if (met->count == wanted->count && memcmp(met->key, wanted->key, bytes) == 0) return t->bucket[at] - 1;
  }
  if (t->count == MAX_SETS) return -1;
  t->set[t->count] = *wanted;
  t->bucket[at] = (int16_t)(t->count + 1);
  return t->count++;
}

static literal_set set_of(const int64_t *literal, int count, int set) {
  literal_set out = {0};
  for (int i = 0; i < count; i++)
    if (set >> i & 1) {
      int64_t key = literal[3 * i] << 32 | literal[3 * i + 1];
      int at = out.count++;
      for (; at > 0 && out.key[at - 1] > key; at--) out.key[at] = out.key[at - 1];
      out.key[at] = key;
    }
  return out;
}

static int input_slot(tw_op *op, int tensor) {
  for (int i = 0; i < op->in_count; i++)
    if (op->in[i] == tensor) return i;
  tw_emit_in(op, tensor);
  return op->in_count - 1;
}

int tw_and_products(tw_builder *b, const tw_product *products, int count, int planes) {
  tw_op *op = tw_emit(b, &and_gate);
  size_t n = tw_look(b, products[0].literal[0].tensor).n, at = 0, room = 0;
  for (int i = 0; i < count; i++) room += 2 + 3 * (size_t)products[i].count + ((size_t)1 << products[i].count);
  room += (size_t)planes + 1 + (size_t)count;
  int64_t *list = calloc(room, sizeof *list);
  set_table *sets = calloc(1, sizeof *sets);
  for (int i = 0; i < count && list && sets; i++) {
    const tw_product *p = &products[i];
    list[at++] = p->out;
    list[at++] = p->count;
    int64_t *literal = list + at;
    for (int j = 0; j < p->count; j++) {
      list[at++] = input_slot(op, p->literal[j].tensor);
      list[at++] = p->literal[j].plane;
      list[at++] = p->literal[j].negate;
    }
    for (int set = 0; set < 1 << p->count; set++) {
      literal_set wanted = set_of(literal, p->count, set);
      list[at++] = wanted.count < 2 ? -1 : find_or_add(sets, &wanted);
    }
  }
  if (!list || !sets) tw_build_fail(b, TW_ERR_MEMORY, "out of memory for bit products");
  int set_count = sets ? sets->count : 0;
  if (set_count == MAX_SETS || op->in_count >= TW_MAX_IN)
    tw_build_fail(b, TW_ERR_INTERNAL, "too many bit products in one gate");
  if (b->status == TW_OK) {
    tw_products_outline(list, count, planes, list + at);
    tw_emit_list(b, op, list, room);
    op->list_count = at;  // without the outline, which follows from it
    op->arg[AND_PRODUCTS] = count;
    tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_BITS, set_count, n}, 1);
  }
  free(list);
  free(sets);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = planes, .n = n});
}

// ---- XORs of shares and public constants: local ----
// list: per term (out, input, plane); then planes constants
enum { XOR_TERMS };

static tw_status xor_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_parity_args a = {.sequences = (size_t)s->batch,
                      .words = tw_words(tw_t(s, op->out[0])->n),
                      .terms = (size_t)op->arg[XOR_TERMS],
                      .operands = op->in_count,
                      .planes = tw_t(s, op->out[0])->planes,
                      .mine = s->role != TW_PARTY || s->party == 0,
                      .list = tw_list(s, op),
                      .out = tw_b(s, op->out[0])->value};
  for (int i = 0; i < op->in_count; i++) {
    a.value[i] = tw_b(s, op->in[i])->value;
    a.operand_words[i] = tw_words_of(s, op->in[i]);
  }
  return s->backend->parity(&a, s->stream);
}

static const tw_gate xor_gate = {"xor", NULL, NULL, NULL, xor_value, xor_value, .rows = tw_rows_each};

int tw_xor_planes(tw_builder *b, const tw_term *terms, int count, int planes, const uint8_t *constant) {
  tw_op *op = tw_emit(b, &xor_gate);
  op->arg[XOR_TERMS] = count;
  int64_t *list = calloc(3 * (size_t)count + (size_t)planes, sizeof *list);
  if (!list) return tw_build_fail(b, TW_ERR_MEMORY, "out of memory for bit sums");
  for (int i = 0; i < count; i++) {
    list[3 * i] = terms[i].out;
    list[3 * i + 1] = input_slot(op, terms[i].tensor);
    list[3 * i + 2] = terms[i].plane;
  }
  for (int p = 0; p < planes; p++) list[3 * count + p] = constant ? constant[p] : 0;
  tw_emit_list(b, op, list, 3 * (size_t)count + (size_t)planes);
  free(list);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = planes, .n = tw_look(b, terms[0].tensor).n});
}

// ---- the same bits in another number of planes: local ----
static tw_status reshape_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  const tw_tensor *y = tw_t(s, op->out[0]);
  return s->backend->reshape(&(tw_reshape_args){.sequences = (size_t)s->batch,
                                                .n = y->n,
                                                .planes = (size_t)y->planes,
                                                .from_words = tw_words_of(s, op->in[0]),
                                                .x = tw_b(s, op->in[0])->value,
                                                .out = tw_b(s, op->out[0])->value,
                                                .from = tw_t(s, op->in[0])->n},
                             s->stream);
}

// Flat, either is [places][rows][inner], planes among the places.
static bool reshape_rows(tw_row_shape *s) {
  size_t from = (size_t)s->program->tensors[s->op->in[0]].planes,
         to = (size_t)s->program->tensors[s->op->out[0]].planes;
  tw_rows x = s->in[0], y = s->out[0];
  if (!tw_is_split(x) && tw_is_split(y) && y.outer * to % from == 0) x = tw_rows_split(y.outer * to / from, y.inner);
  if (!tw_is_split(x) || x.outer * from % to) return false;
  s->in[0] = x;
  s->out[0] = tw_rows_split(x.outer * from / to, x.inner);
  return true;
}

static const tw_gate reshape_gate = {"reshape", NULL, NULL, NULL, reshape_value, reshape_value, .rows = reshape_rows};

int tw_bits_reshape(tw_builder *b, int bits, int planes, size_t n) {
  tw_tensor t = tw_look(b, bits);
  tw_op *op = tw_emit(b, &reshape_gate);
  tw_emit_in(op, bits);
  if (t.kind != TW_BITS || (size_t)t.planes * t.n != (size_t)planes * n)
    return tw_build_fail(b, TW_ERR_INTERNAL, "bits of another shape");
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = planes, .n = n});
}

// ---- tournament pairs with a dead second member: the public constant 1 ----
// list: sizes of the first group and of the others, of every earlier level
enum { KILL_ROWS, KILL_FIRST, KILL_GROUP, KILL_GROUPS, KILL_TOKENS };

static tw_status kill_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_kill_args a = {.sequences = (size_t)s->batch,
                    .rows = (size_t)op->arg[KILL_ROWS],
                    .first = (size_t)op->arg[KILL_FIRST],
                    .group = (size_t)op->arg[KILL_GROUP],
                    .groups = (size_t)op->arg[KILL_GROUPS],
                    .words = tw_words_of(s, op->out[0]),
                    .earlier = tw_list(s, op),
                    .levels = (int)op->list_count / 2,
                    .mine = s->role != TW_PARTY || s->party == 0,
                    .x = tw_b(s, op->in[0])->value,
                    .out = tw_b(s, op->out[0])->value,
                    .live = tw_live(s, op, KILL_TOKENS)};
  return s->backend->kill(&a, s->stream);
}

static bool kill_rows(tw_row_shape *s) { return (size_t)s->op->arg[KILL_ROWS] == s->rows && tw_rows_each(s); }

static bool kill_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  tile->arg[KILL_ROWS] = (int64_t)range.count;
  return tw_tokens_of_rows(s, KILL_TOKENS, range, tile);
}

static const tw_gate kill_gate = {"dead pairs",     NULL, NULL, NULL, kill_value, kill_value, .rows = kill_rows,
                                  .tile = kill_tile};

int tw_kill_pairs(tw_builder *b, int bits, size_t rows, int first, int group, size_t groups, const int64_t *earlier,
                  int earlier_levels, tw_tokens tokens) {
  tw_tensor t = tw_look(b, bits);
  tw_op *op = tw_emit(b, &kill_gate);
  tw_emit_in(op, bits);
  op->arg[KILL_ROWS] = (int64_t)rows;
  op->arg[KILL_FIRST] = first;
  op->arg[KILL_GROUP] = group;
  op->arg[KILL_GROUPS] = (int64_t)groups;
  tw_emit_tokens(op, KILL_TOKENS, tokens);
  tw_emit_list(b, op, earlier, 2 * (size_t)earlier_levels);
  return tw_emit_out(b, op, t);
}
