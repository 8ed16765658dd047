// Rows of a secret table by secret numbers (protocols, section 8): what a decoder reads first. The number is shared by
// XOR and opened under a bit mask; one-hots of both parts of that mask are dealt and turned by the public number, which
// is local; opened as ring elements they multiply the table.
#include "jobs/gates/gate.h"

// ---- numbers that come in, shared by XOR ----
enum { NUMBERS_INPUT };  // of the program

static tw_status numbers_value(tw_session *s, const tw_op *op) {
  const tw_tensor *t = tw_t(s, op->out[0]);
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_to_planes_args a = {.rows = (size_t)s->batch * (size_t)t->planes,
                         .cols = tw_words(t->n),
                         .x = s->sequences.inputs[op->arg[NUMBERS_INPUT]],
                         .out = tw_b(s, op->out[0])->value,
                         .planes = (size_t)t->planes,
                         .n = t->n};
  return s->backend->to_planes(&a, s->stream);
}

static const tw_gate numbers_gate = {"numbers", NULL, NULL, NULL, numbers_value, numbers_value};

int tw_build_numbers(tw_builder *b, int bits, size_t n) {
  tw_op *op = tw_emit(b, &numbers_gate);
  tw_program *p = b->program;
  if (p->input_count == TW_MOST_INPUTS)
    return tw_build_fail(b, TW_ERR_INTERNAL, "a program of more than %d inputs", TW_MOST_INPUTS);
  op->arg[NUMBERS_INPUT] = p->input_count;
  int id = tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = bits, .n = n});
  p->inputs[p->input_count++] = id;
  return id;
}

// ---- a line's place among the table's: one-hot of the mask's high bits, one XOR correction bit an entry ----
// list: bits of the line's number
enum { LINES_LOW };  // bits below it

// Planes of bits as numbers. y may be NULL.
static tw_status gather(tw_session *s, int wire, const uint64_t *x, const uint64_t *y, size_t batch, uint64_t *out) {
  const tw_tensor *t = tw_t(s, wire);
  tw_to_numbers_args a = {
      .rows = batch, .cols = t->n, .x = x, .y = y, .out = out, .planes = (size_t)t->planes, .words = tw_words(t->n)};
  return s->backend->to_numbers(&a, s->stream);
}

// Dealer: the masks of opened numbers, as numbers.
static tw_status mask_numbers(tw_session *s, int wire, uint64_t **out) {
  TW_TRY(tw_scratch(s, tw_t(s, wire)->n, out));
  return gather(s, wire, tw_b(s, wire)->mask[0], tw_b(s, wire)->mask[1], 1, *out);
}

// Party: the opened numbers, as numbers.
static tw_status public_numbers(tw_session *s, int wire, uint64_t **out) {
  TW_TRY(tw_scratch(s, tw_batch_n(s, wire), out));
  return gather(s, wire, tw_b(s, wire)->value, NULL, (size_t)s->batch, *out);
}

// Emulator.
static uint64_t number_at(const uint64_t *planes, const tw_tensor *t, size_t j) {
  uint64_t number = 0;
  for (int p = 0; p < t->planes; p++) number |= tw_bit(planes + (size_t)p * tw_words(t->n), j) << p;
  return number;
}

// Which sign an entry leaves with: the same as of a looked-up digit (jobs/gates/digit.c).
static tw_status lines_mask(tw_session *s, const tw_op *op, int side) {
  if (s->role != TW_EMULATOR || side == 0) return TW_OK;
  const tw_correction *c = &s->program->corrections[op->correction];
  const tw_tensor *numbers = tw_t(s, op->in[0]);
  size_t words = tw_words(c->n), half = tw_first_half(c->n);
  uint64_t *pad[2], *sign;
  for (int i = 0; i < 2; i++) {
    TW_TRY(tw_scratch(s, (size_t)c->width * words, &pad[i]));
    tw_draw_pad(s, c, i, 0, pad[i]);
  }
  TW_TRY(tw_keep(s, words, &sign));
  memset(sign, 0, 8 * words);
  for (size_t j = 0; j < c->n; j++) {
    uint64_t mask = number_at(tw_b(s, op->in[0])->mask[0], numbers, j) ^
                    number_at(tw_b(s, op->in[0])->mask[1], numbers, j),
             line = mask >> op->arg[LINES_LOW];
    uint64_t plus = j < half ? 1 ^ tw_bit(pad[1] + line * words, j) : tw_bit(pad[0] + line * words, j);
    sign[j / 64] |= plus << (j % 64);
  }
  tw_b(s, op->out[0])->sign = sign;
  return TW_OK;
}

// masks: as one mask share, the other is zero.
static tw_status lines_sign(tw_session *s, const tw_op *op, const uint64_t *masks, const uint64_t *zeros) {
  const tw_correction *c = &s->program->corrections[op->correction];
  uint64_t *sign;
  TW_TRY(tw_keep(s, tw_words(c->n), &sign));
  tw_b(s, op->out[0])->sign = sign;
  tw_deal_sign_args a = {.n = c->n,
                         .half = tw_first_half(c->n),
                         .r0 = masks,
                         .r1 = zeros,
                         .slot0 = tw_given(s, 0),
                         .slot1 = tw_given(s, 1),
                         .ring = tw_t(s, op->in[0])->planes,
                         .low = (int)op->arg[LINES_LOW],
                         .width = tw_t(s, op->in[0])->planes - (int)op->arg[LINES_LOW],
                         .out = sign};
  return s->backend->deal_sign(&a, s->stream);
}

static tw_status lines_deal(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[0])->n;
  uint64_t *masks, *zeros, *planes;
  TW_TRY(mask_numbers(s, op->in[0], &masks));
  TW_TRY(tw_scratch(s, n, &zeros));
  TW_TRY(s->backend->fill(zeros, 0, 8 * n, s->stream));
  TW_TRY(tw_dealt_memory(s, op, &planes));
  tw_deal_digits_args a = {.n = n,
                           .words = tw_words(n),
                           .r0 = masks,
                           .r1 = zeros,
                           .widths = tw_list(s, op),
                           .count = 1,
                           .ring = tw_t(s, op->in[0])->planes,
                           .low = (int)op->arg[LINES_LOW],
                           .planes = planes};
  TW_TRY(s->backend->deal_digits(&a, s->stream));
  TW_TRY(tw_give(s, op, &planes));
  return lines_sign(s, op, masks, zeros);
}

static tw_status lines_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  return tw_take_into(s, op, tw_b(s, op->out[0])->value);
}

static const tw_gate lines_gate = {"lines", lines_mask, lines_deal, NULL, lines_party, NULL};

static int deal_lines(tw_builder *b, int numbers, const tw_word_table *table) {
  tw_tensor t = tw_look(b, numbers);
  tw_op *op = tw_emit(b, &lines_gate);
  tw_emit_in(op, numbers);
  op->arg[LINES_LOW] = table->place_bits;
  tw_emit_list(b, op, &(int64_t){table->line_bits}, 1);
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_BITS, 1 << table->line_bits, t.n}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_ONEHOT, .planes = 1 << table->line_bits, .n = t.n});
}

// ---- sgn [line = i] for every line i of the table: local; sgn is the dealer's ----
enum { LINE_LOW, LINE_COUNT };

static tw_status line_party(tw_session *s, const tw_op *op) {
  size_t n = tw_t(s, op->in[1])->n;
  uint64_t *numbers;
  TW_TRY(public_numbers(s, op->in[1], &numbers));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_turn_line_args a = {.rows = (size_t)s->batch * n,
                         .cols = (size_t)op->arg[LINE_COUNT],
                         .number = numbers,
                         .onehot = tw_b(s, op->in[0])->value,
                         .out = tw_b(s, op->out[0])->value,
                         .n = n,
                         .words = tw_words(n),
                         .onehot_words = tw_words_of(s, op->in[0]),
                         .negative = (uint64_t)s->party,
                         .ring = tw_ring_of(s, op->out[0]),
                         .low = (int)op->arg[LINE_LOW]};
  return s->backend->turn_line(&a, s->stream);
}

// [n][entries]: +1 or -1 at entry `number & mask >> low` of each row, if it is one of them.
static tw_status signed_onehots(tw_session *s, const tw_op *op, size_t entries, int low, uint64_t mask) {
  const tw_tensor *numbers = tw_t(s, op->in[1]);
  const uint64_t *sign = tw_b(s, op->in[0])->sign;
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t *out = tw_b(s, op->out[0])->value;
  memset(out, 0, 8 * numbers->n * entries);
  for (size_t j = 0; j < numbers->n; j++) {
    uint64_t at = number_at(tw_b(s, op->in[1])->value, numbers, j) >> low & mask;
    if (at < entries) out[j * entries + at] = (tw_bit(sign, j) ? 1 : ~0ull) & tw_ring_of(s, op->out[0]);
  }
  return TW_OK;
}

static tw_status line_emulate(tw_session *s, const tw_op *op) {
  return signed_onehots(s, op, (size_t)op->arg[LINE_COUNT], (int)op->arg[LINE_LOW], ~0ull);
}

static const tw_gate line_gate = {"line", NULL, NULL, NULL, line_party, line_emulate};

static int turn_lines(tw_builder *b, int lines, int numbers, const tw_word_table *table, int ring) {
  tw_op *op = tw_emit(b, &line_gate);
  tw_emit_in(op, lines);
  tw_emit_in(op, numbers);
  op->arg[LINE_LOW] = table->place_bits;
  op->arg[LINE_COUNT] = (int64_t)table->lines;
  size_t n = tw_look(b, numbers).n * table->lines;
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .n = n});
}

// ---- sgn [place in the line = i]: the one-hot of the mask's low bits under that sign is dealt in the ring ----
enum { PLACES_COUNT };

static tw_status places_deal(tw_session *s, const tw_op *op) {
  uint64_t *masks, *out;
  TW_TRY(mask_numbers(s, op->in[1], &masks));
  TW_TRY(tw_dealt_memory(s, op, &out));
  tw_deal_places_args a = {.rows = tw_t(s, op->in[1])->n,
                           .cols = (size_t)op->arg[PLACES_COUNT],
                           .r = masks,
                           .plus = tw_b(s, op->in[0])->sign,
                           .out = out};
  TW_TRY(s->backend->deal_places(&a, s->stream));
  return tw_give(s, op, &out);
}

static tw_status places_party(tw_session *s, const tw_op *op) {
  uint64_t *numbers, *dealt;
  TW_TRY(tw_take(s, op, &dealt));
  TW_TRY(public_numbers(s, op->in[1], &numbers));
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_turn_place_args a = {.rows = tw_batch_n(s, op->in[1]),
                          .cols = (size_t)op->arg[PLACES_COUNT],
                          .number = numbers,
                          .x = dealt,
                          .out = tw_b(s, op->out[0])->value,
                          .ring = tw_ring_of(s, op->out[0])};
  return s->backend->turn_place(&a, s->stream);
}

static tw_status places_emulate(tw_session *s, const tw_op *op) {
  size_t count = (size_t)op->arg[PLACES_COUNT];
  return signed_onehots(s, op, count, 0, count - 1);
}

static const tw_gate places_gate = {"place", NULL, places_deal, NULL, places_party, places_emulate};

static int turn_places(tw_builder *b, int lines, int numbers, const tw_word_table *table, int ring) {
  size_t n = tw_look(b, numbers).n * table->places;
  tw_op *op = tw_emit(b, &places_gate);
  tw_emit_in(op, lines);
  tw_emit_in(op, numbers);
  op->arg[PLACES_COUNT] = (int64_t)table->places;
  tw_emit_dealt(b, op, &(tw_dealt){TW_DEALT_RING, ring, n}, 1);
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .n = n});
}

// ---- the lookup ----

void tw_place_words(tw_builder *b, int numbers, const tw_word_table *table, int ring, int out[2]) {
  tw_tensor t = tw_look(b, numbers);
  out[0] = out[1] = 0;
  if (t.kind != TW_BITWIRE || t.planes != table->line_bits + table->place_bits ||
      table->line_bits > TW_MOST_LINE_BITS) {
    tw_build_fail(b, TW_ERR_RANGE, "numbers of %d bits for a table of %zu lines of %zu", t.planes, table->lines,
                  table->places);
    return;
  }
  int lines = deal_lines(b, numbers, table);
  out[0] = turn_lines(b, lines, numbers, table, ring);
  out[1] = turn_places(b, lines, numbers, table, ring);
}

int tw_place_in_block(tw_builder *b, int places, int ring, int *signs) {
  int bits = tw_look(b, places).planes;
  tw_word_table block = {.lines = (size_t)1 << bits, .places = 1, .line_bits = bits};
  *signs = 0;
  if (bits < 1 || bits > TW_MOST_LINE_BITS)
    return tw_build_fail(b, TW_ERR_RANGE, "places of %d bits in blocks of words", bits);
  *signs = deal_lines(b, places, &block);
  return turn_lines(b, *signs, places, &block, ring);
}

int tw_look_up_words(tw_builder *b, int numbers, int weight, const tw_word_table *table, int ring, int scale) {
  int place[2];
  size_t n = tw_look(b, numbers).n;
  tw_place_words(b, numbers, table, ring, place);
  int lines = tw_open(b, place[0]), places = tw_open(b, place[1]);
  int line = tw_linear(b, lines, weight, table->lines, table->places * table->width, ring, scale);
  return tw_matmul(b, places, tw_open(b, line), n, 1, table->width, table->places, ring);
}
