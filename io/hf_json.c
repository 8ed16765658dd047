#define _GNU_SOURCE
#include "io/hf_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/json_read.h"

tw_status tw_hf_file_read(const char *folder, const char *file, bool needed, char **path, json_t **json) {
  *json = NULL;
  if (asprintf(path, "%s/%s", folder, file) < 0) {
    *path = NULL;
    return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  return tw_json_read(*path, needed, json);
}

tw_status tw_hf_object_read(const char *folder, const char *file, bool needed, json_t **json) {
  char *path;
  tw_status status = tw_hf_file_read(folder, file, needed, &path, json);
  if (status == TW_OK && *json && !json_is_object(*json))
    status = tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
  free(path);
  return status;
}

tw_status tw_hf_json_read(const char *folder, bool config_needed, tw_hf_json *out) {
  *out = (tw_hf_json){0};
  TW_TRY(tw_hf_object_read(folder, "config.json", config_needed, &out->config));
  return tw_hf_object_read(folder, "tokenizer_config.json", false, &out->tokenizer);
}

void tw_hf_json_free(tw_hf_json *json) {
  json_decref(json->config);
  json_decref(json->tokenizer);
  *json = (tw_hf_json){0};
}
