#include "io/prefix.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/format.h"
#include "io/host.h"
#include "io/json_file.h"
#include "io/new_files.h"

static const char format_name[] = "twain-prefix";

tw_status tw_prefix_make(const int *ids, int count, tw_prefix *out) {
  *out = (tw_prefix){.count = count};
  TW_TRY(tw_alloc((size_t)count * sizeof *ids, (void **)&out->ids));
  memcpy(out->ids, ids, (size_t)count * sizeof *ids);
  randombytes_buf(out->salt, sizeof out->salt);
  return TW_OK;
}

void tw_prefix_free(tw_prefix *prefix) {
  tw_free(prefix->ids);
  *prefix = (tw_prefix){.count = 0};
}

tw_prefix_facts tw_prefix_facts_of(const tw_prefix *prefix) {
  tw_prefix_facts facts = {.rows = prefix->count};
  unsigned char hash[32], bytes[4];
  crypto_generichash_state state;
  crypto_generichash_init(&state, NULL, 0, sizeof hash);
  crypto_generichash_update(&state, prefix->salt, sizeof prefix->salt);
  for (int i = 0; i < prefix->count; i++) {
    for (int k = 0; k < 4; k++) bytes[k] = (unsigned char)((unsigned)prefix->ids[i] >> 8 * k);
    crypto_generichash_update(&state, bytes, sizeof bytes);
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  sodium_bin2hex(facts.digest.hex, sizeof facts.digest.hex, hash, sizeof hash);
  return facts;
}

tw_status tw_prefix_write(const char *path, const tw_prefix *prefix) {
  char created[32], salt[2 * TW_PREFIX_SALT + 1];
  tw_host_time(created, sizeof created);
  sodium_bin2hex(salt, sizeof salt, prefix->salt, sizeof prefix->salt);
  json_t *ids = json_array();
  for (int i = 0; i < prefix->count; i++) json_array_append_new(ids, json_integer(prefix->ids[i]));
  json_t *json = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o}", "format", format_name, "version", TW_FORMAT_VERSION,
                           "software", "twain " TWAIN_VERSION, "created", created, "salt", salt, "tokens", ids);
  char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
  tw_status status =
      text ? tw_text_file_write(path, text, strlen(text)) : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  free(text);
  json_decref(json);
  return status;
}

static tw_status wrong(const char *path, const char *what) {
  return tw_fail(TW_ERR_FORMAT, "%s: %s; have it sent again, or plan again with --prefix (`twain plan`)", path, what);
}

static tw_status take(const char *path, const json_t *root, tw_prefix *prefix) {
  const char *salt = json_string_value(json_object_get(root, "salt"));
  const json_t *tokens = json_object_get(root, "tokens");
  size_t count = json_array_size(tokens);
  if (!salt || !tw_is_hex(salt, 2 * TW_PREFIX_SALT)) return wrong(path, "salt is not 64 hexadecimal digits");
  if (count < 1 || count >= TW_MOST_TOKENS) return wrong(path, "tokens is no list of 1 to 2047 ids");
  TW_TRY(tw_alloc(count * sizeof *prefix->ids, (void **)&prefix->ids));
  prefix->count = (int)count;
  sodium_hex2bin(prefix->salt, sizeof prefix->salt, salt, 2 * TW_PREFIX_SALT, NULL, NULL, NULL);
  for (size_t i = 0; i < count; i++) {
    const json_t *id = json_array_get(tokens, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
      return wrong(path, "tokens holds what is no id");
    prefix->ids[i] = (int)json_integer_value(id);
  }
  return TW_OK;
}

tw_status tw_prefix_read(const char *path, tw_prefix *prefix) {
  json_t *root;
  *prefix = (tw_prefix){.count = 0};
  TW_TRY(tw_json_file_read(path, format_name, TW_FORMAT_VERSION, "twain plan --prefix", NULL, &root));
  tw_status status = take(path, root, prefix);
  json_decref(root);
  if (status != TW_OK) tw_prefix_free(prefix);
  return status;
}

tw_status tw_prefix_read_for(const char *path, const tw_prefix_facts *plan, tw_prefix *prefix) {
  TW_TRY(tw_prefix_read(path, prefix));
  tw_prefix_facts own = tw_prefix_facts_of(prefix);
  if (own.rows == plan->rows && strcmp(own.digest.hex, plan->digest.hex) == 0) return TW_OK;
  tw_prefix_free(prefix);
  return tw_fail(TW_ERR_MISMATCH,
                 "%s: is not the prefix that the plan was made with; take the file that `twain plan --prefix` wrote "
                 "with this plan",
                 path);
}

tw_status tw_prefix_beside(const char *name, const tw_prefix_facts *plan, tw_prefix **out) {
  *out = NULL;
  if (!plan->rows) return TW_OK;
  TW_TRY(tw_alloc(sizeof **out, (void **)out));
  tw_status status = tw_prefix_read_for(tw_path_of(name, "prefix.json").text, plan, *out);
  if (status == TW_OK) return TW_OK;
  tw_free(*out);
  *out = NULL;
  return status;
}

void tw_prefix_drop(tw_prefix *prefix) {
  if (!prefix) return;
  tw_prefix_free(prefix);
  tw_free(prefix);
}
