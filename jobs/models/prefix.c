#include "jobs/models/prefix.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/models/decoder_float.h"

void tw_cached_free(uint64_t **tensors, int count) {
  for (int i = 0; tensors && i < count; i++) tw_free(tensors[i]);
  tw_free(tensors);
}

static tw_status fix(const double *values, size_t n, int scale, double bound, int layer, const char *what,
                     uint64_t *out) {
  for (size_t i = 0; i < n; i++) {
    if (!(fabs(values[i]) <= bound))
      return tw_fail(TW_ERR_RANGE,
                     "the prefix has %s of %.4g in layer %d, the plan's bound is %.4g; plan with larger bounds (`twain "
                     "plan --calibrate`)",
                     what, values[i], layer, bound);
    out[i] = (uint64_t)(int64_t)rint(ldexp(values[i], scale));
  }
  return TW_OK;
}

typedef struct {
  size_t rows, hidden, width;  // of keys and of values
  int layers;
  double *x, *keys, *values;
} work;

static tw_status compute(const tw_model *model, const tw_prefix *prefix, const work *w) {
  tw_float_prefix kept = {.keys = w->keys, .values = w->values};
  TW_TRY(tw_float_embed(model, prefix->ids, prefix->count, 0, w->x));
  return tw_decoder_forward_behind(model, &kept, w->x, prefix->count, prefix->count, 0, w->x, NULL);
}

static tw_status fix_all(const work *w, const tw_bounds *bounds, const tw_rings *rings, uint64_t **out) {
  size_t n = w->rows * w->width;
  for (int i = 0; i < w->layers; i++) {
    uint64_t **layer = out + TW_CACHED_TENSORS * i;
    for (int k = 0; k < TW_CACHED_TENSORS; k++) TW_TRY(tw_alloc(n * sizeof(uint64_t), (void **)&layer[k]));
    TW_TRY(fix(w->keys + (size_t)i * n, n, rings[i].query_scale, bounds[i].key, i, "a key", layer[TW_CACHED_KEYS]));
    TW_TRY(fix(w->values + (size_t)i * n, n, TW_SCALE, bounds[i].value, i, "a value", layer[TW_CACHED_VALUES]));
  }
  return TW_OK;
}

tw_status tw_cached_integers(const tw_model *model, const tw_prefix *prefix, const tw_bounds *bounds,
                             const tw_rings *rings, uint64_t ***out) {
  work w = {.rows = (size_t)prefix->count,
            .hidden = (size_t)model->config.hidden,
            .width = (size_t)tw_config_kv_width(&model->config),
            .layers = model->config.layers};
  size_t kept = (size_t)w.layers * w.rows * w.width;
  int count = TW_CACHED_TENSORS * w.layers;
  uint64_t **tensors = NULL;
  *out = NULL;
  TW_TRY(tw_alloc((w.rows * w.hidden + 2 * kept) * sizeof *w.x, (void **)&w.x));
  w.keys = w.x + w.rows * w.hidden;
  w.values = w.keys + kept;
  tw_status status = tw_alloc((size_t)count * sizeof *tensors, (void **)&tensors);
  if (status == TW_OK) status = compute(model, prefix, &w);
  if (status == TW_OK) status = fix_all(&w, bounds, rings, tensors);
  tw_free(w.x);
  if (status == TW_OK)
    *out = tensors;
  else
    tw_cached_free(tensors, count);
  return status;
}

tw_prefix_facts tw_cached_facts(const tw_prefix_facts *plan, const tw_rings *rings, int layers) {
  enum { MOST_LAYERS = 1024 };
  unsigned char bytes[sizeof plan->digest.hex + MOST_LAYERS];
  size_t n = sizeof plan->digest.hex;
  tw_prefix_facts facts = {.rows = plan->rows};
  memcpy(bytes, plan->digest.hex, n);
  for (int i = 0; i < layers && i < MOST_LAYERS; i++) bytes[n++] = (unsigned char)rings[i].query_scale;
  tw_digest_of(bytes, n, &facts.digest);
  return facts;
}

// Rows of prefix and sequence. What a client embeds comes as it is.
static tw_status embed(const tw_model *model, const tw_prefix *prefix, const tw_input *input, int s, int quantised,
                       double *x) {
  size_t rows = prefix ? (size_t)prefix->count : 0, length = (size_t)input->lengths[s];
  size_t earlier = input->earlier ? (size_t)input->earlier_lengths[s] : 0, before = rows + earlier;
  size_t hidden = (size_t)model->config.hidden, seq = (size_t)input->seq;
  int *ids;
  if (input->values) {
    if (prefix) TW_TRY(tw_float_embed(model, prefix->ids, prefix->count, quantised, x));
    const float *values = tw_input_values(input, s);
    for (size_t i = 0; i < length * hidden; i++) x[before * hidden + i] = (double)values[i];
    return TW_OK;
  }
  TW_TRY(tw_alloc((before + length) * sizeof *ids, (void **)&ids));
  if (prefix) memcpy(ids, prefix->ids, rows * sizeof *ids);
  if (earlier) memcpy(ids + rows, input->earlier + s * input->earlier_seq, earlier * sizeof *ids);
  memcpy(ids + before, input->tokens + (size_t)s * seq, length * sizeof *ids);
  tw_status status = tw_float_embed(model, ids, (int)(before + length), quantised, x);
  tw_free(ids);
  return status;
}

tw_status tw_float_sequence(const tw_model *model, const tw_prefix *prefix, const tw_input *input, int s, int quantised,
                            double *x, tw_bounds *bounds) {
  int length = input->lengths[s],
      before = (prefix ? prefix->count : 0) + (input->earlier ? input->earlier_lengths[s] : 0);
  int all = before + length;
  size_t hidden = (size_t)model->config.hidden;
  TW_TRY(embed(model, prefix, input, s, quantised, x));
  if (!before) return tw_float_forward(model, x, length, length, quantised, x, bounds);
  tw_float_prefix behind = {.rows = before};
  TW_TRY(tw_decoder_forward_behind(model, &behind, x, all, all, quantised, x, bounds));
  memmove(x, x + (size_t)before * hidden, (size_t)length * hidden * sizeof *x);
  return TW_OK;
}
