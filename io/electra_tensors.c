// ELECTRA: BERT's names, a head of its own, and embeddings that a projection may bring to the layers' width.
#include "io/bert_entries.h"

#define LAYER "encoder.layer.%d."
static const tw_tensor_entry layer[] = {TW_LAYER_ROWS(LAYER "attention.self.query", LAYER "attention.self.key",
                                                      LAYER "attention.self.value", LAYER "attention.output.dense",
                                                      LAYER "attention.output.LayerNorm", LAYER "intermediate.dense",
                                                      LAYER "output.dense", LAYER "output.LayerNorm")};
static const tw_tensor_entry sequence[] = {TW_HEAD_ROWS("classifier.dense", "classifier.out_proj")};
static const tw_tensor_entry tokens[] = {TW_TOKENS_ROWS("classifier")};
static const tw_tensor_entry embedding[] = {TW_EMBEDDING_ROWS, TW_TYPE_ROW,
                                            TW_ROW("projection.weight", TW_EMBEDDING, TW_MATRIX, tw_projection_rows,
                                                   tw_hidden, 0, false, "embeddings_project.weight"),
                                            TW_ROW("projection.bias", TW_EMBEDDING, TW_BIAS, tw_projection_biases,
                                                   tw_hidden, 0, false, "embeddings_project.bias")};

const tw_tensor_table tw_electra_tensors[TW_HEADS] = TW_FAMILY("electra", "electra.");
