// A program: the whole job as a list of small gates over tensors, walked alike by dealer, parties and emulator.
// A builder emits it once (build.h); tw_program_finish levels it into rounds by data dependence, so that gates that do
// not wait for each other share a message, and fixes use ids, the order of corrections and lifetimes. Between two
// levels a job can be put aside and resumed: all its state is in its session's tensors.
#ifndef TW_PROGRAM_H
#define TW_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"
#include "io/keys.h"
#include "kernels/bit_ops.h"

typedef struct tw_session tw_session;
typedef struct tw_op tw_op;
typedef struct tw_row_shape tw_row_shape;
typedef struct tw_row_range tw_row_range;
typedef struct tw_pool_index tw_pool_index;

typedef enum {
  TW_WIRE,     // opened under a mask: public X^ = x + r, each party holds r_b
  TW_SHARE,    // additive share of x mod 2^ring
  TW_BITS,     // XOR share of bit planes
  TW_BITWIRE,  // opened under a bit mask: public v ^ m, each party holds m_b
  TW_ONEHOT    // XOR share of the one-hot digits of a wire's mask
} tw_kind;

// What is known of a wire's mask (jobs/gates/mask_form.h): a multiple of 2^shift. uniform: divided by it, each element
// has an odd factor on an element of one of the sources oldest .. newest, and on none of a newer source; distinct: no
// two elements on the same.
typedef struct {
  int shift, oldest, newest;
  bool uniform, distinct;
} tw_mask_form;

typedef struct {
  tw_kind kind;
  int ring, scale;    // WIRE, SHARE: mod 2^ring, value = integer / 2^scale
  int planes;         // BITS, BITWIRE, ONEHOT
  size_t n;           // elements (of each plane)
  tw_mask_form form;  // WIRE
  int level;          // first level in which it exists
  int first_op, last_op;
  int limit;  // 1 + its place in the program's limits; 0: not a declared wire
} tw_tensor;

// Which tokens rows and columns are: rows of `queries` tokens, the first of which is token `first`, by columns of the
// `keys` tokens from token 0 on. Causal: a query's keys end at its own token. A whole sequence is {n, n, 0, causal};
// the next token after t others {1, t + 1, t, true}; n tokens after t cached rows {n, t + n, t, true}. A sequence's
// live tokens are those below its length, cached rows counted; `ahead` of the columns stand before the sequence and
// always live, its length counts from behind them. In a conversation a sequence has more than one count (tw_sequences).
typedef enum {
  TW_COUNT_COLUMNS,  // its length: columns up to its last live token, whatever stands between
  TW_COUNT_EARLIER,  // rows of earlier turns that live
  TW_COUNT_TOKENS    // tokens so far: those of a prefix, of earlier turns, and its own
} tw_counted;
typedef struct {
  size_t queries, keys, first;
  bool causal;
  size_t ahead;
  tw_counted counted;
} tw_tokens;

// A declared bound (jobs/gates/guard.h): low <= x < high for live elements, in units of the wire's integers.
typedef struct {
  char name[24];
  int64_t low, high;
  int layout;
  size_t parts;
  tw_tokens tokens;
} tw_limit;

// How the dealer's values reach the parties (docs/formats.md, "Corrections").
typedef enum {
  TW_DEALT_RING,   // shared mod 2^width: each party reads half of the elements, its pad is its share of the others
  TW_DEALT_BITS,   // the same of `width` planes of bits, by XOR
  TW_DEALT_COMMON  // read by both parties as they are, mod 2^width: what hides them is up to the gate
} tw_dealt_kind;

// What a gate is dealt under one number. width below 1: nothing.
typedef struct {
  tw_dealt_kind kind;
  int width;  // ring bits, or planes
  size_t n;   // elements (of each plane)
} tw_dealt;

typedef struct {
  uint32_t use;  // stream of its pad
  tw_dealt_kind kind;
  int width;
  size_t n;
  uint64_t offset[2], bytes[2];  // in each party's slot
} tw_correction;

// A gate's functions, side by side in its file. mask: the output's mask share of one side (both roles that know seeds,
// and a party for its own side); deal: corrections from both sides' masks; prepare: a party's input-independent work;
// party: on shares and opened values; emulate: on values and rounding offsets. rows: how rows stay apart (rows.h),
// NULL: they do not; tile: sets arguments of a copy that does some rows only (false: not these), NULL: they are the
// same.
typedef struct {
  const char *name;
  tw_status (*mask)(tw_session *, const tw_op *, int side);
  tw_status (*deal)(tw_session *, const tw_op *);
  tw_status (*prepare)(tw_session *, const tw_op *);
  tw_status (*party)(tw_session *, const tw_op *);
  tw_status (*emulate)(tw_session *, const tw_op *);
  bool (*rows)(tw_row_shape *);
  bool (*tile)(const tw_row_shape *, tw_row_range, tw_op *);
} tw_gate;

enum { TW_MAX_IN = TW_OPERANDS, TW_MAX_OUT = 3, TW_MAX_ARG = 12, TW_MAX_CORRECTIONS = 8 };  // of one gate
enum { TW_MOST_INPUTS = 8 };                                                                // of a program
enum { TW_TOKEN_ARGS = 4 };  // what a tw_tokens takes of an operation's arguments

struct tw_op {
  const tw_gate *gate;
  int in[TW_MAX_IN], in_count;
  int out[TW_MAX_OUT], out_count;
  int64_t arg[TW_MAX_ARG];
  size_t list, list_count;           // in program->pool
  int correction, correction_count;  // in program->corrections
  int dealt_count;                   // numbers in the gate's declaration of corrections,
  unsigned dealt;                    // and a bit for each that has one
  uint32_t mask_use;                 // openings: stream of the mask; of what `draws`: stream of its half
  bool opens;
  bool draws;         // both seeds make a random number of which each party knows a half, and the dealer all
  bool for_product;   // a prepared product, or a mask that one is computed from
  int next_prepared;  // the next gate with a prepared product, -1: there is none
  int ordinal;        // opens: among the program's opening gates, in order
  int step, level;
  // Preparation where masks are kept: how many masks after another its own follows from, 0 where it has none or it is
  // drawn; of products the program's last.
  int wave;
};

typedef struct {
  int layer;  // -1: input and output
  char name[24];
} tw_step;

// Integer tables of a spec; made once, part of the plan.
typedef struct {
  char name[32];
  size_t n;
  uint64_t *values;
} tw_table;

typedef struct {
  tw_tensor *tensors;
  int tensor_count;
  tw_op *ops;
  int op_count;
  int64_t *pool;  // lists (pool.h)
  size_t pool_count;
  tw_correction *corrections;
  int correction_count;
  tw_step *steps;
  int step_count;
  const tw_table *tables;  // owned by the plan
  int table_count;
  int inputs[TW_MOST_INPUTS], input_count;  // tensor ids of the shares that come in
  int *outputs, output_count;               // of the wires that are the results, in the order in which they were named
  int guard;                                // wire of one element: how many values were out of bound; -1: not counted
  tw_limit *limits;
  int limit_count, limit_room;
  int levels;  // rounds
  int waves;   // the last one: of products
  uint32_t use_count;
  uint64_t slot_bytes[2];
  // capacities, for growth
  int tensor_room, op_room, correction_room, step_room, output_room;
  size_t pool_room;
  tw_pool_index *pool_index;  // while it is built
  bool finished;
} tw_program;

void tw_program_free(tw_program *p);

// Order by level, assign use ids, correction offsets and lifetimes; verifies single use of ids (tw_program_check_uses),
// that inputs precede their users, and that every opened tensor is read.
tw_status tw_program_finish(tw_program *p);

// TW_ERR_INTERNAL unless every use id is the mask of one opening or the pad of one correction, every correction one
// gate's, in a place of its own in each party's slot.
tw_status tw_program_check_uses(const tw_program *p);

// Digest of everything both parties and the dealer must agree on.
void tw_program_digest(const tw_program *p, tw_digest *out);

// Elements whose correction party 0 reads from its file; the rest is party 1's.
static inline size_t tw_first_half(size_t n) {
  size_t h = 64 * ((n + 127) / 128);
  return h < n ? h : n;
}

// Elements of a correction in a party's slot: `count` from `first` on.
typedef struct {
  size_t first, count;
} tw_correction_part;
static inline tw_correction_part tw_part_of(const tw_correction *c, int party) {
  size_t h = tw_first_half(c->n);
  if (c->kind == TW_DEALT_COMMON) return (tw_correction_part){0, c->n};
  return party == 0 ? (tw_correction_part){0, h} : (tw_correction_part){h, c->n - h};
}
// Words of all its elements: one an element, or of planes.
size_t tw_correction_words(const tw_correction *c);
// Bytes of its part in a party's slot, a multiple of 64.
uint64_t tw_correction_bytes(const tw_correction *c, int party);

// Cost of each step: correction bytes of each party, bytes sent by one party, rounds (levels with an open).
typedef struct {
  uint64_t correction_bytes[2], sent_bytes, rounds;
} tw_cost;
void tw_program_costs(const tw_program *p, tw_cost *per_step, tw_cost *total);

// Index of one party's stream, correction_count entries (caller frees with tw_free).
tw_status tw_program_index(const tw_program *p, int party, tw_key_index_entry **out);
// Bytes of an opened tensor of one sequence in a message: packed, whole words.
uint64_t tw_program_open_bytes(const tw_tensor *t);

#endif
