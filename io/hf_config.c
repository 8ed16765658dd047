#define _GNU_SOURCE
#include "io/hf_config.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/activations.h"
#include "io/decoder_tensors.h"
#include "io/hf_decoders.h"
#include "io/hf_families.h"
#include "io/hf_labels.h"
#include "io/hf_modules.h"
#include "io/tensors.h"

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
  return tw_fail(TW_ERR_FORMAT, "%s: %s is true; only encoders are supported", path, field);
}

static tw_status check_head(const char *where, const tw_model_config *c) {
  const tw_head *h = &c->head;
  bool none = h->kind == TW_HEAD_NONE, tokens = h->kind == TW_HEAD_TOKENS || h->kind == TW_HEAD_WORDS;
  if (!tw_tensor_table_of(c)->architecture)
    return tw_fail(TW_ERR_FORMAT, "%s: a %s head on architecture %s is not supported", where, tw_head_name(h->kind),
                   c->architecture);
  if (h->kind == TW_HEAD_WORDS && h->outputs != c->vocab)
    return tw_fail(TW_ERR_FORMAT, "%s: a head of %d words for a vocabulary of %d", where, h->outputs, c->vocab);
  bool rows = tokens ? h->rows == TW_OUTPUT_TOKENS : h->rows == TW_OUTPUT_CLS || h->rows == TW_OUTPUT_POOLED;
  if (none ? h->outputs != 0 : h->outputs < 1 || h->outputs > 1 << 24 || !rows)
    return tw_fail(TW_ERR_FORMAT, "%s: a %s head with %d outputs on %s is not supported", where, tw_head_name(h->kind),
                   h->outputs, tw_output_name(h->rows));
  if (h->kind == TW_HEAD_SEQUENCE ? !tw_activation_known(h->activation)
                                  : *h->activation && (none || tokens || !tw_activation_known(h->activation)))
    return tw_fail(TW_ERR_FORMAT, "%s: activation '%s' of a %s head; twain computes %s", where, h->activation,
                   tw_head_name(h->kind), tw_activation_names());
  if (tw_config_allows_output(c, c->output) != TW_OK)
    return tw_fail(TW_ERR_FORMAT, "%s: output %s of a model whose head is %s", where, tw_output_name(c->output),
                   tw_head_name(h->kind));
  return TW_OK;
}

static tw_status check_rotary(const char *where, const tw_model_config *c) {
  const tw_rotary *r = &c->rotary;
  bool scaled = r->kind == TW_ROTARY_LINEAR || r->kind == TW_ROTARY_LLAMA3, low = r->kind == TW_ROTARY_LLAMA3;
  if (r->kind == TW_ROTARY_NONE) return TW_OK;
  if (tw_config_head_dim(c) % 2 || !(r->theta > 1 && isfinite(r->theta)) ||
      (scaled && !(r->factor >= 1 && isfinite(r->factor))) ||
      (low && !(r->low_factor > 0 && r->high_factor > r->low_factor && r->original_positions > 0)))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: rotary positions with theta %g, factor %g (%g to %g of %d positions) in heads of %d are not "
                   "supported",
                   where, r->theta, r->factor, r->low_factor, r->high_factor, r->original_positions,
                   tw_config_head_dim(c));
  return TW_OK;
}

// Encoders have nothing of what only decoders have.
static tw_status check_attention(const char *where, const tw_model_config *c) {
  const tw_decoder_layout *layout = tw_decoder_layout_of(c);
  if (c->heads < 1 || (!c->head_dim && c->hidden % c->heads != 0))
    return tw_fail(TW_ERR_FORMAT, "%s: %d heads do not divide hidden size %d", where, c->heads, c->hidden);
  if (!layout) {
    bool plain = !c->kv_heads && !c->head_dim && !c->unscaled_logits && !c->local_window && !c->local_layers &&
                 c->rotary.kind == TW_ROTARY_NONE && !c->client_embeds;
    return plain ? TW_OK
                 : tw_fail(TW_ERR_FORMAT, "%s: attention of a decoder in an encoder (%s)", where, c->architecture);
  }
  if (c->head_dim < 0 || c->head_dim > 4096 || c->kv_heads < 0 || c->kv_heads > c->heads ||
      c->heads % tw_config_kv_heads(c) != 0 || tw_config_query_width(c) > 65536)
    return tw_fail(TW_ERR_FORMAT, "%s: %d heads of %d that share %d keys and values are not supported", where, c->heads,
                   tw_config_head_dim(c), c->kv_heads);
  if (c->local_window < 0 || !c->local_window != !c->local_layers || (c->layers < 64 && c->local_layers >> c->layers))
    return tw_fail(TW_ERR_FORMAT, "%s: a window of %d tokens in layers %#llx of %d", where, c->local_window,
                   (unsigned long long)c->local_layers, c->layers);
  if (!c->pre_norm || !c->causal || c->type_vocab != 1 || c->position_offset || c->embedding ||
      (layout->position < 0) != (c->rotary.kind != TW_ROTARY_NONE))
    return tw_fail(TW_ERR_FORMAT, "%s: is no %s decoder: it must be causal, with norms first, and know positions",
                   where, c->architecture);
  return check_rotary(where, c);
}

tw_status tw_model_config_check(const char *where, const tw_model_config *c) {
  if (c->layers < 1 || c->layers > 1024 || c->hidden < 8 || c->hidden > 65536 || c->intermediate < 1 ||
      c->intermediate > 1 << 20 || c->max_positions < 1 || c->max_positions > 1 << 20 || c->vocab < 4 ||
      c->vocab > 1 << 24 || c->type_vocab < 1 || c->type_vocab > 1 << 16 || c->position_offset < 0 ||
      c->position_offset > 1 << 20 || c->embedding < 0 || c->embedding > 65536)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: a size is out of reach: %d layers, hidden %d, intermediate %d, %d positions, %d tokens", where,
                   c->layers, c->hidden, c->intermediate, c->max_positions, c->vocab);
  if (!isfinite(c->norm_epsilon) || c->norm_epsilon < 0 || c->norm_epsilon > 1)
    return tw_fail(TW_ERR_FORMAT, "%s: layer_norm_eps %g is not in [0, 1]", where, c->norm_epsilon);
  if (!tw_tensor_table_by_name(c->architecture))
    return tw_fail(TW_ERR_FORMAT, "%s: architecture '%s' is unknown to this twain", where, c->architecture);
  if (!tw_activation_known(c->activation))
    return tw_fail(TW_ERR_FORMAT, "%s: activation '%s'; twain computes %s", where, c->activation,
                   tw_activation_names());
  TW_TRY(check_attention(where, c));
  TW_TRY(check_head(where, c));
  if (!tw_text_is_plain(c->name))
    return tw_fail(TW_ERR_FORMAT, "%s: the model's name holds control characters, or is not UTF-8", where);
  return TW_OK;
}

// A name of the transformers library's BERT classes.
static bool is_bert_class(const char *name) {
  return name && strncmp(name, "Bert", 4) == 0 && (strstr(name, "Model") || strncmp(name + 4, "For", 3) == 0);
}

// Folders written before 2020 have no model_type; then all else must say BERT.
static tw_status check_untyped(const char *path, const json_t *config) {
  const json_t *classes = json_object_get(config, "architectures"), *pad = json_object_get(config, "pad_token_id"),
               *name;
  size_t i;
  json_array_foreach(classes, i, name) {
    const char *text = json_string_value(name);
    if (!is_bert_class(text))
      return tw_fail(TW_ERR_FORMAT, "%s: has no model_type, and its architectures names %s; only BERT is supported",
                     path, text ? text : "no text");
  }
  if (json_array_size(classes) == 0 && pad && json_integer_value(pad) != 0)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: has neither model_type nor architectures, and its pad_token_id is not BERT's 0; if it is a "
                   "BERT encoder, add \"model_type\": \"bert\"",
                   path);
  return TW_OK;
}

static tw_status find_family(const char *path, const json_t *config, const tw_hf_family **out) {
  const json_t *type = json_object_get(config, "model_type");
  const char *text = type && !json_is_null(type) ? json_string_value(type) : "bert";
  if (!type || json_is_null(type)) TW_TRY(check_untyped(path, config));
  *out = text ? tw_hf_family_by_type(text) : NULL;
  if (*out) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: model_type is \"%s\"; only %s, %s are supported", path, text ? text : "(no text)",
                 tw_hf_family_types(), tw_hf_decoder_types());
}

// Code of the folder's own may compute anything under the name of bert.
static tw_status refuse_code(const char *path, const json_t *config) {
  const char *key;
  json_t *map = json_object_get(config, "auto_map"), *value;
  json_object_foreach(map, key, value) {
    if (strncmp(key, "AutoModel", 9) == 0)
      return tw_fail(TW_ERR_FORMAT,
                     "%s: auto_map.%s: the model is computed by code of its own; only the family itself is supported",
                     path, key);
  }
  return TW_OK;
}

// with_head: what the first class has on top is computed.
static tw_status check_classes(const char *path, const json_t *config, const tw_hf_family *family, bool with_head,
                               tw_notes *notes) {
  char plain[40];
  snprintf(plain, sizeof plain, "%sModel", family->classes);
  const json_t *classes = json_object_get(config, "architectures"), *name;
  size_t i;
  json_array_foreach(classes, i, name) {
    const char *text = json_string_value(name);
    if (text && strcmp(text, plain) != 0 && !(with_head && i == 0))
      TW_TRY(tw_note(notes, "%s: architectures is %s: only its encoder is run; what stands on top is left out", path,
                     text));
  }
  return TW_OK;
}

// transformers 5 computes absolute positions whatever this says; transformers 4 computes relative ones where the
// weights have tables for them (jobs/models/import.c looks).
static tw_status take_positions(const char *path, const json_t *config, tw_hf_config *out) {
  const char *text = json_string_value(json_object_get(config, "position_embedding_type"));
  out->relative_positions = text && (strcmp(text, "relative_key") == 0 || strcmp(text, "relative_key_query") == 0);
  if (out->relative_positions) return TW_OK;
  return expect_text(path, config, "position_embedding_type", "absolute", false);
}

static tw_status take_activation(const char *path, const json_t *config, const char *field, tw_model_config *out) {
  const json_t *value = json_object_get(config, field);
  const char *name = value ? json_string_value(value) : "gelu";  // transformers' default
  if (name && strcmp(name, "gelu_python") == 0) name = "gelu";   // the same, written out
  if (name && strcmp(name, "swish") == 0) name = "silu";
  if (!name || !tw_activation_known(name))
    return tw_fail(TW_ERR_FORMAT, "%s: %s is \"%s\"; only %s are supported", path, field, name ? name : "(no text)",
                   tw_activation_names());
  snprintf(out->activation, sizeof out->activation, "%s", name);
  return TW_OK;
}

static void take_dtype(const json_t *config, tw_hf_config *out) {
  const char *text = json_string_value(json_object_get(config, "dtype"));
  if (!text) text = json_string_value(json_object_get(config, "torch_dtype"));
  snprintf(out->dtype, sizeof out->dtype, "%s", text ? text : "");
}

// RoBERTa's first token has the row behind the padding's, so that fewer positions are left than rows.
static tw_status take_position_offset(const char *path, const json_t *config, tw_model_config *out) {
  const json_t *pad = json_object_get(config, "pad_token_id");
  json_int_t index = pad ? json_integer_value(pad) : 1;  // transformers' default
  if ((pad && !json_is_integer(pad)) || index < 0 || index + 1 >= out->max_positions)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: pad_token_id must be a number below max_position_embeddings - 1: positions begin "
                   "behind it",
                   path);
  out->position_offset = (int)index + 1;
  out->max_positions -= out->position_offset;
  return TW_OK;
}

static tw_status take_epsilon(const char *path, const json_t *config, const tw_hf_family *family,
                              tw_model_config *out) {
  const json_t *epsilon = family->fixed_epsilon ? NULL : json_object_get(config, "layer_norm_eps");
  if (epsilon && !json_is_number(epsilon)) return tw_fail(TW_ERR_FORMAT, "%s: layer_norm_eps is not a number", path);
  out->norm_epsilon = epsilon ? json_number_value(epsilon) : 1e-12;
  return TW_OK;
}

static tw_status take_sizes(const char *path, const json_t *config, const tw_hf_family *family, tw_model_config *out) {
  TW_TRY(take_int(path, config, family->layers, &out->layers));
  TW_TRY(take_int(path, config, family->hidden, &out->hidden));
  TW_TRY(take_int(path, config, family->heads, &out->heads));
  TW_TRY(take_int(path, config, family->intermediate, &out->intermediate));
  TW_TRY(take_int(path, config, "max_position_embeddings", &out->max_positions));
  TW_TRY(take_int(path, config, "vocab_size", &out->vocab));
  out->type_vocab = 1;
  if (family->types) TW_TRY(take_int(path, config, "type_vocab_size", &out->type_vocab));
  if (family->projects && json_object_get(config, "embedding_size"))
    TW_TRY(take_int(path, config, "embedding_size", &out->embedding));
  else if (family->projects)
    out->embedding = 128;  // transformers' default
  if (out->embedding == out->hidden) out->embedding = 0;
  if (family->positions_after_padding) TW_TRY(take_position_offset(path, config, out));
  TW_TRY(take_epsilon(path, config, family, out));
  snprintf(out->architecture, sizeof out->architecture, "%s", family->architecture);
  return tw_model_config_check(path, out);
}

static tw_status parse_model(const char *path, const json_t *config, bool encoder_only, tw_hf_config *out,
                             tw_notes *notes) {
  const tw_hf_family *family;
  const char *type = json_string_value(json_object_get(config, "model_type"));
  TW_TRY(refuse_code(path, config));
  if (type && tw_hf_is_decoder(type)) {
    TW_TRY(tw_hf_decoder_read(path, config, encoder_only, out, notes));
    take_dtype(config, out);
    return tw_model_config_check(path, &out->model);
  }
  TW_TRY(find_family(path, config, &family));
  bool head_wanted = !encoder_only && (!out->modules || out->classifier);
  if (head_wanted) TW_TRY(tw_hf_head_read(path, config, family, &out->model.head, &out->labels));
  if (out->scores_by_sigmoid) out->labels.problem = TW_MULTI_LABEL;
  if (out->classifier && out->model.head.kind != TW_HEAD_SEQUENCE)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: architectures names no classifier of sequences, which sentence_bert_config.json "
                   "asks for; `twain import --encoder-only` takes the encoder alone",
                   path);
  if (out->labels.count) out->model.output = TW_OUTPUT_LOGITS;
  TW_TRY(check_classes(path, config, family, out->labels.count > 0, notes));
  TW_TRY(take_activation(path, config, family->activation, &out->model));
  TW_TRY(take_positions(path, config, out));
  TW_TRY(expect_false(path, config, "is_decoder"));
  TW_TRY(expect_false(path, config, "add_cross_attention"));
  if (json_is_object(json_object_get(config, "quantization_config")))
    return tw_fail(TW_ERR_FORMAT, "%s: quantization_config: the weights are quantised; save the model without", path);
  take_dtype(config, out);
  return take_sizes(path, config, family, &out->model);
}

static void take_length(const json_t *tokenizer, tw_hf_config *out) {
  json_int_t most = json_integer_value(json_object_get(tokenizer, "model_max_length"));  // 1e30 where nobody set one
  if (!out->max_seq_length && most > 0 && most <= INT_MAX) out->max_seq_length = (int)most;
}

static tw_status folder_name(const char *folder, char *name, size_t size) {
  char *full = realpath(folder, NULL);
  if (!full) return tw_fail(TW_ERR_IO, "%s: %s; give the folder of a Hugging Face model", folder, strerror(errno));
  const char *slash = strrchr(full, '/');
  snprintf(name, size, "%s", slash[1] ? slash + 1 : "model");
  free(full);
  return TW_OK;
}

// transformers would load the adapter that such a file describes on top of another model.
static tw_status refuse_adapter(const tw_hf_config *out) {
  char *path;
  json_t *json;
  tw_status status = tw_hf_file_read(out->encoder, "adapter_config.json", false, &path, &json);
  if (status == TW_OK && json)
    status = tw_fail(TW_ERR_FORMAT,
                     "%s: the folder holds an adapter; merge it into its model (merge_and_unload) and save that", path);
  json_decref(json);
  free(path);
  return status;
}

static tw_status parse(bool encoder_only, tw_hf_config *out, tw_notes *notes) {
  char *path;
  if (asprintf(&path, "%s/config.json", out->encoder) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = parse_model(path, out->json.config, encoder_only, out, notes);
  free(path);
  return status;
}

tw_status tw_hf_config_read(const char *folder, bool encoder_only, tw_hf_config *out, tw_notes *notes) {
  memset(out, 0, sizeof *out);
  TW_TRY(folder_name(folder, out->model.name, sizeof out->model.name));
  out->encoder = strdup(folder);
  if (!out->encoder) return tw_fail(TW_ERR_MEMORY, "out of memory");
  if (!encoder_only) TW_TRY(tw_hf_modules_read(folder, out, notes));
  TW_TRY(refuse_adapter(out));
  TW_TRY(tw_hf_json_read(out->encoder, true, &out->json));
  TW_TRY(parse(encoder_only, out, notes));
  take_length(out->json.tokenizer, out);
  if (out->max_seq_length > out->model.max_positions) out->max_seq_length = out->model.max_positions;
  return TW_OK;
}

void tw_hf_config_free(tw_hf_config *config) {
  free(config->default_prompt);
  free(config->dense);
  tw_labels_free(&config->labels);
  free(config->encoder);
  tw_hf_json_free(&config->json);
  memset(config, 0, sizeof *config);
}
