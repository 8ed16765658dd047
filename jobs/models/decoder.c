// Decoders: x + attention(norm(x)), x + feed-forward(norm(x)), causal. What differs between families is in their tables
// and configurations.
#include "jobs/models/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/rotary.h"

// ---- positions that turn ----

const char tw_rotary_cosine[] = "rotary.cosine", tw_rotary_sine[] = "rotary.sine";

tw_status tw_rotary_tables(const tw_model_config *config, int first, int seq, tw_table out[2]) {
  size_t half = (size_t)tw_config_head_dim(config) / 2, n = (size_t)seq * half;
  double *frequency = calloc(half, sizeof *frequency);
  for (int i = 0; i < 2; i++) {
    out[i] = (tw_table){.n = n, .values = calloc(n, sizeof(uint64_t))};
    snprintf(out[i].name, sizeof out[i].name, "%s", i ? tw_rotary_sine : tw_rotary_cosine);
  }
  bool room = frequency && out[0].values && out[1].values;
  if (room) tw_rotary_frequencies(config, frequency);
  for (size_t j = 0; room && j < n; j++) {
    double angle = (double)((size_t)first + j / half) * frequency[j % half];
    out[0].values[j] = (uint64_t)llrint(ldexp(cos(angle), TW_ANGLE_SCALE));
    out[1].values[j] = (uint64_t)llrint(ldexp(sin(angle), TW_ANGLE_SCALE));
  }
  free(frequency);
  return room ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for the angles of %d positions", seq);
}

// ---- layers ----

static int tensor(const tw_layer *at, int entry) {
  return tw_tensor_number(tw_tensor_table_of(&at->shape->config), at->shape->config.layers, at->index, entry);
}

static int norm(tw_builder *b, const tw_layer *at, const char *step, int gamma_entry, int ring, int x) {
  const tw_model_config *c = &at->shape->config;
  size_t hidden = (size_t)c->hidden;
  const tw_rings *r = at->rings;
  tw_norm_rings rings = {r->product, r->squares, r->exponents, r->highest};
  tw_step_begin(b, at->index, step);
  int gamma = tw_weight_wire(b, tensor(at, gamma_entry), TW_SCALE, hidden), beta = -1;
  if (!tw_decoder_layout_of(c)->rms_norm) beta = tw_weight_wire(b, tensor(at, gamma_entry + 1), TW_SCALE, hidden);
  return tw_build_norm(b, at->tokens, x, beta >= 0 && !at->shape->centred, gamma, beta, hidden, rings, ring,
                       c->norm_epsilon);
}

static int feed_forward(tw_builder *b, const tw_layer *at, const tw_decoder_layout *l, int x) {
  if (l->gated) return tw_build_gated(b, at, tensor(at, l->gate), tensor(at, l->up), tensor(at, l->down), x);
  return tw_build_feed_forward(b, at, tensor(at, l->up), tensor(at, l->down), x);
}

// The prefix of the plan, which stands behind the tensors of the shared model.
static tw_cached cached(tw_builder *b, const tw_layer *at) {
  const tw_model_config *c = &at->shape->config;
  size_t rows = (size_t)at->shape->prefix, n = rows * (size_t)tw_config_kv_width(c);
  if (rows == 0) return (tw_cached){.rows = 0};
  tw_step_begin(b, at->index, "qkv");
  int keys = tw_weight_wire(b, tw_cached_tensor(c, at->index, TW_CACHED_KEYS), at->rings->query_scale, n);
  return (tw_cached){rows, keys, tw_weight_wire(b, tw_cached_tensor(c, at->index, TW_CACHED_VALUES), TW_SCALE, n)};
}

// One layer. With at.last only the row of the last live token goes on behind attention. It is opened afresh: its mask
// depends on the length, which the dealer does not know.
int tw_build_decoder_layer(tw_builder *b, tw_layer at, int x) {
  const tw_decoder_layout *l = tw_decoder_layout_of(&at.shape->config);
  x = tw_reduce(b, x, at.rings->out - TW_SCALE);
  int y = norm(b, &at, "norm 1", l->norm1, at.rings->norm1, x);
  if (!at.kept || !at.kept->tokens) at.cached = cached(b, &at);  // else it was kept, too
  y = tw_build_attention(b, &at, tensor(&at, l->qkv), tensor(&at, l->out), y);
  if (at.last) {
    x = tw_open(b, tw_last_live_row(b, tw_as_share(b, x), at.tokens));
    at.tokens = (tw_tokens){1, 1, 0, false};
  }
  x = tw_build_residual(b, &at, x, y);
  return tw_build_residual(b, &at, x, feed_forward(b, &at, l, norm(b, &at, "norm 2", l->norm2, at.rings->norm2, x)));
}

tw_layer tw_decoder_layers_begin(tw_builder *b, const tw_layer_shape *shape, tw_tokens tokens) {
  tw_layer at = {.shape = shape, .tokens = tokens};
  if (shape->config.rotary.kind != TW_ROTARY_NONE) {
    at.turn[0] = tw_table_named(b, tw_rotary_cosine);
    at.turn[1] = tw_table_named(b, tw_rotary_sine);
  }
  return at;
}

int tw_build_decoder_layers(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, tw_kept *kept, int x) {
  const tw_model_config *c = &shape->config;
  tw_tokens tokens = tw_shape_tokens(shape);
  tw_layer at = tw_decoder_layers_begin(b, shape, tokens);
  tw_declare(b, x, "input", rings[0].input_limit, TW_BY_ROW, 1, tokens);
  for (int i = 0; i < c->layers; i++) {
    size_t window = (size_t)tw_config_window(c, i);
    at.rings = &rings[i];
    at.index = i;
    at.triangle = (tw_triangle){tokens.queries, window && window < tokens.keys ? window : tokens.keys, tokens.first};
    at.last = shape->last_row && shape->seq > 1 && i == c->layers - 1;
    at.kept = kept ? &kept[i] : NULL;
    x = tw_build_decoder_layer(b, at, x);
  }
  return x;
}

// The layers' output is not the model's, which a norm stands behind: `exact` is for that one.
static int emit(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, bool exact, int x) {
  (void)exact;
  return tw_build_decoder_layers(b, shape, rings, NULL, x);
}

// All that is added to the residual stream may lose its mean: only LayerNorms read it. A client that embeds adds rows
// of its own.
static bool centres(const tw_model_config *config) {
  return !tw_decoder_layout_of(config)->rms_norm && !config->client_embeds;
}

#define FAMILY(family, its_bounds)                                                                                   \
  {                                                                                                                  \
    .tensors = family, .default_bounds = its_bounds, .widened = tw_decoder_widened, .rings = tw_decoder_rings,       \
    .raise_bounds = tw_decoder_raise_bounds, .largest_output = tw_decoder_largest, .centres = centres, .emit = emit, \
    .reference = tw_decoder_forward                                                                                  \
  }

const tw_architecture tw_gpt2 = FAMILY(tw_gpt2_tensors, tw_gpt_bounds),
                      tw_gpt_neo = FAMILY(tw_gpt_neo_tensors, tw_gpt_bounds),
                      tw_llama = FAMILY(tw_llama_tensors, tw_llama_bounds);
