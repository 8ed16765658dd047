// JSON files of a Hugging Face folder.
#ifndef TW_HF_JSON_H
#define TW_HF_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

// The two files that say both what a model is and how its text is prepared: read once, for all who look into them.
typedef struct tw_hf_json {
  json_t *config;     // config.json; NULL: absent
  json_t *tokenizer;  // tokenizer_config.json; NULL: absent
} tw_hf_json;

// From FOLDER; config_needed: config.json must be there. Free with tw_hf_json_free, also after an error.
tw_status tw_hf_json_read(const char *folder, bool config_needed, tw_hf_json *out);
void tw_hf_json_free(tw_hf_json *json);

// FOLDER/FILE parsed; *json = NULL if it is absent and not needed. free(*path), json_decref(*json), also after an
// error.
tw_status tw_hf_file_read(const char *folder, const char *file, bool needed, char **path, json_t **json);
// The same of a file that must be a JSON object.
tw_status tw_hf_object_read(const char *folder, const char *file, bool needed, json_t **json);

#endif
