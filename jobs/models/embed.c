#include "jobs/models/embed.h"

#include <math.h>

#include "io/decoder_tensors.h"
#include "io/model_file.h"
#include "jobs/models/fold.h"

static int number_of(const tw_model_config *c, int entry) {
  return tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, entry);
}

int tw_word_number_bits(const tw_model_config *config) {
  tw_word_table table = tw_config_word_table(config);
  return table.line_bits + table.place_bits;
}

// Rows of a table of positions for the sequence's tokens: SHARE.
static int positions(tw_builder *b, const tw_layer_shape *shape, int table, int ring) {
  size_t hidden = (size_t)shape->config.hidden, seq = (size_t)shape->seq, n = seq * hidden;
  size_t before = (size_t)(shape->prefix + shape->earlier) * hidden;
  int rows = tw_weight_wire(b, table, TW_SCALE, before + n);
  if (shape->earlier) {
    tw_tokens tokens = tw_first_token(shape);
    tokens.queries = tokens.keys - 1 + seq;
    tokens.first = 0;
    return tw_rows_from_last(b, tw_as_share(b, tw_reduce(b, rows, ring)), seq, tokens);
  }
  if (before) rows = tw_view(b, rows, (tw_view_map){{1, 1, 1, n}, {0, 0, 0, 1}, before});
  return tw_as_share(b, tw_reduce(b, rows, ring));
}

int tw_build_embedding(tw_builder *b, const tw_layer_shape *shape, int ring) {
  const tw_model_config *c = &shape->config;
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  tw_word_table table = tw_config_word_table(c);
  int numbers = tw_open(b, tw_build_numbers(b, tw_word_number_bits(c), (size_t)shape->seq));
  tw_step_begin(b, -1, "words");
  int x = tw_look_up_words(b, numbers, number_of(c, layout->word), &table, ring, TW_SCALE);
  if (layout->position >= 0)
    x = tw_combine(b, 1, x, 1, positions(b, shape, number_of(c, layout->position), ring), false);
  return tw_open(b, x);
}

int tw_build_word(tw_builder *b, const tw_layer_shape *shape, int numbers, tw_tokens tokens, int ring) {
  const tw_model_config *c = &shape->config;
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  tw_word_table table = tw_config_word_table(c);
  tw_step_begin(b, -1, "words");
  int row = tw_look_up_words(b, numbers, number_of(c, layout->word), &table, ring, TW_SCALE);
  return tw_build_word_of_row(b, shape, row, tokens);
}

int tw_build_word_of_row(tw_builder *b, const tw_layer_shape *shape, int row, tw_tokens tokens) {
  const tw_model_config *c = &shape->config;
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  int x = row, ring = tw_look(b, row).ring;
  tw_step_begin(b, -1, "words");
  if (layout->position >= 0) {
    int rows = tw_weight_wire(b, number_of(c, layout->position), TW_SCALE, tokens.keys * (size_t)c->hidden);
    tw_counted counted = shape->earlier ? TW_COUNT_TOKENS : TW_COUNT_COLUMNS;
    tw_tokens all = {tokens.keys, tokens.keys, 0, false, tokens.ahead, counted};
    x = tw_combine(b, 1, x, 1, tw_last_live_row(b, tw_as_share(b, tw_reduce(b, rows, ring)), all), false);
  }
  return tw_open(b, x);
}

tw_argmax_row tw_words_beside(const tw_model_config *config, int ring, tw_word_table *table) {
  *table = tw_config_word_table(config);
  int weight = number_of(config, tw_decoder_layout_of(config)->word);
  return (tw_argmax_row){.weight = weight, .ring = ring, .scale = TW_SCALE, .table = table, .end_row = -1, .row = -1};
}

// Of rows of words or positions, less their means where the parties share them so.
static double largest_of(const tw_model *model, int entry) {
  const tw_model_tensor *t = &model->tensors[number_of(&model->config, entry)];
  size_t hidden = (size_t)model->config.hidden;
  bool centred = tw_model_centres(&model->config);
  double largest = 0;
  for (size_t i = 0; i < t->rows * t->cols; i += hidden) {
    const float *row = t->values + i;
    double mean = 0;
    for (size_t c = 0; centred && c < hidden; c++) mean += (double)row[c] / (double)hidden;
    for (size_t c = 0; c < hidden; c++) largest = fmax(largest, fabs((double)row[c] - mean));
  }
  return largest;
}

bool tw_bounds_look_at(const tw_model_config *config, int number) {
  const tw_decoder_layout *l = tw_decoder_layout_of(config);
  if (tw_model_is_norm(config, number)) return true;
  return l && (number == number_of(config, l->word) || (l->position >= 0 && number == number_of(config, l->position)));
}

double tw_bound_of_words(const tw_model *model) {
  const tw_decoder_layout *layout = tw_decoder_layout_of(&model->config);
  double largest = largest_of(model, layout->word), bound = 1;
  if (layout->position >= 0) largest += largest_of(model, layout->position);
  while (bound < largest) bound *= 2;
  return bound;
}
