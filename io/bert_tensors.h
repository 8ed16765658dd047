// The tensors of BERT's kin: encoders with BERT's arithmetic under other names. A layer and a head have the same
// tensors in the same order in every one of them.
#ifndef TW_BERT_TENSORS_H
#define TW_BERT_TENSORS_H

#include "io/tensors.h"

enum {
  TW_BERT_QKV_WEIGHT,  // columns: Q, K, V; in each head by head
  TW_BERT_QKV_BIAS,
  TW_BERT_OUT_WEIGHT,
  TW_BERT_OUT_BIAS,
  TW_BERT_NORM1_GAMMA,
  TW_BERT_NORM1_BETA,
  TW_BERT_UP_WEIGHT,
  TW_BERT_UP_BIAS,
  TW_BERT_DOWN_WEIGHT,
  TW_BERT_DOWN_BIAS,
  TW_BERT_NORM2_GAMMA,
  TW_BERT_NORM2_BETA,
  TW_BERT_IN_LAYER
};

// On top: a head's, behind those in a layer. A head for tokens has the last two alone, a Dense module the first two.
enum { TW_HEAD_DENSE_WEIGHT, TW_HEAD_DENSE_BIAS, TW_HEAD_OUT_WEIGHT, TW_HEAD_OUT_BIAS };

// Each family has a table for each kind of head.
extern const tw_tensor_table tw_bert_tensors[TW_HEADS], tw_roberta_tensors[TW_HEADS], tw_distilbert_tensors[TW_HEADS],
    tw_electra_tensors[TW_HEADS];

#endif
