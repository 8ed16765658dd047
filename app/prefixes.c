#include "app/prefixes.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/new_files.h"
#include "jobs/models/encode.h"

enum { MOST_BYTES = 1 << 20 };

static tw_status read_text(const char *file, char **out) {
  char *text = calloc(MOST_BYTES + 1, 1);
  if (!text) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", file);
  FILE *f = fopen(file, "rb");
  size_t n = f ? fread(text, 1, MOST_BYTES + 1, f) : 0;
  tw_status status = TW_OK;
  if (!f || ferror(f))
    status = tw_fail(TW_ERR_IO, "%s: cannot read: %s", file, strerror(errno));
  else if (n > MOST_BYTES)
    status = tw_fail(TW_ERR_RANGE, "%s: longer than any prefix", file);
  else if (n == 0 || strlen(text) != n)
    status = tw_fail(TW_ERR_FORMAT, "%s: %s; a prefix is text", file, n ? "holds a zero byte" : "is empty");
  if (f) fclose(f);
  if (status == TW_OK)
    *out = text;
  else
    free(text);
  return status;
}

static tw_status ids_of_text(const char *name, const char *file, int **ids, int *count) {
  tw_client client;
  char *text = NULL;
  TW_TRY(read_text(file, &text));
  tw_status status = tw_client_read(tw_path_of(name, "client.h5").text, &client);
  if (status == TW_OK) {
    if (!tw_decoder_layout_of(&client.config))
      status = tw_fail(TW_ERR_USAGE, "%s is no decoder: --prefix is for those", client.config.name);
    else
      status = tw_encode_plain(&client, text, ids, count);
    if (status != TW_OK) tw_fail_in(status, "%s", file);
    tw_client_free(&client);
  }
  free(text);
  return status;
}

static tw_status ids_of_json(const char *file, int **ids, int *count) {
  json_error_t error;
  json_t *list = json_load_file(file, 0, &error);
  size_t n = json_array_size(list);
  tw_status status = n ? TW_OK : tw_fail(TW_ERR_FORMAT, "%s: is no JSON list of token ids", file);
  if (status == TW_OK) status = tw_alloc(n * sizeof **ids, (void **)ids);
  for (size_t i = 0; i < n && status == TW_OK; i++) {
    const json_t *id = json_array_get(list, i);
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value > INT32_MAX) status = tw_fail(TW_ERR_FORMAT, "%s: entry %zu is no token id", file, i + 1);
    (*ids)[i] = (int)value;
  }
  *count = (int)n;
  json_decref(list);
  return status;
}

static bool same_tokens(const tw_prefix *a, const tw_prefix *b) {
  return a->count == b->count && memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids) == 0;
}

static void keep_salt(const char *name, tw_prefix *prefix) {
  tw_path path = tw_path_of(name, "prefix.json");
  tw_prefix earlier;
  if (!tw_path_exists(&path) || tw_prefix_read(path.text, &earlier) != TW_OK) return;
  if (same_tokens(&earlier, prefix)) memcpy(prefix->salt, earlier.salt, sizeof prefix->salt);
  tw_prefix_free(&earlier);
}

tw_status tw_prefix_given(const char *name, const char *file, tw_prefix *out) {
  size_t length = strlen(file);
  bool json = length > 5 && strcmp(file + length - 5, ".json") == 0;
  int *ids = NULL, count = 0;
  tw_status status = json ? ids_of_json(file, &ids, &count) : ids_of_text(name, file, &ids, &count);
  *out = (tw_prefix){.count = 0};
  if (status == TW_OK && count == 0) status = tw_fail(TW_ERR_RANGE, "%s: has no tokens", file);
  if (status == TW_OK) status = tw_prefix_make(ids, count, out);
  tw_free(ids);
  if (status == TW_OK) keep_salt(name, out);
  return status;
}
