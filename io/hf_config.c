#define _GNU_SOURCE
#include "io/hf_config.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// *out = NULL when an optional file is absent.
static tw_status load(const char *folder, const char *file, bool required, char **path, json_t **out) {
  *out = NULL;
  if (asprintf(path, "%s/%s", folder, file) < 0) {
    *path = NULL;
    return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  if (access(*path, F_OK) != 0) {
    if (!required) return TW_OK;
    return tw_fail(TW_ERR_IO, "%s: %s; give the folder of a Hugging Face model", *path, strerror(errno));
  }
  json_error_t error;
  *out = json_load_file(*path, JSON_REJECT_DUPLICATES, &error);
  if (!*out) return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s", *path, error.line, error.text);
  return TW_OK;
}

static tw_status take_int(const char *path, const json_t *config, const char *field, int *out) {
  const json_t *value = json_object_get(config, field);
  if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > INT_MAX)
    return tw_fail(TW_ERR_FORMAT, "%s: %s must be a positive integer", path, field);
  *out = (int)json_integer_value(value);
  return TW_OK;
}

// A field, if present, must say what twain computes.
static tw_status expect_text(const char *path, const json_t *config, const char *field, const char *wanted,
                             bool required) {
  const json_t *value = json_object_get(config, field);
  if (!value && !required) return TW_OK;
  const char *text = json_string_value(value);
  if (text && strcmp(text, wanted) == 0) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: %s is \"%s\"; only \"%s\" is supported", path, field, text ? text : "(no text)",
                 wanted);
}

static tw_status expect_false(const char *path, const json_t *config, const char *field) {
  if (!json_is_true(json_object_get(config, field))) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: %s is true; only BERT encoders are supported", path, field);
}

tw_status tw_model_config_check(const char *where, const tw_model_config *c) {
  if (c->layers < 1 || c->layers > 1024 || c->hidden < 8 || c->hidden > 65536 || c->intermediate < 1 ||
      c->intermediate > 1 << 20 || c->max_positions < 1 || c->max_positions > 1 << 20 || c->vocab < 4 ||
      c->vocab > 1 << 24 || c->type_vocab < 1 || c->type_vocab > 1 << 16)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: a size is out of reach: %d layers, hidden %d, intermediate %d, %d positions, %d tokens", where,
                   c->layers, c->hidden, c->intermediate, c->max_positions, c->vocab);
  if (c->heads < 1 || c->hidden % c->heads != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: %d heads do not divide hidden size %d", where, c->heads, c->hidden);
  if (!isfinite(c->norm_epsilon) || c->norm_epsilon < 0 || c->norm_epsilon > 1)
    return tw_fail(TW_ERR_FORMAT, "%s: layer_norm_eps %g is not in [0, 1]", where, c->norm_epsilon);
  return TW_OK;
}

static tw_status parse_model(const char *path, const json_t *config, tw_model_config *out) {
  if (!json_is_object(config)) return tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
  TW_TRY(expect_text(path, config, "model_type", "bert", true));
  TW_TRY(expect_text(path, config, "hidden_act", "gelu", true));
  TW_TRY(expect_text(path, config, "position_embedding_type", "absolute", false));
  TW_TRY(expect_false(path, config, "is_decoder"));
  TW_TRY(expect_false(path, config, "add_cross_attention"));
  TW_TRY(take_int(path, config, "num_hidden_layers", &out->layers));
  TW_TRY(take_int(path, config, "hidden_size", &out->hidden));
  TW_TRY(take_int(path, config, "num_attention_heads", &out->heads));
  TW_TRY(take_int(path, config, "intermediate_size", &out->intermediate));
  TW_TRY(take_int(path, config, "max_position_embeddings", &out->max_positions));
  TW_TRY(take_int(path, config, "vocab_size", &out->vocab));
  TW_TRY(take_int(path, config, "type_vocab_size", &out->type_vocab));
  const json_t *epsilon = json_object_get(config, "layer_norm_eps");
  if (epsilon && !json_is_number(epsilon)) return tw_fail(TW_ERR_FORMAT, "%s: layer_norm_eps is not a number", path);
  out->norm_epsilon = epsilon ? json_number_value(epsilon) : 1e-12;
  snprintf(out->activation, sizeof out->activation, "gelu");
  return tw_model_config_check(path, out);
}

// A special token is a string, or an object with its text under "content".
static tw_status expect_token(const char *path, const json_t *config, const char *field, const char *wanted) {
  const json_t *value = json_object_get(config, field);
  if (!value || json_is_null(value)) return TW_OK;
  const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
  if (text && strcmp(text, wanted) == 0) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: %s is \"%s\"; only BERT's %s is supported", path, field, text ? text : "(no text)",
                 wanted);
}

static tw_status parse_tokenizer(const char *path, const json_t *config, bool *lower_case) {
  if (!json_is_object(config)) return tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
  static const char *const fields[][2] = {{"unk_token", "[UNK]"},
                                          {"sep_token", "[SEP]"},
                                          {"pad_token", "[PAD]"},
                                          {"cls_token", "[CLS]"},
                                          {"mask_token", "[MASK]"}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    TW_TRY(expect_token(path, config, fields[i][0], fields[i][1]));
  const json_t *lower = json_object_get(config, "do_lower_case");
  if (lower) *lower_case = json_is_true(lower);
  const json_t *accents = json_object_get(config, "strip_accents");
  if (json_is_boolean(accents) && json_is_true(accents) != *lower_case)
    return tw_fail(TW_ERR_FORMAT, "%s: strip_accents differs from do_lower_case; that is not supported", path);
  if (json_is_false(json_object_get(config, "tokenize_chinese_chars")))
    return tw_fail(TW_ERR_FORMAT, "%s: tokenize_chinese_chars is false; that is not supported", path);
  return TW_OK;
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static tw_status parse_modules(const char *path, const json_t *modules, bool *normalise) {
  if (!json_is_array(modules)) return tw_fail(TW_ERR_FORMAT, "%s: not a JSON list", path);
  for (size_t i = 0; i < json_array_size(modules); i++) {
    const char *type = json_string_value(json_object_get(json_array_get(modules, i), "type"));
    if (!type) return tw_fail(TW_ERR_FORMAT, "%s: module %zu has no type", path, i);
    if (ends_with(type, ".Normalize"))
      *normalise = true;
    else if (!ends_with(type, ".Transformer") && !ends_with(type, ".Pooling"))
      return tw_fail(TW_ERR_FORMAT, "%s: module %s is not supported (only Transformer, Pooling and Normalize)", path,
                     type);
  }
  return TW_OK;
}

static tw_status folder_name(const char *folder, char *name, size_t size) {
  char *full = realpath(folder, NULL);
  if (!full) return tw_fail(TW_ERR_IO, "%s: %s; give the folder of a Hugging Face model", folder, strerror(errno));
  const char *slash = strrchr(full, '/');
  snprintf(name, size, "%s", slash[1] ? slash + 1 : "model");
  free(full);
  return TW_OK;
}

tw_status tw_hf_config_read(const char *folder, tw_hf_config *out) {
  memset(out, 0, sizeof *out);
  out->lower_case = true;  // BertTokenizer's default
  TW_TRY(folder_name(folder, out->model.name, sizeof out->model.name));
  static const char *const files[] = {"config.json", "tokenizer_config.json", "modules.json"};
  tw_status status = TW_OK;
  for (int i = 0; i < 3 && status == TW_OK; i++) {
    char *path;
    json_t *json;
    status = load(folder, files[i], i == 0, &path, &json);
    if (status == TW_OK && json) {
      if (i == 0) status = parse_model(path, json, &out->model);
      if (i == 1) status = parse_tokenizer(path, json, &out->lower_case);
      if (i == 2) status = parse_modules(path, json, &out->normalise_output);
    }
    json_decref(json);
    free(path);
  }
  return status;
}
