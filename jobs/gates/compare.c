// Comparisons from digits, the window test, the row maximum and faithful truncation (protocols, sections 2, 6 and 8).
#include <string.h>

#include "jobs/gates/digit.h"
#include "jobs/gates/tournament.h"

enum { NODE = 4, WIDE_NODE = 8, MAX_THRESHOLDS = 44, MAX_PRODUCTS = 1024 };

// A pair (lt, eq) of one neighbourhood of digits: planes of an opened tensor, or of a share before the first open.
typedef struct {
  int tensor, lt, eq;
} verdict;

static tw_literal bit(int tensor, int plane) { return (tw_literal){tensor, plane, false}; }

// LT = l_0 ^ e_0 l_1 ^ e_0 e_1 l_2 ^ ..., most significant first; EQ = e_0 e_1 ...
static int add_node(tw_product *out, const verdict *in, int count, int lt_plane, int eq_plane) {
  int made = 0;
  for (int i = 0; i < count; i++) {
    tw_product *p = &out[made++];
    *p = (tw_product){.out = lt_plane};
    for (int j = 0; j < i; j++) p->literal[p->count++] = bit(in[j].tensor, in[j].eq);
    p->literal[p->count++] = bit(in[i].tensor, in[i].lt);  // NOLINT: every digit has a verdict
  }
  if (eq_plane >= 0) {
    tw_product *p = &out[made++];
    *p = (tw_product){.out = eq_plane};
    for (int j = 0; j < count; j++) p->literal[p->count++] = bit(in[j].tensor, in[j].eq);
  }
  return made;
}

// Reduce `sets` rows of `count` opened verdicts (most significant first; the last has no eq) to one unopened lt plane
// each. A group of one keeps its opened bits: they are not opened again.
static int reduce_verdicts(tw_builder *b, verdict v[][TW_MAX_DIGITS], int sets, int count, bool wide_nodes) {
  for (;;) {
    int node = wide_nodes && count > NODE && count <= WIDE_NODE ? count : NODE;
    int first = count % node ? count % node : node, groups = (count + node - 1) / node;
    static _Thread_local tw_product products[MAX_PRODUCTS];
    verdict next[MAX_THRESHOLDS][TW_MAX_DIGITS];
    int made = 0, planes = 0;
    bool last = groups == 1;
    for (int set = 0; set < sets; set++)
      for (int g = 0, at = 0; g < groups; g++) {
        int size = g == 0 ? first : node;
        bool lowest = g == groups - 1;
        if (size == 1 && !last) {
          next[set][g] = v[set][at];
        } else {
          if (made + node + 1 > MAX_PRODUCTS)
            return tw_build_fail(b, TW_ERR_INTERNAL, "too many thresholds in one comparison");
          next[set][g] = (verdict){-1, planes, lowest ? -1 : planes + 1};
          made += add_node(products + made, v[set] + at, size, planes, lowest ? -1 : planes + 1);
          planes += lowest ? 1 : 2;
        }
        at += size;
      }
    int bits = tw_and_products(b, products, made, planes);
    if (last) return bits;
    int opened = tw_open(b, bits);
    for (int set = 0; set < sets; set++)
      for (int g = 0; g < groups; g++) {
        v[set][g] = next[set][g];
        if (v[set][g].tensor < 0) v[set][g].tensor = opened;
      }
    count = groups;
  }
}

// [digits[0..count) of (X - offset) < those of the mask] for every offset: one unopened plane each.
static int less_than(tw_builder *b, const tw_digits *d, int count, const uint64_t *offset, int sets) {
  tw_leaf leaf[MAX_THRESHOLDS * 2 * TW_MAX_DIGITS] = {{0}};
  verdict v[MAX_THRESHOLDS][TW_MAX_DIGITS];
  int planes = 0;
  for (int set = 0; set < sets; set++)
    for (int i = 0; i < count; i++) {
      int digit = count - 1 - i;
      v[set][i] = (verdict){-1, planes, -1};
      leaf[planes++] = (tw_leaf){offset[set], digit, TW_LEAF_LT};
      if (digit == 0) continue;
      v[set][i].eq = planes;
      leaf[planes++] = (tw_leaf){offset[set], digit, TW_LEAF_EQ};
    }
  int leaves = tw_leaves(b, d, leaf, planes);
  if (count == 1) return leaves;
  int opened = tw_open(b, leaves);
  for (int set = 0; set < sets; set++)
    for (int i = 0; i < count; i++) v[set][i].tensor = opened;
  return reduce_verdicts(b, v, sets, count, b->choices.wide_nodes);
}

// The same with the sets beside each other in a plane: one list of products serves all, and a plane is full of them
// where few elements are compared.
static int less_than_beside(tw_builder *b, const tw_digits *d, const uint64_t *offset, int sets) {
  tw_leaf leaf[MAX_THRESHOLDS * 2 * TW_MAX_DIGITS] = {{0}};
  verdict v[1][TW_MAX_DIGITS];
  size_t n = tw_look(b, d->wire).n;
  int planes = 0;
  for (int i = 0; i < d->count; i++) {
    int digit = d->count - 1 - i;
    v[0][i] = (verdict){-1, planes, digit ? planes + 1 : -1};
    for (int set = 0; set < sets; set++) leaf[planes * sets + set] = (tw_leaf){offset[set], digit, TW_LEAF_LT};
    planes++;
    if (digit == 0) continue;
    for (int set = 0; set < sets; set++) leaf[planes * sets + set] = (tw_leaf){offset[set], digit, TW_LEAF_EQ};
    planes++;
  }
  int beside = tw_bits_reshape(b, tw_leaves(b, d, leaf, planes * sets), planes, (size_t)sets * n);
  if (d->count > 1) {
    int opened = tw_open(b, beside);
    for (int i = 0; i < d->count; i++) v[0][i].tensor = opened;
    beside = reduce_verdicts(b, v, 1, d->count, true);
  }
  return tw_bits_reshape(b, beside, sets, n);
}

// ---- what a wire is made ready for ----

tw_compared tw_compare_wire(tw_builder *b, int wire) {
  int widths[TW_MAX_DIGITS], count = tw_split_digits(tw_look(b, wire).ring - 1, widths);
  tw_digits d = tw_deal_digits(b, wire, 0, widths, count, true, -1);
  return tw_compared_by(&d);
}

tw_compared tw_compare_wide(tw_builder *b, int wire) {
  int widths[TW_MAX_DIGITS], bits = tw_look(b, wire).ring - 1, width = (bits + WIDE_NODE - 1) / WIDE_NODE, count = 0;
  for (; width > 0 && count * width < bits; count++)
    widths[count] = bits - count * width < width ? bits - count * width : width;
  tw_digits d = tw_deal_digits(b, wire, 0, widths, count, true, -1);
  return tw_compared_by(&d);
}

// Digits below the window, the index digit, and those above: for a window up to the whole ring, for thresholds up to
// the sign bit, which is dealt apart.
tw_compared tw_compare_pieces(tw_builder *b, int wire, const tw_pieces *pieces) {
  int widths[TW_MAX_DIGITS], index = 0, ring = tw_look(b, wire).ring;
  tw_digits d;
  if (pieces->asked == TW_ASK_NOTHING) {
    d = tw_deal_digits(b, wire, pieces->low_bits, &pieces->index_bits, 1, false, index);
    return tw_compared_by(&d);
  }
  index = tw_split_digits(pieces->low_bits, widths);
  widths[index] = pieces->index_bits;
  bool sign = pieces->asked == TW_ASK_AT_LEAST;
  int above = ring - sign - pieces->low_bits - pieces->index_bits;
  if (above < 1) {
    tw_build_fail(b, TW_ERR_RANGE, "%s needs an argument ring of at least %d bits, not %d; raise the bound",
                  pieces->name, pieces->low_bits + pieces->index_bits + sign + 1, ring);
    above = 0;
  }
  int count = index + 1 + tw_split_digits(above, widths + index + 1);
  d = tw_deal_digits(b, wire, 0, widths, count, sign, index);
  return tw_compared_by(&d);
}

int tw_at_least(tw_builder *b, tw_compared x, const int64_t *thresholds, int count) {
  tw_digits d;
  if (!tw_digits_of(b, x, &d)) return 0;
  uint64_t offset[MAX_THRESHOLDS] = {0};
  tw_leaf sign[MAX_THRESHOLDS];
  tw_term terms[2 * MAX_THRESHOLDS];
  if (count > MAX_THRESHOLDS || !d.sign_bit)
    return tw_build_fail(b, TW_ERR_INTERNAL, "comparison with %d thresholds", count);
  for (int i = 0; i < count; i++) {
    offset[i] = (uint64_t)thresholds[i];
    sign[i] = (tw_leaf){offset[i], 0, TW_LEAF_SIGN};
  }
  bool beside = b->choices.flat_norms && count > 1 && d.count <= WIDE_NODE;
  int lt = beside ? less_than_beside(b, &d, offset, count) : less_than(b, &d, d.count, offset, count),
      signs = tw_leaves(b, &d, sign, count);
  for (int i = 0; i < count; i++) {
    terms[2 * i] = (tw_term){i, lt, i};
    terms[2 * i + 1] = (tw_term){i, signs, i};
  }
  return tw_xor_planes(b, terms, 2 * count, count, NULL);
}

// AND of the eq bits of digits [from, count) for an offset, two variants at once: planes 0 and 1.
static int equal_digits(tw_builder *b, const tw_digits *d, int from, const uint64_t offset[2]) {
  tw_leaf leaf[2 * TW_MAX_DIGITS];
  int digits = d->count - from;
  for (int set = 0; set < 2; set++)
    for (int i = 0; i < digits; i++) leaf[set * digits + i] = (tw_leaf){offset[set], from + i, TW_LEAF_EQ};
  int leaves = tw_leaves(b, d, leaf, 2 * digits);
  if (digits == 1) return leaves;
  if (digits > 8)
    return tw_build_fail(b, TW_ERR_RANGE, "window test on a ring with %d digits above the window", digits);
  int opened = tw_open(b, leaves);
  tw_product p[2];
  for (int set = 0; set < 2; set++) {
    p[set] = (tw_product){.out = set, .count = digits};
    for (int i = 0; i < digits; i++) p[set].literal[i] = bit(opened, set * digits + i);
  }
  return tw_and_products(b, p, 2, 2);
}

// The same in one level: E0 ^ beta E0 ^ beta E1, the products of beta's terms and of E0 and E1 straight from the
// leaves.
static int window_from_leaves(tw_builder *b, const tw_digits *d, int low, const uint64_t offset[2]) {
  tw_leaf leaf[4 * TW_MAX_DIGITS];
  tw_product p[1 + 2 * WIDE_NODE] = {{0}};
  int count = 0, above = d->count - low, made = 1;
  for (int i = low - 1; i >= 0; i--) leaf[count++] = (tw_leaf){offset[0], i, TW_LEAF_LT};  // planes 0 .. low - 1
  for (int i = low - 1; i > 0; i--) leaf[count++] = (tw_leaf){offset[0], i, TW_LEAF_EQ};   // then low - 1 of these
  int equal = count;
  for (int set = 0; set < 2; set++)
    for (int i = low; i < d->count; i++) leaf[count++] = (tw_leaf){offset[set], i, TW_LEAF_EQ};
  int opened = tw_open(b, tw_leaves(b, d, leaf, count));
  for (int i = 0; i < above; i++) p[0].literal[p[0].count++] = bit(opened, equal + i);
  for (int term = 0; term < low; term++)
    for (int set = 0; set < 2; set++) {
      tw_product *q = &p[made++];
      for (int i = 0; i < term; i++) q->literal[q->count++] = bit(opened, low + i);
      q->literal[q->count++] = bit(opened, term);
      for (int i = 0; i < above; i++) q->literal[q->count++] = bit(opened, equal + set * above + i);
    }
  return tw_and_products(b, p, made, 1);
}

// Inside = E0 ^ beta (E0 ^ E1): E_v equality of the digits above the window of u^ - v 2^bits, beta the borrow below it.
int tw_in_window(tw_builder *b, tw_compared x, int64_t lo, int bits) {
  tw_digits d;
  if (!tw_digits_of(b, x, &d)) return 0;
  int low = 0, covered = d.low_bit;
  while (low < d.count && covered < bits) covered += d.width[low++];
  if (covered != bits || low == d.count || d.low_bit != 0)
    return tw_build_fail(b, TW_ERR_INTERNAL, "digits do not break at the window's %d bits", bits);
  uint64_t offset[2] = {(uint64_t)lo, (uint64_t)lo + (1ull << bits)};
  if (b->choices.flat_windows && d.count <= WIDE_NODE) return window_from_leaves(b, &d, low, offset);
  int borrow = less_than(b, &d, low, offset, 1), equal = equal_digits(b, &d, low, offset);
  tw_term terms[4] = {{0, borrow, 0}, {1, equal, 0}, {2, equal, 0}, {2, equal, 1}};
  int opened = tw_open(b, tw_xor_planes(b, terms, 4, 3, NULL));
  tw_product p[2] = {{.out = 0, .count = 1}, {.out = 0, .count = 2}};
  p[0].literal[0] = bit(opened, 1);
  p[1].literal[0] = bit(opened, 0);
  p[1].literal[1] = bit(opened, 2);
  return tw_and_products(b, p, 2, 1);
}

// ---- maximum of a row: a tournament in groups ----

enum { GROUP = 8, WIN_BITS = 7 };  // the usual group; bits of a product of wins

// A level of the tournament: who takes part, and the sizes of first and other groups at the levels before.
typedef struct {
  size_t rows, cols;
  tw_tokens tokens;  // keys 0: all members live
  int64_t earlier[2 * TW_MOST_LEVELS];
  int levels;
} tournament;

// Columns first.. of [rows][cols] as [member][row][group].
static int members(tw_builder *b, int x, const tournament *t, size_t first, int group, size_t groups) {
  return tw_view(b, x, (tw_view_map){{1, (size_t)group, t->rows, groups}, {0, 1, t->cols, (size_t)group}, first});
}

// "i wins" is the product of its group - 1 comparison bits; in `factors` products, factor f of member i in plane
// i * factors + f.
static int winners(tw_builder *b, int opened, int group, int factors) {
  tw_product best[TW_LARGEST_LATE_GROUP * TW_MOST_FACTORS];
  int used[TW_LARGEST_LATE_GROUP] = {0};
  memset(best, 0, sizeof best);
  for (int i = 0, plane = 0; i < group; i++)
    for (int j = i + 1; j < group; j++, plane++)
      for (int loser = 0; loser < 2; loser++) {
        int who = loser ? j : i;
        tw_product *p = &best[who * factors + used[who]++ % factors];
        p->literal[p->count++] = (tw_literal){opened, plane, loser};
      }
  for (int i = 0; i < group * factors; i++) best[i].out = i;
  return tw_open(b, tw_and_products(b, best, group * factors, group * factors));
}

// Products of at most WIN_BITS neighbouring planes of an opened tensor each, opened.
static int multiply_planes(tw_builder *b, int opened, int planes, int factors) {
  tw_product product[TW_MOST_FACTORS] = {{0}};
  for (int i = 0; i < planes; i++) {
    tw_product *p = &product[i % factors];
    p->out = i % factors;
    p->literal[p->count++] = (tw_literal){opened, i, false};  // NOLINT: at most WIN_BITS of each
  }
  return tw_open(b, tw_and_products(b, product, factors, factors));
}

// The members' values times whether they win, members beside each other in a plane. A small group's comparisons are
// its factors themselves.
static int early_values(tw_builder *b, int opened, int group, size_t lines, int members) {
  int against = tw_against_opponents(b, opened, group, lines), bits = group - 1;
  if (group <= TW_EARLY_GROUP) return tw_choose(b, against, bits, members);
  int factors = (bits + WIN_BITS - 1) / WIN_BITS;
  return tw_choose(b, multiply_planes(b, against, bits, factors), factors, members);
}

// Maxima of `groups` groups of `group` neighbours from column `first`: WIRE [rows][groups].
static int group_maximum(tw_builder *b, int x, const tournament *t, size_t first, int group, size_t groups) {
  int m = members(b, x, t, first, group, groups);
  if (group == 1) return m;
  size_t n = t->rows * groups;
  int pairs = group * (group - 1) / 2, factors = (group - 1 + WIN_BITS - 1) / WIN_BITS;
  int difference = tw_pair_differences(b, x, t->rows, t->cols, first, group, groups);
  int64_t zero = 0, shifts[TW_LARGEST_GROUP] = {0};
  int wins = tw_at_least(b, tw_compare_wire(b, difference), &zero, 1);
  if (t->tokens.keys > 0)
    wins = tw_kill_pairs(b, wins, t->rows, (int)first, group, groups, t->earlier, t->levels, t->tokens);
  if (b->choices.early_groups && group > 2) {
    int values = early_values(b, tw_open(b, wins), group, n, m);
    return tw_open(b, tw_sum_planes(b, values, group, shifts, tw_look(b, x).ring, tw_look(b, x).scale));
  }
  if (group > TW_LARGEST_LATE_GROUP)
    return tw_build_fail(b, TW_ERR_USAGE,
                         "groups of %d members for a row maximum; with --group-rounds 4 a group has at most %d", group,
                         TW_LARGEST_LATE_GROUP);
  int opened = tw_open(b, tw_bits_reshape(b, wins, pairs, n));
  int ring = tw_look(b, x).ring, scale = tw_look(b, x).scale;
  if (group == 2) {  // x_1 + [x_0 >= x_1] (x_0 - x_1)
    int x1 = tw_as_share(b, tw_view(b, m, (tw_view_map){{1, 1, 1, n}, {0, 0, 0, 1}, n}));
    return tw_open(b, tw_combine(b, 1, tw_select(b, opened, 0, 1, difference, ring), 1, x1, false));
  }
  int chosen = winners(b, opened, group, factors);
  int selected = factors == 1 ? tw_select(b, chosen, 0, group, m, ring) : tw_choose(b, chosen, factors, m);
  return tw_open(b, tw_sum_planes(b, selected, group, shifts, ring, scale));
}

int tw_group_arity(const tw_builder *b, int level) {
  return b->choices.maximum[level] > 1 ? b->choices.maximum[level] : GROUP;
}

int tw_group_maxima(tw_builder *b, int x, size_t rows, int group) {
  if (b->status != TW_OK) return 0;
  return group_maximum(b, x, &(tournament){.rows = rows, .cols = (size_t)group}, 0, group, 1);
}

// The first group takes the remainder, so that live columns stay a prefix of every level.
int tw_row_maximum(tw_builder *b, int wire, size_t rows, tw_tokens tokens) {
  tournament t = {.rows = rows, .cols = tokens.keys, .tokens = tokens};
  while (t.cols > 1) {
    if (t.levels == TW_MOST_LEVELS)
      return tw_build_fail(b, TW_ERR_RANGE,
                           "a row maximum of %zu columns in more than %d levels; choose larger groups "
                           "(--maximum-groups)",
                           tokens.keys, TW_MOST_LEVELS);
    size_t group = (size_t)tw_group_arity(b, t.levels);
    if (group > t.cols) group = t.cols;
    size_t groups = (t.cols + group - 1) / group, first = t.cols - group * (groups - 1);
    if (first == group) {
      wire = group_maximum(b, wire, &t, 0, (int)group, groups);
    } else {
      int head = group_maximum(b, wire, &t, 0, (int)first, 1);
      wire = tw_concat(b, head, group_maximum(b, wire, &t, first, (int)group, groups - 1), rows);
    }
    t.earlier[2 * t.levels] = (int64_t)first;
    t.earlier[2 * t.levels++ + 1] = (int64_t)group;
    t.cols = groups;
  }
  return wire;
}

// ---- floor(x / 2^f) = (X^ >> f) - [r >> f] - [X^ mod 2^f < r mod 2^f] ----

int tw_truncate_faithful(tw_builder *b, int wire, int bits) {
  int widths[TW_MAX_DIGITS], count = tw_split_digits(bits, widths);
  tw_digits d = tw_deal_digits(b, wire, 0, widths, count, false, -1);
  uint64_t offset = 0;
  int borrow = tw_open(b, less_than(b, &d, count, &offset, 1));
  return tw_open(b, tw_floor_share(b, wire, borrow, bits));
}
