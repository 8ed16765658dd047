// Transformer layers as programs (protocols, sections 8 and 9).
#ifndef TW_LAYER_H
#define TW_LAYER_H

#include "io/model.h"
#include "jobs/gates/guard.h"
#include "jobs/models/float_model.h"
#include "jobs/models/spec.h"
#include "jobs/program/build.h"

// Ring widths of one layer, from its bounds. Every capacity (ring - scale) is at least log2(bound) + 1, before an
// extension log2(bound) + 2.
typedef struct {
  int input;           // layer input: the QKV product and the residual read it
  int qkv;             // QKV product
  int query_scale;     // of Q and K
  int qk, logit;       // Q and K; logits
  int v, context;      // V (extended where qkv - 12 is less), e and the PV product; context before normalisation
  int out, down;       // out-projection and FFN-down products, residual = that - 12
  int up, activation;  // FFN-up product; activation input = that - 12
  int product;         // norms: row times gamma
  int norm1, norm2;    // outputs of the norms
  int input_limit, value_limit;  // no widths, but bits of the largest integer allowed in the layer's input and in V
} tw_rings;

typedef struct {
  tw_model_config config;
  int seq;
  bool rms_norm;  // RMSNorm instead of LayerNorm (no mean, no beta)
  bool guard;     // values of declared wires out of bound are counted (jobs/gates/guard.h)
  const tw_spec *activation;
  tw_spec reciprocal;
} tw_layer_shape;

// Bounds used when nothing was measured: they hold for BERT-type encoders.
tw_bounds tw_default_bounds(void);
// Ring widths of all layers from their bounds; TW_ERR_RANGE names the tensor that does not fit.
tw_status tw_choose_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out);

// Raises the declared bounds of a layer to what its rings hold anyway, so that the rings stay and what the guard counts
// is beyond what the plan says.
void tw_raise_bounds(const tw_layer_shape *shape, const tw_rings *rings, tw_bounds *bounds);

// Layer `layer` on x [seq][hidden] (WIRE, scale 12): WIRE of the same shape.
int tw_build_layer(tw_builder *b, const tw_layer_shape *shape, int layer, const tw_rings *rings, int x);

// Parts, for tests: softmax-weighted sum of values and the norm.
// s: WIRE logits [heads * seq][seq] scale 12; v: WIRE [heads][seq][head_dim] scale 12, ring `rings->v` or extended to
// it.
// Returns the normalised context, SHARE [heads][seq][head_dim] at scale 12 + reciprocal.out_scale in ring out + that
// scale.
int tw_build_softmax_values(tw_builder *b, const tw_layer_shape *shape, int layer, const tw_rings *rings, int s, int v,
                            size_t heads, size_t head_dim);
// gamma, beta: WIREs [hidden] of scale 12 (beta < 0: RMSNorm). product: ring of a row times gamma, scale 26. Returns
// WIRE ring `ring`, scale 12.
int tw_build_norm(tw_builder *b, int x, int gamma, int beta, size_t hidden, int product, int ring, double epsilon);

#endif
