#include "app/model_id.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/host.h"
#include "io/json_file.h"

static const char format_name[] = "twain-model-id";
enum { VERSION = 1 };

tw_status tw_model_id_write(const char *path, const tw_id *id, const tw_model_config *config) {
  char created[32];
  tw_host_time(created, sizeof created);
  json_t *json = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "format", format_name, "version", VERSION, "software",
                           "twain " TWAIN_VERSION, "created", created, "model", config->name, "model_id", id->hex);
  char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
  tw_status status =
      text ? tw_text_file_write(path, text, strlen(text)) : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  free(text);
  json_decref(json);
  return status;
}

tw_status tw_model_id_read(const char *path, tw_id *id) {
  json_t *json;
  TW_TRY(tw_json_file_read(path, format_name, VERSION, "twain share", &json));
  const char *hex = json_string_value(json_object_get(json, "model_id"));
  tw_status status = TW_OK;
  if (hex && tw_is_hex(hex, sizeof id->hex - 1))
    memcpy(id->hex, hex, sizeof id->hex);
  else
    status = tw_fail(TW_ERR_FORMAT, "%s: model_id is not %zu hexadecimal digits; fetch a fresh copy", path,
                     sizeof id->hex - 1);
  json_decref(json);
  return status;
}
