// Words of which one is wanted, before it is known which: of every block of a word table the row of one word, all by
// one pass over the table (protocols, section 8). The rows are opened under their own masks, and one of them is chosen
// by opened bits. So a lookup goes beside the comparisons that say whose word it is.
#include <stdlib.h>

#include "jobs/gates/gate.h"

// ---- Z_i = X_i W_i: block i of the table has `span` words from word `first` + i span on; the words behind the table's
// end are zeros. As a product with a weight (linear.c), without a bias: [r p]_b is dealt for every element of Z ----
// arguments: TW_LINEAR_WEIGHT .. TW_LINEAR_WIDTH, and
enum { BLOCKS_FIRST = TW_LINEAR_ARGS, BLOCKS_LINES };

typedef struct {
  size_t blocks, lines, span, first;  // rows of X: [blocks][lines]
  size_t table_lines, places, width;
  int weight, ring;
} block_shape;

static block_shape shape_of(const tw_session *s, const tw_op *op) {
  size_t width = (size_t)op->arg[TW_LINEAR_WIDTH], lines = (size_t)op->arg[BLOCKS_LINES],
         span = (size_t)op->arg[TW_LINEAR_SPAN];
  return (block_shape){.blocks = tw_t(s, op->in[0])->n / lines / span,
                       .lines = lines,
                       .span = span,
                       .first = (size_t)op->arg[BLOCKS_FIRST],
                       .table_lines = (size_t)op->arg[TW_LINEAR_INNER],
                       .places = (size_t)op->arg[TW_LINEAR_COLS] / width,
                       .width = width,
                       .weight = (int)op->arg[TW_LINEAR_WEIGHT],
                       .ring = tw_t(s, op->out[0])->ring};
}

static tw_status check_table(const tw_session *s, block_shape d) {
  if (d.weight >= s->weights.count || s->weights.rows[d.weight] != d.table_lines ||
      s->weights.cols[d.weight] != d.places * d.width)
    return tw_fail(TW_ERR_MISMATCH, "model tensor %d does not fit the plan; plan and share must come from one model",
                   d.weight);
  return TW_OK;
}

// Where a walk that computes nothing asks, there are no values.
static const uint64_t *values_from(const uint64_t *values, size_t at) { return values ? values + at : NULL; }

// Rows first_block .. of all sequences against the values themselves, added to `out`, which may hold anything yet where
// `fresh`.
static tw_status multiply_values(tw_session *s, block_shape d, const uint64_t *values, size_t batch, size_t first_block,
                                 size_t count, const uint64_t *x, bool fresh, uint64_t *out) {
  size_t words = d.table_lines * d.places;
  for (size_t i = first_block; i < first_block + count; i++) {
    size_t begin = d.first + i * d.span, there = words - begin < d.span ? words - begin : d.span;
    for (size_t row = 0; row < batch * d.lines; row++) {
      size_t at = (row / d.lines * d.blocks + i) * d.lines + row % d.lines;
      uint64_t *to = out + at * d.width;
      TW_TRY(s->backend->product(values_from(values, begin * d.width), 1, d.width, there, x + at * d.span,
                                 fresh ? NULL : to, d.ring, to, s->stream));
    }
  }
  return TW_OK;
}

// Where an operand is no array of values each row goes through the whole table, once for each place of a line: there a
// pass takes as long for a few rows as for one.
static tw_status multiply_table(tw_session *s, block_shape d, const void *operand, size_t batch, const uint64_t *x,
                                const uint64_t *addend, uint64_t *out) {
  size_t rows = batch * d.blocks * d.lines, all = rows * d.places, cols = d.places * d.width;
  uint64_t *spread, *products;
  TW_TRY(tw_scratch(s, all * d.table_lines, &spread));
  TW_TRY(tw_scratch(s, all * cols, &products));
  tw_spread_words_args words = {.rows = all,
                                .cols = d.table_lines,
                                .x = x,
                                .out = spread,
                                .places = d.places,
                                .lines = d.lines,
                                .blocks = d.blocks,
                                .span = d.span,
                                .first = d.first};
  TW_TRY(s->backend->spread_words(&words, s->stream));
  TW_TRY(s->backend->product(operand, all, cols, d.table_lines, spread, NULL, d.ring, products, s->stream));
  tw_join_words_args join = {.rows = rows,
                             .cols = d.width,
                             .x = products,
                             .addend = addend,
                             .out = out,
                             .places = d.places,
                             .ring = tw_mask(d.ring)};
  return s->backend->join_words(&join, s->stream);
}

static tw_status multiply(tw_session *s, block_shape d, const void *operand, size_t batch, const uint64_t *x,
                          uint64_t *out) {
  if (!s->backend->operand_is_values) return multiply_table(s, d, operand, batch, x, NULL, out);
  return multiply_values(s, d, operand, batch, 0, d.blocks, x, true, out);
}

static tw_status blocks_deal(tw_session *s, const tw_op *op) {
  block_shape d = shape_of(s, op);
  size_t n = tw_t(s, op->in[0])->n;
  uint64_t *r, *out;
  TW_TRY(check_table(s, d));
  TW_TRY(tw_scratch(s, n, &r));
  TW_TRY(tw_dealt_memory(s, op, &out));
  tw_combine_args whole = {.rows = 1,
                           .cols = n,
                           .x = tw_b(s, op->in[0])->mask[0],
                           .y = tw_b(s, op->in[0])->mask[1],
                           .out = r,
                           .p = 1,
                           .q = 1,
                           .ring = ~0ull,
                           .pair = tw_flat(n)};
  TW_TRY(s->backend->combine(&whole, s->stream));
  TW_TRY(multiply(s, d, s->weights.mask_sum[d.weight], 1, r, out));
  return tw_give(s, op, &out);
}

// r_b W^, subtracted online; a slice is some blocks.
static tw_status blocks_prepare(tw_session *s, const tw_op *op) {
  block_shape d = shape_of(s, op);
  size_t batch = (size_t)s->batch, first = s->preparation.columns_done, count = d.blocks - first;
  uint64_t **k = &s->preparation.products[op - s->program->ops];
  const void *operand = s->weights.masked_operand[d.weight];
  const uint64_t *mask = tw_b(s, op->in[0])->mask[s->party];
  TW_TRY(check_table(s, d));
  if (!*k) TW_TRY(tw_keep(s, batch * tw_t(s, op->out[0])->n, k));
  if (!s->backend->operand_is_values) return multiply(s, d, operand, batch, mask, *k);
  if (s->preparation.slice_work) {
    size_t some = s->preparation.slice_work / (batch * d.lines * d.span * d.width) + 1;
    count = some < count ? some : count;
  }
  s->preparation.columns_done = first + count < d.blocks ? first + count : 0;
  return multiply_values(s, d, operand, batch, first, count, mask, true, *k);
}

static tw_status blocks_party(tw_session *s, const tw_op *op) {
  block_shape d = shape_of(s, op);
  size_t batch = (size_t)s->batch, n = batch * tw_t(s, op->out[0])->n;
  const uint64_t *k = s->preparation.products[op - s->program->ops], *x = tw_b(s, op->in[0])->value;
  const void *operand = s->weights.share_operand[d.weight];
  if (!k) return tw_fail(TW_ERR_INTERNAL, "rows of words before their preparation");
  uint64_t *rp, *addend;
  TW_TRY(tw_take_later(s, op, &rp));
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = addend = tw_b(s, op->out[0])->value;
  if (!s->backend->operand_is_values) TW_TRY(tw_scratch(s, n, &addend));
  tw_combine_args a = {.rows = 1,
                       .cols = n,
                       .x = rp,
                       .y = k,
                       .out = addend,
                       .p = 1,
                       .q = ~0ull,
                       .ring = tw_mask(d.ring),
                       .pair = tw_flat(n)};
  TW_TRY(s->backend->combine_corrected(&a, tw_taken(s), op->correction_count, s->stream));
  if (!s->backend->operand_is_values) return multiply_table(s, d, operand, batch, x, addend, out);
  return multiply_values(s, d, operand, batch, 0, d.blocks, x, false, out);
}

static tw_status blocks_emulate(tw_session *s, const tw_op *op) {
  block_shape d = shape_of(s, op);
  TW_TRY(check_table(s, d));
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value;
  TW_TRY(multiply_values(s, d, s->weights.value[d.weight], 1, 0, d.blocks, tw_b(s, op->in[0])->value, true, out));
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) out[j] &= tw_mask(d.ring);
  return TW_OK;
}

static const tw_gate blocks_gate = {"word rows", NULL, blocks_deal, blocks_prepare, blocks_party, blocks_emulate};

// x: WIRE [blocks][lines][span].
static int multiply_blocks(tw_builder *b, int x, int weight, const tw_word_table *table, size_t lines, size_t span,
                           int ring, int scale) {
  tw_tensor t = tw_look(b, x);
  size_t blocks = t.n / lines / span, words = table->lines * table->places;
  tw_op *op = tw_emit(b, &blocks_gate);
  tw_emit_in(op, x);
  op->arg[TW_LINEAR_WEIGHT] = weight;
  op->arg[TW_LINEAR_INNER] = (int64_t)table->lines;
  op->arg[TW_LINEAR_COLS] = (int64_t)(table->places * table->width);
  op->arg[TW_LINEAR_SPAN] = (int64_t)span;
  op->arg[TW_LINEAR_WIDTH] = (int64_t)table->width;
  op->arg[BLOCKS_LINES] = (int64_t)lines;
  if (t.kind != TW_WIRE || t.ring < ring || blocks == 0 || (blocks - 1) * span >= words)
    return tw_build_fail(b, TW_ERR_RANGE, "%zu blocks of %zu words of a table of %zu", blocks, span, words);
  size_t n = blocks * lines * table->width;
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, n}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = t.scale + scale, .n = n});
}

tw_candidates tw_look_up_candidates(tw_builder *b, int places, size_t lines, int weight, const tw_word_table *table,
                                    int ring, int scale) {
  int signs, bits = tw_look(b, places).planes;
  size_t span = (size_t)1 << bits;
  int onehots = tw_open(b, tw_place_in_block(b, places, ring, &signs));
  int rows = tw_open(b, multiply_blocks(b, onehots, weight, table, lines, span, ring, scale));
  return (tw_candidates){rows, signs, lines};
}

// ---- a line of the table: public words need no key ----
// list: 1 for that line, 0 for the others
enum { LINE_NUMBER = TW_LINEAR_ARGS };

static tw_status line_party(tw_session *s, const tw_op *op) {
  size_t cols = (size_t)op->arg[TW_LINEAR_COLS], rows = (size_t)op->arg[TW_LINEAR_INNER];
  size_t weight = (size_t)op->arg[TW_LINEAR_WEIGHT];
  const void *operand = s->weights.share_operand[weight];
  uint64_t *line;
  int ring = tw_t(s, op->out[0])->ring;
  TW_TRY(tw_scratch(s, cols, &line));
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *from = values_from(operand, (size_t)op->arg[LINE_NUMBER] * cols);
  if (!s->backend->operand_is_values) {
    const uint64_t *which = (const uint64_t *)(const void *)tw_list(s, op);
    TW_TRY(s->backend->product(operand, 1, cols, rows, which, NULL, ring, line, s->stream));
    from = line;
  }
  return s->backend->view(&(tw_view_args){.rows = (size_t)s->batch,
                                          .cols = cols,
                                          .x = from,
                                          .out = tw_b(s, op->out[0])->value,
                                          .dim = {1, 1, 1, cols},
                                          .stride = {0, 0, 0, 1}},
                          s->stream);
}

static tw_status line_emulate(tw_session *s, const tw_op *op) {
  size_t cols = (size_t)op->arg[TW_LINEAR_COLS];
  TW_TRY(tw_make_value(s, op->out[0]));
  const uint64_t *from = s->weights.value[op->arg[TW_LINEAR_WEIGHT]] + (size_t)op->arg[LINE_NUMBER] * cols;
  for (size_t j = 0; j < cols; j++) tw_b(s, op->out[0])->value[j] = from[j] & tw_ring_of(s, op->out[0]);
  return TW_OK;
}

static const tw_gate line_gate = {"word line", NULL, NULL, NULL, line_party, line_emulate};

int tw_word_row(tw_builder *b, int weight, const tw_word_table *table, size_t word, int ring, int scale) {
  size_t cols = table->places * table->width, line = word / table->places;
  tw_op *op = tw_emit(b, &line_gate);
  op->arg[TW_LINEAR_WEIGHT] = weight;
  op->arg[TW_LINEAR_INNER] = (int64_t)table->lines;
  op->arg[TW_LINEAR_COLS] = (int64_t)cols;
  op->arg[LINE_NUMBER] = (int64_t)line;
  if (word >= table->words) return tw_build_fail(b, TW_ERR_RANGE, "word %zu of a table of %zu", word, table->words);
  int64_t *which = calloc(table->lines, sizeof *which);
  if (!which) return tw_build_fail(b, TW_ERR_MEMORY, "out of memory for a line of a word table");
  which[line] = 1;
  tw_emit_list(b, op, which, table->lines);
  free(which);
  int share = tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale, .n = cols});
  tw_view_map map = {{1, 1, 1, table->width}, {0, 0, 0, 1}, word % table->places * table->width};
  return tw_view(b, share, map);
}

// ---- one of the rows: that of the member whose factors are all 1 (kernels/ring_ops.h). Corrections, for each pattern
// of a member's mask bits: [s h] a member, [s h r] an element ----
// in: rows, factors' tensors, and, where rows have signs, their one-hots; list: for each factor its tensor and plane
enum { CHOOSE_MEMBERS, CHOOSE_LINES, CHOOSE_FACTORS, CHOOSE_FLIP, CHOOSE_SIGNS };  // the last: an input, or 0
enum { CHOOSE_M, CHOOSE_MR, CHOOSE_PARTS };

typedef struct {
  size_t members, lines, width;
  int factors;
  const int64_t *factor;  // in host memory
} choice_shape;

static choice_shape choice_of(const tw_session *s, const tw_op *op) {
  size_t members = (size_t)op->arg[CHOOSE_MEMBERS], lines = (size_t)op->arg[CHOOSE_LINES];
  return (choice_shape){members, lines, tw_t(s, op->out[0])->n / lines, (int)op->arg[CHOOSE_FACTORS],
                        s->program->pool + op->list};
}

// A factor's plane in a tensor's array.
static const uint64_t *plane_of(const tw_session *s, const tw_op *op, const int64_t *factor, const uint64_t *array) {
  return array + (size_t)factor[1] * tw_words(tw_t(s, op->in[factor[0]])->n);
}

static tw_status row_deal(tw_session *s, const tw_op *op) {
  choice_shape d = choice_of(s, op);
  const tw_buffer *x = tw_b(s, op->in[0]);
  uint64_t *part[CHOOSE_PARTS];
  TW_TRY(tw_dealt_memory(s, op, part));
  size_t count = d.members * d.lines;
  tw_deal_choose_row_args a = {.rows = count << d.factors,
                               .cols = d.width,
                               .r0 = x->mask[0],
                               .r1 = x->mask[1],
                               .plus = op->arg[CHOOSE_SIGNS] ? tw_b(s, op->in[op->arg[CHOOSE_SIGNS]])->sign : NULL,
                               .m = part[CHOOSE_M],
                               .mr = part[CHOOSE_MR],
                               .count = count,
                               .factors = d.factors};
  for (int f = 0; f < d.factors; f++) {
    const int64_t *factor = d.factor + 2 * f;
    const tw_buffer *bits = tw_b(s, op->in[factor[0]]);
    a.m0[f] = plane_of(s, op, factor, bits->mask[0]);
    a.m1[f] = plane_of(s, op, factor, bits->mask[1]);
  }
  TW_TRY(s->backend->deal_choose_row(&a, s->stream));
  return tw_give(s, op, part);
}

static tw_status row_party(tw_session *s, const tw_op *op) {
  choice_shape d = choice_of(s, op);
  uint64_t *part[CHOOSE_PARTS];
  TW_TRY(tw_take(s, op, part));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_choose_row_args a = {.rows = (size_t)s->batch * d.lines,
                          .cols = d.width,
                          .X = tw_b(s, op->in[0])->value,
                          .m = part[CHOOSE_M],
                          .mr = part[CHOOSE_MR],
                          .out = tw_b(s, op->out[0])->value,
                          .members = d.members,
                          .lines = d.lines,
                          .ring = tw_ring_of(s, op->out[0]),
                          .factors = d.factors,
                          .flip = (int)op->arg[CHOOSE_FLIP]};
  for (int f = 0; f < d.factors; f++) {
    const int64_t *factor = d.factor + 2 * f;
    a.bits[f] = plane_of(s, op, factor, tw_b(s, op->in[factor[0]])->value);
    a.sequence_words[f] = tw_words_of(s, op->in[factor[0]]);
  }
  return s->backend->choose_row(&a, s->stream);
}

static tw_status row_emulate(tw_session *s, const tw_op *op) {
  choice_shape d = choice_of(s, op);
  const uint64_t *sign = op->arg[CHOOSE_SIGNS] ? tw_b(s, op->in[op->arg[CHOOSE_SIGNS]])->sign : NULL;
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value;
  memset(out, 0, 8 * tw_t(s, op->out[0])->n);
  for (size_t j = 0; j < d.members * d.lines; j++) {
    bool wins = true, minus = sign && !tw_bit(sign, j);
    for (int f = 0; f < d.factors; f++) {
      const int64_t *factor = d.factor + 2 * f;
      const uint64_t *plane = plane_of(s, op, factor, tw_b(s, op->in[factor[0]])->value);
      wins = wins && tw_bit(plane, j) != (uint64_t)(op->arg[CHOOSE_FLIP] >> f & 1);
    }
    const uint64_t *x = tw_b(s, op->in[0])->value + j * d.width;
    for (size_t col = 0; wins && col < d.width; col++) out[j % d.lines * d.width + col] += minus ? 0 - x[col] : x[col];
  }
  for (size_t j = 0; j < tw_t(s, op->out[0])->n; j++) out[j] &= tw_ring_of(s, op->out[0]);
  return TW_OK;
}

static const tw_gate row_gate = {"choose row", NULL, row_deal, NULL, row_party, row_emulate};

static int input_of(tw_op *op, int tensor) {
  for (int i = 1; i < op->in_count; i++)
    if (op->in[i] == tensor) return i;
  tw_emit_in(op, tensor);
  return op->in_count - 1;
}

int tw_choose_row(tw_builder *b, tw_candidates of, const tw_literal *factor, int factors) {
  tw_tensor x = tw_look(b, of.rows), bits = tw_look(b, factor[0].tensor);
  tw_op *op = tw_emit(b, &row_gate);
  tw_emit_in(op, of.rows);
  int64_t list[2 * TW_MOST_FACTORS];
  if (b->status != TW_OK) return 0;
  if (factors < 1 || factors > TW_MOST_FACTORS || x.kind != TW_WIRE || of.lines == 0 || bits.n % of.lines ||
      x.n % bits.n)
    return tw_build_fail(b, TW_ERR_INTERNAL, "a choice of one of %zu rows by %d bits", bits.n, factors);
  for (int f = 0; f < factors; f++) {
    tw_tensor t = tw_look(b, factor[f].tensor);
    if (t.kind != TW_BITWIRE || t.n != bits.n || factor[f].plane >= t.planes)
      return tw_build_fail(b, TW_ERR_INTERNAL, "a choice of a row by unlike bits");
    list[2 * f] = input_of(op, factor[f].tensor);
    list[2 * f + 1] = factor[f].plane;
    op->arg[CHOOSE_FLIP] |= (int64_t)factor[f].negate << f;
  }
  if (of.signs >= 0) op->arg[CHOOSE_SIGNS] = input_of(op, of.signs);
  op->arg[CHOOSE_MEMBERS] = (int64_t)(bits.n / of.lines);
  op->arg[CHOOSE_LINES] = (int64_t)of.lines;
  op->arg[CHOOSE_FACTORS] = factors;
  tw_emit_list(b, op, list, 2 * (size_t)factors);
  tw_dealt dealt[CHOOSE_PARTS] = {{TW_DEALT_RING, x.ring, bits.n << factors}, {TW_DEALT_RING, x.ring, x.n << factors}};
  tw_emit_dealt(b, op, dealt, CHOOSE_PARTS);
  size_t n = x.n / (bits.n / of.lines);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = x.ring, .scale = x.scale, .n = n});
}
