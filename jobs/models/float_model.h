// The float64 model: the plain reference that `check` compares with and `plan --calibrate` measures bounds on.
#ifndef TW_FLOAT_MODEL_H
#define TW_FLOAT_MODEL_H

#include "io/model.h"

// Declared bounds of one layer: largest magnitudes (while measuring: maxima over everything observed so far; start with
// tw_bounds_reset). All other bounds of a plan follow from these (jobs/models/bert_rings.c).
typedef struct {
  double input;                               // layer input
  double query, key, value;                   // Q with the fold of tw_query_fold
  double logit;                               // q k / sqrt(d_head)
  double attention;                           // output projection of attention
  double up;                                  // x up: where there is no gate, the activation's argument
  double gate, product;                       // x gate, the activation's argument; activation(gate) * up. Gated only
  double feed_forward;                        // FFN-down output
  double residual;                            // x + attention, x + feed-forward output
  double variance_sum_min, variance_sum_max;  // sum over the row of (x - mean)^2, of x^2 in an RMSNorm
  double norm_weight, norm_bias;              // gamma and beta of both norms, the model's own
} tw_bounds;

// The same of the one norm behind the layers of a decoder.
typedef struct {
  double variance_sum_min, variance_sum_max, norm_weight, norm_bias;
} tw_norm_bounds;

// Everything 0, variance_sum_min infinite.
void tw_bounds_reset(tw_bounds *bounds, int layers);
// The powers of two from 1 on that hold every layer's gamma and beta, into norm_weight and norm_bias; the rest stays.
void tw_bounds_of_weights(const tw_model *model, tw_bounds *bounds);
tw_bounds tw_bounds_of_layer(const tw_model *model, int layer);  // the same of one layer, all else 0
tw_norm_bounds tw_bounds_of_top(const tw_model *model);          // of a decoder's last norm, and no sums measured yet

// One sequence: x [seq][hidden] (embedded), live tokens `length` (dead keys are ignored; dead rows are computed all
// the same). quantised: weights rounded to the fixed-point scales that the parties use. out [seq][hidden].
// bounds: one entry a layer, updated over live rows (weights' bounds apart); may be NULL. Model config's pre_norm and
// causal are honoured (pre-norm: x + f(LN(x)), no norm after the last layer: a decoder's own belongs to
// tw_float_output; the norms' inputs are what the variance sees). TW_ERR_RANGE: length not in 1 .. seq; TW_ERR_FORMAT:
// unknown activation.
tw_status tw_float_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                           tw_bounds *bounds);

// LayerNorm of one row of n values, in place, without weights: (x - mean) / sqrt(variance + epsilon).
void tw_normalise_row(double *row, int n, double epsilon);

// Mean over the live rows of values [seq][hidden] into out [hidden].
void tw_pool_mean(const double *values, int length, int hidden, double *out);
// Scale to unit length (a zero vector stays).
void tw_unit_length(double *vector, int n);
double tw_cosine(const double *a, const double *b, int n);

#endif
