// Which tokens end a text that a model writes.
#ifndef TW_HF_ENDS_H
#define TW_HF_ENDS_H

#include "io/hf_fields.h"
#include "io/hf_json.h"
#include "io/model.h"

// eos_token_id of generation_config.json, also where that names none; without that file config.json's, or what its
// class has where it says nothing. A token past the vocabulary never comes up and is left out. Needs c->vocab.
tw_status tw_hf_ends_read(const char *folder, const tw_hf_object *config, const tw_hf_family *family,
                          tw_model_config *c);

#endif
