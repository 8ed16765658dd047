// Rows of the tables of BERT's kin: only the names in a Hugging Face folder differ. Internal to io/.
#ifndef TW_BERT_ENTRIES_H
#define TW_BERT_ENTRIES_H

#include "io/bert_tensors.h"

// Shapes.
size_t tw_one(const tw_model_config *c);
size_t tw_hidden(const tw_model_config *c);
size_t tw_queries(const tw_model_config *c);  // columns of Q
size_t tw_qkv(const tw_model_config *c);      // of Q, K and V
size_t tw_inner(const tw_model_config *c);
size_t tw_words(const tw_model_config *c);
size_t tw_positions(const tw_model_config *c);  // and those in front of the first token's
size_t tw_types(const tw_model_config *c);
size_t tw_embedding(const tw_model_config *c);          // width of the embedding tables
size_t tw_projection_rows(const tw_model_config *c);    // the same where a projection follows, else 0
size_t tw_projection_biases(const tw_model_config *c);  // 1 where a projection follows, else 0
size_t tw_head_outputs(const tw_model_config *c);

// clang-format off
#define TW_ROW(name, part, kind, rows, cols, scale, query, ...) \
  {name, part, kind, rows, cols, scale, query, .source = {__VA_ARGS__}}
#define TW_LINEAR_ROWS(name, part, rows, cols, source) \
  TW_ROW(name ".weight", part, TW_MATRIX, rows, cols, TW_SCALE, false, source ".weight"), \
  TW_ROW(name ".bias", part, TW_BIAS, tw_one, cols, TW_BIAS_SCALE, false, source ".bias")
// Of outputs that are added to what a norm reads.
#define TW_ADDED_ROWS(name, rows, from) \
  {name ".weight", TW_IN_LAYER, TW_MATRIX, rows, tw_hidden, TW_SCALE, .centred = true, .source = {from ".weight"}}, \
  {name ".bias", TW_IN_LAYER, TW_BIAS, tw_one, tw_hidden, TW_BIAS_SCALE, .centred = true, .source = {from ".bias"}}
#define TW_NORM_ROWS(name, source) \
  TW_ROW(name ".gamma", TW_IN_LAYER, TW_GAMMA, tw_one, tw_hidden, TW_SCALE, false, source ".weight"), \
  TW_ROW(name ".beta", TW_IN_LAYER, TW_BETA, tw_one, tw_hidden, TW_SCALE, false, source ".bias")

// In the order of TW_BERT_QKV_WEIGHT and so on.
#define TW_LAYER_ROWS(q, k, v, out, norm1, up, down, norm2) \
  TW_ROW("qkv.weight", TW_IN_LAYER, TW_MATRIX, tw_hidden, tw_qkv, TW_SCALE, true, \
         q ".weight", k ".weight", v ".weight"), \
  TW_ROW("qkv.bias", TW_IN_LAYER, TW_BIAS, tw_one, tw_qkv, TW_BIAS_SCALE, true, \
         q ".bias", k ".bias", v ".bias"), \
  TW_ADDED_ROWS("out", tw_hidden, out), \
  TW_NORM_ROWS("norm1", norm1), \
  TW_LINEAR_ROWS("up", TW_IN_LAYER, tw_hidden, tw_inner, up), \
  TW_ADDED_ROWS("down", tw_inner, down), \
  TW_NORM_ROWS("norm2", norm2)

// In the order of TW_HEAD_DENSE_WEIGHT and so on.
#define TW_HEAD_ROWS(dense, out) \
  TW_LINEAR_ROWS("head.dense", TW_OF_HEAD, tw_hidden, tw_hidden, dense), \
  TW_LINEAR_ROWS("head.out", TW_OF_HEAD, tw_hidden, tw_head_outputs, out)
#define TW_TOKENS_ROWS(out) TW_LINEAR_ROWS("head.out", TW_OF_HEAD, tw_hidden, tw_head_outputs, out)

#define TW_TABLE_ROWS(name, rows, cols, source) TW_ROW(name, TW_EMBEDDING, TW_ROWS, rows, cols, 0, false, source)
#define TW_TYPE_ROW TW_TABLE_ROWS("type", tw_types, tw_embedding, "embeddings.token_type_embeddings.weight")
// The word table first: it tells whether a folder's names have the prefix.
#define TW_EMBEDDING_ROWS \
  TW_TABLE_ROWS("word", tw_words, tw_embedding, "embeddings.word_embeddings.weight"), \
  TW_TABLE_ROWS("position", tw_positions, tw_embedding, "embeddings.position_embeddings.weight"), \
  TW_ROW("gamma", TW_EMBEDDING, TW_GAMMA, tw_one, tw_embedding, 0, false, "embeddings.LayerNorm.weight"), \
  TW_ROW("beta", TW_EMBEDDING, TW_BETA, tw_one, tw_embedding, 0, false, "embeddings.LayerNorm.bias")

// What a Dense module of sentence-transformers holds, whatever it stands on.
extern const tw_tensor_entry tw_dense_rows[2];

#define TW_COUNT(array) (int)(sizeof(array) / sizeof *(array))
#define TW_VARIANT(family, before, rows, count) \
  {.architecture = family, .prefix = before, .layer = layer, .top = rows, .embedding = embedding, \
   .in_layer = TW_COUNT(layer), .on_top = count, .embeddings = TW_COUNT(embedding)}
// The tables of a family, from its arrays layer, sequence, tokens and embedding.
#define TW_FAMILY(family, before) \
  {[TW_HEAD_NONE] = TW_VARIANT(family, before, NULL, 0), \
   [TW_HEAD_SEQUENCE] = TW_VARIANT(family, before, sequence, TW_COUNT(sequence)), \
   [TW_HEAD_TOKENS] = TW_VARIANT(family, before, tokens, TW_COUNT(tokens)), \
   [TW_HEAD_DENSE] = TW_VARIANT(family, before, tw_dense_rows, 2)}
// clang-format on

#endif
