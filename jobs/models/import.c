#define _GNU_SOURCE
#include "jobs/models/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/hf_config.h"
#include "io/json_read.h"
#include "io/safetensors.h"

typedef struct {
  tw_safetensors *weights;
  const char *prefix;  // "bert." or ""
  const tw_model_config *config;
  tw_model *model;
  tw_client *client;
  float *scratch;  // room for the largest matrix
} import;

// ---- tensors

// While in->model has no tensors everything is only looked up, in the same order: a file that lacks one, or holds one
// of another shape, is refused before anything is allocated for it. `out` is not touched then.
static bool looking(const import *in) { return in->model->tensors == NULL; }

__attribute__((format(printf, 5, 6))) static tw_status read_tensor(const import *in, size_t rows, size_t cols,
                                                                   float *out, const char *format, ...) {
  char name[160];
  int used = snprintf(name, sizeof name, "%s", in->prefix);
  va_list args;
  va_start(args, format);
  vsnprintf(name + used, sizeof name - (size_t)used, format, args);
  va_end(args);
  return looking(in) ? tw_safetensors_check(in->weights, name, rows, cols)
                     : tw_safetensors_read(in->weights, name, rows, cols, out);
}

// A Linear's weight is stored [out][in]; it becomes columns first .. first+out of the canonical tensor [in][...], and
// its bias the same columns of the next one.
static tw_status read_linear(const import *in, int layer, const char *name, int tensor, size_t first, size_t width,
                             size_t inputs) {
  float *bias = NULL;
  TW_TRY(read_tensor(in, width, inputs, in->scratch, "encoder.layer.%d.%s.weight", layer, name));
  if (!looking(in)) {
    const tw_model_tensor *weight = &in->model->tensors[tensor];
    for (size_t o = 0; o < width; o++)
      for (size_t i = 0; i < inputs; i++) weight->values[i * weight->cols + first + o] = in->scratch[o * inputs + i];
    bias = weight[1].values + first;
  }
  return read_tensor(in, 1, width, bias, "encoder.layer.%d.%s.bias", layer, name);
}

// LayerNorm's parameters are called weight and bias, in checkpoints of old gamma and beta.
static tw_status read_norm(const import *in, const char *name, size_t width, float *gamma, float *beta) {
  char old[160];
  snprintf(old, sizeof old, "%s%s.gamma", in->prefix, name);
  bool is_old = tw_safetensors_has(in->weights, old);
  TW_TRY(read_tensor(in, 1, width, gamma, "%s.%s", name, is_old ? "gamma" : "weight"));
  return read_tensor(in, 1, width, beta, "%s.%s", name, is_old ? "beta" : "bias");
}

static tw_status read_layer_norm(const import *in, int layer, const char *name, int tensor) {
  const tw_model_tensor *t = looking(in) ? NULL : &in->model->tensors[tensor];
  char norm[96];
  snprintf(norm, sizeof norm, "encoder.layer.%d.%s.LayerNorm", layer, name);
  return read_norm(in, norm, (size_t)in->config->hidden, t ? t[0].values : NULL, t ? t[1].values : NULL);
}

static tw_status read_layer(const import *in, int layer) {
  size_t hidden = (size_t)in->config->hidden, middle = (size_t)in->config->intermediate;
  int base = layer * TW_TENSORS_PER_LAYER;
  TW_TRY(read_linear(in, layer, "attention.self.query", base, 0, hidden, hidden));
  TW_TRY(read_linear(in, layer, "attention.self.key", base, hidden, hidden, hidden));
  TW_TRY(read_linear(in, layer, "attention.self.value", base, 2 * hidden, hidden, hidden));
  TW_TRY(read_linear(in, layer, "attention.output.dense", base + 2, 0, hidden, hidden));
  TW_TRY(read_layer_norm(in, layer, "attention.output", base + 4));
  TW_TRY(read_linear(in, layer, "intermediate.dense", base + 6, 0, middle, hidden));
  TW_TRY(read_linear(in, layer, "output.dense", base + 8, 0, hidden, middle));
  return read_layer_norm(in, layer, "output", base + 10);
}

static tw_status read_weights(const import *in) {
  tw_client *client = in->client;
  const tw_model_config *c = in->config;
  size_t hidden = (size_t)c->hidden;
  for (int i = 0; i < c->layers; i++) TW_TRY(read_layer(in, i));
  TW_TRY(read_tensor(in, (size_t)c->vocab, hidden, client->word, "embeddings.word_embeddings.weight"));
  TW_TRY(read_tensor(in, (size_t)c->max_positions, hidden, client->position, "embeddings.position_embeddings.weight"));
  TW_TRY(read_tensor(in, (size_t)c->type_vocab, hidden, client->type, "embeddings.token_type_embeddings.weight"));
  return read_norm(in, "embeddings.LayerNorm", hidden, client->gamma, client->beta);
}

static tw_status allocate_floats(size_t n, float **out) { return tw_alloc(n * sizeof(float), (void **)out); }

static tw_status allocate_client(const tw_model_config *config, tw_client *client) {
  size_t hidden = (size_t)config->hidden;
  client->config = *config;
  TW_TRY(allocate_floats((size_t)config->vocab * hidden, &client->word));
  TW_TRY(allocate_floats((size_t)config->max_positions * hidden, &client->position));
  TW_TRY(allocate_floats((size_t)config->type_vocab * hidden, &client->type));
  TW_TRY(allocate_floats(hidden, &client->gamma));
  return allocate_floats(hidden, &client->beta);
}

// ---- what the file has beside it

// Buffers that old versions of transformers saved: the numbers 0, 1, 2 ..., and zeros.
static bool is_buffer(const char *name) {
  static const char *const ends[] = {"embeddings.position_ids", "embeddings.token_type_ids"};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (length >= strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0) return true;
  return false;
}

// One name for alike tensors: numbers become *, and of a head's name two parts are enough.
static void kind_of(const import *in, const char *name, char *kind, size_t size) {
  size_t prefix = strlen(in->prefix), used = 0;
  bool inside = strncmp(name, in->prefix, prefix) == 0;
  if (inside) name += prefix;
  inside = strncmp(name, "encoder.", 8) == 0 || strncmp(name, "embeddings.", 11) == 0;
  for (int dots = 0; *name && used + 1 < size; name++) {
    dots += *name == '.';
    if (!inside && (dots == 2 || strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0)) break;
    bool number = *name >= '0' && *name <= '9';
    if (number && used && kind[used - 1] == '*') continue;
    kind[used++] = *name;
    if (number && used > 1 && kind[used - 2] == '.') kind[used - 1] = '*';
  }
  kind[used] = '\0';
}

// A line for each kind of tensor that nothing reads: heads, the pooler, layers beyond num_hidden_layers.
static tw_status name_unread(const import *in, tw_notes *notes) {
  enum { MOST = 24 };
  char kinds[MOST][160], kind[160];
  int counts[MOST] = {0}, known = 0, more = 0;
  const char *name;
  size_t at = 0;
  while ((name = tw_safetensors_unread(in->weights, &at))) {
    if (is_buffer(name)) continue;
    kind_of(in, name, kind, sizeof kind);
    int i = 0;
    while (i < known && strcmp(kinds[i], kind) != 0) i++;
    if (i == MOST) {
      more++;
      continue;
    }
    if (i == known) memcpy(kinds[known++], kind, sizeof kind);
    counts[i]++;
  }
  for (int i = 0; i < known; i++)
    TW_TRY(tw_note(notes, "left out: %s (%d tensor%s)", kinds[i], counts[i], counts[i] == 1 ? "" : "s"));
  return more ? tw_note(notes, "left out: %d tensors of other kinds", more) : TW_OK;
}

// Where config.json and the weights disagree.
static tw_status compare_config(const import *in, const tw_hf_config *config, tw_notes *notes) {
  char name[96];
  snprintf(name, sizeof name, "%sencoder.layer.0.attention.self.distance_embedding.weight", in->prefix);
  if (config->relative_positions && tw_safetensors_has(in->weights, name))
    return tw_fail(
        TW_ERR_FORMAT,
        "%s/config.json: position_embedding_type asks for relative positions and the weights hold tables for "
        "them (%s); only absolute ones are supported",
        config->encoder, name);
  if (config->relative_positions)
    TW_TRY(
        tw_note(notes,
                "%s/config.json: position_embedding_type is not absolute, but the weights have no tables for relative "
                "positions: absolute ones are computed, as transformers 5 does",
                config->encoder));
  snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", in->prefix);
  const char *type = tw_safetensors_type(in->weights, name);
  bool half = strcmp(config->dtype, "bfloat16") == 0 || strcmp(config->dtype, "float16") == 0;
  if (half && strcmp(type, "F32") == 0)
    return tw_note(notes,
                   "%s/config.json: dtype is %s, the weights are float32 and taken as they are (transformers 5 rounds "
                   "them to %s first)",
                   config->encoder, config->dtype, config->dtype);
  return TW_OK;
}

// ---- all of it

static tw_status import_all(import *in, const tw_hf_config *config, tw_notes *notes) {
  const tw_model_config *c = in->config;
  size_t largest = (size_t)c->hidden * (size_t)(c->intermediate > c->hidden ? c->intermediate : c->hidden);
  TW_TRY(read_weights(in));  // looks
  TW_TRY(compare_config(in, config, notes));
  TW_TRY(tw_model_allocate(c, in->model));
  TW_TRY(allocate_client(c, in->client));
  TW_TRY(allocate_floats(largest, &in->scratch));
  tw_safetensors_digest(in->weights, &in->model->source);
  TW_TRY(read_weights(in));
  TW_TRY(name_unread(in, notes));
  return tw_text_rules_read(config->encoder, c->vocab, config->sentence_lower_case, &in->client->rules,
                            &in->client->vocabulary, notes);
}

static void discard(tw_model *model, tw_client *client) {
  tw_model_free(model);
  tw_client_free(client);
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
}

static tw_status import_folder(tw_hf_config *config, tw_model *model, tw_client *client, tw_notes *notes) {
  tw_safetensors *weights;
  TW_TRY(tw_safetensors_open(config->encoder, &weights));
  client->max_seq_length = config->max_seq_length;
  client->default_prompt = config->default_prompt;
  config->default_prompt = NULL;
  bool prefixed = tw_safetensors_has(weights, "bert.embeddings.word_embeddings.weight");
import in = {.weights = weights, .prefix = prefixed ? "bert." : "", .config = & config->model, .model = model, .client = client };
  tw_status status = import_all(&in, config, notes);
  tw_free(in.scratch);
  tw_safetensors_close(weights);
  return status;
}

tw_status tw_import_folder_noting(const char *folder, bool encoder_only, tw_model *model, tw_client *client,
                                  tw_notes *notes) {
  tw_hf_config config;
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
  tw_status status = tw_hf_config_read(folder, encoder_only, &config, notes);
  if (status == TW_OK) status = import_folder(&config, model, client, notes);
  tw_hf_config_free(&config);
  if (status != TW_OK) discard(model, client);
  return status;
}

tw_status tw_import_folder(const char *folder, tw_model *model, tw_client *client) {
  tw_notes notes = {NULL};
  tw_status status = tw_import_folder_noting(folder, false, model, client, &notes);
  free(notes.text);
  return status;
}
