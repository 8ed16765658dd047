#include "jobs/models/calibrate.h"

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/embed.h"
#include "jobs/models/encode.h"

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
    int length = input->lengths[t];
    if (input->values) {
      const float *values = input->values + (size_t)t * input->seq * input->hidden;
      for (size_t i = 0; i < (size_t)length * input->hidden; i++) x[i] = values[i];
    } else {
      TW_TRY(tw_float_embed(model, input->tokens + (size_t)t * input->seq, length, 1, x));
    }
    TW_TRY(tw_float_forward(model, x, length, length, 1, x, bounds));
    TW_TRY(tw_float_output(model, output, x, length, 1, out, head));
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
  tw_status status = tw_encode_texts(client, texts, sample->count, sample->seq, true, NULL, out);
  tw_free(texts);
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
  TW_TRY(encode(client, sample, &input));
  size_t outputs = (size_t)model->config.head.outputs, hidden = (size_t)model->config.hidden;
  size_t width = hidden + (outputs > hidden ? outputs : hidden);
  tw_status status = tw_alloc((size_t)input.seq * width * sizeof *x, (void **)&x);
  if (status == TW_OK) {
    status = measure(model, &input, sample, x, x + (size_t)input.seq * hidden, bounds, head);
    tw_free(x);
  }
  tw_input_free(&input);
  return status;
}
