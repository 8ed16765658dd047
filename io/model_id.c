#include "io/model_id.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/format.h"
#include "io/host.h"
#include "io/json_file.h"

static const char format_name[] = "twain-model-id";

static tw_status write_id(const char *path, const char *id, const char *model) {
  char created[32];
  tw_host_time(created, sizeof created);
  json_t *json = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "format", format_name, "version", TW_FORMAT_VERSION,
                           "software", "twain " TWAIN_VERSION, "created", created, "model", model, "model_id", id);
  char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
  tw_status status =
      text ? tw_text_file_write(path, text, strlen(text)) : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  free(text);
  json_decref(json);
  return status;
}

tw_status tw_model_id_write(const char *path, const tw_id *id, const tw_model_config *config) {
  return write_id(path, id->hex, config->name);
}

static tw_status check_id(const char *path, const json_t *json, tw_id *id) {
  const char *hex = json_string_value(json_object_get(json, "model_id"));
  if (!hex || !tw_is_hex(hex, sizeof id->hex - 1))
    return tw_fail(TW_ERR_FORMAT, "%s: model_id is not %zu hexadecimal digits; fetch a fresh copy", path,
                   sizeof id->hex - 1);
  memcpy(id->hex, hex, sizeof id->hex);
  return TW_OK;
}

tw_status tw_model_id_read(const char *path, tw_id *id) {
  json_t *json;
  TW_TRY(tw_json_file_read(path, format_name, TW_FORMAT_VERSION, "twain share", TW_UPGRADE, &json));
  tw_status status = check_id(path, json, id);
  json_decref(json);
  return status;
}

tw_status tw_model_id_read_earlier(const char *path, int version, tw_model_id *out) {
  json_t *json;
  TW_TRY(tw_json_file_read(path, format_name, version, "twain share", TW_UPGRADE, &json));
  tw_status status = check_id(path, json, &out->id);
  const char *name = json_string_value(json_object_get(json, "model"));
  snprintf(out->name, sizeof out->name, "%s", name ? name : "");
  json_decref(json);
  return status;
}

tw_status tw_model_id_rewrite(const char *path, const tw_model_id *id) { return write_id(path, id->id.hex, id->name); }
