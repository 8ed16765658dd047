// The place of a row's largest element, among shares (protocols, section 8): a tournament in groups of neighbours whose
// sizes are chosen. All members of a group are compared with each other. A member wins that wins every comparison; its
// bit selects the value that goes on, and the bits of its place. Members lie [member][row][group], so that a plane is
// full however few groups there are, and all members share one list of products.
#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"

// ---- local gates on bits of members (kernels/ring_ops.h) ----

enum { BITS_GROUP, BITS_LINES, BITS_ROWS, BITS_FIRST, BITS_DIGITS, BITS_ALIKE };

static tw_status opponents(tw_session *s, const tw_op *op, const uint64_t *x, uint64_t flip, uint64_t *out) {
  size_t group = (size_t)op->arg[BITS_GROUP];
  tw_opponents_args a = {.rows = (size_t)s->batch * (group - 1),
                         .cols = tw_words(tw_t(s, op->out[0])->n),
                         .group = group,
                         .lines = (size_t)op->arg[BITS_LINES],
                         .x_words = tw_words_of(s, op->in[0]),
                         .x = x,
                         .out = out,
                         .flip = flip};
  return s->backend->opponents(&a, s->stream);
}

static tw_status opponents_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_make_mask(s, op->out[0], side));
  return opponents(s, op, tw_b(s, op->in[0])->mask[side], 0, tw_b(s, op->out[0])->mask[side]);
}

static tw_status opponents_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  uint64_t flip = op->arg[BITS_ALIKE] ? 0 : ~0ull;
  return opponents(s, op, tw_b(s, op->in[0])->value, flip, tw_b(s, op->out[0])->value);
}

// Lines are [any][rows][inner].
static bool opponents_rows(tw_row_shape *s) {
  size_t group = (size_t)s->op->arg[BITS_GROUP], pairs = group * (group - 1) / 2;
  tw_rows x = s->in[0];
  if (!tw_is_split(x) || x.outer % pairs) return false;
  s->out[0] = tw_rows_split(x.outer / pairs * group, x.inner);
  return true;
}

static bool opponents_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  size_t lines = s->out[0].outer / (size_t)s->op->arg[BITS_GROUP] * range.count * s->out[0].inner;
  tile->arg[BITS_LINES] = (int64_t)lines;
  return true;
}

static const tw_gate opponents_gate = {
    "opponents",           opponents_mask, NULL, NULL, opponents_value, opponents_value, .rows = opponents_rows,
    .tile = opponents_tile};

// alike: a bit that both members of a pair see as it is.
static int from_pairs(tw_builder *b, int bitwire, int group, size_t lines, bool alike) {
  tw_op *op = tw_emit(b, &opponents_gate);
  tw_emit_in(op, bitwire);
  op->arg[BITS_GROUP] = group;
  op->arg[BITS_LINES] = (int64_t)lines;
  op->arg[BITS_ALIKE] = alike;
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITWIRE, .planes = group - 1, .n = (size_t)group * lines});
}

int tw_against_opponents(tw_builder *b, int bitwire, int group, size_t lines) {
  return from_pairs(b, bitwire, group, lines, false);
}

static tw_status members(tw_session *s, const tw_op *op, const uint64_t *x, uint64_t *out) {
  const tw_tensor *t = tw_t(s, op->in[0]), *y = tw_t(s, op->out[0]);
  size_t group = (size_t)op->arg[BITS_GROUP], rows = (size_t)op->arg[BITS_ROWS];
  tw_members_args a = {.rows = (size_t)s->batch * (size_t)y->planes,
                       .cols = tw_words(y->n),
                       .group = group,
                       .groups = y->n / group / rows,
                       .x_rows = rows,
                       .members = t->n / rows,
                       .x_words = tw_words(t->n),
                       .x = x,
                       .out = out};
  return s->backend->members(&a, s->stream);
}

static tw_status members_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_make_mask(s, op->out[0], side));
  return members(s, op, tw_b(s, op->in[0])->mask[side], tw_b(s, op->out[0])->mask[side]);
}

static tw_status members_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  return members(s, op, tw_b(s, op->in[0])->value, tw_b(s, op->out[0])->value);
}

static bool members_rows(tw_row_shape *s) {
  size_t rows = (size_t)s->op->arg[BITS_ROWS], group = (size_t)s->op->arg[BITS_GROUP];
  if (s->rows != rows) return false;
  s->in[0] = tw_rows_split(1, tw_in_n(s, 0) / rows);
  s->out[0] = tw_rows_split(group, tw_out_n(s, 0) / group / rows);
  return true;
}

static bool members_tile(const tw_row_shape *s, tw_row_range range, tw_op *tile) {
  (void)s;
  tile->arg[BITS_ROWS] = (int64_t)range.count;
  return true;
}

static const tw_gate members_gate = {
    "members", members_mask, NULL, NULL, members_value, members_value, .rows = members_rows, .tile = members_tile};

// Opened bits [rows][any], by members of groups; past the last member that one again.
static int by_members(tw_builder *b, int bitwire, size_t rows, int group, size_t groups) {
  tw_tensor t = tw_look(b, bitwire);
  tw_op *op = tw_emit(b, &members_gate);
  tw_emit_in(op, bitwire);
  op->arg[BITS_GROUP] = group;
  op->arg[BITS_ROWS] = (int64_t)rows;
  t.n = (size_t)group * rows * groups;
  return tw_emit_out(b, op, t);
}

static tw_status fold_value(tw_session *s, const tw_op *op) {
  const tw_tensor *t = tw_t(s, op->in[0]), *y = tw_t(s, op->out[0]);
  TW_TRY(tw_make_value(s, op->out[0]));
  tw_fold_args a = {.rows = (size_t)s->batch * (size_t)y->planes,
                    .cols = tw_words(y->n),
                    .group = (size_t)op->arg[BITS_GROUP],
                    .lines = y->n,
                    .planes = (size_t)y->planes,
                    .first = (size_t)op->arg[BITS_FIRST],
                    .x_words = tw_words(t->n),
                    .x_planes = (size_t)t->planes,
                    .x = tw_b(s, op->in[0])->value,
                    .out = tw_b(s, op->out[0])->value,
                    .digits = op->arg[BITS_DIGITS] != 0};
  return s->backend->fold(&a, s->stream);
}

static bool fold_rows(tw_row_shape *s) { return tw_rows_folded(s, (size_t)s->op->arg[BITS_GROUP]); }

static const tw_gate fold_gate = {"fold", NULL, NULL, NULL, fold_value, fold_value, .rows = fold_rows};

// XORs over members: of planes first .. first + count of BITS, or, digits: of the members with bit p of their number,
// count planes of one.
static int fold(tw_builder *b, int bits, int group, int first, int count, bool digits) {
  size_t lines = tw_look(b, bits).n / (size_t)group;
  tw_op *op = tw_emit(b, &fold_gate);
  tw_emit_in(op, bits);
  op->arg[BITS_GROUP] = group;
  op->arg[BITS_FIRST] = first;
  op->arg[BITS_DIGITS] = digits;
  return tw_emit_out(b, op, (tw_tensor){.kind = TW_BITS, .planes = count, .n = lines});
}

// ---- a level ----

// Where the tournament stands: who is left, and the places of these so far.
typedef struct {
  size_t rows, cols;
  int values;  // WIRE [rows][cols]
  int places;  // opened bits of their places within what they have won, `known` planes; -1: none
  int known;
} contest;

// [rows][cols], filled up to whole groups by the last member.
static int whole_groups(tw_builder *b, const contest *c, size_t wanted) {
  if (wanted == c->cols) return c->values;
  tw_view_map last = {{1, 1, c->rows, wanted - c->cols}, {0, 0, c->cols, 0}, c->cols - 1};
  return tw_concat(b, c->values, tw_view(b, c->values, last), c->rows);
}

// Products of at most so many literals, until `factors` of them are left, each a plane of an opened tensor.
enum { MOST_LITERALS = 8 };
static int multiply_down(tw_builder *b, tw_literal *literal, int count, int factors) {
  while (count > factors) {
    int left = (count + MOST_LITERALS - 1) / MOST_LITERALS;
    if (left < factors) left = factors;
    tw_product product[TW_MOST_MEMBERS] = {{0}};
    for (int i = 0; i < count; i++) {
      tw_product *p = &product[i % left];
      p->out = i % left;
      p->literal[p->count++] = literal[i];  // NOLINT: at most MOST_LITERALS of each
    }
    int opened = tw_open(b, tw_and_products(b, product, left, left));
    for (int i = 0; i < left; i++) literal[i] = (tw_literal){opened, i, false};
    count = left;
  }
  return count;
}

static int bits_of(int count) {
  int bits = 0;
  while (1 << bits < count) bits++;
  return bits;
}

// The winners' bits alone and times each bit of the members' places: BITS of 1 + known planes.
static int winning_bits(tw_builder *b, const contest *c, const tw_literal *literal, int factors, int group,
                        size_t groups) {
  tw_product product[1 + TW_MOST_PLACE_BITS] = {{0}};
  int places = c->known > 0 ? by_members(b, c->places, c->rows, group, groups) : -1;
  for (int p = 0; p <= c->known; p++) {
    product[p] = (tw_product){.out = p, .count = factors};
    for (int f = 0; f < factors; f++) product[p].literal[f] = literal[f];
    if (p > 0) product[p].literal[product[p].count++] = (tw_literal){places, p - 1, false};
  }
  return tw_and_products(b, product, 1 + c->known, 1 + c->known);
}

// The winners' places: those within their group behind those that they had. BITS of known + digits planes.
static int winners_places(tw_builder *b, int won, int group, int known, int digits) {
  int place = fold(b, won, group, 0, digits, true);
  if (known == 0) return place;
  tw_term terms[TW_MOST_PLACE_BITS];
  int before = fold(b, won, group, 1, known, false);
  for (int p = 0; p < known + digits; p++)
    terms[p] = (tw_term){p, p < known ? before : place, p < known ? p : p - known};
  return tw_xor_planes(b, terms, known + digits, known + digits, NULL);
}

// The last member, and what the others have more than it where they win: a member less to multiply.
static int last_and_more(tw_builder *b, const contest *c, int values, const tw_literal *literal, int factors, int group,
                         size_t groups) {
  size_t all = (size_t)group * groups, others = (size_t)group - 1;
  int64_t shifts[TW_MOST_MEMBERS] = {0};
  int ring = tw_look(b, values).ring, scale = tw_look(b, values).scale;
  tw_view_map map = {{1, others, c->rows, groups}, {0, 1, all, (size_t)group}, 0};
  int first = tw_view(b, values, map);
  map.stride[1] = 0, map.offset = others;
  int more = tw_combine(b, 1, first, -1, tw_view(b, values, map), false);
  int sum = tw_sum_planes(b, tw_choose(b, literal[0].tensor, factors, more), group - 1, shifts, ring, scale);
  map.dim[1] = 1;
  return tw_open(b, tw_combine(b, 1, sum, 1, tw_as_share(b, tw_view(b, values, map)), false));
}

// The values of the winners, whose bits are the products of `factors` planes of one opened tensor: WIRE [rows][groups].
static int winners_values(tw_builder *b, const contest *c, int values, int compared, int difference,
                          const tw_literal *literal, int factors, int group, size_t groups) {
  size_t lines = c->rows * groups;
  int ring = tw_look(b, values).ring, scale = tw_look(b, values).scale;
  tw_view_map by_member = {{1, (size_t)group, c->rows, groups}, {0, 1, (size_t)group * groups, (size_t)group}, 0};
  int m = tw_view(b, values, by_member);
  if (group == 2) {  // x_1 + [x_0 >= x_1] (x_0 - x_1)
    int second = tw_as_share(b, tw_view(b, m, (tw_view_map){{1, 1, 1, lines}, {0, 0, 0, 1}, lines}));
    return tw_open(b, tw_combine(b, 1, tw_select(b, compared, 0, 1, difference, ring), 1, second, false));
  }
  int64_t shifts[TW_MOST_MEMBERS] = {0};
  int chosen = tw_choose(b, literal[0].tensor, factors, m);
  return tw_open(b, tw_sum_planes(b, chosen, group, shifts, ring, scale));
}

// ---- comparisons whose bits go straight into products: [x >= 0] = S ^ E L, S and E of the upper of two digits ----

// What each member makes of its opponents: planes of three tensors.
typedef struct {
  int s, e, l;
} straight;

static straight compare_straight(tw_builder *b, int difference, int group, size_t lines) {
  enum { UPPER_LESS, UPPER_EQUAL, LOWER_LESS, SIGN, LEAVES };
  int bits = tw_look(b, difference).ring - 1, widths[2] = {bits / 2, bits - bits / 2};
  tw_digits d = tw_deal_digits(b, difference, 0, widths, 2, true, -1);
  tw_leaf leaf[LEAVES] = {{0, 1, TW_LEAF_LT}, {0, 1, TW_LEAF_EQ}, {0, 0, TW_LEAF_LT}, {0, 0, TW_LEAF_SIGN}};
  int leaves = tw_leaves(b, &d, leaf, LEAVES);
  tw_term s[2] = {{0, leaves, UPPER_LESS}, {0, leaves, SIGN}}, e = {0, leaves, UPPER_EQUAL},
          l = {0, leaves, LOWER_LESS};
  return (straight){from_pairs(b, tw_open(b, tw_xor_planes(b, s, 2, 1, NULL)), group, lines, false),
                    from_pairs(b, tw_open(b, tw_xor_planes(b, &e, 1, 1, NULL)), group, lines, true),
                    from_pairs(b, tw_open(b, tw_xor_planes(b, &l, 1, 1, NULL)), group, lines, true)};
}

// Planes first .. first + count - 1 of comparisons, multiplied out: 2^count products, times `also` where it is there.
static int multiply_out(tw_product *p, int out, straight of, int first, int count, const tw_literal *also) {
  for (int set = 0; set < 1 << count; set++) {
    p[set] = (tw_product){.out = out};
    for (int i = 0; i < count; i++) {
      if (set >> i & 1) {
        p[set].literal[p[set].count++] = (tw_literal){of.e, first + i, false};
        p[set].literal[p[set].count++] = (tw_literal){of.l, first + i, false};
      } else {
        p[set].literal[p[set].count++] = (tw_literal){of.s, first + i, false};
      }
    }
    if (also) p[set].literal[p[set].count++] = *also;
  }
  return 1 << count;
}

// The products of threes of a member's comparisons, and of `also`, opened: literals. Returns their count.
enum { THREE = 3, MOST_THREES = (TW_MOST_MEMBERS + THREE - 1) / THREE };
static int multiply_threes(tw_builder *b, straight of, int comparisons, const tw_literal *also, tw_literal *literal) {
  static _Thread_local tw_product products[MOST_THREES << THREE];
  int all = comparisons + (also != NULL), threes = (all + THREE - 1) / THREE, made = 0;
  for (int i = 0, at = 0; i < threes; i++) {
    int count = all / threes + (i < all % threes);
    bool has_also = also && i == threes - 1;
    made += multiply_out(products + made, i, of, at, count - has_also, has_also ? also : NULL);
    at += count;
  }
  int opened = tw_open(b, tw_and_products(b, products, made, threes));
  for (int i = 0; i < threes; i++) literal[i] = (tw_literal){opened, i, false};
  return threes;
}

// ---- the last level, and all of them ----

// Digits of at most four bits that differ by one at most. For new forms: that others have a shorter one at the top is
// in their plans.
static tw_compared compare_evenly(tw_builder *b, int wire) {
  int widths[TW_MAX_DIGITS], bits = tw_look(b, wire).ring - 1, count = (bits + 3) / 4;
  for (int i = 0; i < count; i++) widths[i] = bits / count + (i < bits % count);
  tw_digits d = tw_deal_digits(b, wire, 0, widths, count, true, -1);
  return tw_compared_by(&d);
}

// One level; of the last only the winners' places come out, as BITS, and, where it is asked for, the winner's row. The
// last level of a row whose `ended` bit (opened; -1: none) is set has no winner.
static int play(tw_builder *b, contest *c, tw_argmax_level level, bool last, int ended, tw_argmax_row *row) {
  int group = level.members, factors = level.factors, count = group - 1;
  size_t groups = (c->cols + (size_t)group - 1) / (size_t)group, lines = c->rows * groups;
  int values = whole_groups(b, c, groups * (size_t)group);
  int difference = tw_pair_differences(b, values, c->rows, groups * (size_t)group, 0, group, groups), compared = -1;
  bool may_end = last && ended >= 0;
  tw_literal literal[TW_MOST_MEMBERS] = {{0}};
  if (level.straight) {
    straight bits = compare_straight(b, difference, group, lines);
    tw_literal goes_on = {may_end ? by_members(b, ended, c->rows, group, 1) : -1, 0, true};
    count = multiply_threes(b, bits, count, may_end ? &goes_on : NULL, literal);
  } else {
    tw_compared by = row ? compare_evenly(b, difference) : tw_compare_wire(b, difference);
    compared = tw_open(b, tw_at_least(b, by, &(int64_t){0}, 1));
    int opponent = tw_against_opponents(b, compared, group, lines);
    for (int i = 0; i < count; i++) literal[i] = (tw_literal){opponent, i, false};
    if (may_end) {
      if (factors == count && factors < MOST_LITERALS - 1) factors++;  // no round for one bit more
      literal[count++] = (tw_literal){by_members(b, ended, c->rows, group, 1), 0, true};
    }
  }
  factors = multiply_down(b, literal, count, factors);
  int won = winning_bits(b, c, literal, factors, group, groups), digits = bits_of(group);
  int places = winners_places(b, won, group, c->known, digits);
  if (last && row) row->row = tw_choose_row(b, row->candidates, literal, factors);
  if (last) return places;
  c->values = row && group > 2 ? last_and_more(b, c, values, literal, factors, group, groups)
                               : winners_values(b, c, values, compared, difference, literal, factors, group, groups);
  c->places = tw_open(b, places);
  c->known += digits;
  c->cols = groups;
  return places;
}

static bool is_allowed(const contest *c, tw_argmax_level level, bool last, const tw_argmax_row *row) {
  int group = level.members;
  bool power = (group & (group - 1)) == 0;
  if (level.factors < 1 || group < 2 || group > TW_MOST_MEMBERS || (!last && !power)) return false;
  if (level.straight && group < 3) return false;
  if (last && row && (c->known == 0 || (size_t)group != c->cols)) return false;  // of no blocks, or of one more
  int most = last && !row ? MOST_LITERALS - 1 : TW_MOST_FACTORS;
  return c->known + bits_of(group) <= TW_MOST_PLACE_BITS && level.factors <= most;
}

// Rows of the words that are left, on their way beside the last level.
static void look_up_candidates(tw_builder *b, const contest *c, int group, tw_argmax_row *row) {
  int places = by_members(b, c->places, c->rows, group, 1);
  int step = tw_step_begin(b, -1, "words");
  row->candidates = tw_look_up_candidates(b, places, c->rows, row->weight, row->table, row->ring, row->scale);
  tw_step_back(b, step);
}

// The planes of `places`, or where the row has ended those of `otherwise`, as no place is there.
static int or_otherwise(tw_builder *b, int places, int ended, uint64_t otherwise) {
  tw_product as_bits = {.count = 1};
  as_bits.literal[0] = (tw_literal){ended, 0, false};
  int end = tw_and_products(b, &as_bits, 1, 1), planes = tw_look(b, places).planes, count = 0;
  tw_term terms[2 * TW_MOST_PLACE_BITS];
  for (int p = 0; p < planes; p++) {
    terms[count++] = (tw_term){p, places, p};
    if (otherwise >> p & 1) terms[count++] = (tw_term){p, end, 0};
  }
  return tw_xor_planes(b, terms, count, planes, NULL);
}

// The same of its row.
static void or_end_row(tw_builder *b, size_t rows, int ended, tw_argmax_row *row) {
  size_t width = tw_look(b, row->end_row).n;
  int every = tw_view(b, row->end_row, (tw_view_map){{1, 1, rows, width}, {0, 0, 0, 1}, 0});
  tw_literal literal = {ended, 0, false};
  int end = tw_choose_row(b, (tw_candidates){every, -1, rows}, &literal, 1);
  row->row = tw_combine(b, 1, row->row, 1, end, false);
}

int tw_argmax_with_row(tw_builder *b, int wire, size_t rows, const tw_argmax_level *levels, int ended,
                       uint64_t otherwise, tw_argmax_row *row) {
  tw_tensor t = tw_look(b, wire);
  if (b->status != TW_OK) return 0;
  contest c = {rows, t.n / rows, wire, -1, 0};
  int places = 0, level = 0;
  for (; level < TW_ARGMAX_LEVELS && levels[level].members > 0; level++) {
    bool last = (size_t)levels[level].members >= c.cols;
    if (!is_allowed(&c, levels[level], last, row))
      return tw_build_fail(b, TW_ERR_INTERNAL, "an argmax with groups of %d in %d factors", levels[level].members,
                           levels[level].factors);
    if (last && row) look_up_candidates(b, &c, levels[level].members, row);
    places = play(b, &c, levels[level], last, ended, row);
    if (last) break;
  }
  if (level == TW_ARGMAX_LEVELS || levels[level].members == 0)
    return tw_build_fail(b, TW_ERR_INTERNAL, "an argmax whose levels leave %zu of %zu", c.cols, t.n / rows);
  if (ended < 0) return places;
  if (row) or_end_row(b, rows, ended, row);
  return or_otherwise(b, places, ended, otherwise);
}

int tw_argmax(tw_builder *b, int wire, size_t rows, const tw_argmax_level *levels, int ended, uint64_t otherwise) {
  return tw_argmax_with_row(b, wire, rows, levels, ended, otherwise, NULL);
}

int tw_is_one_of(tw_builder *b, int numbers, const uint64_t *ones, int count) {
  enum { MOST = 16 };
  tw_product half[2 * MOST] = {{0}}, whole[MOST] = {{0}};
  int bits = tw_look(b, numbers).planes, first = (bits + 1) / 2;
  if (count < 1 || count > MOST || bits < 2 || first > MOST_LITERALS)
    return tw_build_fail(b, TW_ERR_RANGE, "%d numbers of %d bits to compare with; 1 to %d of 2 to %d are possible",
                         count, bits, MOST, 2 * MOST_LITERALS);
  for (int i = 0; i < count; i++)
    for (int p = 0; p < bits; p++) {
      tw_product *to = &half[2 * i + (p >= first)];
      to->out = 2 * i + (p >= first);
      to->literal[to->count++] = (tw_literal){numbers, p, !(ones[i] >> p & 1)};
    }
  int halves = tw_open(b, tw_and_products(b, half, 2 * count, 2 * count));
  for (int i = 0; i < count; i++) {
    whole[i].count = 2;
    for (int k = 0; k < 2; k++) whole[i].literal[k] = (tw_literal){halves, 2 * i + k, false};
  }
  return tw_and_products(b, whole, count, 1);
}
