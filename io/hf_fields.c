#define _GNU_SOURCE
#include "io/hf_fields.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- one field

bool tw_hf_has(const tw_hf_object *object, const char *field) { return json_object_get(object->json, field) != NULL; }

bool tw_hf_says(const tw_hf_object *object, const char *field) {
  return tw_hf_has(object, field) && !json_is_null(json_object_get(object->json, field));
}

tw_status tw_hf_wrong(const tw_hf_object *object, const char *field, const char *needed) {
  enum { MOST = 60 };  // characters of the value
  const json_t *value = json_object_get(object->json, field);
  char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII) : strdup("missing");
  bool cut = text && strlen(text) > MOST;
  tw_status status = tw_fail(TW_ERR_FORMAT, "%s: %s%s is %.*s%s; %s", object->path, object->of, field, MOST,
                             text ? text : "unreadable", cut ? "..." : "", needed);
  free(text);
  return status;
}

tw_status tw_hf_take_size(const tw_hf_object *object, const char *field, int *out) {
  const json_t *value = json_object_get(object->json, field);
  if (!value) return TW_OK;
  if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > INT_MAX)
    return tw_hf_wrong(object, field, "a positive integer is needed");
  *out = (int)json_integer_value(value);
  return TW_OK;
}

tw_status tw_hf_take_number(const tw_hf_object *object, const char *field, double *out) {
  const json_t *value = json_object_get(object->json, field);
  if (!value) return TW_OK;
  if (!json_is_number(value)) return tw_hf_wrong(object, field, "a number is needed");
  *out = json_number_value(value);
  return TW_OK;
}

tw_status tw_hf_need_number(const tw_hf_object *object, const char *field, double *out) {
  return tw_hf_has(object, field) ? tw_hf_take_number(object, field, out)
                                  : tw_hf_wrong(object, field, "a number is needed");
}

tw_status tw_hf_take_flag(const tw_hf_object *object, const char *field, bool *out) {
  const json_t *value = json_object_get(object->json, field);
  if (!value) return TW_OK;
  if (!json_is_boolean(value)) return tw_hf_wrong(object, field, "true or false is needed");
  *out = json_is_true(value);
  return TW_OK;
}

tw_status tw_hf_take_text(const tw_hf_object *object, const char *field, const char **out) {
  const json_t *value = json_object_get(object->json, field);
  if (!value) return TW_OK;
  if (!json_is_string(value)) return tw_hf_wrong(object, field, "a text is needed");
  *out = json_string_value(value);
  return TW_OK;
}

tw_status tw_hf_take(const tw_hf_object *config, const tw_hf_size *size, tw_notes *notes, int *out) {
  bool named = tw_hf_has(config, size->name), other = size->alias && tw_hf_has(config, size->alias);
  *out = size->otherwise;
  TW_TRY(tw_hf_take_size(config, size->name, out));
  int by_name = *out;
  if (other) TW_TRY(tw_hf_take_size(config, size->alias, out));
  if (!named && !other)
    return tw_note(notes, "%s: %s is missing: %d, transformers' default", config->path, size->name, *out);
  if (!named || *out == by_name) return TW_OK;
  return tw_note(notes, "%s: %s is %d and %s %d: the first counts, as in transformers", config->path, size->alias, *out,
                 size->name, by_name);
}

// ---- all fields of the file that say, or sound as if they said, what is computed

typedef enum { KNOWN, A_FLAG, MUST_BE_FALSE, MUST_BE_TRUE, MUST_BE_NULL } meaning;

// KNOWN: read elsewhere, or without effect on the numbers of a family that has it; A_FLAG: the same, true or false.
static const struct {
  const char *name;
  int kinds;  // set of tw_hf_kind
  meaning meaning;
  const char *why;
} fields[] = {
    {"is_decoder", TW_HF_ENCODER, MUST_BE_FALSE, "only encoders are computed for this model_type"},
    {"is_causal", TW_HF_DECODER, MUST_BE_TRUE, "tokens that see later ones are not computed"},
    {"add_cross_attention", TW_HF_ANY, MUST_BE_FALSE, "attention to another sequence is not computed"},
    {"scale_attn_by_inverse_layer_idx", TW_HF_GPT2, MUST_BE_FALSE, "scaling by the layer's number is not computed"},
    {"use_sliding_window", TW_HF_DECODER, MUST_BE_FALSE, "its windows are not computed"},
    {"quantization_config", TW_HF_ANY, MUST_BE_NULL, "the weights are quantised; save the model without"},
    {"per_layer_config", TW_HF_ANY, MUST_BE_NULL, "layers of different shapes are not computed"},
    {"configuration_files", TW_HF_ANY, MUST_BE_NULL, "transformers reads another file; give that as config.json"},
    {"transformers_weights", TW_HF_ANY, MUST_BE_NULL,
     "transformers reads weights of another name; call them model.safetensors"},
    {"attribute_map", TW_HF_ANY, MUST_BE_NULL, "it renames fields for transformers; give them the family's names"},
    {"text_config", TW_HF_ANY, MUST_BE_NULL, "a model within a model is not computed; save it alone"},
    {"text_encoder", TW_HF_ANY, MUST_BE_NULL, "a model within a model is not computed; save it alone"},
    {"decoder", TW_HF_ANY, MUST_BE_NULL, "a model within a model is not computed; save it alone"},
    {"generator", TW_HF_ANY, MUST_BE_NULL, "a model within a model is not computed; save it alone"},
    {"layer_types", TW_HF_ANY, KNOWN, NULL},
    {"position_embedding_type", TW_HF_ENCODER, KNOWN, NULL},
    {"scale_attn_weights", TW_HF_GPT2, KNOWN, NULL},
    {"reorder_and_upcast_attn", TW_HF_GPT2, A_FLAG, NULL},
    {"attn_pdrop", TW_HF_GPT2, KNOWN, NULL},
    {"attention_types", TW_HF_NEO, KNOWN, NULL},
    {"attention_layers", TW_HF_NEO, KNOWN, NULL},
    {"window_size", TW_HF_NEO, KNOWN, NULL},
    {"attention_bias", TW_HF_LLAMA, KNOWN, NULL},
    {"mlp_bias", TW_HF_LLAMA, KNOWN, NULL},
    {"rope_scaling", TW_HF_ROTARY, KNOWN, NULL},
    {"rope_parameters", TW_HF_ROTARY, KNOWN, NULL},
    {"rope_theta", TW_HF_ROTARY, KNOWN, NULL},
    {"original_max_position_embeddings", TW_HF_ROTARY, KNOWN, NULL},
    {"sliding_window", TW_HF_QWEN2, KNOWN, NULL},
    {"max_window_layers", TW_HF_QWEN2, KNOWN, NULL},
    {"attention_dropout", TW_HF_ANY, KNOWN, NULL},
    {"attention_probs_dropout_prob", TW_HF_ENCODER, KNOWN, NULL},
    {"attn_implementation", TW_HF_ANY, KNOWN, NULL},
    {"_attn_implementation_autoset", TW_HF_ANY, KNOWN, NULL},
    {"output_attentions", TW_HF_ANY, KNOWN, NULL}};
enum { FIELDS = sizeof fields / sizeof *fields };

static bool is_size(const tw_hf_family *f, const char *key) {
  const tw_hf_size *const sizes[] = {&f->layers, &f->hidden, &f->heads,     &f->inner,    &f->positions,
                                     &f->words,  &f->types,  &f->embedding, &f->kv_heads, &f->head_dim};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if ((sizes[i]->name && strcmp(sizes[i]->name, key) == 0) || (sizes[i]->alias && strcmp(sizes[i]->alias, key) == 0))
      return true;
  return (f->epsilon && strcmp(f->epsilon, key) == 0) || strcmp(f->activation, key) == 0;
}

// A field that nobody reads, with a name that a reader would not take lightly, and a value that says something.
static bool is_startling(const tw_hf_family *f, const char *key, const json_t *value) {
  static const char *const parts[] = {"attn",   "attention", "rope",       "rotary",  "norm",   "scal", "quant",
                                      "window", "position",  "multiplier", "softcap", "causal", "head", "bias"};
  if (json_is_null(value) || json_is_false(value) || is_size(f, key) || strstr(key, "dropout") ||
      strstr(key, "pooler_"))
    return false;
  for (size_t i = 0; i < FIELDS; i++)
    if ((fields[i].kinds & (int)f->kind) && strcmp(fields[i].name, key) == 0) return false;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(key, parts[i])) return true;
  return false;
}

static tw_status name_unread(const tw_hf_object *config, const tw_hf_family *family, tw_notes *notes) {
  char *text = NULL;
  size_t bytes = 0;
  const char *key;
  json_t *value;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return tw_fail(TW_ERR_MEMORY, "out of memory");
  json_object_foreach((json_t *)config->json, key, value) {
    if (is_startling(family, key, value)) fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", key);
  }
  tw_status status = fclose(out) == 0 && text ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
  if (status == TW_OK && bytes > 0)
    status = tw_note(notes, "%s: a %s model does not read %s: without effect, as in transformers", config->path,
                     family->type, text);
  free(text);
  return status;
}

static tw_status check_field(const tw_hf_object *config, int i) {
  const char *name = fields[i].name;
  bool wanted = fields[i].meaning == MUST_BE_TRUE, got = wanted;
  if (fields[i].meaning == KNOWN) return TW_OK;
  if (fields[i].meaning == MUST_BE_NULL)
    return tw_hf_says(config, name) ? tw_hf_wrong(config, name, fields[i].why) : TW_OK;
  TW_TRY(tw_hf_take_flag(config, name, &got));
  return got == wanted || fields[i].meaning == A_FLAG ? TW_OK : tw_hf_wrong(config, name, fields[i].why);
}

// A list with a kind for every layer.
static tw_status check_layer_types(const tw_hf_object *config, int layers) {
  const json_t *types = json_object_get(config->json, "layer_types"), *type;
  size_t i;
  if (!tw_hf_says(config, "layer_types")) return TW_OK;
  if (!json_is_array(types) || json_array_size(types) != (size_t)layers)
    return tw_hf_wrong(config, "layer_types", "a list with a name for every layer is needed");
  json_array_foreach((json_t *)types, i, type) {
    const char *text = json_string_value(type);
    if (!text || strcmp(text, "full_attention") != 0)
      return tw_hf_wrong(config, "layer_types", "only full_attention is computed");
  }
  return TW_OK;
}

tw_status tw_hf_check_fields(const tw_hf_object *config, const tw_hf_family *family, int layers, tw_notes *notes) {
  for (int i = 0; i < FIELDS; i++)
    if (fields[i].kinds & (int)family->kind) TW_TRY(check_field(config, i));
  TW_TRY(check_layer_types(config, layers));
  return name_unread(config, family, notes);
}
