#include "jobs/models/calibrate.h"

#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "jobs/models/embed.h"
#include "jobs/models/encode.h"
#include "jobs/models/prefix.h"

// The output that reads most of what stands on the layers.
static tw_model_output widest_output(const tw_model_config *c) {
  if (c->head.kind == TW_HEAD_WORDS) return TW_OUTPUT_ALL_LOGITS;
  if (c->head.kind == TW_HEAD_DENSE) return TW_OUTPUT_DENSE;
  return c->head.kind == TW_HEAD_NONE ? TW_OUTPUT_TOKENS : TW_OUTPUT_LOGITS;
}

// The whole sample is tokenised first: a text that is too long must not end an hour's measurement.
static tw_status measure(const tw_model *model, const tw_input *input, const tw_calibration *sample, double *x,
                         double *out, tw_bounds *bounds, tw_head_bounds *head) {
  tw_model_output output = widest_output(&model->config);
  for (int t = 0; t < input->count; t++) {
    TW_TRY(tw_float_sequence(model, sample->prefix, input, t, 1, x, bounds));
    TW_TRY(tw_float_output(model, output, x, input->lengths[t], 1, out, head));
    if (sample->progress) sample->progress(sample->progress_state, (t + 1.0) / input->count);
  }
  return TW_OK;
}

// Longer texts are cut, as `encode --truncate` does.
static tw_status encode(const tw_client *client, const tw_calibration *sample, tw_input *out) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_text) * (size_t)sample->count, &memory));
  tw_text *texts = memory;
  for (int i = 0; i < sample->count; i++) texts[i] = (tw_text){.first = sample->texts[i]};
  tw_status status = tw_encode_texts(client, NULL, texts, sample->count, sample->seq, true, NULL, out);
  tw_free(texts);
  return status;
}

// ---- behind a prefix

// Rows of the first token are thousands of times larger than others, and so are those of its repetitions as long as
// nothing else stood between: two more sequences repeat the prefix's first token, and the prefix.
enum { REPETITIONS = 2 };
typedef struct {
  const tw_client *client;
  const tw_calibration *sample;
  int count, **ids, *lengths;  // prefix counted
} behind;

static void repeat(const behind *b, int which, int *ids) {
  const tw_prefix *prefix = b->sample->prefix;
  for (int i = 0; i < b->sample->seq; i++) ids[prefix->count + i] = prefix->ids[which ? i % prefix->count : 0];
}

static tw_status place_text(const behind *b, int t, int *ids) {
  int *own, count, before = b->sample->prefix->count;
  TW_TRY(tw_encode_plain(b->client, b->sample->texts[t], &own, &count));
  if (count > b->sample->seq) count = b->sample->seq;
  memcpy(ids + before, own, (size_t)count * sizeof *ids);
  b->lengths[t] = before + count;
  tw_free(own);
  return TW_OK;
}

static tw_status place_all(behind *b) {
  const tw_prefix *prefix = b->sample->prefix;
  size_t all = (size_t)(prefix->count + b->sample->seq);
  for (int t = 0; t < b->count; t++) {
    TW_TRY(tw_alloc(all * sizeof(int), (void **)&b->ids[t]));
    memcpy(b->ids[t], prefix->ids, (size_t)prefix->count * sizeof(int));
    b->lengths[t] = (int)all;
    if (t < b->sample->count)
      TW_TRY(place_text(b, t, b->ids[t]));
    else
      repeat(b, t - b->sample->count, b->ids[t]);
  }
  return TW_OK;
}

// Each text is what comes behind the prefix, as it stands.
static tw_status encode_behind(const tw_client *client, const tw_calibration *sample, tw_input *out) {
  behind b = {.client = client, .sample = sample, .count = sample->count + REPETITIONS};
  size_t count = (size_t)b.count;
  tw_status status = tw_alloc(count * sizeof *b.ids, (void **)&b.ids);
  if (status == TW_OK) status = tw_alloc(count * sizeof *b.lengths, (void **)&b.lengths);
  if (status == TW_OK) status = place_all(&b);
  if (status == TW_OK)
    status = tw_encode_ids(client, sample->prefix, (const int *const *)b.ids, b.lengths, b.count, sample->seq, out);
  for (int t = 0; b.ids && t < b.count; t++) tw_free(b.ids[t]);
  tw_free(b.ids);
  tw_free(b.lengths);
  return status;
}

tw_status tw_calibrate(const tw_model *model, const tw_client *client, const tw_calibration *sample, tw_bounds *bounds,
                       tw_head_bounds *head) {
  if (client->config.hidden != model->config.hidden)
    return tw_fail(TW_ERR_MISMATCH,
                   "model %s is %d wide, the client's part belongs to %s, %d wide; import both together",
                   model->config.name, model->config.hidden, client->config.name, client->config.hidden);
  tw_input input;
  double *x;
  *head = tw_head_bounds_start(model);
  tw_bounds_reset(bounds, model->config.layers);
  tw_bounds_of_weights(model, bounds);
  if (tw_decoder_layout_of(&model->config)) bounds[0].input = tw_bound_of_words(model);
  TW_TRY(sample->prefix ? encode_behind(client, sample, &input) : encode(client, sample, &input));
  size_t before = sample->prefix ? (size_t)sample->prefix->count : 0, rows = before + (size_t)input.seq;
  size_t outputs = (size_t)model->config.head.outputs, hidden = (size_t)model->config.hidden;
  size_t width = hidden + (outputs > hidden ? outputs : hidden);
  tw_status status = tw_encode_rows(client, &input);
  if (status == TW_OK) status = tw_alloc(rows * width * sizeof *x, (void **)&x);
  if (status == TW_OK) {
    status = measure(model, &input, sample, x, x + rows * hidden, bounds, head);
    tw_free(x);
  }
  tw_input_free(&input);
  return status;
}
