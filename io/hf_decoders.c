#include "io/hf_decoders.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/activations.h"
#include "io/tensors.h"

typedef struct {
  const char *type;                                                 // model_type
  const char *architecture;                                         // twain's (io/tensors.h)
  const char *classes;                                              // what the names of its classes begin with
  const char *layers, *hidden, *heads, *intermediate, *activation;  // fields of config.json
  const char *positions, *epsilon;
  bool rotary;      // positions turn queries and keys; else they have a table
  bool tied;        // unless the file says otherwise the head is the word table
  bool qkv_biases;  // always; else attention_bias says
} family;

static const family families[] = {
    {"gpt2", "gpt2", "GPT2", "n_layer", "n_embd", "n_head", "n_inner", "activation_function", "n_positions",
     "layer_norm_epsilon", .tied = true},
    {"gpt_neo", "gpt_neo", "GPTNeo", "num_layers", "hidden_size", "num_heads", "intermediate_size",
     "activation_function", "max_position_embeddings", "layer_norm_epsilon", .tied = true},
    {"llama", "llama", "Llama", "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size",
     "hidden_act", "max_position_embeddings", "rms_norm_eps", .rotary = true},
    {"qwen2", "llama", "Qwen2", "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size",
     "hidden_act", "max_position_embeddings", "rms_norm_eps", .rotary = true, .qkv_biases = true}};

static const family *find(const char *type) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (strcmp(families[i].type, type) == 0) return &families[i];
  return NULL;
}

bool tw_hf_is_decoder(const char *type) { return find(type) != NULL; }
const char *tw_hf_decoder_types(void) { return "gpt2, gpt_neo, llama, qwen2"; }

// ---- fields

static bool said(const json_t *config, const char *field) {
  const json_t *value = json_object_get(config, field);
  return value && !json_is_null(value);
}

static tw_status take_size(const char *path, const json_t *config, const char *field, int *out) {
  const json_t *value = json_object_get(config, field);
  if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > INT_MAX)
    return tw_fail(TW_ERR_FORMAT, "%s: %s must be a positive integer", path, field);
  *out = (int)json_integer_value(value);
  return TW_OK;
}

static tw_status take_number(const char *path, const json_t *object, const char *of, const char *field, double *out) {
  const json_t *value = json_object_get(object, field);
  if (!json_is_number(value)) return tw_fail(TW_ERR_FORMAT, "%s: %s%s is not a number", path, of, field);
  *out = json_number_value(value);
  return TW_OK;
}

static tw_status take_flag(const char *path, const json_t *config, const char *field, bool otherwise, bool *out) {
  const json_t *value = json_object_get(config, field);
  *out = said(config, field) ? json_is_true(value) : otherwise;
  if (!said(config, field) || json_is_boolean(value)) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: %s is neither true nor false", path, field);
}

// Fields that would change what is computed.
static tw_status expect_off(const char *path, const json_t *config) {
  static const char *const fields[] = {"add_cross_attention", "scale_attn_by_inverse_layer_idx", "use_sliding_window"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (json_is_true(json_object_get(config, fields[i])))
      return tw_fail(TW_ERR_FORMAT, "%s: %s is true, which is not supported", path, fields[i]);
  const json_t *type;
  size_t i;
  json_array_foreach(json_object_get(config, "layer_types"), i, type) {
    const char *text = json_string_value(type);
    if (!text || strcmp(text, "full_attention") != 0)
      return tw_fail(TW_ERR_FORMAT, "%s: layer_types: layer %zu is %s; only full_attention is supported", path, i,
                     text ? text : "no text");
  }
  if (json_is_object(json_object_get(config, "quantization_config")))
    return tw_fail(TW_ERR_FORMAT, "%s: quantization_config: the weights are quantised; save the model without", path);
  return TW_OK;
}

// ---- rotary positions

// Of the two generations of fields: an old rope_scaling that says anything counts, else rope_parameters; theta may
// stand in either, or beside them. As transformers 5 reads them; where it would lose a theta the file is refused.
static tw_status choose_rotary(const char *path, const json_t *config, const json_t **chosen, double *theta) {
  const json_t *old = json_object_get(config, "rope_scaling"), *new = json_object_get(config, "rope_parameters");
  bool both = json_object_size(old) > 0 && json_is_object(new);
  *chosen = json_object_size(old) > 0 ? old : new;
  *theta = 1e4;  // transformers' default
  if (json_is_object(*chosen) && said(*chosen, "rope_theta"))
    return take_number(path, *chosen, "rope_parameters.", "rope_theta", theta);
  if (said(config, "rope_theta")) return take_number(path, config, "", "rope_theta", theta);
  if (both && said(new, "rope_theta"))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: rope_scaling beside rope_parameters: transformers 5 takes the first and loses the second's "
                   "rope_theta; say rope_theta beside them",
                   path);
  return TW_OK;
}

static tw_status take_rotary(const char *path, const json_t *config, tw_model_config *out) {
  static const char of[] = "rope_parameters.";
  tw_rotary *r = &out->rotary;
  const json_t *p;
  double part = 1;
  TW_TRY(choose_rotary(path, config, &p, &r->theta));
  const char *kind = json_string_value(json_object_get(p, "rope_type"));
  if (!kind) kind = json_string_value(json_object_get(p, "type"));
  r->kind = TW_ROTARY_PLAIN;
  if (said(p, "partial_rotary_factor")) TW_TRY(take_number(path, p, of, "partial_rotary_factor", &part));
  if (said(config, "partial_rotary_factor")) TW_TRY(take_number(path, config, "", "partial_rotary_factor", &part));
  if (part != 1)
    return tw_fail(TW_ERR_FORMAT, "%s: partial_rotary_factor is %g; only heads that turn whole are supported", path,
                   part);
  if (!kind || strcmp(kind, "default") == 0) return TW_OK;
  bool linear = strcmp(kind, "linear") == 0;
  if (!linear && strcmp(kind, "llama3") != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: rope_type is \"%s\"; only default, linear and llama3 are supported", path, kind);
  r->kind = linear ? TW_ROTARY_LINEAR : TW_ROTARY_LLAMA3;
  TW_TRY(take_number(path, p, of, "factor", &r->factor));
  if (linear) return TW_OK;
  TW_TRY(take_number(path, p, of, "low_freq_factor", &r->low_factor));
  TW_TRY(take_number(path, p, of, "high_freq_factor", &r->high_factor));
  r->original_positions = out->max_positions;
  return said(p, "original_max_position_embeddings")
             ? take_size(path, p, "original_max_position_embeddings", &r->original_positions)
             : TW_OK;
}

// ---- GPT-Neo's windows: attention_types is a list of [kinds, how often]

static tw_status add_layers(const char *path, const json_t *item, int layers, int *at, tw_model_config *out) {
  const json_t *kinds = json_array_get(item, 0), *kind;
  json_int_t times = json_integer_value(json_array_get(item, 1));
  size_t i;
  for (json_int_t t = 0; t < times && *at < layers; t++) json_array_foreach((json_t *)kinds, i, kind) {
      const char *text = json_string_value(kind);
      bool local = text && strcmp(text, "local") == 0;
      if (*at >= layers || *at >= 64 || !text || (!local && strcmp(text, "global") != 0))
        return tw_fail(TW_ERR_FORMAT, "%s: attention_types names no %d layers that are global or local", path, layers);
      if (local) out->local_layers |= (uint64_t)1 << *at;
      ++*at;
    }
  return TW_OK;
}

static tw_status take_windows(const char *path, const json_t *config, tw_model_config *out) {
  const json_t *types = json_object_get(config, "attention_types"), *item;
  int at = 0, window = 0;
  size_t i;
  json_array_foreach((json_t *)types, i, item) TW_TRY(add_layers(path, item, out->layers, &at, out));
  if (at != out->layers)
    return tw_fail(TW_ERR_FORMAT, "%s: attention_types names %d layers, num_layers is %d", path, at, out->layers);
  if (!out->local_layers) return TW_OK;
  TW_TRY(take_size(path, config, "window_size", &window));
  out->local_window = window;
  return TW_OK;
}

// ---- the whole

static tw_status take_activation(const char *path, const json_t *config, const char *field, tw_model_config *out) {
  const char *name = json_string_value(json_object_get(config, field));
  if (name && strcmp(name, "swish") == 0) name = "silu";
  if (!name || !tw_activation_known(name))
    return tw_fail(TW_ERR_FORMAT, "%s: %s is \"%s\"; only %s are supported", path, field, name ? name : "(no text)",
                   tw_activation_names());
  snprintf(out->activation, sizeof out->activation, "%s", name);
  return TW_OK;
}

static tw_status take_sizes(const char *path, const json_t *config, const family *f, tw_model_config *out) {
  TW_TRY(take_size(path, config, f->layers, &out->layers));
  TW_TRY(take_size(path, config, f->hidden, &out->hidden));
  TW_TRY(take_size(path, config, f->heads, &out->heads));
  TW_TRY(take_size(path, config, f->positions, &out->max_positions));
  TW_TRY(take_size(path, config, "vocab_size", &out->vocab));
  if (f->rotary || said(config, f->intermediate))
    TW_TRY(take_size(path, config, f->intermediate, &out->intermediate));
  else
    out->intermediate = out->hidden < INT_MAX / 4 ? 4 * out->hidden : INT_MAX;
  if (f->rotary && said(config, "num_key_value_heads"))
    TW_TRY(take_size(path, config, "num_key_value_heads", &out->kv_heads));
  if (f->rotary && said(config, "head_dim")) TW_TRY(take_size(path, config, "head_dim", &out->head_dim));
  if (out->kv_heads == out->heads) out->kv_heads = 0;
  if ((int64_t)out->head_dim * out->heads == out->hidden) out->head_dim = 0;
  out->type_vocab = 1;
  out->pre_norm = out->causal = true;
  snprintf(out->architecture, sizeof out->architecture, "%s", f->architecture);
  return take_number(path, config, "", f->epsilon, &out->norm_epsilon);
}

static tw_status take_biases(const char *path, const json_t *config, const family *f, tw_hf_config *out) {
  bool attention = false, inner = false;
  if (!f->rotary) return TW_OK;  // its table tells
  if (!f->qkv_biases) {
    TW_TRY(take_flag(path, config, "attention_bias", false, &attention));
    TW_TRY(take_flag(path, config, "mlp_bias", false, &inner));
  }
  out->biases =
      (attention || f->qkv_biases ? TW_QKV_BIASES : 0) | (attention ? TW_OUT_BIASES : 0) | (inner ? TW_MLP_BIASES : 0);
  return TW_OK;
}

// The first class says what stands on the layers.
static tw_status take_head(const char *path, const json_t *config, const family *f, bool bare, tw_hf_config *out,
                           tw_notes *notes) {
  const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
  size_t n = strlen(f->classes);
  bool own = name && strncmp(name, f->classes, n) == 0, words = own && strcmp(name + n, "ForCausalLM") == 0;
  words |= own && strcmp(name + n, "LMHeadModel") == 0;
  TW_TRY(take_flag(path, config, "tie_word_embeddings", f->tied, &out->tied));
  tw_model_config *c = &out->model;
  if (words && !bare) {
    c->head = (tw_head){.kind = TW_HEAD_WORDS, .outputs = c->vocab, .rows = TW_OUTPUT_TOKENS};
    c->output = TW_OUTPUT_LOGITS;
    return TW_OK;
  }
  if (name && strcmp(name + (own ? n : 0), "Model") != 0)
    return tw_note(notes, "%s: architectures is %s: only its layers are run; what stands on top is left out", path,
                   name);
  return TW_OK;
}

tw_status tw_hf_decoder_read(const char *path, const json_t *config, bool bare, tw_hf_config *out, tw_notes *notes) {
  const family *f = find(json_string_value(json_object_get(config, "model_type")));
  tw_model_config *c = &out->model;
  bool scaled;
  TW_TRY(expect_off(path, config));
  TW_TRY(take_sizes(path, config, f, c));
  TW_TRY(take_activation(path, config, f->activation, c));
  TW_TRY(take_flag(path, config, "scale_attn_weights", true, &scaled));
  c->unscaled_logits = !scaled || strcmp(f->type, "gpt_neo") == 0;
  if (strcmp(f->type, "gpt_neo") == 0) TW_TRY(take_windows(path, config, c));
  if (f->rotary) TW_TRY(take_rotary(path, config, c));
  TW_TRY(take_biases(path, config, f, out));
  return take_head(path, config, f, bare, out, notes);
}
