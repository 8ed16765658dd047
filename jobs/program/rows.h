// Which operations keep the rows of their tensors apart, so that some rows can go through them without the others
// (chains.h). A tensor of n elements (of each plane) is [outer][rows][inner] for the rows that a chain shares; or it is
// common to all rows. A gate's rule says how its operands go together; it knows nothing of chains.
#ifndef TW_ROWS_H
#define TW_ROWS_H

#include "jobs/program/program.h"

typedef enum { TW_ROWS_UNKNOWN, TW_ROWS_COMMON, TW_ROWS_SPLIT } tw_row_kind;
typedef struct {
  tw_row_kind kind;
  size_t outer, inner;  // SPLIT
} tw_rows;

struct tw_row_shape {
  const tw_program *program;
  const tw_op *op;
  size_t rows;  // 0: a rule may find them, where the operation itself has rows
  tw_rows in[TW_MAX_IN], out[TW_MAX_OUT];
  tw_rows dealt[TW_MAX_CORRECTIONS];  // by number in the gate's declaration
};

// Rows first .. first + count - 1.
struct tw_row_range {
  size_t first, count;
};

static inline tw_rows tw_rows_split(size_t outer, size_t inner) { return (tw_rows){TW_ROWS_SPLIT, outer, inner}; }
static inline bool tw_is_split(tw_rows r) { return r.kind == TW_ROWS_SPLIT; }
static inline size_t tw_in_n(const tw_row_shape *s, int i) { return s->program->tensors[s->op->in[i]].n; }
static inline size_t tw_out_n(const tw_row_shape *s, int i) { return s->program->tensors[s->op->out[i]].n; }

// ---- rules that many gates share. Each asks for what is known and fills the rest; false: the rows do not stay apart.

// Element by element, whatever is dealt.
bool tw_rows_each(tw_row_shape *s);
// in[0] [any][cols] -> out[0] [any]; finds rows.
bool tw_rows_summed(tw_row_shape *s, size_t cols);
// in[1] has one element for every `cols` neighbours of in[0], whose shape the output has.
bool tw_rows_with_rows(tw_row_shape *s);
// in[1] is repeated along in[0], whose shape the output has.
bool tw_rows_with_columns(tw_row_shape *s);
// in[0] [count][n] -> out[0] [n].
bool tw_rows_folded(tw_row_shape *s, size_t count);
// All that is dealt is as in[0].
void tw_rows_dealt(tw_row_shape *s, tw_rows r);
// in[0], out[0] and what is dealt are [rows][any]; finds rows where it may.
bool tw_rows_plain(tw_row_shape *s, size_t rows);
// Tokens at argument `at` for the rows of a range; false: it holds rows of two heads, and each has keys of its own.
bool tw_tokens_of_rows(const tw_row_shape *s, int at, tw_row_range range, tw_op *tile);

#endif
