// A tile's way through a chain as a list of steps: what one block of a GPU does, and what it exchanges with its twin,
// the block of the other party's GPU that has the same tile. All that a tile computes on lies in the block's shared
// memory; places there are written as the addresses that kernels have for it (tw_chain_shared_base).
#ifndef TW_CHAIN_STEPS_H
#define TW_CHAIN_STEPS_H

#include "base/status.h"
#include "kernels/bit_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

// Operations of the backend that a chain may hold; all others are not to be had in one. Element by element; whole;
// those that know a row's token. Products of bits and
// leaves have steps of their own.
// clang-format off
#define TW_CHAIN_ELEMENT_OPS(X) \
  X(shift) X(view) X(concat) X(combine) X(share) X(extend) X(multiply) X(multiply_rows) X(square) X(select) \
  X(choose) X(pairs) X(offset) X(piece) X(floor) X(opponents) X(members) X(fold)
#define TW_CHAIN_WHOLE_OPS(X) X(lookup) X(parity) X(reshape) X(constants) X(sum_planes)
#define TW_CHAIN_TOKEN_OPS(X) X(kill) X(zero)
// clang-format on

typedef enum {
  TW_STEP_GATHER,   // a tile's elements, or bits, of a whole tensor
  TW_STEP_SCATTER,  // and back
  TW_STEP_SEND,     // share + mask to the twin; stays in `out`
  TW_STEP_RECEIVE,  // the twin's, added to it
  TW_STEP_SUMS,     // of rows
  TW_STEP_COPY,
  TW_STEP_PRODUCTS,  // of opened bits
  TW_STEP_DIGEST,    // of what was opened
  TW_STEP_DIGITS,    // bits of opened elements
  TW_STEP_LEAVES,    // of these digits and one-hots
  TW_STEP_FEW,       // leaves of few opened elements
#define TW_STEP_OF(op) TW_STEP_##op,
  TW_CHAIN_ELEMENT_OPS(TW_STEP_OF) TW_CHAIN_WHOLE_OPS(TW_STEP_OF) TW_CHAIN_TOKEN_OPS(TW_STEP_OF)
#undef TW_STEP_OF
      TW_STEP_KINDS,
  TW_STEP_ELEMENTS = TW_STEP_FEW + 1,  // the ring's begin
  TW_STEP_BEHIND_ELEMENTS = TW_STEP_lookup
} tw_step_kind;

// [outer][all rows][inner] of each plane (planes 0: elements); a tile has `rows` of the rows. outer 1, all and rows 1:
// common to all.
typedef struct {
  uint64_t *whole, *tile;  // tile: in a block's memory; packed before, of tile number 0, others behind it
  uint32_t outer, all, inner, planes, rows;
  uint32_t watched;           // only who watches needs it
  uint32_t warp;              // not 0: warp number `warp` - 1 alone does it, counted round; 0: the whole block
  uint32_t straight, stride;  // words that lie side by side in the whole, too (0: they do not), and from tile to tile
  size_t whole_words;         // of a plane
  size_t sequence_words;      // of the whole, from one sequence's to the next one's
  uint64_t over_run;          // j over_run / 2^32 is j / (rows inner), rounded down, for every element j of a tile
} tw_step_move;

// Packets of a tensor begin at `packet`. Two elements share one where rings allow it.
typedef struct {
  const uint64_t *share, *mask;
  uint64_t *out;
  uint64_t ring;  // of elements
  uint32_t words, packet, round;
  uint32_t bits, live;  // bits: words of planes, of which each plane has `live` bits
  uint32_t paired;
} tw_step_open;

typedef struct {
  const uint64_t *x, *addend;
  uint64_t *out, ring;
  uint32_t rows, cols;
} tw_step_sums;

typedef struct {
  const uint64_t *from;
  uint64_t *to;
  uint32_t words;
} tw_step_copy;

// As tw_products_args. A product of `count` literals is a sum over the sets of its literals: the set's share times the
// values of all others. A unit is eight of these sets, those that agree in all but the product's first three literals.
// It has numbers of 16 bits: the plane of `out` that it is added to; the values of the first three literals; the shares
// of the eight sets, bit i for literal i; and the values of `upper` more literals. Each but the first is a place, in
// words of `memory`, of a plane's word 0; a value's highest bit says that it is negated.
enum { TW_UNIT_SHARES = 4, TW_UNIT_UPPER = 12, TW_UNIT_NEGATED = 1 << 15 };
typedef struct {
  const uint64_t *value[TW_OPERANDS], *mask[TW_OPERANDS];  // where places lie
  const uint64_t *dealt;
  const uint64_t *memory;  // the block's
  const uint16_t *list;    // [units][TW_UNIT_UPPER + upper]
  uint64_t *out;
  uint32_t words, planes, units, upper;
  uint32_t operand_words[TW_OPERANDS], dealt_words;
} tw_step_products;

// Bits of opened elements less an offset, of 32 elements in a number of 32 bits: that of bit i and elements 32 h, ...
// is number h stride + i. The stride is odd, so that neither order of them meets in a bank of memory.
typedef struct {
  const uint64_t *X;
  uint64_t offset, *out;
  uint32_t n, halves, bits, stride;
} tw_step_digits;

// As tw_leaves_args, on digits: a leaf's first word is the first number of its offset's digits, and a sign's digit is
// the top bit.
typedef struct {
  const uint64_t *digits, *onehot;
  const int64_t *leaves;
  uint64_t *out;
  uint32_t words, count, party, stride, n;
  uint32_t quads;  // of entries, of the widest leaf
  uint32_t digit_words, onehot_words;
} tw_step_leaves;

// What the tile's opened values (move.tile) give of the opening's digest (kernels/digest.h) is added to sum[sequence].
typedef struct {
  tw_step_move move;  // `whole` is not read
  uint64_t *sum;
} tw_step_digest;

typedef struct {
  tw_step_kind kind;
  int joined;       // nothing is waited for between it and the next step
  uint32_t period;  // tiles of rows whose tokens follow each other, then tokens begin anew; 0: no token is asked for
  union {
    tw_step_move move;
    tw_step_open open;
    tw_step_sums sums;
    tw_step_copy copy;
    tw_step_products products;
    tw_step_digest digest;
    tw_step_digits digits;
    tw_step_leaves leaves;
    tw_leaves_args few;
#define TW_STEP_ARGS(op) tw_##op##_args op;
    TW_CHAIN_ELEMENT_OPS(TW_STEP_ARGS) TW_CHAIN_WHOLE_OPS(TW_STEP_ARGS) TW_CHAIN_TOKEN_OPS(TW_STEP_ARGS)
#undef TW_STEP_ARGS
  } as;
} tw_chain_step;

enum { TW_CHAIN_SLOTS = 2, TW_CHAIN_PACKET_BYTES = 16, TW_CHAIN_PAIRED_BITS = 48 };

// One chain of one party: tile t by block t % blocks. Packets of a block lie in a slot of its own, two slots in turn.
// Counts: of round k of a block's i-th tile, base + *base_at + i * rounds + k + 1.
typedef struct {
  const tw_chain_step *steps;  // device
  const int64_t *lists;        // device; they go to the beginning of a block's memory
  uint32_t list_words;
  uint32_t count, tiles, blocks, rounds;
  uint32_t of_sequence;      // tiles of one sequence; those of the first come first
  uint32_t packets;          // of a slot
  size_t shared_bytes;       // of lists and tile
  uint64_t *sent;            // the twin's mailbox: [blocks][TW_CHAIN_SLOTS][packets][2]
  const uint64_t *received;  // this one's. Counts of both begin as `base`, or as those of a launch before it
  uint64_t base;
  const uint64_t *base_at;  // device: added to `base`; NULL: nothing is
  int *failed;              // device
  const int *no_keys;       // device: not 0 where corrections are none, and nothing may be sent; NULL: they are there
  const int *stop;          // mapped host memory; NULL: none. Not 0 ends all waiting
  uint64_t patience_ns;     // longest wait
  uint64_t *times;  // device, [count + 1]: ns by the GPU's clock before each step of tile 0, and after; as it was for a
                    // step that is fetched together with the one before it. NULL: no times
} tw_chain_launch;

tw_status tw_chain_run(const tw_chain_launch *launch, void *stream);
// What `count` moves (device) gather for all tiles, into the GPU's memory.
tw_status tw_chain_pack(const tw_step_move *moves, uint32_t count, uint32_t tiles, uint32_t of_sequence, void *stream);
// How many blocks of such a chain the GPU holds at once: its launch may have no more, and neither may the twin's.
tw_status tw_chain_resident(size_t shared_bytes, uint32_t steps, uint32_t *blocks);
// Where a block of such a chain finds its shared memory, the same in all of them; and how much it has for lists and a
// tile beside `steps` steps.
tw_status tw_chain_shared(uint32_t steps, uint64_t *base, size_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
