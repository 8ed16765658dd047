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
#include "io/hf_ends.h"
#include "io/hf_fields.h"
#include "io/hf_labels.h"
#include "io/hf_modules.h"
#include "io/tensors.h"

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

static tw_status check_ends(const char *where, const tw_model_config *c) {
  if (c->end_count < 0 || c->end_count > TW_MOST_ENDS)
    return tw_fail(TW_ERR_FORMAT, "%s: %d words end a text; at most %d may", where, c->end_count, TW_MOST_ENDS);
  for (int i = 0; i < c->end_count; i++) {
    if (c->ends[i] < 0 || c->ends[i] >= c->vocab)
      return tw_fail(TW_ERR_FORMAT, "%s: word %d ends a text, of %d words", where, c->ends[i], c->vocab);
    for (int j = 0; j < i; j++)
      if (c->ends[i] == c->ends[j]) return tw_fail(TW_ERR_FORMAT, "%s: word %d ends a text twice", where, c->ends[i]);
  }
  return TW_OK;
}

static tw_status check_rotary(const char *where, const tw_model_config *c) {
  const tw_rotary *r = &c->rotary;
  bool scaled = r->kind == TW_ROTARY_LINEAR || r->kind == TW_ROTARY_LLAMA3, low = r->kind == TW_ROTARY_LLAMA3;
  if (r->kind == TW_ROTARY_NONE) return TW_OK;
  if (tw_config_head_dim(c) % 2)
    return tw_fail(TW_ERR_FORMAT, "%s: heads of %d: rotary positions turn pairs, so a head's width must be even", where,
                   tw_config_head_dim(c));
  if (!(r->theta > 1 && isfinite(r->theta)))
    return tw_fail(TW_ERR_FORMAT, "%s: rope_theta is %g; a number above 1 is needed", where, r->theta);
  if (scaled && !(r->factor >= 1 && isfinite(r->factor)))
    return tw_fail(TW_ERR_FORMAT, "%s: the factor of rotary positions is %g; a number of at least 1 is needed", where,
                   r->factor);
  if (low && !(r->low_factor > 0 && r->high_factor > r->low_factor && r->original_positions > 0))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: low_freq_factor is %g and high_freq_factor %g, of %d positions; the first must be above 0 and "
                   "the second above the first",
                   where, r->low_factor, r->high_factor, r->original_positions);
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
  TW_TRY(check_ends(where, c));
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
  if (!(c->norm_epsilon > 0 && c->norm_epsilon <= 1))
    return tw_fail(TW_ERR_FORMAT, "%s: the epsilon of norms is %g; a number above 0 and at most 1 is needed", where,
                   c->norm_epsilon);
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

static tw_status find_family(const tw_hf_object *config, const tw_hf_family **out) {
  const char *type = "bert";
  if (tw_hf_says(config, "model_type"))
    TW_TRY(tw_hf_take_text(config, "model_type", &type));
  else
    TW_TRY(check_untyped(config->path, config->json));
  *out = tw_hf_family_by_type(type);
  if (*out) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: model_type is \"%s\"; only %s are supported", config->path, type,
                 tw_hf_family_types());
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

// A list of names, or nothing.
static tw_status check_architectures(const tw_hf_object *config) {
  const json_t *classes = json_object_get(config->json, "architectures"), *name;
  bool sound = !tw_hf_says(config, "architectures") || json_is_array(classes);
  size_t i;
  json_array_foreach((json_t *)classes, i, name) sound &= json_is_string(name);
  return sound ? TW_OK : tw_hf_wrong(config, "architectures", "a list of names is needed");
}

// with_head: what the first class has on top is computed.
static tw_status check_classes(const tw_hf_object *config, const tw_hf_family *family, bool with_head,
                               tw_notes *notes) {
  char plain[40];
  snprintf(plain, sizeof plain, "%sModel", family->classes);
  const json_t *classes = json_object_get(config->json, "architectures"), *name;
  size_t i;
  json_array_foreach((json_t *)classes, i, name) {
    const char *text = json_string_value(name);
    if (strcmp(text, plain) != 0 && !(with_head && i == 0))
      TW_TRY(tw_note(notes, "%s: architectures is %s: only its encoder is run; what stands on top is left out",
                     config->path, text));
  }
  return TW_OK;
}

// transformers 5 computes absolute positions whatever this says; transformers 4 computes relative ones where the
// weights have tables for them (jobs/models/import.c looks).
static tw_status take_positions(const tw_hf_object *config, tw_hf_config *out) {
  const char *text = "absolute";
  TW_TRY(tw_hf_take_text(config, "position_embedding_type", &text));
  out->relative_positions = strcmp(text, "relative_key") == 0 || strcmp(text, "relative_key_query") == 0;
  if (out->relative_positions || strcmp(text, "absolute") == 0) return TW_OK;
  return tw_hf_wrong(config, "position_embedding_type", "only absolute positions are computed");
}

static tw_status take_activation(const tw_hf_object *config, const tw_hf_family *family, tw_model_config *out) {
  const char *name = family->usual_activation;
  char needed[200];
  snprintf(needed, sizeof needed, "only %s are supported", tw_activation_names());
  const json_t *value = json_object_get(config->json, family->activation);
  if (value) name = json_string_value(value);
  if (name && strcmp(name, "gelu_python") == 0) name = "gelu";  // the same, written out
  if (name && strcmp(name, "swish") == 0) name = "silu";
  if (!name || !tw_activation_known(name)) return tw_hf_wrong(config, family->activation, needed);
  snprintf(out->activation, sizeof out->activation, "%s", name);
  return TW_OK;
}

static void take_dtype(const json_t *config, tw_hf_config *out) {
  const char *text = json_string_value(json_object_get(config, "dtype"));
  if (!text) text = json_string_value(json_object_get(config, "torch_dtype"));
  snprintf(out->dtype, sizeof out->dtype, "%s", text ? text : "");
}

// RoBERTa's first token has the row behind the padding's, so that fewer positions are left than rows.
static tw_status take_position_offset(const tw_hf_object *config, tw_model_config *out) {
  const json_t *pad = json_object_get(config->json, "pad_token_id");
  json_int_t index = pad ? json_integer_value(pad) : 1;  // transformers' default
  if ((pad && !json_is_integer(pad)) || index < 0 || index + 1 >= out->max_positions)
    return tw_hf_wrong(config, "pad_token_id",
                       "a number below max_position_embeddings - 1 is needed: positions begin behind it");
  out->position_offset = (int)index + 1;
  out->max_positions -= out->position_offset;
  return TW_OK;
}

static tw_status take_epsilon(const tw_hf_object *config, const tw_hf_family *family, tw_model_config *out) {
  out->norm_epsilon = family->usual_epsilon;
  if (!family->epsilon) return TW_OK;
  TW_TRY(tw_hf_take_number(config, family->epsilon, &out->norm_epsilon));
  if (out->norm_epsilon > 0 && out->norm_epsilon <= 1) return TW_OK;
  return tw_hf_wrong(config, family->epsilon, "a number above 0 and at most 1 is needed");
}

static tw_status take_sizes(const tw_hf_object *config, const tw_hf_family *family, tw_notes *notes,
                            tw_model_config *out) {
  TW_TRY(tw_hf_take(config, &family->layers, notes, &out->layers));
  TW_TRY(tw_hf_take(config, &family->hidden, notes, &out->hidden));
  TW_TRY(tw_hf_take(config, &family->heads, notes, &out->heads));
  TW_TRY(tw_hf_take(config, &family->positions, notes, &out->max_positions));
  TW_TRY(tw_hf_take(config, &family->words, notes, &out->vocab));
  if (family->inner.otherwise || tw_hf_says(config, family->inner.name))
    TW_TRY(tw_hf_take(config, &family->inner, notes, &out->intermediate));
  else
    out->intermediate = out->hidden < INT_MAX / 4 ? 4 * out->hidden : INT_MAX;
  out->type_vocab = 1;
  if (family->types.name) TW_TRY(tw_hf_take(config, &family->types, notes, &out->type_vocab));
  if (family->embedding.name) TW_TRY(tw_hf_take(config, &family->embedding, notes, &out->embedding));
  if (out->embedding == out->hidden) out->embedding = 0;
  if (family->positions_after_padding) TW_TRY(take_position_offset(config, out));
  snprintf(out->architecture, sizeof out->architecture, "%s", family->architecture);
  return take_epsilon(config, family, out);
}

static tw_status take_encoder(const tw_hf_object *config, const tw_hf_family *family, bool encoder_only,
                              tw_hf_config *out, tw_notes *notes) {
  bool head_wanted = !encoder_only && (!out->modules || out->classifier);
  if (head_wanted) TW_TRY(tw_hf_head_read(config, family, &out->model.head, &out->labels));
  if (out->scores_by_sigmoid) out->labels.problem = TW_MULTI_LABEL;
  if (out->classifier && out->model.head.kind != TW_HEAD_SEQUENCE)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: architectures names no classifier of sequences, which sentence_bert_config.json "
                   "asks for; `twain import --encoder-only` takes the encoder alone",
                   config->path);
  if (out->labels.count) out->model.output = TW_OUTPUT_LOGITS;
  TW_TRY(check_classes(config, family, out->labels.count > 0, notes));
  return take_positions(config, out);
}

static tw_status parse_model(const char *path, const json_t *json, bool encoder_only, tw_hf_config *out,
                             tw_notes *notes) {
  const tw_hf_object config = {path, "", json};
  const tw_hf_family *family;
  TW_TRY(refuse_code(path, json));
  TW_TRY(check_architectures(&config));
  TW_TRY(find_family(&config, &family));
  TW_TRY(take_sizes(&config, family, notes, &out->model));
  TW_TRY(take_activation(&config, family, &out->model));
  TW_TRY(tw_hf_check_fields(&config, family, out->model.layers, notes));
  if (family->kind & TW_HF_DECODER) {
    TW_TRY(tw_hf_decoder_read(&config, family, encoder_only, out, notes));
    TW_TRY(tw_hf_ends_read(out->encoder, &config, family, &out->model));
  } else {
    TW_TRY(take_encoder(&config, family, encoder_only, out, notes));
  }
  take_dtype(json, out);
  return tw_model_config_check(path, &out->model);
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
