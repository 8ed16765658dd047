// Which model_type of config.json is computed, and under which names the file keeps a family's sizes.
#ifndef TW_HF_FAMILIES_H
#define TW_HF_FAMILIES_H

#include <stdbool.h>

typedef struct {
  const char *type;                                                 // model_type
  const char *architecture;                                         // twain's (io/tensors.h)
  const char *classes;                                              // what the names of its classes begin with
  const char *layers, *hidden, *heads, *intermediate, *activation;  // fields of config.json
  bool types;                                                       // token types
  bool positions_after_padding;  // rows of the position table begin behind pad_token_id, and padding has one of its own
  bool projects;                 // embeddings may have a width of their own, embedding_size
  bool fixed_epsilon;            // 1e-12, whatever the file says
  const char *head_activation;   // in a classifier of the sequence
} tw_hf_family;

const tw_hf_family *tw_hf_family_by_type(const char *type);  // NULL when unknown
const char *tw_hf_family_types(void);                        // "bert, roberta, ...", for messages

#endif
