#include "io/json_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"
#include "io/format.h"

tw_status tw_text_file_write(const char *path, const char *text, size_t bytes) {
  tw_output out;
  TW_TRY(tw_output_begin(&out, path, bytes));
  tw_status status = tw_output_write(&out, "its text", text, bytes, 0);
  if (status == TW_OK) return tw_output_commit(&out);
  tw_output_abort(&out);
  return status;
}

static tw_status check_format(const char *path, const json_t *root, const char *format, int version, const char *maker,
                              const char *renew) {
  const char *found = json_string_value(json_object_get(root, "format"));
  const json_t *number = json_object_get(root, "version");
  if (!found)
    return tw_fail(TW_ERR_FORMAT, "%s: not a file of twain: it has no \"format\"; `%s` writes such files", path, maker);
  if (strcmp(found, format) != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: its format is %s, not %s; `%s` writes such files", path, found, format, maker);
  if (json_is_integer(number) && json_integer_value(number) == version) return TW_OK;
  char found_version[32], remedy[128];
  snprintf(found_version, sizeof found_version, "%lld", (long long)json_integer_value(number));
  snprintf(remedy, sizeof remedy, "run `%s` again", maker);
  return tw_format_other_version(path, format, found_version, renew ? renew : remedy);
}

tw_status tw_json_file_read(const char *path, const char *format, int version, const char *maker, const char *renew,
                            json_t **root) {
  enum { LARGEST = 256 << 20 };
  struct stat info;
  json_error_t error;
  *root = NULL;
  TW_TRY(tw_file_check_readable(path, maker, false));
  if (stat(path, &info) == 0 && info.st_size > LARGEST)
    return tw_fail(TW_ERR_FORMAT, "%s: larger than any %s", path, format);
  json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  if (!json)
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s; run `%s` again or fetch a fresh copy", path, error.line, error.text,
                   maker);
  tw_status status = check_format(path, json, format, version, maker, renew);
  if (status == TW_OK)
    *root = json;
  else
    json_decref(json);
  return status;
}
