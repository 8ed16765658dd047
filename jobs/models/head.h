// What stands on the layers of a model (tw_head): a classifier of the sequence or of every token, a Dense module, or a
// decoder's matrix to its words behind a norm.
// Its weights are secret like all others; its activation is a table like the layers'.
#ifndef TW_HEAD_H
#define TW_HEAD_H

#include "jobs/models/blocks.h"

// Declared bounds, as tw_bounds are: largest magnitudes of what the two matrices put out. A head without the one or the
// other leaves it 0 while measuring.
typedef struct {
  double dense, outputs;
  tw_norm_bounds norm;  // behind the layers of a decoder, with any head or none; 0 of an encoder
} tw_head_bounds;

// Ring widths: of both products (scale 24), and of what the head reads (scale 12), which must hold the first product.
typedef struct {
  int rows, dense, outputs;
  tw_norm_rings norm;  // behind the layers of a decoder, whose output has ring `rows`
} tw_head_rings;

tw_head_bounds tw_head_default_bounds(void);  // that nobody measured
tw_head_bounds tw_head_widened(const tw_head_bounds *measured, double margin);
// From bounds, and the largest magnitude of the rows it stands on; TW_ERR_RANGE names what does not fit.
tw_status tw_head_choose_rings(const tw_layer_shape *shape, const tw_head_bounds *bounds, double largest_row,
                               tw_head_rings *out);
// To what the rings hold anyway.
void tw_head_raise_bounds(const tw_layer_shape *shape, const tw_head_rings *rings, tw_head_bounds *bounds);

// The head of x [seq][hidden], a WIRE of scale TW_SCALE in a ring of at least rings->rows bits. exact: its last
// rounding is like floor. Returns [seq][outputs] or [outputs], a WIRE or SHARE of scale TW_SCALE.
int tw_build_head(tw_builder *b, const tw_layer_shape *shape, const tw_head_rings *rings, bool exact, int x);

// The same of a decoder, for any of its outputs, from what stands on its layers: x [rows][hidden], all rows, or the
// last live one for `logits` and `next-token`, a SHARE of scale 0. exact: its last rounding is like floor.
int tw_build_decoder_output(tw_builder *b, const tw_layer_shape *shape, const tw_head_rings *rings,
                            tw_model_output output, bool exact, int x);

// The number of the largest of a row of logits: BITS, one element. ended: an opened bit (-1: none); where it is 1 the
// number is `otherwise`. row: NULL, or its row comes, too, in as many rounds.
int tw_build_next_word(tw_builder *b, const tw_layer_shape *shape, int logits, int ended, uint64_t otherwise,
                       tw_argmax_row *row);
// An opened number as a SHARE of scale 0.
int tw_build_word_id(tw_builder *b, int number);

// In double precision: what `output` is made of rows [length][hidden] that tw_float_forward made. out: as many rows as
// tw_config_by_row says, else one, of `hidden`, or of the head's outputs. A decoder's rows go through its norm, and
// `logits` are those of the last; they stand for next-token, too. bounds: updated, may be NULL.
tw_status tw_float_output(const tw_model *model, tw_model_output output, const double *rows, int length, int quantised,
                          double *out, tw_head_bounds *bounds);

// Nothing measured yet, but for what the weights of a decoder's norm say.
tw_head_bounds tw_head_bounds_start(const tw_model *model);

#endif
