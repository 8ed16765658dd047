// RoBERTa, XLM-R and CamemBERT: BERT's names, a head of its own, and positions that begin behind the padding's.
#include "io/bert_entries.h"

#define LAYER "encoder.layer.%d."
static const tw_tensor_entry layer[] = {TW_LAYER_ROWS(LAYER "attention.self.query", LAYER "attention.self.key",
                                                      LAYER "attention.self.value", LAYER "attention.output.dense",
                                                      LAYER "attention.output.LayerNorm", LAYER "intermediate.dense",
                                                      LAYER "output.dense", LAYER "output.LayerNorm")};
static const tw_tensor_entry sequence[] = {TW_HEAD_ROWS("classifier.dense", "classifier.out_proj")};
static const tw_tensor_entry tokens[] = {TW_TOKENS_ROWS("classifier")};
static const tw_tensor_entry embedding[] = {TW_EMBEDDING_ROWS, TW_TYPE_ROW};

const tw_tensor_table tw_roberta_tensors[TW_HEADS] = TW_FAMILY("roberta", "roberta.");
