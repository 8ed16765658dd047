// DistilBERT: BERT's arithmetic without token types.
#include "io/bert_entries.h"

#define LAYER "transformer.layer.%d."
static const tw_tensor_entry layer[] = {
    TW_LAYER_ROWS(LAYER "attention.q_lin", LAYER "attention.k_lin", LAYER "attention.v_lin", LAYER "attention.out_lin",
                  LAYER "sa_layer_norm", LAYER "ffn.lin1", LAYER "ffn.lin2", LAYER "output_layer_norm")};
static const tw_tensor_entry sequence[] = {TW_HEAD_ROWS("pre_classifier", "classifier")};
static const tw_tensor_entry tokens[] = {TW_TOKENS_ROWS("classifier")};
static const tw_tensor_entry embedding[] = {TW_EMBEDDING_ROWS};

const tw_tensor_table tw_distilbert_tensors[TW_HEADS] = TW_FAMILY("distilbert", "distilbert.");
