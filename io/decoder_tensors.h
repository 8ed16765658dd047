// The tensors of decoders: causal models whose norms come first, with a norm behind the layers and a table of words.
//
//   x = word[token] (+ position[i]);  in a layer: x = x + attention(norm1(x)); x = x + feed_forward(norm2(x));
//   tokens = norm(x);  logits = tokens head.out
//
// Every matrix has its bias for the next tensor, zeros where the family has none; a LayerNorm's gamma has its beta for
// the next, an RMSNorm has none. The word table stands in the model's file like all other tensors, one word behind the
// other, in whole lines (io/word_table.h). Where it serves as the head, too (tied), it is there twice, so and as
// [hidden][words], each under masks of its own. The client has no tables unless the config says that it embeds.
#ifndef TW_DECODER_TENSORS_H
#define TW_DECODER_TENSORS_H

#include "io/tensors.h"
#include "io/word_table.h"

// What differs between families, and the entries of the tables (for tw_tensor_number); -1: the family has none.
typedef struct {
  bool rms_norm;       // norms take no mean and have no beta
  bool gated;          // feed_forward(x) = (activation(x gate) * (x up)) down; else activation(x up) down
  int qkv, out;        // [hidden][Q, K, V side by side, head by head], [columns of Q][hidden]
  int norm1, norm2;    // gamma [1][hidden]
  int gate, up, down;  // [hidden][intermediate], the same, [intermediate][hidden]
  int final_norm;      // gamma [1][hidden] of the norm behind the layers
  int word;            // [lines][places * hidden] at scale TW_SCALE, and a bias of zeros at the same
  int position;        // [max_positions][hidden] at scale TW_SCALE, or -1: positions turn queries and keys
  int head;            // [hidden][words]; there only where the config's head is TW_HEAD_WORDS
} tw_decoder_layout;

// NULL: no decoder.
const tw_decoder_layout *tw_decoder_layout_of(const tw_model_config *config);
const tw_decoder_layout *tw_decoder_layout_by_name(const char *architecture);
// The word table's lines and places.
tw_word_table tw_config_word_table(const tw_model_config *config);

// LLaMA's serve Qwen2, too. Each family has tables for no head and for TW_HEAD_WORDS.
extern const tw_tensor_table tw_gpt2_tensors[TW_HEADS], tw_gpt_neo_tensors[TW_HEADS], tw_llama_tensors[TW_HEADS];

#endif
