// BERT encoders: attention and feed-forward, each with a residual and a LayerNorm; with pre_norm the norm comes first.
#include "jobs/models/bert.h"

#include "io/bert_tensors.h"

static int tensor(const tw_layer *at, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&at->shape->config), at->shape->config.layers, at->index, entry);
}

static int norm(tw_builder *b, const tw_layer *at, const char *step, int gamma_entry, int ring, int x) {
  size_t hidden = (size_t)at->shape->config.hidden;
  tw_step_begin(b, at->index, step);
  int gamma = tw_weight_wire(b, tensor(at, gamma_entry), TW_SCALE, hidden);
  int beta = tw_weight_wire(b, tensor(at, gamma_entry + 1), TW_SCALE, hidden);
  const tw_rings *r = at->rings;
  bool by_key = at->shape->by_key & TW_ROOTS_BY_KEY;
  tw_norm_rings rings = {r->product, r->squares, r->exponents, r->highest, by_key};
  return tw_build_norm(b, at->tokens, x, !at->shape->centred, gamma, beta, hidden, rings, ring,
                       at->shape->config.norm_epsilon);
}

static int norm1(tw_builder *b, const tw_layer *at, int x) {
  return norm(b, at, "norm 1", TW_BERT_NORM1_GAMMA, at->rings->norm1, x);
}

static int norm2(tw_builder *b, const tw_layer *at, int x) {
  return norm(b, at, "norm 2", TW_BERT_NORM2_GAMMA, at->rings->norm2, x);
}

static int attention(tw_builder *b, const tw_layer *at, int x) {
  return tw_build_attention(b, at, tensor(at, TW_BERT_QKV_WEIGHT), tensor(at, TW_BERT_OUT_WEIGHT), x);
}

static int feed_forward(tw_builder *b, const tw_layer *at, int x) {
  return tw_build_feed_forward(b, at, tensor(at, TW_BERT_UP_WEIGHT), tensor(at, TW_BERT_DOWN_WEIGHT), x);
}

// x + y of a norm that takes no mean: y has none, as the columns of its weights have none; x loses its own.
static int centred_residual(tw_builder *b, const tw_layer *at, int x, int y) {
  if (!at->shape->centred) return tw_build_residual(b, at, x, y);
  tw_step_begin(b, at->index, "row mean");
  x = tw_build_centred(b, x, (size_t)at->shape->config.hidden, at->rings->out - TW_SCALE);
  return tw_build_residual(b, at, x, y);
}

// exact: both norms are rounded like floor, as what they hand on is part of the result.
static int pre_norm_layer(tw_builder *b, const tw_layer *at, bool exact, int x) {
  b->exact_result = exact;
  x = tw_reduce(b, x, at->rings->out - TW_SCALE);  // the residual stream's ring
  x = tw_build_residual(b, at, x, attention(b, at, norm1(b, at, x)));
  return tw_build_residual(b, at, x, feed_forward(b, at, norm2(b, at, x)));
}

// exact: the layer's result is rounded like floor, its inner norm is not.
static int post_norm_layer(tw_builder *b, const tw_layer *at, bool exact, int x) {
  b->exact_result = false;
  x = norm1(b, at, centred_residual(b, at, x, attention(b, at, x)));
  int y = centred_residual(b, at, x, feed_forward(b, at, x));
  b->exact_result = exact;
  return norm2(b, at, y);
}

static int emit(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, bool exact, int x) {
  size_t seq = (size_t)shape->seq;
  tw_tokens tokens = {seq, seq, 0, shape->config.causal};
  tw_declare(b, x, "input", rings[0].input_limit, TW_BY_ROW, 1, tokens);
  for (int layer = 0; layer < shape->config.layers; layer++) {
    tw_layer at = {.shape = shape, .rings = &rings[layer], .index = layer, .tokens = tokens};
    if (shape->config.causal) at.triangle = (tw_triangle){seq, seq, 0};
    bool last = layer == shape->config.layers - 1;
    x = (shape->config.pre_norm ? pre_norm_layer : post_norm_layer)(b, &at, exact && last, x);
  }
  return x;
}

// Of pre_norm the residual stream itself comes out, and its means with it.
static bool centres(const tw_model_config *config) { return !config->pre_norm; }

// BERT's kin have its arithmetic under other names.
#define KIN(family)                                                                                            \
  {                                                                                                            \
    .tensors = family, .default_bounds = tw_bert_bounds, .widened = tw_bert_widened, .rings = tw_bert_rings,   \
    .raise_bounds = tw_bert_raise_bounds, .largest_output = tw_bert_largest, .centres = centres, .emit = emit, \
    .reference = tw_bert_forward                                                                               \
  }

const tw_architecture tw_bert = KIN(tw_bert_tensors), tw_roberta = KIN(tw_roberta_tensors),
                      tw_distilbert = KIN(tw_distilbert_tensors), tw_electra = KIN(tw_electra_tensors);
