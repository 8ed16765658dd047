// Which model_type of config.json is computed, under which names the file keeps a family's sizes, and what transformers
// takes where it says nothing.
#ifndef TW_HF_FAMILIES_H
#define TW_HF_FAMILIES_H

#include <stdbool.h>

// Sets of kinds: fields belong to some of them (io/hf_fields.c).
typedef enum {
  TW_HF_ENCODER = 1,
  TW_HF_GPT2 = 2,
  TW_HF_NEO = 4,
  TW_HF_LLAMA = 8,
  TW_HF_QWEN2 = 16,
  TW_HF_ROTARY = TW_HF_LLAMA | TW_HF_QWEN2,  // positions turn queries and keys; else they have a table
  TW_HF_DECODER = TW_HF_GPT2 | TW_HF_NEO | TW_HF_ROTARY,
  TW_HF_ANY = TW_HF_ENCODER | TW_HF_DECODER
} tw_hf_kind;

typedef struct {
  const char *name;   // NULL: the family has none
  int otherwise;      // where the file does not say it; 0: it follows from others
  const char *alias;  // counts before the name where both are there (transformers' attribute_map); NULL: there is none
} tw_hf_size;

typedef struct {
  const char *type;          // model_type
  const char *architecture;  // twain's (io/tensors.h)
  const char *classes;       // what the names of its classes begin with
  tw_hf_kind kind;
  tw_hf_size layers, hidden, heads, inner, positions, words;
  tw_hf_size types;      // token types
  tw_hf_size embedding;  // width of the embeddings, where they may have one of their own
  tw_hf_size kv_heads, head_dim;
  const char *activation, *usual_activation;
  const char *epsilon;  // NULL: the usual one, whatever the file says
  double usual_epsilon;
  bool positions_after_padding;  // rows of the position table begin behind pad_token_id, and padding has one of its own
  const char *head_activation;   // in a classifier of the sequence
  bool tied;                     // unless the file says otherwise the head of words is the word table
} tw_hf_family;

const tw_hf_family *tw_hf_family_by_type(const char *type);  // NULL when unknown
const char *tw_hf_family_types(void);                        // "bert, roberta, ...", for messages

#endif
