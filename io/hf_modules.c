#define _GNU_SOURCE
#include "io/hf_modules.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hf_labels.h"

static const char remedy[] = "; `twain import --encoder-only` takes the encoder alone";

static bool is_text(const json_t *value, const char *wanted) {
  const char *text = json_string_value(value);
  return text && strcmp(text, wanted) == 0;
}

// ---- 1_Pooling/config.json

// Modes of sentence-transformers: as pooling_mode, and as one flag each up to version 5.
static const char *const modes[][2] = {{"cls", "pooling_mode_cls_token"},
                                       {"mean", "pooling_mode_mean_tokens"},
                                       {"max", "pooling_mode_max_tokens"},
                                       {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
                                       {"weightedmean", "pooling_mode_weightedmean_tokens"},
                                       {"lasttoken", "pooling_mode_lasttoken"}};
enum { MODES = sizeof modes / sizeof *modes };

static tw_status add_mode(const char *path, const char *mode, const char **only) {
  if (!mode) return tw_fail(TW_ERR_FORMAT, "%s: pooling_mode is neither a name nor a list of names", path);
  if (*only)  // put side by side, even two of the same
    return tw_fail(TW_ERR_FORMAT, "%s: pools in several ways at once (%s, %s); only one of mean and cls is supported%s",
                   path, *only, mode, remedy);
  *only = mode;
  return TW_OK;
}

// pooling_mode wins over the flags. With flags of which none is set the mode is mean, as sentence-transformers has it.
static tw_status find_mode(const char *path, const json_t *config, const char **mode) {
  const json_t *named = json_object_get(config, "pooling_mode"), *value;
  size_t i;
  *mode = NULL;
  if (json_is_array(named) && json_array_size(named) > 0) {
    json_array_foreach(named, i, value) TW_TRY(add_mode(path, json_string_value(value), mode));
    return TW_OK;
  }
  if (named) return add_mode(path, json_string_value(named), mode);
  for (i = 0; i < MODES; i++) {
    value = json_object_get(config, modes[i][1]);
    if (value && !json_is_boolean(value))
      return tw_fail(TW_ERR_FORMAT, "%s: %s is not true or false", path, modes[i][1]);
    if (json_is_true(value)) TW_TRY(add_mode(path, modes[i][0], mode));
  }
  if (!*mode) *mode = "mean";
  return TW_OK;
}

static tw_status parse_pooling(const char *path, const json_t *config, tw_hf_config *out, bool *with_prompt) {
  const char *mode;
  if (!json_is_object(config)) return tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
  TW_TRY(find_mode(path, config, &mode));
  *with_prompt = !json_is_false(json_object_get(config, "include_prompt"));
  if (strcmp(mode, "mean") == 0)
    out->model.output = TW_OUTPUT_POOLED;
  else if (strcmp(mode, "cls") == 0)
    out->model.output = TW_OUTPUT_CLS;
  else
    return tw_fail(TW_ERR_FORMAT, "%s: pooling by %s is not supported (only mean and cls)%s", path, mode, remedy);
  return TW_OK;
}

// ---- modules.json

// Kinds by the last part of their type. Types moved between versions (sentence_transformers.models.Pooling became
// sentence_transformers.sentence_transformer.modules.pooling.Pooling); a type outside the package is foreign code.
typedef enum { TRANSFORMER, POOLING, NORMALIZE, DROPOUT, DENSE, UNKNOWN } module_kind;

static module_kind kind_of(const char *type) {
  static const char *const names[] = {"Transformer", "Pooling", "Normalize", "Dropout", "Dense"};
  const char *last = strrchr(type, '.');
  if (strncmp(type, "sentence_transformers.", 22) != 0 || !last) return UNKNOWN;
  for (int i = 0; i < UNKNOWN; i++)
    if (strcmp(last + 1, names[i]) == 0) return (module_kind)i;
  return UNKNOWN;
}

typedef struct {
  const char *type, *path;  // path: relative to the folder, "" for the folder itself
  module_kind kind;
} module;

// Nothing outside the folder is opened.
static bool is_inside(const char *path) {
  if (*path == '/') return false;
  for (const char *part = path; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2])) return false;
  }
  return true;
}

static tw_status parse_module(const char *path, const json_t *modules, size_t i, module *out) {
  const json_t *entry = json_array_get(modules, i);
  out->type = json_string_value(json_object_get(entry, "type"));
  out->path = json_string_value(json_object_get(entry, "path"));
  if (!out->type) return tw_fail(TW_ERR_FORMAT, "%s: module %zu has no type", path, i);
  if (!out->path) return tw_fail(TW_ERR_FORMAT, "%s: module %zu (%s) has no path", path, i, out->type);
  if (!is_inside(out->path))
    return tw_fail(TW_ERR_FORMAT, "%s: module %zu: path %s leads out of the folder", path, i, out->path);
  out->kind = kind_of(out->type);
  return TW_OK;
}

// What has been met so far, in the order of modules.json.
typedef struct {
  const char *folder;
  bool pooled, with_prompt;
  tw_hf_config *out;
  tw_notes *notes;
} chain;

static tw_status module_file(const chain *c, const module *m, const char *file, bool needed, char **path,
                             json_t **json) {
  char *folder;
  *path = NULL;
  *json = NULL;
  if (asprintf(&folder, "%s/%s", c->folder, m->path) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_hf_file_read(folder, file, needed, path, json);
  free(folder);
  return status;
}

static tw_status take_pooling(chain *c, const char *where, const module *m) {
  char *path;
  json_t *json;
  if (!*m->path || c->pooled)
    return tw_fail(TW_ERR_FORMAT, "%s: %s%s", where,
                   c->pooled ? "two Pooling modules" : "Pooling has no folder of its own", remedy);
  c->pooled = true;
  tw_status status = module_file(c, m, "config.json", true, &path, &json);
  if (status == TW_OK) status = parse_pooling(path, json, c->out, &c->with_prompt);
  json_decref(json);
  free(path);
  return status;
}

// Version 6 writes which of the features is scaled.
static tw_status take_normalize(chain *c, const char *where, const module *m) {
  static const char *const fields[] = {"module_input_name", "module_output_name"};
  char *path;
  json_t *json;
  if (!c->pooled) return tw_fail(TW_ERR_FORMAT, "%s: Normalize stands before Pooling%s", where, remedy);
  tw_status status = module_file(c, m, "config.json", false, &path, &json);
  for (int i = 0; i < 2 && status == TW_OK; i++) {
    const json_t *name = json_object_get(json, fields[i]);
    if (name && !json_is_null(name) && !is_text(name, "sentence_embedding"))
      status =
          tw_fail(TW_ERR_FORMAT, "%s: %s is not \"sentence_embedding\"; scaling of anything else is not supported%s",
                  path, fields[i], remedy);
  }
  c->out->model.normalise_output = true;
  json_decref(json);
  free(path);
  return status;
}

// ---- 2_Dense

// torch's modules, as Dense's config.json names them. Identity: none.
static const char *const dense_activations[][2] = {
    {"torch.nn.modules.linear.Identity", ""},     {"torch.nn.modules.activation.Tanh", "tanh"},
    {"torch.nn.modules.activation.ReLU", "relu"}, {"torch.nn.modules.activation.GELU", "gelu"},
    {"torch.nn.modules.activation.SiLU", "silu"}, {"torch.nn.modules.activation.Sigmoid", "sigmoid"}};

static tw_status parse_dense(const char *path, const json_t *config, tw_head *head) {
  static const char *const fields[] = {"module_input_name", "module_output_name"};
  const json_t *width = json_object_get(config, "out_features");
  const char *name = json_string_value(json_object_get(config, "activation_function"));
  if (!json_is_integer(width) || json_integer_value(width) < 1 || json_integer_value(width) > 1 << 16)
    return tw_fail(TW_ERR_FORMAT, "%s: out_features must be a positive integer", path);
  if (json_is_true(json_object_get(config, "use_residual")))
    return tw_fail(TW_ERR_FORMAT, "%s: use_residual is true; that is not supported%s", path, remedy);
  if (json_is_false(json_object_get(config, "bias")))
    return tw_fail(TW_ERR_FORMAT, "%s: bias is false; only Dense with a bias is supported%s", path, remedy);
  for (int i = 0; i < 2; i++) {
    const json_t *feature = json_object_get(config, fields[i]);
    if (feature && !json_is_null(feature) && !is_text(feature, "sentence_embedding"))
      return tw_fail(TW_ERR_FORMAT, "%s: %s is not \"sentence_embedding\"; that is not supported%s", path, fields[i],
                     remedy);
  }
  head->outputs = (int)json_integer_value(width);
  for (size_t i = 0; i < sizeof dense_activations / sizeof *dense_activations; i++) {
    if (!name || strcmp(name, dense_activations[i][0]) != 0) continue;
    snprintf(head->activation, sizeof head->activation, "%s", dense_activations[i][1]);
    return TW_OK;
  }
  return tw_fail(TW_ERR_FORMAT,
                 "%s: activation_function is %s; only Identity, Tanh, ReLU, GELU, SiLU and Sigmoid are "
                 "supported%s",
                 path, name ? name : "no text", remedy);
}

static tw_status take_dense(chain *c, const char *where, const module *m) {
  char *path;
  json_t *json;
  tw_head *head = &c->out->model.head;
  if (!c->pooled || head->kind != TW_HEAD_NONE || c->out->model.normalise_output || !*m->path)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: Dense is supported once, with a folder of its own, behind Pooling and before "
                   "Normalize%s",
                   where, remedy);
  tw_status status = module_file(c, m, "config.json", true, &path, &json);
  if (status == TW_OK) status = parse_dense(path, json, head);
  json_decref(json);
  free(path);
  TW_TRY(status);
  head->kind = TW_HEAD_DENSE;
  head->rows = c->out->model.output;
  c->out->model.output = TW_OUTPUT_DENSE;
  if (asprintf(&c->out->dense, "%s/%s", c->folder, m->path) >= 0) return TW_OK;
  c->out->dense = NULL;
  return tw_fail(TW_ERR_MEMORY, "out of memory");
}

// ---- sentence_bert_config.json, beside the encoder

static tw_status take_length(const char *path, const json_t *config, tw_hf_config *out) {
  const json_t *length = json_object_get(config, "max_seq_length");
  if (!length || json_is_null(length)) return TW_OK;
  if (!json_is_integer(length) || json_integer_value(length) < 1 || json_integer_value(length) > INT_MAX)
    return tw_fail(TW_ERR_FORMAT, "%s: max_seq_length must be a positive integer", path);
  out->max_seq_length = (int)json_integer_value(length);
  return TW_OK;
}

// A cross-encoder since version 5.7: the classifier's logits are what is asked for.
static tw_status expect_logits(const char *path, const json_t *name, const json_t *output, const chain *c) {
  c->out->classifier = true;
  if ((output && !is_text(output, "logits")) || (name && !is_text(name, "scores")))
    return tw_fail(TW_ERR_FORMAT, "%s: asks for another output than the classifier's logits%s", path, remedy);
  return TW_OK;
}

// Since version 5 the file says what is asked of the encoder.
static tw_status expect_rows(const char *path, const json_t *config, const chain *c) {
  const json_t *task = json_object_get(config, "transformer_task"),
               *name = json_object_get(config, "module_output_name"),
               *text = json_object_get(json_object_get(config, "modality_config"), "text"),
               *rows = json_object_get(text, "method_output_name"),
               *more = json_object_get(config, "processing_kwargs");
  if (json_object_size(more) > 0)
    return tw_fail(TW_ERR_FORMAT, "%s: processing_kwargs changes how text is prepared; that is not supported%s", path,
                   remedy);
  if (task && is_text(task, "sequence-classification")) return expect_logits(path, name, rows, c);
  if (task && !is_text(task, "feature-extraction"))
    return tw_note(c->notes, "left out: what %s asks for as transformer_task (%s); the encoder's rows are computed",
                   path, json_is_string(task) ? json_string_value(task) : "no text");
  if ((rows && !is_text(rows, "last_hidden_state")) || (name && !is_text(name, "token_embeddings")))
    return tw_fail(TW_ERR_FORMAT, "%s: asks for another output than the encoder's last rows%s", path, remedy);
  return TW_OK;
}

static tw_status take_transformer(chain *c, const module *m) {
  // the first that is there and says something, as sentence-transformers has it
  static const char *const files[] = {"sentence_bert_config.json",       "sentence_roberta_config.json",
                                      "sentence_distilbert_config.json", "sentence_camembert_config.json",
                                      "sentence_albert_config.json",     "sentence_xlm-roberta_config.json",
                                      "sentence_xlnet_config.json"};
  tw_status status = TW_OK;
  free(c->out->encoder);
  if (asprintf(&c->out->encoder, "%s%s%s", c->folder, *m->path ? "/" : "", m->path) < 0) {
    c->out->encoder = NULL;
    return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  bool found = false;
  for (size_t i = 0; i < sizeof files / sizeof *files && status == TW_OK && !found; i++) {
    char *path;
    json_t *json;
    status = tw_hf_file_read(c->out->encoder, files[i], false, &path, &json);
    found = json_object_size(json) > 0;
    if (status == TW_OK && json && !json_is_object(json))
      status = tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
    if (status == TW_OK) status = take_length(path, json, c->out);
    if (status == TW_OK) status = expect_rows(path, json, c);
    if (found) c->out->sentence_lower_case = json_is_true(json_object_get(json, "do_lower_case"));
    json_decref(json);
    free(path);
  }
  return status;
}

static tw_status take_module(chain *c, const char *where, size_t i, const module *m) {
  if (i > 0 && c->out->classifier)
    return tw_fail(TW_ERR_FORMAT, "%s: module %zu (%s) behind a classifier is not supported%s", where, i, m->type,
                   remedy);
  if ((i == 0) != (m->kind == TRANSFORMER) && m->kind != UNKNOWN)
    return tw_fail(TW_ERR_FORMAT, "%s: module %zu is %s; one Transformer stands first, and only there", where, i,
                   m->type);
  switch (m->kind) {
    case TRANSFORMER:
      return take_transformer(c, m);
    case POOLING:
      return take_pooling(c, where, m);
    case NORMALIZE:
      return take_normalize(c, where, m);
    case DENSE:
      return take_dense(c, where, m);
    case DROPOUT:
      return TW_OK;  // does nothing outside training
    default:
      return tw_fail(TW_ERR_FORMAT, "%s: module %s is not supported (only Transformer, Pooling, Dense and Normalize)%s",
                     where, m->type, remedy);
  }
}

static tw_status take_modules(chain *c, const char *path, const json_t *modules) {
  if (!json_is_array(modules) || json_array_size(modules) == 0)
    return tw_fail(TW_ERR_FORMAT, "%s: not a JSON list of modules", path);
  for (size_t i = 0; i < json_array_size(modules); i++) {
    module m = {0};
    TW_TRY(parse_module(path, modules, i, &m));
    TW_TRY(take_module(c, path, i, &m));
  }
  return TW_OK;
}

// ---- config_sentence_transformers.json

static tw_status name_other_prompts(const chain *c, const char *path, const json_t *prompts) {
  const char *name;
  const json_t *text;
  json_object_foreach((json_t *)prompts, name, text) {
    if (!json_is_string(text) || !json_string_length(text)) continue;
    char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    tw_status status =
        tw_note(c->notes, "%s: prompt %s is put before no text by itself; where you want it, begin with %s", path, name,
                quoted ? quoted : "it");
    free(quoted);
    TW_TRY(status);
  }
  return TW_OK;
}

// sentence-transformers knows the prompts query and document, empty ones, without being told.
static tw_status take_prompt(const chain *c, const char *path, const json_t *config) {
  const json_t *prompts = json_object_get(config, "prompts"), *chosen = json_object_get(config, "default_prompt_name");
  const char *name = json_string_value(chosen);
  if (!chosen || json_is_null(chosen)) return name_other_prompts(c, path, prompts);
  const json_t *text = name ? json_object_get(prompts, name) : NULL;
  bool built_in = name && (strcmp(name, "query") == 0 || strcmp(name, "document") == 0);
  if (text ? json_is_null(text) : built_in) return TW_OK;
  if (!json_is_string(text))
    return tw_fail(TW_ERR_FORMAT, "%s: default_prompt_name %s is not one of its prompts", path,
                   name ? name : "(no text)");
  if (!json_string_length(text)) return TW_OK;
  if (!c->with_prompt)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: the default prompt %s is to be left out when pooling (include_prompt false in Pooling's "
                   "config.json); that is not supported%s",
                   path, name, remedy);
  c->out->default_prompt = strdup(json_string_value(text));
  return c->out->default_prompt ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
}

static tw_status parse_sentence_config(const chain *c, const char *path, const json_t *config) {
  const json_t *cut = json_object_get(config, "truncate_dim");
  if (!json_is_object(config)) return tw_fail(TW_ERR_FORMAT, "%s: not a JSON object", path);
  c->out->scores_by_sigmoid = tw_hf_is_sigmoid(json_object_get(config, "activation_fn"));
  if (cut && !json_is_null(cut))
    return tw_fail(TW_ERR_FORMAT, "%s: truncate_dim keeps a part of each embedding; that is not supported%s", path,
                   remedy);
  return take_prompt(c, path, config);
}

tw_status tw_hf_modules_read(const char *folder, tw_hf_config *out, tw_notes *notes) {
  chain c = {.folder = folder, .with_prompt = true, .out = out, .notes = notes};
  char *path;
  json_t *json;
  tw_status status = tw_hf_file_read(folder, "modules.json", false, &path, &json);
  bool listed = out->modules = json != NULL;
  if (status == TW_OK && listed) status = take_modules(&c, path, json);
  json_decref(json);
  free(path);
  if (status != TW_OK || !listed) return status;
  status = tw_hf_file_read(folder, "config_sentence_transformers.json", false, &path, &json);
  if (status == TW_OK && json) status = parse_sentence_config(&c, path, json);
  json_decref(json);
  free(path);
  return status;
}
