#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/hf_config.h"
#include "io/json_read.h"
#include "io/safetensors.h"
#include "io/tensors.h"
#include "jobs/models/import_parts.h"

typedef struct {
  tw_import base;
  tw_safetensors *weights;
  tw_safetensors *dense;  // of a Dense module, or NULL
  bool bare;              // the first embedding's name is without the table's prefix
  const tw_model_config *config;
  unsigned biases;   // the optional ones that are there
  bool tied;         // a decoder's head may be its word table
  tw_client client;  // all but its tables, until it is handed out
} import;

// ---- tensors

static tw_safetensors *file_of(const import *in, const tw_tensor_entry *e) {
  return in->dense && e->part == TW_OF_HEAD ? in->dense : in->weights;
}

enum { NAME = 160, PART = 1 << 18 };  // PART: numbers that are read at a time

// A name of the table in this folder: with the architecture's prefix or without, as most names are or the other way, of
// each tensor by itself, as transformers looks for it.
static void prefixed(const import *in, const char *bare, char name[NAME]) {
  const char *own = tw_tensor_table_of(in->config)->prefix;
  char other[NAME];
  snprintf(name, NAME, "%s%s", in->bare ? "" : own, bare);
  snprintf(other, NAME, "%s%s", in->bare ? own : "", bare);
  if (!tw_safetensors_has(in->weights, name) && tw_safetensors_has(in->weights, other)) memcpy(name, other, NAME);
}

// A source's name. Parameters of norms are called weight and bias, in checkpoints of old gamma and beta.
static void name_of(const import *in, const tw_tensor_entry *e, int source, int layer, char name[NAME]) {
  const char *percent = strstr(e->source[source], "%d");
  char bare[NAME], old[NAME];
  if (percent)
    snprintf(bare, NAME, "%.*s%d%s", (int)(percent - e->source[source]), e->source[source], layer, percent + 2);
  else
    snprintf(bare, NAME, "%s", e->source[source]);
  const char *own = tw_tensor_table_of(in->config)->prefix;
  bool on_top = e->part == TW_OF_HEAD, pooler = on_top && strncmp(bare, own, strlen(own)) == 0;
  if (on_top && !pooler)
    memcpy(name, bare, NAME);
  else
    prefixed(in, bare + (pooler ? strlen(own) : 0), name);
  if (e->kind != TW_GAMMA && e->kind != TW_BETA) return;
  snprintf(old, sizeof old, "%.*s.%s", (int)(strrchr(bare, '.') - bare), bare, e->kind == TW_GAMMA ? "gamma" : "beta");
  prefixed(in, old, bare);
  if (tw_safetensors_has(in->weights, bare)) memcpy(name, bare, NAME);
}

// `stored`, rows first .. first + count of [outputs][inputs], becomes columns at .. of a matrix [inputs][cols].
static void transpose(const float *stored, size_t count, size_t inputs, size_t at, size_t cols, float *matrix) {
  for (size_t i = 0; i < inputs; i++)
    for (size_t o = 0; o < count; o++) matrix[i * cols + at + o] = stored[o * inputs + i];
}

// A stored matrix [outputs][inputs] to columns at .. at + outputs of out [inputs][cols], some rows at a time.
static tw_status read_matrix(tw_safetensors *from, const char *name, size_t outputs, size_t inputs, size_t at,
                             size_t cols, float *out) {
  size_t rows = PART / inputs ? PART / inputs : 1;
  float *stored;
  TW_TRY(tw_alloc(rows * inputs * sizeof *stored, (void **)&stored));
  tw_status status = TW_OK;
  for (size_t first = 0; first < outputs && status == TW_OK; first += rows) {
    size_t count = outputs - first < rows ? outputs - first : rows;
    status = tw_safetensors_read_rows(from, name, outputs, inputs, first, count, stored);
    if (status == TW_OK) transpose(stored, count, inputs, at + first, cols, out);
  }
  tw_free(stored);
  return status;
}

// Zeros: of a bias that the model has not.
static bool absent(const import *in, const tw_tensor_entry *e) {
  return !e->source[0] || (e->optional && !(in->biases & (unsigned)e->optional));
}

// Columns of one of several sources: those of queries may be wider than those of keys and values.
static size_t width_of(const import *in, const tw_tensor_entry *e, size_t cols, size_t source, size_t sources) {
  if (!e->query || sources == 1) return cols / sources;
  return (size_t)(source == 0 ? tw_config_query_width(in->config) : tw_config_kv_width(in->config));
}

// A head that is not in the file is the word table, stored as a head would be.
static const tw_tensor_entry *source_entry(const import *in, const tw_tensor_entry *e, tw_tensor_entry *tied) {
  const tw_tensor_table *table = tw_tensor_table_of(in->config);
  if (in->config->head.kind != TW_HEAD_WORDS || e->part != TW_OF_HEAD || !in->tied || !e->source[0] ||
      tw_safetensors_has(in->weights, e->source[0]))
    return e;
  *tied = *e;
  tied->part = TW_ON_TOP;
  tied->source[0] = table->embedding[0].source[0];
  return tied;
}

// A tensor of the table into out [rows][cols], whose columns its sources share. Without `out` it is only looked up: a
// file that lacks one, or holds one of another shape, is refused before anything is allocated for it.
static tw_status read_entry(const import *in, const tw_tensor_entry *entry, int layer, float *out) {
  tw_tensor_entry tied;
  const tw_tensor_entry *e = source_entry(in, entry, &tied);
  size_t rows = e->rows(in->config), cols = e->cols(in->config), sources = 1, at = 0;
  tw_safetensors *from = file_of(in, e);
  if (out && (absent(in, e) || e->in_lines)) memset(out, 0, rows * cols * sizeof *out);
  if (absent(in, e)) return TW_OK;
  if (e->in_lines) rows = (size_t)in->config->vocab, cols = (size_t)in->config->hidden;
  while (sources < TW_TENSOR_SOURCES && e->source[sources]) sources++;
  for (size_t s = 0; s < sources; s++) {
    char name[NAME];
    size_t width = width_of(in, e, cols, s, sources);
    name_of(in, e, (int)s, layer, name);
    bool turned = e->kind == TW_MATRIX && !e->inputs_first;
    if (!out)
      TW_TRY(tw_safetensors_check(from, name, turned ? width : rows, turned ? rows : width));
    else if (turned)
      TW_TRY(read_matrix(from, name, width, rows, at, cols, out));
    else
      TW_TRY(tw_safetensors_read(from, name, rows, width, out + at));
    at += width;
  }
  return TW_OK;
}

// Tensor `number` of the model.
static tw_status read_number(const import *in, int number, float *out) {
  int layer;
  const tw_tensor_entry *e = tw_tensor_entry_of(tw_tensor_table_of(in->config), in->config->layers, number, &layer);
  tw_status status = read_entry(in, e, layer, out);
  if (status == TW_OK || e->part != TW_OF_HEAD || in->dense) return status;
  const char *hint =
      in->config->head.kind == TW_HEAD_WORDS && !in->tied ? "its word table, if tie_word_embeddings were true; " : "";
  return tw_fail_in(
      status, "the head that config.json's architectures name (%s`twain import --encoder-only` leaves it out)", hint);
}

// The client's tables; without a client they are only looked up.
static tw_status read_tables(const import *in, tw_client *client) {
  const tw_tensor_table *table = tw_tensor_table_of(in->config);
  for (int i = 0; i < table->embeddings; i++) {
    const tw_tensor_entry *e = &table->embedding[i];
    if (e->rows(in->config) == 0) continue;
    TW_TRY(read_entry(in, e, -1, client ? tw_client_table(client, e->name) : NULL));
  }
  return TW_OK;
}

static tw_status look(const import *in) {
  for (int i = 0; i < tw_model_tensor_count(in->config); i++) TW_TRY(read_number(in, i, NULL));
  return read_tables(in, NULL);
}

// ---- what the file has beside it

// Buffers that old versions of transformers saved: the numbers 0, 1, 2 ..., zeros, triangles, frequencies.
static bool is_buffer(const char *name) {
  static const char *const ends[] = {"embeddings.position_ids", "embeddings.token_type_ids", ".attn.bias",
                                     ".attn.masked_bias",       ".attention.bias",           ".attention.masked_bias",
                                     ".rotary_emb.inv_freq"};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (length >= strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0) return true;
  return false;
}

// One name for alike tensors: numbers become *, and of a head's name two parts are enough.
static void kind_of(const import *in, const char *name, char *kind, size_t size) {
  const char *own = tw_tensor_table_of(in->config)->prefix;
  size_t prefix = strlen(own), used = 0;
  bool inside = strncmp(name, own, prefix) == 0;
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

// A tensor that is there with the prefix and without is one tensor to transformers, which takes whichever it meets
// first.
static tw_status refuse_twin(const import *in, const char *folder, const char *name) {
  const char *own = tw_tensor_table_of(in->config)->prefix;
  size_t length = strlen(own);
  char twin[NAME];
  snprintf(twin, NAME, "%s%s", strncmp(name, own, length) == 0 ? "" : own,
           strncmp(name, own, length) == 0 ? name + length : name);
  if (!tw_safetensors_has(in->weights, twin)) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: the weights hold %s and %s, two names of one tensor; leave one of them out",
                 folder, name, twin);
}

// A line for each kind of tensor that nothing reads: heads, the pooler, layers beyond num_hidden_layers.
static tw_status name_unread(const import *in, const char *folder, tw_notes *notes) {
  enum { MOST = 24 };
  char kinds[MOST][160], kind[160];
  int counts[MOST] = {0}, known = 0, more = 0;
  const char *name;
  size_t at = 0;
  while ((name = tw_safetensors_unasked(in->weights, &at))) {
    if (is_buffer(name)) continue;
    TW_TRY(refuse_twin(in, folder, name));
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
  char name[NAME];
  prefixed(in, "encoder.layer.0.attention.self.distance_embedding.weight", name);
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
  prefixed(in, tw_tensor_table_of(in->config)->embedding[0].source[0], name);
  const char *type = tw_safetensors_type(in->weights, name);
  bool half = strcmp(config->dtype, "bfloat16") == 0 || strcmp(config->dtype, "float16") == 0;
  if (in->tied && in->config->head.kind == TW_HEAD_WORDS && tw_safetensors_has(in->weights, "lm_head.weight"))
    TW_TRY(
        tw_note(notes,
                "%s: the weights hold a head (lm_head.weight), though config.json says that it is the word table; it "
                "is taken, as transformers 5 does where the two differ",
                config->encoder));
  if (half && strcmp(type, "F32") == 0)
    return tw_note(notes,
                   "%s/config.json: dtype is %s, the weights are float32 and taken as they are (transformers 5 rounds "
                   "them to %s first)",
                   config->encoder, config->dtype, config->dtype);
  return TW_OK;
}

// ---- all of it

// Of all files that tensors come from.
static void digest_source(const import *in, tw_digest *out) {
  tw_digest both[2];
  tw_safetensors_digest(in->weights, out);
  if (!in->dense) return;
  both[0] = *out;
  tw_safetensors_digest(in->dense, &both[1]);
  tw_digest_of(both, sizeof both, out);
}

static tw_status give_tensor(void *state, int number, const float **values) {
  import *in = state;
  *values = in->base.values;
  return read_number(in, number, in->base.values);
}

static tw_status give_client(tw_import *base, tw_client *client) {
  import *in = (import *)base;
  *client = in->client;
  in->client = (tw_client){.max_seq_length = 0};
  TW_TRY(tw_client_allocate(in->config, client));
  return read_tables(in, client);
}

static void close_folder(tw_import *base) {
  import *in = (import *)base;
  tw_client_free(&in->client);
  tw_safetensors_close(in->dense);
  tw_safetensors_close(in->weights);
}

static tw_status open_folder(import *in, tw_hf_config *config, tw_notes *notes) {
  in->base.model.config = config->model;
  in->config = &in->base.model.config;
  TW_TRY(tw_safetensors_open(config->encoder, &in->weights));
  if (config->dense) TW_TRY(tw_safetensors_open(config->dense, &in->dense));
  in->client.config = config->model;
  in->client.max_seq_length = config->max_seq_length;
  in->client.default_prompt = config->default_prompt;
  config->default_prompt = NULL;
  in->client.labels = config->labels;
  config->labels = (tw_labels){.count = 0};
  in->biases = config->biases;
  in->tied = config->tied;
  in->bare = tw_safetensors_has(in->weights, tw_tensor_table_of(in->config)->embedding[0].source[0]);
  TW_TRY(look(in));
  TW_TRY(compare_config(in, config, notes));
  TW_TRY(name_unread(in, config->encoder, notes));
  digest_source(in, &in->base.model.source);
  return tw_text_rules_read(config->encoder, &config->json, in->config->vocab, config->sentence_lower_case,
                            &in->client.rules, &in->client.vocabulary, notes);
}

tw_status tw_import_open_folder(const char *folder, bool encoder_only, tw_notes *notes, tw_import **out) {
  import *in;
  tw_hf_config config;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *in, (void **)&in));
  in->base = (tw_import){.model = {.read = give_tensor, .state = in}, .client = give_client, .close = close_folder};
  tw_status status = tw_hf_config_read(folder, encoder_only, &config, notes);
  if (status == TW_OK) status = open_folder(in, &config, notes);
  tw_hf_config_free(&config);
  return tw_import_opened(&in->base, status, out);
}

// ---- any import

// Room for the largest tensor of the model.
static tw_status allocate(tw_import *in) {
  size_t largest = 0;
  for (int i = 0; i < tw_model_tensor_count(&in->model.config); i++) {
    char name[TW_TENSOR_NAME];
    size_t rows, cols;
    tw_model_tensor_shape(&in->model.config, i, name, &rows, &cols);
    if (rows * cols > largest) largest = rows * cols;
  }
  return tw_alloc(largest * sizeof *in->values, (void **)&in->values);
}

tw_status tw_import_opened(tw_import *in, tw_status status, tw_import **out) {
  if (status == TW_OK) status = allocate(in);
  if (status == TW_OK)
    *out = in;
  else
    tw_import_close(in);
  return status;
}

tw_status tw_import_let_client_embed(tw_import *in) {
  tw_model_config *c = &in->model.config;
  if (!tw_decoder_layout_of(c))
    return tw_fail(TW_ERR_USAGE, "model %s is no decoder: its client embeds in any case; leave --client-embeds out",
                   c->name);
  c->client_embeds = true;
  return TW_OK;
}

const tw_model_stream *tw_import_model(const tw_import *in) { return &in->model; }

tw_status tw_import_client(tw_import *in, tw_client *client) {
  tw_free(in->values);  // the model's turn is over
  in->values = NULL;
  memset(client, 0, sizeof *client);
  tw_status status = in->client(in, client);
  if (status != TW_OK) tw_client_free(client);
  return status;
}

void tw_import_close(tw_import *in) {
  if (!in) return;
  in->close(in);
  tw_free(in->values);
  tw_free(in);
}

// The whole of it into memory.
static tw_status import_all(tw_import *in, tw_model *model, tw_client *client) {
  TW_TRY(tw_model_of_stream(&in->model, model));
  tw_status status = tw_import_client(in, client);
  if (status != TW_OK) tw_model_free(model);
  return status;
}

tw_status tw_import_synthetic(const char *shape, tw_model *model, tw_client *client) {
  tw_import *in;
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
  TW_TRY(tw_import_open_shape(shape, 0, &in));
  tw_status status = import_all(in, model, client);
  tw_import_close(in);
  return status;
}

tw_status tw_import_folder_noting(const char *folder, bool encoder_only, tw_model *model, tw_client *client,
                                  tw_notes *notes) {
  tw_import *in;
  memset(model, 0, sizeof *model);
  memset(client, 0, sizeof *client);
  TW_TRY(tw_import_open_folder(folder, encoder_only, notes, &in));
  tw_status status = import_all(in, model, client);
  tw_import_close(in);
  return status;
}

tw_status tw_import_folder(const char *folder, tw_model *model, tw_client *client) {
  tw_notes notes = {NULL};
  tw_status status = tw_import_folder_noting(folder, false, model, client, &notes);
  free(notes.text);
  return status;
}
