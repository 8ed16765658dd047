// Rows of the tables of decoders. Internal to io/.
#ifndef TW_DECODER_ENTRIES_H
#define TW_DECODER_ENTRIES_H

#include "io/bert_entries.h"
#include "io/decoder_tensors.h"

// Shapes.
size_t tw_lines(const tw_model_config *c);             // of the word table
size_t tw_line(const tw_model_config *c);              // elements of one
size_t tw_client_words(const tw_model_config *c);      // 0 unless the client embeds
size_t tw_client_positions(const tw_model_config *c);  // the same

// clang-format off
#define TW_MATRIX_ROW(name, part, rows, cols, source) \
  TW_ROW(name ".weight", part, TW_MATRIX, rows, cols, TW_SCALE, false, source ".weight")
// A matrix with a bias that some models have.
#define TW_OPTIONAL_ROWS(name, rows, cols, source, which) \
  TW_MATRIX_ROW(name, TW_IN_LAYER, rows, cols, source), \
  {name ".bias", TW_IN_LAYER, TW_BIAS, tw_one, cols, TW_BIAS_SCALE, false, {source ".bias"}, .optional = which}
// A matrix that is stored as [inputs][outputs], with its bias.
#define TW_CONV_ROWS(name, rows, cols, query, source) \
  {name ".weight", TW_IN_LAYER, TW_MATRIX, rows, cols, TW_SCALE, query, {source ".weight"}, .inputs_first = true}, \
  TW_ROW(name ".bias", TW_IN_LAYER, TW_BIAS, tw_one, cols, TW_BIAS_SCALE, query, source ".bias")
// The same of outputs that are added to what a norm reads.
#define TW_ADDED_CONV_ROWS(name, inputs, from) \
  {name ".weight", TW_IN_LAYER, TW_MATRIX, inputs, tw_hidden, TW_SCALE, .centred = true, .source = {from ".weight"}, \
   .inputs_first = true}, \
  {name ".bias", TW_IN_LAYER, TW_BIAS, tw_one, tw_hidden, TW_BIAS_SCALE, .centred = true, .source = {from ".bias"}}
#define TW_GAMMA_ROW(name, part, source) \
  TW_ROW(name ".gamma", part, TW_GAMMA, tw_one, tw_hidden, TW_SCALE, false, source ".weight")
#define TW_BETA_ROW(name, part, source) \
  TW_ROW(name ".beta", part, TW_BETA, tw_one, tw_hidden, TW_SCALE, false, source ".bias")
// The word table, and what tw_linear adds to the line that it picks: nothing.
#define TW_WORD_ROWS(source) \
  {"word.weight", TW_ON_TOP, TW_MATRIX, tw_lines, tw_line, TW_SCALE, false, {source ".weight"}, \
   .inputs_first = true, .in_lines = true, .centred = true}, \
  TW_ROW("word.bias", TW_ON_TOP, TW_BIAS, tw_one, tw_line, TW_SCALE, false, NULL)
#define TW_POSITION_ROW(from) \
  {"position", TW_ON_TOP, TW_ROWS, tw_positions, tw_hidden, TW_SCALE, .centred = true, .source = {from ".weight"}}
// The same in the file of a client that embeds.
#define TW_CLIENT_WORDS_ROW(source) \
  TW_ROW("word", TW_EMBEDDING, TW_ROWS, tw_client_words, tw_hidden, 0, false, source ".weight")
#define TW_CLIENT_POSITIONS_ROW(source) \
  TW_ROW("position", TW_EMBEDDING, TW_ROWS, tw_client_positions, tw_hidden, 0, false, source ".weight")
#define TW_HEAD_OF_WORDS_ROWS \
  TW_ROW("head.out.weight", TW_OF_HEAD, TW_MATRIX, tw_hidden, tw_head_outputs, TW_SCALE, false, "lm_head.weight"), \
  TW_ROW("head.out.bias", TW_OF_HEAD, TW_BIAS, tw_one, tw_head_outputs, TW_BIAS_SCALE, false, NULL)

#define TW_DECODER_VARIANT(family, before, count) \
  {.architecture = family, .prefix = before, .layer = layer, .top = top, .embedding = embedding, \
   .in_layer = TW_COUNT(layer), .on_top = count, .embeddings = TW_COUNT(embedding)}
// The tables of a family, from its arrays layer, embedding and top, which ends with the head's two rows.
#define TW_DECODERS(family, before) \
  {[TW_HEAD_NONE] = TW_DECODER_VARIANT(family, before, TW_COUNT(top) - 2), \
   [TW_HEAD_WORDS] = TW_DECODER_VARIANT(family, before, TW_COUNT(top))}
// clang-format on

#endif
