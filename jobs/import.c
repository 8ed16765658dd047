#define _GNU_SOURCE
#include "jobs/import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/hf_config.h"
#include "io/safetensors.h"

typedef struct {
  const tw_safetensors *weights;
  const char *prefix;  // "bert." or ""
  tw_model *model;
  tw_client *client;
  float *scratch;  // room for the largest matrix
} import;

// ---- vocabulary

void tw_vocabulary_free(char **vocabulary, int count) {
  if (!vocabulary) return;
  for (int i = 0; i < count; i++) free(vocabulary[i]);
  free(vocabulary);
}

static tw_status read_pieces(FILE *file, const char *path, int count, char **pieces) {
  char *line = NULL;
  size_t room = 0;
  ssize_t n;
  int id = 0;
  tw_status status = TW_OK;
  while (status == TW_OK && (n = getline(&line, &room, file)) >= 0) {
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = '\0';
    if (id == count)
      status =
          tw_fail(TW_ERR_FORMAT, "%s: more than the %d pieces that config.json's vocab_size promises", path, count);
    else if (strlen(line) != (size_t)n)
      status = tw_fail(TW_ERR_FORMAT, "%s: line %d holds a zero byte", path, id + 1);
    else if (!(pieces[id++] = strdup(line)))
      status = tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  }
  if (status == TW_OK && ferror(file)) status = tw_fail(TW_ERR_IO, "%s: %s", path, strerror(errno));
  for (; status == TW_OK && id < count; id++)
    if (!(pieces[id] = strdup(""))) status = tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  free(line);
  return status;
}

tw_status tw_vocabulary_read(const char *path, int count, char ***out) {
  *out = NULL;
  FILE *file = fopen(path, "re");
  if (!file)
    return tw_fail(TW_ERR_IO, "%s: %s; the folder needs BERT's vocab.txt (BertTokenizer.save_vocabulary writes it)",
                   path, strerror(errno));
  char **pieces = calloc((size_t)count, sizeof *pieces);
  tw_status status =
      pieces ? read_pieces(file, path, count, pieces) : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  fclose(file);
  if (status == TW_OK)
    *out = pieces;
  else
    tw_vocabulary_free(pieces, count);
  return status;
}

// ---- tensors

__attribute__((format(printf, 5, 6))) static tw_status read_tensor(const import *in, size_t rows, size_t cols,
                                                                   float *out, const char *format, ...) {
  char name[160];
  int used = snprintf(name, sizeof name, "%s", in->prefix);
  va_list args;
  va_start(args, format);
  vsnprintf(name + used, sizeof name - (size_t)used, format, args);
  va_end(args);
  return tw_safetensors_read(in->weights, name, rows, cols, out);
}

// A Linear's weight is stored [out][in]; it becomes columns first .. first+out of the canonical tensor [in][...].
static tw_status read_linear(const import *in, int layer, const char *name, int tensor, size_t first, size_t width) {
  tw_model_tensor *weight = &in->model->tensors[tensor], *bias = weight + 1;
  size_t inputs = weight->rows;
  TW_TRY(read_tensor(in, width, inputs, in->scratch, "encoder.layer.%d.%s.weight", layer, name));
  for (size_t o = 0; o < width; o++)
    for (size_t i = 0; i < inputs; i++) weight->values[i * weight->cols + first + o] = in->scratch[o * inputs + i];
  return read_tensor(in, 1, width, bias->values + first, "encoder.layer.%d.%s.bias", layer, name);
}

// LayerNorm's parameters are called weight and bias, in checkpoints of old gamma and beta.
static tw_status read_norm(const import *in, const char *name, size_t width, float *gamma, float *beta) {
  char old[160];
  snprintf(old, sizeof old, "%s%s.gamma", in->prefix, name);
  bool is_old = tw_safetensors_has(in->weights, old);
  TW_TRY(read_tensor(in, 1, width, gamma, "%s.%s", name, is_old ? "gamma" : "weight"));
  return read_tensor(in, 1, width, beta, "%s.%s", name, is_old ? "beta" : "bias");
}

static tw_status read_layer(const import *in, int layer) {
  const tw_model_config *c = &in->model->config;
  size_t hidden = (size_t)c->hidden;
  int base = layer * TW_TENSORS_PER_LAYER;
  const tw_model_tensor *t = &in->model->tensors[base];
  char norm[96];
  TW_TRY(read_linear(in, layer, "attention.self.query", base, 0, hidden));
  TW_TRY(read_linear(in, layer, "attention.self.key", base, hidden, hidden));
  TW_TRY(read_linear(in, layer, "attention.self.value", base, 2 * hidden, hidden));
  TW_TRY(read_linear(in, layer, "attention.output.dense", base + 2, 0, hidden));
  snprintf(norm, sizeof norm, "encoder.layer.%d.attention.output.LayerNorm", layer);
  TW_TRY(read_norm(in, norm, hidden, t[4].values, t[5].values));
  TW_TRY(read_linear(in, layer, "intermediate.dense", base + 6, 0, (size_t)c->intermediate));
  TW_TRY(read_linear(in, layer, "output.dense", base + 8, 0, hidden));
  snprintf(norm, sizeof norm, "encoder.layer.%d.output.LayerNorm", layer);
  return read_norm(in, norm, hidden, t[10].values, t[11].values);
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

static tw_status read_embeddings(const import *in, const char *folder) {
  tw_client *client = in->client;
  const tw_model_config *c = &client->config;
  size_t hidden = (size_t)c->hidden;
  TW_TRY(read_tensor(in, (size_t)c->vocab, hidden, client->word, "embeddings.word_embeddings.weight"));
  TW_TRY(read_tensor(in, (size_t)c->max_positions, hidden, client->position, "embeddings.position_embeddings.weight"));
  TW_TRY(read_tensor(in, (size_t)c->type_vocab, hidden, client->type, "embeddings.token_type_embeddings.weight"));
  TW_TRY(read_norm(in, "embeddings.LayerNorm", hidden, client->gamma, client->beta));
  char *path;
  if (asprintf(&path, "%s/vocab.txt", folder) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_vocabulary_read(path, c->vocab, &client->vocabulary);
  free(path);
  return status;
}

static tw_status import_all(import *in, const char *folder, const tw_model_config *config) {
  size_t largest =
      (size_t)config->hidden * (size_t)(config->intermediate > config->hidden ? config->intermediate : config->hidden);
  TW_TRY(tw_model_allocate(config, in->model));
  TW_TRY(allocate_client(config, in->client));
  TW_TRY(allocate_floats(largest, &in->scratch));
  tw_safetensors_digest(in->weights, &in->model->source);
  for (int i = 0; i < config->layers; i++) TW_TRY(read_layer(in, i));
  return read_embeddings(in, folder);
}

static void discard(tw_model *model, tw_client *client) {
  tw_model_free(model);
  tw_client_free(client);
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
}

tw_status tw_import_folder(const char *folder, tw_model *model, tw_client *client) {
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
  tw_hf_config config;
  TW_TRY(tw_hf_config_read(folder, &config));
  tw_safetensors *weights;
  TW_TRY(tw_safetensors_open(folder, &weights));
  client->lower_case = config.lower_case;
  client->normalise_output = config.normalise_output;
  bool prefixed = tw_safetensors_has(weights, "bert.embeddings.word_embeddings.weight");
import in = {.weights = weights, .prefix = prefixed ? "bert." : "", .model = model, .client = client };
  tw_status status = import_all(&in, folder, &config.model);
  tw_free(in.scratch);
  tw_safetensors_close(weights);
  if (status != TW_OK) discard(model, client);
  return status;
}
