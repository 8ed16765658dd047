// Which groups an argmax plays in (argmax.c): the cheapest of all that stay within a number of rounds. Costs are those
// of the gates, with planes of whole words.
#include <math.h>
#include <string.h>

#include "jobs/program/build.h"

enum {
  MOST_DEPTH = 24,            // halvings of the row
  LARGEST_POWER = 6,          // groups of 2^6 members but for the last
  MOST_FACTORS = 7,           // of a bit that selects a value (TW_MOST_FACTORS) or a place
  MOST_LITERALS = 8,          // of a product
  THREE = 3,                  // comparisons of a product, where their bits go straight into it
  MOST_STRAIGHT = 2 * 13 + 1  // ring of two digits (TW_DIGIT_MAX_BITS)
};

// Bits of corrections, in both key files together, and bits that a party sends.
typedef struct {
  double dealt, sent;
  int rounds;
} cost;

static double subsets(int bits) { return (double)((1 << bits) - bits - 1); }  // of two bits or more

// LT and EQ of a node of digits: sets that occur, whatever they are shared by.
static double node_subsets(int size, bool equal) {
  double sets = 0;
  for (int i = 0; i < size; i++) sets += (double)((1 << i) - 1);  // l_i with some of e_0 .. e_(i - 1)
  if (equal)
    sets += subsets(size);  // of the e's
  else if (size > 1)
    sets += subsets(size - 1);
  return sets;
}

// A comparison of one element, opened. even: digits differ by a bit at most.
static cost comparison(int ring, bool wide_nodes, bool even) {
  int bits = ring - 1, digits = (bits + 3) / 4, least = bits / (digits ? digits : 1), more = digits ? bits % digits : 0;
  cost c = {.dealt = 16.0 * (bits / 4) + (bits % 4 ? 1 << bits % 4 : 0) + 1, .sent = 1, .rounds = 1};
  if (even) c.dealt = (double)(more << (least + 1)) + (double)((digits - more) << least) + 1;
  if (digits > 1) c.sent += 2 * digits - 1, c.rounds++;
  while (digits > 1) {
    int node = wide_nodes && digits > 4 && digits <= MOST_LITERALS ? digits : 4;
    int groups = (digits + node - 1) / node, first = digits % node ? digits % node : node;
    for (int g = 0; g < groups; g++) {
      int size = g ? node : first;
      if (size == 1) continue;
      c.dealt += node_subsets(size, g < groups - 1);
      if (groups > 1) c.sent += g < groups - 1 ? 2 : 1;
    }
    if (groups > 1) c.rounds++;
    digits = groups;
  }
  return c;
}

// Elements of planes that both parties' halves fill.
static double whole(double n) { return 128 * ceil(n / 128); }

// What a level is looked at with.
typedef struct {
  size_t n, width;  // width: of rows that are looked up beside the last level; 0: none are
  int ring, row_ring;
  cost compared;
} row_of;

// A product of so many comparisons S ^ E L, multiplied out: sets of two masks or more.
static double straight_sets(int comparisons) {
  double sets = 1;
  for (int i = 0; i < comparisons; i++) sets *= 5;  // of {S}, {E}, {L}, {E, L}, nothing
  return sets - 1 - 3 * comparisons;
}

static int members_bits(int members) {
  int digits = 0;
  while (1 << digits < members) digits++;
  return digits;
}

// Comparisons of a level, until there are opened bits whose product is "wins"; *bits: how many. ends: one is a bit that
// ends.
static cost compare(const row_of *of, tw_argmax_level level, double lines, bool ends, int *bits) {
  double members = whole(level.members * lines), pairs = whole(level.members * (level.members - 1) / 2 * lines);
  int count = level.members - 1 + ends, upper = of->ring / 2, threes = (count + THREE - 1) / THREE;
  cost c = {of->compared.dealt * pairs, of->compared.sent * pairs, of->compared.rounds};
  *bits = count;
  if (!level.straight) return c;
  *bits = threes;
  c = (cost){((double)(1 << upper) + (double)(1 << (of->ring - 1 - upper)) + 1) * pairs, 3 * pairs, 2};
  int more = count % threes;
  c.dealt += members * (more * straight_sets(count / threes + 1) + (threes - more) * straight_sets(count / threes));
  c.sent += members * threes;
  return c;
}

// The rows of all that the last level compares, and the choice of one.
static void add_rows(const row_of *of, int members, int factors, int known, cost *c) {
  double places = whole(members) * (double)(1 << known), row = (double)of->width * of->row_ring;
  c->dealt += places + members * row + (double)(1 << factors) * members * (row + of->row_ring);
  c->sent += (double)of->n * of->row_ring + (members + 1) * row;
}

static cost level_cost(const row_of *of, tw_argmax_level level, double lines, int known, bool last) {
  double members = whole(level.members * lines);
  int bits, f = level.factors, digits = members_bits(level.members);
  bool rows = last && of->width > 0;
  cost c = compare(of, level, lines, rows, &bits);
  if (rows && !level.straight && f == bits - 1 && f < MOST_FACTORS) f++;  // as an argmax has it
  while (bits > f) {
    int left = (bits + MOST_LITERALS - 1) / MOST_LITERALS;
    if (left < f) left = f;
    c.dealt += members * ((bits % left) * subsets(bits / left + 1) + (left - bits % left) * subsets(bits / left));
    c.sent += members * left;
    c.rounds++;
    bits = left;
  }
  c.dealt += members * (subsets(f) + known * (double)((1 << f) - 1));
  c.sent += (known + digits) * whole(lines);
  c.rounds++;
  if (rows) add_rows(of, level.members, f, known, &c);
  if (last) return c;
  int chosen = level.members - (of->width > 0);
  c.dealt += 2 * of->ring * lines * (level.members == 2 ? 1 : chosen * (double)((1 << f) - 1));
  c.sent += of->ring * lines;
  return c;
}

typedef struct {
  double weight;  // bits of keys a party and of messages; negative: cannot be
  tw_argmax_level first;
} found;

typedef struct {
  row_of of;
  found best[MOST_DEPTH + 1][TW_ARGMAX_MOST_ROUNDS + 1];  // after so many halvings, with so many rounds left
} search;

static void offer(search *s, int depth, int rounds, double lines, tw_argmax_level level, bool last) {
  cost c = level_cost(&s->of, level, lines, depth, last);
  double weight = c.dealt / 2 + c.sent;
  if (c.rounds > rounds) return;
  if (!last) {
    int digits = __builtin_ctz((unsigned)level.members);
    const found *rest = &s->best[depth + digits][rounds - c.rounds];
    if (rest->weight < 0) return;
    weight += rest->weight;
  }
  found *best = &s->best[depth][rounds];
  if (best->weight < 0 || weight < best->weight) *best = (found){weight, level};
}

// A group in all its factors; straight only beside rows: elsewhere rounds are not that dear.
static void offer_group(search *s, int depth, int rounds, double lines, int group, bool last) {
  int threes = (group - 1 + (last && s->of.width > 0) + THREE - 1) / THREE;
  for (int f = 1; f <= MOST_FACTORS && f < group; f++)
    offer(s, depth, rounds, lines, (tw_argmax_level){group, f}, last);
  if (s->of.width == 0 || group < 3 || s->of.ring < 3 || s->of.ring > MOST_STRAIGHT) return;
  for (int f = 1; f <= MOST_FACTORS && f <= threes; f++)
    offer(s, depth, rounds, lines, (tw_argmax_level){group, f, true}, last);
}

// After `depth` halvings the rest of the row plays one level or more. Rows are those of blocks: not of a first level's.
static void play_from(search *s, int depth, int rounds) {
  size_t left = (s->of.n + ((size_t)1 << depth) - 1) >> depth;
  bool may_end = s->of.width == 0 || (depth > 0 && depth <= TW_MOST_LINE_BITS && left >= 2);
  s->best[depth][rounds].weight = -1;
  int group = left < 2 ? 2 : (int)(left < TW_MOST_MEMBERS + 1 ? left : 0);
  if (may_end && group) offer_group(s, depth, rounds, 1, group, true);
  for (int power = 1; power <= LARGEST_POWER && (size_t)1 << power < left; power++)
    offer_group(s, depth, rounds, (double)((left + ((size_t)1 << power) - 1) >> power), 1 << power, false);
}

static int find(search *s, int rounds, tw_argmax_level out[TW_ARGMAX_LEVELS]) {
  size_t n = s->of.n;
  int depth = 0, all = 0, left = rounds > 0 && rounds < TW_ARGMAX_MOST_ROUNDS ? rounds : TW_ARGMAX_MOST_ROUNDS;
  memset(out, 0, sizeof *out * TW_ARGMAX_LEVELS);
  while (depth < MOST_DEPTH && (size_t)1 << depth < n) depth++;
  for (int r = 0; r <= TW_ARGMAX_MOST_ROUNDS; r++) s->best[depth][r].weight = -1;
  for (int d = depth - (depth > 0); d >= 0; d--)
    for (int r = 0; r <= left; r++) play_from(s, d, r);
  if (s->best[0][left].weight < 0) return 0;
  for (int level = 0, d = 0; level < TW_ARGMAX_LEVELS; level++) {
    size_t rest = (n + ((size_t)1 << d) - 1) >> d;
    tw_argmax_level chosen = out[level] = s->best[d][left - all].first;
    bool last = (size_t)chosen.members >= rest;
    all += level_cost(&s->of, chosen, 1, d, last).rounds;
    if (last) return all;
    d += __builtin_ctz((unsigned)chosen.members);
  }
  return 0;
}

int tw_argmax_find(size_t n, int ring, bool wide_nodes, int rounds, tw_argmax_level out[TW_ARGMAX_LEVELS]) {
  search s = {.of = {.n = n, .ring = ring, .compared = comparison(ring, wide_nodes, false)}};
  return find(&s, rounds, out);
}

int tw_argmax_find_with_row(size_t n, int ring, bool wide_nodes, int rounds, size_t width, int row_ring,
                            tw_argmax_level out[TW_ARGMAX_LEVELS]) {
  search s = {
      .of = {
          .n = n, .width = width, .ring = ring, .row_ring = row_ring, .compared = comparison(ring, wide_nodes, true)}};
  return find(&s, rounds, out);
}
