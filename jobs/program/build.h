// The builder: emits a program gate by gate. Every function returns a tensor id; after a failure the builder keeps its
// first error (message naming the tensor's place) and further calls are harmless.
#ifndef TW_BUILD_H
#define TW_BUILD_H

#include "io/word_table.h"
#include "jobs/program/program.h"
#include "jobs/program/triangle.h"
#include "kernels/bit_ops.h"

// Which functions are read from keys of point functions (docs/design/pfss.md) and not from digits, a bit each:
// 1/sqrt(x) of norms and 1/x of row sums, one key a row; exp and activations, one key an element.
typedef enum {
  TW_BY_DIGITS = 0,
  TW_ROOTS_BY_KEY = 1,
  TW_RECIPROCALS_BY_KEY = 2,
  TW_EXP_BY_KEY = 4,
  TW_ACTIVATIONS_BY_KEY = 8,
  TW_ROWS_BY_KEY = TW_ROOTS_BY_KEY | TW_RECIPROCALS_BY_KEY,
  TW_ALL_BY_KEY = TW_ROWS_BY_KEY | TW_EXP_BY_KEY | TW_ACTIVATIONS_BY_KEY
} tw_read_by;

// What a plan may choose between keys and rounds. All zeros: what every model can have with the fewest key bytes.
enum { TW_MOST_LEVELS = 6, TW_LARGEST_GROUP = 48, TW_LARGEST_LATE_GROUP = 26, TW_EARLY_GROUP = 5 };
typedef struct {
  bool wide_nodes;              // comparisons of 17 to 32 bits in one node: a round less, some keys more
  bool flat_windows;            // a window's test straight from the leaves: the same
  tw_read_by engine;            // which functions are read from keys
  bool centred;                 // norms take no mean, as the rows they read have none: a round less, fewer keys
  bool flat_norms;              // a norm's powers of two in one level of nodes, by wider digits: a round less
  bool early_groups;            // groups of at most TW_EARLY_GROUP take their maximum by the comparisons themselves
  int maximum[TW_MOST_LEVELS];  // members of a group at every level of a row maximum; 0 on: groups of 8
  int argmax_rounds;            // of an argmax at most (tw_argmax_find); 0: any number
  bool lookup_beside;           // of a text: the next word's row comes with its number (tw_argmax_with_row)
} tw_choices;

typedef struct {
  tw_program *program;
  tw_status status;
  char message[512];
  int step;
  tw_op spare;        // takes emissions after a failure
  bool exact_result;  // the next norm's last truncation is faithful
  bool guard;         // count values of declared wires that are out of bound
  int count;          // SHARE of the count so far, -1: none
  tw_choices choices;
  bool faithful;  // truncations round like floor instead of with a dither (protocols, section 2)
} tw_builder;

void tw_builder_start(tw_builder *b, tw_program *p);
// Later gates belong to this step of this layer; returns the step to go back to.
int tw_step_begin(tw_builder *b, int layer, const char *name);
void tw_step_back(tw_builder *b, int step);
void tw_build_output(tw_builder *b, int id);  // one of the program's results, after those named before
tw_status tw_builder_finish(tw_builder *b);   // finishes the program

// ---- used by gates ----
// Grow an array to hold `need` entries; on failure the builder keeps its old contents and fails.
bool tw_builder_grow(tw_builder *b, void **array, int *room, int need, size_t size);
tw_op *tw_emit(tw_builder *b, const tw_gate *gate);  // never NULL; a spare op after a failure
void tw_emit_in(tw_op *op, int id);
int tw_emit_out(tw_builder *b, tw_op *op, tw_tensor t);
// What the gate is dealt, by number: dealer and party find it under the same numbers (session_corrections.h).
void tw_emit_dealt(tw_builder *b, tw_op *op, const tw_dealt *dealt, int count);
void tw_emit_tokens(tw_op *op, int at, tw_tokens tokens);  // TW_TOKEN_ARGS arguments; read by tw_live
void tw_emit_list(tw_builder *b, tw_op *op, const int64_t *values, size_t count);  // equal lists are one
int tw_build_fail(tw_builder *b, tw_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
tw_tensor tw_look(const tw_builder *b, int id);

// ---- gates/open.c: inputs and openings ----
int tw_build_input(tw_builder *b, int ring, int scale, size_t n);  // additive shares: the program's next input
int tw_open(tw_builder *b, int x);                                 // SHARE -> WIRE, BITS -> BITWIRE
// A secret model vector of n elements as a wire of ring 64, or the first rows of a table that is no matrix.
int tw_weight_wire(tw_builder *b, int index, int scale, size_t n);

// ---- gates/local.c: no keys, no messages ----
int tw_truncate(tw_builder *b, int wire, int bits);  // by the builder's rounding mode
int tw_truncate_dithered(tw_builder *b, int wire, int bits);
// out[i0,i1,i2,i3] = in[offset + i0 s0 + i1 s1 + i2 s2 + i3 s3]: slices, transpositions, broadcasts. WIRE or SHARE.
typedef struct {
  size_t dim[4];
  size_t stride[4];
  size_t offset;
} tw_view_map;
int tw_view(tw_builder *b, int x, tw_view_map map);
int tw_concat(tw_builder *b, int x, int y, size_t rows);  // [rows][cx] and [rows][cy] -> [rows][cx+cy]
// p x + q y for integers p, q; both WIRE or both SHARE, same scale, rings reduced to the smaller. y repeats: y_n
// divides x_n and element i uses y[i / (x_n / y_n)] (row broadcast) when rows is set, else y[i % y_n].
int tw_combine(tw_builder *b, int64_t p, int x, int64_t q, int y, bool rows);
int tw_add_constant(tw_builder *b, int x, int64_t value);                        // integer at x's scale; WIRE or SHARE
int tw_multiply_constant(tw_builder *b, int x, int64_t factor, int scale_gain);  // WIRE or SHARE
int tw_shift_left(tw_builder *b, int x,
                  int bits);  // WIRE or SHARE; ring and scale grow; a wire must not be truncated then
int tw_rescale(tw_builder *b, int x, int scale);    // declare another scale, same integers
int tw_reduce(tw_builder *b, int x, int ring);      // mod a smaller ring
int tw_row_sum(tw_builder *b, int x, size_t cols);  // [rows][cols] -> [rows]
int tw_as_share(tw_builder *b, int wire);
// Sum over live rows of x [tokens.queries][cols] -> [cols].
int tw_pool_live(tw_builder *b, int x, tw_tokens tokens, size_t cols);
// The same sum times round(2^bits / live rows): the mean, at a scale of `bits` more. Its mask is no longer uniform in
// its low bits: it is opened afresh before it is truncated. The ring holds |mean| 2^(scale + bits + 1).
int tw_mean_live(tw_builder *b, int x, tw_tokens tokens, size_t cols, int bits);

// ---- gates/gather.c: by public places; no keys, no messages ----
// out[block][i] = x[block][place i] of x [blocks][any]: [blocks][count]. WIRE or SHARE.
int tw_gather(tw_builder *b, int x, size_t blocks, const int64_t *places, size_t count);
// SHARE [rows][blocks][2 half], rows a sequence's first tokens: (x_i, x_(i + half)) of token t becomes (c x_i - s x_(i
// + half), c x_(i + half) + s x_i), c and s from tables [tokens][half] of integers at angle_scale. The scale grows by
// it, the ring stays.
int tw_turn(tw_builder *b, int share, const int table[2], size_t half, int angle_scale, size_t rows);
// The same of rows from its sequence's last live token's on; tables of tokens from tokens.first on.
int tw_turn_last(tw_builder *b, int share, const int table[2], size_t half, int angle_scale, size_t rows,
                 tw_tokens tokens);
// The row of the last live token of a SHARE [tokens.queries][cols]. No wire: the dealer knows no lengths, hence not
// what mask such a row would have.
int tw_last_live_row(tw_builder *b, int share, tw_tokens tokens);
// `rows` rows from that one on, which there must be: the last live token of x, with all counts as large as they get,
// is token tokens.keys - 1.
int tw_rows_from_last(tw_builder *b, int share, size_t rows, tw_tokens tokens);

// ---- gates/extend.c ----
int tw_extend(tw_builder *b, int wire, int ring);  // WIRE mod 2^k -> SHARE mod 2^ring, |x| < 2^(k-2)
// Row sums of elements extended so: WIRE [rows][cols] -> SHARE [rows].
int tw_extended_row_sum(tw_builder *b, int wire, size_t cols, int ring);

// ---- gates/product.c ----
typedef enum { TW_EACH, TW_PER_ROW, TW_PER_COLUMN } tw_repeat;             // how y's elements go with x's
int tw_multiply(tw_builder *b, int x, int y, int ring, tw_repeat repeat);  // x extended to `ring` when narrower
int tw_multiply_rows(tw_builder *b, int x, int y, int ring);               // both extended; y one element a row
int tw_sum_of_squares(tw_builder *b, int x, size_t cols, int ring);        // x extended; one SHARE element a row

// ---- gates/linear.c ----
// [rows][inner] times secret W [inner][cols] plus bias (model tensors weight, weight + 1), in ring `ring`.
int tw_linear(tw_builder *b, int x, int weight, size_t inner, size_t cols, int ring, int weight_scale);
// Its arguments, for those who make the weights that a program needs.
// Where only parts of the weight are read, a row of the input is as long as `span`, and one of the result as `width`.
enum { TW_LINEAR_WEIGHT, TW_LINEAR_INNER, TW_LINEAR_COLS, TW_LINEAR_SPAN, TW_LINEAR_WIDTH, TW_LINEAR_ARGS };
// Bits of the largest ring in which the program multiplies by this model tensor; 0: in none.
int tw_weight_ring(const tw_program *p, int weight);
// Multiply-adds of an operation's matrix products for one sequence, online; as many before the input where it is one of
// a weight. 0: it has none.
double tw_multiply_adds(const tw_program *p, const tw_op *op);
// Elements of the weights that it reads.
double tw_weights_read(const tw_program *p, const tw_op *op);
// `count` products [m][k] [k][n]
int tw_matmul(tw_builder *b, int x, int y, size_t count, size_t m, size_t n, size_t k, int ring);
// Products with packed pairs of `heads` heads; `group` heads, one after the other, share one y.
// x [heads][n][dim] times y [heads / group][dim][keys]: packed pairs, SHARE.
int tw_triangle_logits(tw_builder *b, int x, int y, size_t heads, size_t group, size_t dim, tw_triangle t, int ring);
// Packed x times y [heads / group][keys][dim]: SHARE [heads][n][dim].
int tw_triangle_values(tw_builder *b, int x, int y, size_t heads, size_t group, size_t dim, tw_triangle t, int ring);

// ---- gates/triangle.c: of packed pairs of `heads` heads; ties of a maximum go to the lower index ----
int tw_triangle_sums(tw_builder *b, int x, size_t heads, tw_triangle t);        // of rows: [heads][n]. WIRE or SHARE
int tw_triangle_maximum(tw_builder *b, int wire, size_t heads, tw_triangle t);  // of rows: WIRE [heads][n]
int tw_triangle_spread(tw_builder *b, int x, size_t heads, tw_triangle t);      // [heads][n] to every pair of its row

// ---- gates/words.c: rows of a secret table by secret numbers ----
enum { TW_MOST_LINE_BITS = 18 };
int tw_build_numbers(tw_builder *b, int bits, size_t n);  // the program's next input: numbers shared by XOR; BITS
// numbers: opened, line_bits + place_bits planes. SHAREs of sgn [line = i] and sgn [place in it = i], [n][lines] and
// [n][places]; sgn, -1 or 1 and the same for both, is the dealer's.
void tw_place_words(tw_builder *b, int numbers, const tw_word_table *table, int ring, int out[2]);
// places: opened. SHARE of sgn [place = i], [n][2^planes]; *signs: whose sgn it is.
int tw_place_in_block(tw_builder *b, int places, int ring, int *signs);
// Their rows of model tensor `weight`, which has the table's shape (its bias is the next tensor): SHARE [n][width] at
// `scale` in ring `ring`. A number past the words gives zeros. Two rounds behind the opened numbers.
int tw_look_up_words(tw_builder *b, int numbers, int weight, const tw_word_table *table, int ring, int scale);

// ---- gates/bits.c ----
typedef struct {
  int tensor, plane;
  bool negate;
} tw_literal;
typedef struct {
  int out, count;
  tw_literal literal[8];
} tw_product;
// Plane p of the result: XOR of the products with out = p (ANDs of opened masked bits).
int tw_and_products(tw_builder *b, const tw_product *products, int count, int planes);
// Plane i = XOR of terms with out = i, and of constant bit i.
typedef struct {
  int out, tensor, plane;
} tw_term;
int tw_xor_planes(tw_builder *b, const tw_term *terms, int count, int planes, const uint8_t *constant);
int tw_bits_reshape(tw_builder *b, int bits, int planes, size_t n);  // same flat order of bits, plane by plane
// Opened comparisons of all pairs of each line, one plane [pair][line]: what each member made of its group - 1
// opponents, group - 1 planes of [member][line].
int tw_against_opponents(tw_builder *b, int bitwire, int group, size_t lines);
// Comparison bits [pair][row][group] of a tournament: pairs whose second member is a dead key become 1. Groups begin at
// column `first`; earlier: sizes of the first groups of the levels before.
int tw_kill_pairs(tw_builder *b, int bits, size_t rows, int first, int group, size_t groups, const int64_t *earlier,
                  int earlier_levels, tw_tokens tokens);

// ---- gates/word_blocks.c: rows of words of which one is wanted ----
// Of each of some members: a row, under a sign that is the dealer's. WIRE [members][lines][any].
typedef struct {
  int rows, signs;  // signs: ONEHOT; -1: there are none
  size_t lines;
} tw_candidates;
// places: opened bits [members][lines], the places of words in blocks of 2^planes words of a table (words.c); member
// i's block is the i-th. Their rows at `scale` in ring `ring`, opened, by one pass over the table: two rounds.
tw_candidates tw_look_up_candidates(tw_builder *b, int places, size_t lines, int weight, const tw_word_table *table,
                                    int ring, int scale);
// The row of a word that all know: SHARE [width], no key, no round.
int tw_word_row(tw_builder *b, int weight, const tw_word_table *table, size_t word, int ring, int scale);
// The row of each line's member whose factors, planes of opened bits [members][lines], are all 1; there is one at most.
// SHARE [lines][any], zeros where there is none.
int tw_choose_row(tw_builder *b, tw_candidates of, const tw_literal *factor, int factors);

// ---- gates/select.c ----
// bit * x for planes [plane0, plane0 + count) of a BITWIRE; x has one element a bit ([plane][n]) or is shared by all
// planes.
int tw_select(tw_builder *b, int bitwire, int plane0, int count, int x, int ring);
// Product of the `factors` bits that belong to each plane of x (opened planes p * factors on) times x: SHARE in x's
// ring. Where a plane of x is shorter than one of bits, the first bits are its.
int tw_choose(tw_builder *b, int bitwire, int factors, int x);
int tw_bit_constants(tw_builder *b, int bitwire, int plane0, int count, const int64_t *constants, int ring, int scale);
int tw_sum_planes(tw_builder *b, int share, int count, const int64_t *shifts, int ring, int scale);
// Dead keys of [rows][tokens.keys] become 0. rows: a multiple of tokens.queries.
int tw_zero_dead(tw_builder *b, int share, size_t rows, tw_tokens tokens);
// Columns first .. first + count - 1 of a SHARE [rows][any] are rows of earlier turns: those that do not live become
// `value`. Of packed pairs of `heads` heads, too, whose windows hold all keys.
int tw_fill_dead_earlier(tw_builder *b, int share, size_t rows, size_t first, size_t count, int64_t value);
int tw_triangle_fill_dead_earlier(tw_builder *b, int share, size_t heads, tw_triangle t, size_t first, size_t count,
                                  int64_t value);
// Columns from `first` on of a SHARE [rows][any] are a sequence's tokens, cached ones counted: all of those before its
// last `most` live ones become `value`. most: 1 at least.
int tw_fill_before_last(tw_builder *b, int share, size_t rows, size_t first, size_t most, int64_t value);

// ---- gates/pairs.c ----
// Differences x[i] - x[j], i < j, within groups of `group` columns from column `first` of [rows][cols]:
// [pair][row][group].
int tw_pair_differences(tw_builder *b, int wire, size_t rows, size_t cols, size_t first, int group, size_t groups);

// ---- gates/argmax.c, argmax_levels.c: the place of the largest ----
// A level of a tournament: groups of `members` neighbours, "wins" as a product of `factors` opened bits. A level but
// the last has a power of two of members; the last one takes all that are left. straight: comparisons' bits go into
// these products without a round of their own, from digits twice as wide.
enum { TW_ARGMAX_LEVELS = 20, TW_ARGMAX_MOST_ROUNDS = 80, TW_MOST_MEMBERS = 128, TW_MOST_PLACE_BITS = 24 };
typedef struct {
  int members, factors;
  bool straight;
} tw_argmax_level;
// Levels for rows of n elements of a ring, of fewest bytes of keys and messages in at most `rounds` rounds (until the
// opened places are there), of fewest of all where `rounds` is 0. Returns their rounds; 0: there are none so short.
int tw_argmax_find(size_t n, int ring, bool wide_nodes, int rounds, tw_argmax_level out[TW_ARGMAX_LEVELS]);
// The same where the winner's row is looked up beside the last level: rows of `width` elements in ring `row_ring`.
int tw_argmax_find_with_row(size_t n, int ring, bool wide_nodes, int rounds, size_t width, int row_ring,
                            tw_argmax_level out[TW_ARGMAX_LEVELS]);
// Places of the largest of rows of a WIRE [rows][n]: BITS, as many planes as a place has bits. Ties go to the lower
// place. |x| < 2^(ring - 2). ended: an opened bit a row (-1: none); where it is 1 the place is `otherwise`.
int tw_argmax(tw_builder *b, int wire, size_t rows, const tw_argmax_level *levels, int ended, uint64_t otherwise);
// The same, and the row of a word table that belongs to the place, in as many rounds: the rows of all that the last
// level compares are looked up beside it.
typedef struct {
  int weight, ring, scale;  // in, as of tw_look_up_words
  const tw_word_table *table;
  int end_row;  // in: WIRE [width], the row of `otherwise`; -1 where nothing ends
  int row;      // out: SHARE [rows][width]
  tw_candidates candidates;
} tw_argmax_row;
int tw_argmax_with_row(tw_builder *b, int wire, size_t rows, const tw_argmax_level *levels, int ended,
                       uint64_t otherwise, tw_argmax_row *row);
// Of opened numbers: a bit each, whether it is one of `count` different ones. BITS, of one round.
int tw_is_one_of(tw_builder *b, int numbers, const uint64_t *ones, int count);

// ---- gates/noise.c ----
// A SHARE plus noise that the dealer alone knows: of each element a function of 64 uniform bits, by tables of bases and
// slopes in the share's units (kernels/deal_ops.h). SHARE.
int tw_add_noise(tw_builder *b, int share, const int table[2]);

// ---- gates/floor.c ----
int tw_floor_share(tw_builder *b, int wire, int borrow, int bits);  // borrow: opened BITWIRE

// ---- gates/compare.c, digit.c, piece.c: a wire against public values, and functions by table ----
// A wire made ready for the questions below; any number of them, until the builder finishes. What the dealer deals for
// it is the gates' own business.
typedef struct {
  int op;
} tw_compared;
// For thresholds. The second, for many of them, has at most 8 digits.
tw_compared tw_compare_wire(tw_builder *b, int wire);
tw_compared tw_compare_wide(tw_builder *b, int wire);

// A function that is linear on each of 2^index_bits pieces of 2^low_bits units of the wire, and what else is asked.
typedef enum { TW_ASK_NOTHING, TW_ASK_IN_WINDOW, TW_ASK_AT_LEAST } tw_asked;
typedef struct {
  const char *name;  // of the function, for messages
  int low_bits, index_bits;
  tw_asked asked;
} tw_pieces;
tw_compared tw_compare_pieces(tw_builder *b, int wire, const tw_pieces *pieces);

// BITS, plane i = [x >= threshold i] (|x| < 2^(k-1) - |t|). With at most 8 digits and choices.flat_norms in one level.
int tw_at_least(tw_builder *b, tw_compared x, const int64_t *thresholds, int count);
// BITS: u = x - lo in [0, 2^bits), on the whole ring; of pieces, bits = low_bits + index_bits.
int tw_in_window(tw_builder *b, tw_compared x, int64_t lo, int bits);
// sgn * table[piece] of x - lo for two tables, SHAREs in ring `ring`; pieces are 2^sub_bits times finer.
void tw_lookup(tw_builder *b, tw_compared x, int sub_bits, uint64_t lo, const int table[2], int ring,
               const int scale[2], int out[2]);
// base + c slope of looked-up SHAREs, c = (X^ - lo) mod 2^bits of the wire x: SHARE.
int tw_offset(tw_builder *b, int base, int slope, int x, int64_t lo, int bits);
// What the argument x lies behind the piece's beginning is c - rho: V - slope rho of the opened sgn V (tw_offset) and
// sgn slope, rho the `bits` low bits of x's mask. Sign undone. SHARE.
int tw_piece(tw_builder *b, int v, int slope, int x, int bits, tw_compared compared);
// The same, with the sign of an entry that was read by key.
int tw_signed_piece(tw_builder *b, int v, int slope, int x, int bits, int entry);

// ---- gates/point_keys.c: by keys of point functions ----
// BITS, plane i = [x >= threshold i], like tw_at_least, in no round and for more keys: 130 bits for every bit of the
// ring above 8, and 129 more. Rings of 2 to 61 bits.
int tw_at_least_by_key(tw_builder *b, int wire, const int64_t *thresholds, int count);

// ---- gates/key_tables.c: the same keys ----
// Pieces 0 .. count - 1 of 2^low units from lo on, of a wire reduced to `ring` bits; 2^sub_bits entries a piece. At
// both ends the border is dithered by less than a piece.
typedef struct {
  int ring, low, count, sub_bits;
  int64_t lo;
} tw_window;
typedef struct {
  int base, slope;  // SHAREs: sgn times what the tables say, 0 outside; sgn is base's
  int bits;         // BITS, an arc a plane; where there are arcs
} tw_window_entries;
// Reads two tables of count 2^sub_bits entries, and bits that say whether x lies in an arc (kernels/key_ops.h), in no
// round. Then tw_offset, and tw_signed_piece.
enum { TW_KEY_MOST_BITS = 60 };
tw_window_entries tw_read_window(tw_builder *b, int wire, const tw_window *w, const int64_t *arcs, int arc_count,
                                 const int table[2], int ring, const int scale[2]);
// Nodes of keys that a party expands in this operation for one sequence. 0: it has no keys.
double tw_expanded_nodes(const tw_program *p, const tw_op *op);
// A table over runs of steps, each twice as wide as those before (kernels/key_ops.h), of an unsigned wire reduced to
// `ring` bits: steps of 2^first_step from border[0] on, entries from entry[0] on, and so forth to border[runs].
typedef struct {
  int ring, first_step, runs;
  uint64_t border[TW_SEGMENT_MOST_RUNS + 1];
  size_t entry[TW_SEGMENT_MOST_RUNS + 1], entries;
} tw_segments;
// SHARE of what two tables (bases, slopes) say, in no round. outside: NULL, or BITS of one plane, whether x is in no
// run and the first base is read.
int tw_read_segments(tw_builder *b, int wire, const tw_segments *seg, const int table[2], int ring, int scale,
                     int *outside);

// ---- gates/compare.c ----
// Of the live keys of [rows][tokens.keys]: WIRE [rows].
int tw_row_maximum(tw_builder *b, int wire, size_t rows, tw_tokens tokens);
int tw_truncate_faithful(tw_builder *b, int wire, int bits);  // floor

#endif
