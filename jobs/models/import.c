#define _GNU_SOURCE
#include "jobs/models/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/hf_config.h"
#include "io/json_read.h"
#include "io/safetensors.h"
#include "io/tensors.h"

typedef struct {
  tw_safetensors *weights;
  tw_safetensors *dense;  // of a Dense module, or NULL
  const char *prefix;     // the table's, or ""
  const tw_model_config *config;
  tw_model *model;
  tw_client *client;
  float *scratch;  // room for the largest matrix
} import;

// ---- tensors

// While in->model has no tensors everything is only looked up, in the same order: a file that lacks one, or holds one
// of another shape, is refused before anything is allocated for it. `out` is not touched then.
static bool looking(const import *in) { return in->model->tensors == NULL; }

static tw_status read_tensor(const import *in, const tw_tensor_entry *e, const char *name, size_t rows, size_t cols,
                             float *out) {
  tw_safetensors *from = in->dense && e->part == TW_OF_HEAD ? in->dense : in->weights;
  return looking(in) ? tw_safetensors_check(from, name, rows, cols) : tw_safetensors_read(from, name, rows, cols, out);
}

enum { NAME = 160 };

// A source's name in this folder. Parameters of norms are called weight and bias, in checkpoints of old gamma and beta.
static void name_of(const import *in, const tw_tensor_entry *e, int source, int layer, char name[NAME]) {
  const char *percent = strstr(e->source[source], "%d"), *prefix = e->part == TW_OF_HEAD ? "" : in->prefix;
  if (percent)
    snprintf(name, NAME, "%s%.*s%d%s", prefix, (int)(percent - e->source[source]), e->source[source], layer,
             percent + 2);
  else
    snprintf(name, NAME, "%s%s", prefix, e->source[source]);
  if (e->kind != TW_GAMMA && e->kind != TW_BETA) return;
  char old[NAME];
  snprintf(old, sizeof old, "%.*s.%s", (int)(strrchr(name, '.') - name), name, e->kind == TW_GAMMA ? "gamma" : "beta");
  if (tw_safetensors_has(in->weights, old)) memcpy(name, old, NAME);
}

// `stored` [outputs][inputs] becomes columns first .. first + outputs of a matrix [inputs][cols].
static void transpose(const float *stored, size_t outputs, size_t inputs, size_t first, size_t cols, float *matrix) {
  for (size_t o = 0; o < outputs; o++)
    for (size_t i = 0; i < inputs; i++) matrix[i * cols + first + o] = stored[o * inputs + i];
}

// A tensor of the table into out [rows][cols], which its sources share evenly by columns.
static tw_status read_entry(const import *in, const tw_tensor_entry *e, int layer, float *out) {
  size_t rows = e->rows(in->config), cols = e->cols(in->config), sources = 1;
  while (sources < TW_TENSOR_SOURCES && e->source[sources]) sources++;
  size_t width = cols / sources;
  for (size_t s = 0; s < sources; s++) {
    char name[NAME];
    name_of(in, e, (int)s, layer, name);
    if (e->kind == TW_MATRIX) {
      TW_TRY(read_tensor(in, e, name, width, rows, in->scratch));
      if (!looking(in)) transpose(in->scratch, width, rows, s * width, cols, out);
    } else {
      TW_TRY(read_tensor(in, e, name, rows, width, looking(in) ? NULL : out + s * width));
    }
  }
  return TW_OK;
}

static tw_status read_weights(const import *in) {
  const tw_tensor_table *table = tw_tensor_table_of(in->config);
  for (int i = 0; i < tw_model_tensor_count(in->config); i++) {
    int layer;
    const tw_tensor_entry *e = tw_tensor_entry_of(table, in->config->layers, i, &layer);
    tw_status status = read_entry(in, e, layer, looking(in) ? NULL : in->model->tensors[i].values);
    if (status != TW_OK && e->part == TW_OF_HEAD && !in->dense)
      return tw_fail_in(status,
                        "the head that config.json's architectures name (`twain import --encoder-only` leaves it out)");
    TW_TRY(status);
  }
  for (int i = 0; i < table->embeddings; i++) {
    const tw_tensor_entry *e = &table->embedding[i];
    if (e->rows(in->config) == 0) continue;
    TW_TRY(read_entry(in, e, -1, looking(in) ? NULL : tw_client_table(in->client, e->name)));
  }
  return TW_OK;
}

static void take_larger(const tw_model_config *config, const tw_tensor_entry *e, int count, size_t *largest) {
  for (int i = 0; i < count; i++) {
    size_t n = e[i].rows(config) * e[i].cols(config);
    if (e[i].kind == TW_MATRIX && n > *largest) *largest = n;
  }
}

// Elements of the largest matrix that is transposed.
static size_t largest_matrix(const tw_model_config *config) {
  const tw_tensor_table *table = tw_tensor_table_of(config);
  size_t largest = 0;
  take_larger(config, table->layer, table->in_layer, &largest);
  take_larger(config, table->top, table->on_top, &largest);
  take_larger(config, table->embedding, table->embeddings, &largest);
  return largest;
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
  inside = strncmp(name, "encoder.", 8) == 0 || strncmp(name, "transformer.", 12) == 0 ||
           strncmp(name, "embeddings.", 11) == 0;
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

// Of all files that tensors come from.
static void digest_source(const import *in) {
  tw_digest both[2];
  tw_safetensors_digest(in->weights, &in->model->source);
  if (!in->dense) return;
  both[0] = in->model->source;
  tw_safetensors_digest(in->dense, &both[1]);
  tw_digest_of(both, sizeof both, &in->model->source);
}

static tw_status import_all(import *in, const tw_hf_config *config, tw_notes *notes) {
  const tw_model_config *c = in->config;
  TW_TRY(read_weights(in));  // looks
  TW_TRY(compare_config(in, config, notes));
  TW_TRY(tw_model_allocate(c, in->model));
  TW_TRY(tw_client_allocate(c, in->client));
  TW_TRY(tw_alloc(largest_matrix(c) * sizeof(float), (void **)&in->scratch));
  digest_source(in);
  TW_TRY(read_weights(in));
  TW_TRY(name_unread(in, notes));
  return tw_text_rules_read(config->encoder, &config->json, c->vocab, config->sentence_lower_case, &in->client->rules,
                            &in->client->vocabulary, notes);
}

static void discard(tw_model *model, tw_client *client) {
  tw_model_free(model);
  tw_client_free(client);
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
}

// Whether names begin with the architecture's prefix: its first embedding says.
static const char *prefix_of(const tw_model_config *config, const tw_safetensors *weights) {
  const tw_tensor_table *table = tw_tensor_table_of(config);
  char name[NAME];
  snprintf(name, sizeof name, "%s%s", table->prefix, table->embedding[0].source[0]);
  return tw_safetensors_has(weights, name) ? table->prefix : "";
}

static tw_status import_folder(tw_hf_config *config, tw_model *model, tw_client *client, tw_notes *notes) {
  tw_safetensors *weights, *dense = NULL;
  TW_TRY(tw_safetensors_open(config->encoder, &weights));
  if (config->dense) {
    tw_status opened = tw_safetensors_open(config->dense, &dense);
    if (opened != TW_OK) tw_safetensors_close(weights);
    TW_TRY(opened);
  }
  client->max_seq_length = config->max_seq_length;
  client->default_prompt = config->default_prompt;
  config->default_prompt = NULL;
  client->labels = config->labels;
  config->labels = (tw_labels){.count = 0};
  const char *prefix = prefix_of(&config->model, weights);
import in = {.weights = weights, .dense = dense, .prefix = prefix, .config = & config->model, .model = model, .client = client };
  tw_status status = import_all(&in, config, notes);
  tw_free(in.scratch);
  tw_safetensors_close(dense);
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
