// Synthetic models: weights of a named shape, with the statistics of a trained BERT.
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/side_by_side.h"
#include "io/decoder_tensors.h"
#include "io/tensors.h"
#include "jobs/models/import_parts.h"
#include "kernels/prg.h"

// values = mean + deviation * N(0, 1), from stream `use` of a seed that everybody knows: Box-Muller on halves of words.
typedef struct {
  const tw_seed *seed;
  uint32_t use;
  double mean, deviation;
  size_t n;
  float *values;
} filling;

enum { WORDS = 512, BLOCKS = 64, PIECE = BLOCKS * 2 * WORDS };  // values that a thread makes at a time

static void fill_block(const filling *f, size_t first, size_t pairs) {
  const double unit = 0x1p-32, turn = 2 * acos(-1);
  uint64_t words[WORDS];
  tw_prg_words(f->seed, f->use, 0, first / 2, pairs, words);
  for (size_t i = 0; i < pairs; i++) {
    double radius = sqrt(-2 * log(((double)(words[i] >> 32) + 0.5) * unit)) * f->deviation;
    double angle = (double)(words[i] & 0xffffffff) * unit * turn;
    size_t at = first + 2 * i;
    f->values[at] = (float)(f->mean + radius * cos(angle));
    if (at + 1 < f->n) f->values[at + 1] = (float)(f->mean + radius * sin(angle));
  }
}

static tw_status fill_piece(void *state, size_t number) {
  const filling *f = state;
  size_t end = (number + 1) * PIECE < f->n ? (number + 1) * PIECE : f->n;
  for (size_t first = number * PIECE; first < end; first += 2 * WORDS) {
    size_t pairs = (end - first + 1) / 2;
    fill_block(f, first, pairs < WORDS ? pairs : WORDS);
  }
  return TW_OK;
}

static void fill(const tw_seed *seed, uint32_t use, double mean, double deviation, size_t n, float *values) {
  filling f = {seed, use, mean, deviation, n, values};
  tw_side_by_side((n + PIECE - 1) / PIECE, 0, fill_piece, &f);  // no piece fails
}

// Queries and keys are wider than values, as trained attention is sharper than random attention.
static void sharpen(const tw_model_config *config, tw_model_tensor *qkv) {
  size_t wider = qkv->cols - (size_t)tw_config_kv_width(config);
  for (size_t r = 0; r < qkv->rows; r++)
    for (size_t c = 0; c < wider; c++) qkv->values[r * qkv->cols + c] *= 1.6f;
}

typedef struct {
  tw_import base;
  tw_seed layers, embeddings;
} import;

// Elements from the first on; biases that the family has not are zeros.
static void fill_tensor(const import *in, int number, size_t n, float *values) {
  const tw_model_config *config = &in->base.model.config;
  double deviation = 0.04 * sqrt(768.0 / config->hidden);
  const tw_tensor_entry *entry = tw_model_tensor_entry(config, number);
  bool norm = entry->kind == TW_GAMMA || entry->kind == TW_BETA;
  double spread = entry->kind == TW_MATRIX ? deviation : norm ? 0.1 : 0.05;
  memset(values, 0, n * sizeof *values);
  if (entry->source[0] && !entry->optional)
    fill(&in->layers, (uint32_t)number, entry->kind == TW_GAMMA ? 0.8 : 0, spread, n, values);
}

static size_t words_of(const tw_model_config *config) { return (size_t)config->vocab * (size_t)config->hidden; }

static tw_status give_tensor(void *state, int number, const float **values) {
  const import *in = state;
  const tw_model_config *config = &in->base.model.config;
  tw_model_tensor t = {.values = in->base.values};
  const tw_tensor_entry *entry = tw_model_tensor_entry(config, number);
  tw_model_tensor_shape(config, number, t.name, &t.rows, &t.cols);
  fill_tensor(in, number, t.rows * t.cols, t.values);
  size_t words = words_of(config);
  if (entry->in_lines) memset(t.values + words, 0, (t.rows * t.cols - words) * sizeof *t.values);
  if (entry->kind == TW_MATRIX && entry->query) sharpen(config, &t);
  *values = t.values;
  return TW_OK;
}

static void make_client(const tw_seed *seed, const tw_model_config *config, tw_client *client) {
  size_t hidden = (size_t)config->hidden;
  fill(seed, 0, 0, 0.05, (size_t)config->vocab * hidden, client->word);
  fill(seed, 1, 0, 0.02, (size_t)config->max_positions * hidden, client->position);
  fill(seed, 2, 0, 0.02, (size_t)config->type_vocab * hidden, client->type);
  fill(seed, 3, 0.8, 0.1, hidden, client->gamma);
  fill(seed, 4, 0, 0.2, hidden, client->beta);
  client->gamma[5] *= 8;  // one outlying coordinate, as trained BERTs have
}

// A decoder's client has no tables, or those of the model.
static void make_decoder_client(const import *in, tw_client *client) {
  const tw_model_config *c = &in->base.model.config;
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  int word = tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, layout->word);
  if (client->word) fill_tensor(in, word, words_of(c), client->word);
  if (client->position)
    fill_tensor(in, word - layout->word + layout->position, (size_t)c->max_positions * (size_t)c->hidden,
                client->position);
}

static tw_status give_client(tw_import *base, tw_client *client) {
  const import *in = (const import *)base;
  const tw_model_config *config = &base->model.config;
  TW_TRY(tw_client_allocate(config, client));
  if (tw_decoder_layout_of(config))
    make_decoder_client(in, client);
  else
    make_client(&in->embeddings, config, client);
  return tw_text_rules_default(&client->rules);
}

static void close_shape(tw_import *base) { (void)base; }

tw_status tw_import_open_shape(const char *shape, int layers, tw_import **out) {
  import *in;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *in, (void **)&in));
  in->base = (tw_import){.model = {.read = give_tensor, .state = in}, .client = give_client, .close = close_shape};
  tw_seed_test(&in->layers, 0, "synthetic layers", 0);
  tw_seed_test(&in->embeddings, 0, "synthetic embeddings", 0);
  tw_digest_of(&in->layers, sizeof in->layers, &in->base.model.source);
  tw_model_config *config = &in->base.model.config;
  tw_status status = tw_shape_config(shape, config);
  if (layers > 0 && layers < config->layers) config->layers = layers;
  return tw_import_opened(&in->base, status, out);
}
