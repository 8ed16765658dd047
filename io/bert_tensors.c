#include "io/bert_tensors.h"

static size_t one(const tw_model_config *c) {
  (void)c;
  return 1;
}
static size_t hidden(const tw_model_config *c) { return (size_t)c->hidden; }
static size_t qkv(const tw_model_config *c) { return 3 * (size_t)c->hidden; }
static size_t inner(const tw_model_config *c) { return (size_t)c->intermediate; }
static size_t words(const tw_model_config *c) { return (size_t)c->vocab; }
static size_t positions(const tw_model_config *c) { return (size_t)c->max_positions; }
static size_t types(const tw_model_config *c) { return (size_t)c->type_vocab; }

// clang-format off
#define LAYER "encoder.layer.%d."
#define SELF LAYER "attention.self."

static const tw_tensor_entry entries[TW_BERT_TENSORS] = {
    // name, part, kind, rows, columns, scale, of queries, sources
    [TW_BERT_QKV_WEIGHT] = {"qkv.weight", TW_IN_LAYER, TW_MATRIX, hidden, qkv, TW_SCALE, true,
                            {SELF "query.weight", SELF "key.weight", SELF "value.weight"}},
    [TW_BERT_QKV_BIAS] = {"qkv.bias", TW_IN_LAYER, TW_BIAS, one, qkv, TW_BIAS_SCALE, true,
                          {SELF "query.bias", SELF "key.bias", SELF "value.bias"}},
    [TW_BERT_OUT_WEIGHT] = {"out.weight", TW_IN_LAYER, TW_MATRIX, hidden, hidden, TW_SCALE, false,
                            {LAYER "attention.output.dense.weight"}},
    [TW_BERT_OUT_BIAS] = {"out.bias", TW_IN_LAYER, TW_BIAS, one, hidden, TW_BIAS_SCALE, false,
                          {LAYER "attention.output.dense.bias"}},
    [TW_BERT_NORM1_GAMMA] = {"norm1.gamma", TW_IN_LAYER, TW_GAMMA, one, hidden, TW_SCALE, false,
                             {LAYER "attention.output.LayerNorm.weight"}},
    [TW_BERT_NORM1_BETA] = {"norm1.beta", TW_IN_LAYER, TW_BETA, one, hidden, TW_SCALE, false,
                            {LAYER "attention.output.LayerNorm.bias"}},
    [TW_BERT_UP_WEIGHT] = {"up.weight", TW_IN_LAYER, TW_MATRIX, hidden, inner, TW_SCALE, false,
                           {LAYER "intermediate.dense.weight"}},
    [TW_BERT_UP_BIAS] = {"up.bias", TW_IN_LAYER, TW_BIAS, one, inner, TW_BIAS_SCALE, false,
                         {LAYER "intermediate.dense.bias"}},
    [TW_BERT_DOWN_WEIGHT] = {"down.weight", TW_IN_LAYER, TW_MATRIX, inner, hidden, TW_SCALE, false,
                             {LAYER "output.dense.weight"}},
    [TW_BERT_DOWN_BIAS] = {"down.bias", TW_IN_LAYER, TW_BIAS, one, hidden, TW_BIAS_SCALE, false,
                           {LAYER "output.dense.bias"}},
    [TW_BERT_NORM2_GAMMA] = {"norm2.gamma", TW_IN_LAYER, TW_GAMMA, one, hidden, TW_SCALE, false,
                             {LAYER "output.LayerNorm.weight"}},
    [TW_BERT_NORM2_BETA] = {"norm2.beta", TW_IN_LAYER, TW_BETA, one, hidden, TW_SCALE, false,
                            {LAYER "output.LayerNorm.bias"}},
    [TW_BERT_WORD] = {"word", TW_EMBEDDING, TW_ROWS, words, hidden, 0, false,
                      {"embeddings.word_embeddings.weight"}},
    [TW_BERT_POSITION] = {"position", TW_EMBEDDING, TW_ROWS, positions, hidden, 0, false,
                          {"embeddings.position_embeddings.weight"}},
    [TW_BERT_TYPE] = {"type", TW_EMBEDDING, TW_ROWS, types, hidden, 0, false,
                      {"embeddings.token_type_embeddings.weight"}},
    [TW_BERT_EMBEDDING_GAMMA] = {"gamma", TW_EMBEDDING, TW_GAMMA, one, hidden, 0, false,
                                 {"embeddings.LayerNorm.weight"}},
    [TW_BERT_EMBEDDING_BETA] = {"beta", TW_EMBEDDING, TW_BETA, one, hidden, 0, false,
                                {"embeddings.LayerNorm.bias"}}};
// clang-format on

const tw_tensor_table tw_bert_tensors = {.architecture = "bert",
                                         .prefix = "bert.",
                                         .entries = entries,
                                         .in_layer = TW_BERT_IN_LAYER,
                                         .embeddings = TW_BERT_TENSORS - TW_BERT_IN_LAYER};
