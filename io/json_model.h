// The model of a tokenizer.json: from a word to ids. BPE, Unigram, or one that sentencepiece's library runs, which
// stands in twain's own files only (io/sentencepiece_rules.c).
#ifndef TW_JSON_MODEL_H
#define TW_JSON_MODEL_H

#include <jansson.h>

#include "base/status.h"
#include "io/id_list.h"
#include "io/pieces.h"

typedef struct tw_json_model tw_json_model;

// TW_ERR_FORMAT names `where` and the model that is not known.
tw_status tw_json_model_new(const json_t *value, const char *where, tw_json_model **out);
void tw_json_model_free(tw_json_model *m);

const tw_pieces *tw_json_model_pieces(const tw_json_model *m);
int tw_json_model_unknown(const tw_json_model *m);  // -1: none
// A word's ids; valid UTF-8.
tw_status tw_json_model_encode(const tw_json_model *m, const char *word, size_t bytes, tw_ids *out);

#endif
