// config.json and its neighbours in a Hugging Face folder: the shape of an encoder, how its text is prepared, and
// what sentence-transformers makes of its output.
#ifndef TW_HF_CONFIG_H
#define TW_HF_CONFIG_H

#include <stdbool.h>

#include "base/status.h"
#include "io/client.h"
#include "io/hf_json.h"
#include "io/model.h"
#include "io/notes.h"

typedef struct {
  tw_model_config model;     // with head, and output and normalise_output from modules.json
  bool sentence_lower_case;  // sentence_bert_config.json: do_lower_case, whatever the tokenizer does
  int max_seq_length;        // tokens; 0: nothing says
  char *default_prompt;      // config_sentence_transformers.json; NULL: none
  char *encoder;             // folder of config.json, weights and tokenizer: FOLDER, or the one modules.json names
  char dtype[16];            // config.json: torch_dtype or dtype; "": not said
  tw_hf_json json;           // the encoder's, for tw_text_rules_read
  tw_labels labels;          // of a classifier
  bool modules;              // there is a modules.json: sentence-transformers' own chain counts, not architectures
  bool classifier;           // ... which asks for a classifier's logits
  bool scores_by_sigmoid;    // ... and for the sigmoid of each
  char *dense;               // folder of a Dense module; NULL: there is none
  bool relative_positions;   // config.json asks for them; what that means depends on the weights
  unsigned biases;           // of a decoder: which of its optional ones it has, a set of tw_optional_bias
  bool tied;                 // its head is its word table, unless the weights hold another
} tw_hf_config;

// FOLDER/config.json is required; its neighbours are read when present. encoder_only: as if modules.json and the files
// that belong to it were not there. The model's name is the folder's. *notes gets what was left out. TW_ERR_FORMAT
// names file and field, also for a model that is sound but not supported. Free with tw_hf_config_free, also after an
// error.
tw_status tw_hf_config_read(const char *folder, bool encoder_only, tw_hf_config *out, tw_notes *notes);
void tw_hf_config_free(tw_hf_config *config);

// Shapes that everything else relies on: positive, in reach, heads divide hidden. `where` begins the message.
tw_status tw_model_config_check(const char *where, const tw_model_config *config);

#endif
