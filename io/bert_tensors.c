// BERT's names, and the shapes that its kin share.
#include "io/bert_tensors.h"

#include "io/bert_entries.h"

size_t tw_one(const tw_model_config *c) {
  (void)c;
  return 1;
}
size_t tw_hidden(const tw_model_config *c) { return (size_t)c->hidden; }
size_t tw_queries(const tw_model_config *c) { return (size_t)tw_config_query_width(c); }
size_t tw_qkv(const tw_model_config *c) { return (size_t)tw_config_query_width(c) + 2 * (size_t)tw_config_kv_width(c); }
size_t tw_inner(const tw_model_config *c) { return (size_t)c->intermediate; }
size_t tw_words(const tw_model_config *c) { return (size_t)c->vocab; }
size_t tw_positions(const tw_model_config *c) { return (size_t)c->max_positions + (size_t)c->position_offset; }
size_t tw_types(const tw_model_config *c) { return (size_t)c->type_vocab; }
size_t tw_embedding(const tw_model_config *c) { return (size_t)(c->embedding ? c->embedding : c->hidden); }
size_t tw_projection_rows(const tw_model_config *c) { return (size_t)c->embedding; }
size_t tw_projection_biases(const tw_model_config *c) { return c->embedding != 0; }
size_t tw_head_outputs(const tw_model_config *c) { return (size_t)c->head.outputs; }

const tw_tensor_entry tw_dense_rows[2] = {
    TW_LINEAR_ROWS("head.dense", TW_OF_HEAD, tw_hidden, tw_head_outputs, "linear")};

#define LAYER "encoder.layer.%d."
static const tw_tensor_entry layer[] = {TW_LAYER_ROWS(LAYER "attention.self.query", LAYER "attention.self.key",
                                                      LAYER "attention.self.value", LAYER "attention.output.dense",
                                                      LAYER "attention.output.LayerNorm", LAYER "intermediate.dense",
                                                      LAYER "output.dense", LAYER "output.LayerNorm")};
static const tw_tensor_entry sequence[] = {TW_HEAD_ROWS("bert.pooler.dense", "classifier")};
static const tw_tensor_entry tokens[] = {TW_TOKENS_ROWS("classifier")};
static const tw_tensor_entry embedding[] = {TW_EMBEDDING_ROWS, TW_TYPE_ROW};

const tw_tensor_table tw_bert_tensors[TW_HEADS] = TW_FAMILY("bert", "bert.");
