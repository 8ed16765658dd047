// config.json and its neighbours in a Hugging Face folder: the shape of a BERT encoder and how its text is prepared.
#ifndef TW_HF_CONFIG_H
#define TW_HF_CONFIG_H

#include <stdbool.h>

#include "base/status.h"
#include "io/model.h"

typedef struct {
  tw_model_config model;
  bool lower_case;        // tokenizer_config.json: do_lower_case
  bool normalise_output;  // modules.json lists a Normalize module (sentence-transformers)
} tw_hf_config;

// FOLDER/config.json is required; tokenizer_config.json and modules.json are read when present. The model's name is the
// folder's. TW_ERR_FORMAT names file and field, also for a model that is sound but not supported.
tw_status tw_hf_config_read(const char *folder, tw_hf_config *out);

// Shapes that everything else relies on: positive, in reach, heads divide hidden. `where` begins the message.
tw_status tw_model_config_check(const char *where, const tw_model_config *config);

#endif
