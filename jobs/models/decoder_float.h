// Decoders in double precision, all families: what their tables and configurations say (io/decoder_tensors.h).
#ifndef TW_DECODER_FLOAT_H
#define TW_DECODER_FLOAT_H

#include "jobs/models/float_model.h"

// tw_float_forward of a decoder. out [seq][hidden]: the residual stream behind the last layer, before the model's own
// norm, which tw_float_decoder_rows takes. Q and K are observed before and after positions turn them.
tw_status tw_decoder_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                             tw_bounds *bounds);

// The same of a sequence that begins with a prefix.
typedef struct {
  int rows;               // of the prefix: bounds are of the live rows behind it, and of its keys and values
  double *keys, *values;  // [layers][seq][kv_heads * head_dim], where those of all rows go, keys turned; NULL: nowhere
} tw_float_prefix;
tw_status tw_decoder_forward_behind(const tw_model *model, const tw_float_prefix *prefix, const double *x, int seq,
                                    int length, int quantised, double *out, tw_bounds *bounds);

// x [length][hidden] = word[token] + position[i], as the parties have them when quantised. TW_ERR_RANGE: a token or a
// length beyond the model's.
tw_status tw_float_embed(const tw_model *model, const int *tokens, int length, int quantised, double *x);

// The norm behind the layers: rows [count][hidden] into out, which may be rows. bounds: its sums of squares; may be
// NULL.
tw_status tw_float_decoder_rows(const tw_model *model, const double *rows, int count, int quantised, double *out,
                                tw_norm_bounds *bounds);

#endif
