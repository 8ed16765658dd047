#include "io/hf_decoders.h"

#include <stdio.h>
#include <string.h>

#include "io/tensors.h"

// ---- rotary positions

// Of the two generations of fields: an old rope_scaling that says anything counts, else rope_parameters; theta may
// stand in either, or beside them. As transformers 5 reads them; where it would lose a theta the file is refused.
static tw_status choose_rotary(const tw_hf_object *config, tw_hf_object *chosen, double *theta) {
  static const char *const names[] = {"rope_scaling", "rope_parameters"};
  const json_t *old = json_object_get(config->json, names[0]), *new = json_object_get(config->json, names[1]);
  const char *key;
  json_t *value;
  for (int i = 0; i < 2; i++)
    if (tw_hf_says(config, names[i]) && !json_is_object(i ? new : old))
      return tw_hf_wrong(config, names[i], "an object or null is needed");
  bool by_old = json_object_size(old) > 0;
  *chosen = (tw_hf_object){config->path, by_old ? "rope_scaling." : "rope_parameters.", by_old ? old : new};
  json_object_foreach((json_t *)chosen->json, key, value) {
    if (json_is_object(value)) return tw_hf_wrong(chosen, key, "positions by kind of layer are not supported");
  }
  *theta = 1e4;  // transformers' default
  TW_TRY(tw_hf_take_number(tw_hf_has(chosen, "rope_theta") ? chosen : config, "rope_theta", theta));
  if (by_old && json_object_get(new, "rope_theta") && !tw_hf_has(chosen, "rope_theta") &&
      !tw_hf_has(config, "rope_theta"))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: rope_scaling beside rope_parameters: transformers 5 takes the first and loses the second's "
                   "rope_theta; say rope_theta beside them",
                   config->path);
  return TW_OK;
}

static tw_status refuse_partial(const tw_hf_object *config, const tw_hf_object *chosen) {
  const tw_hf_object *from = tw_hf_has(chosen, "partial_rotary_factor") ? chosen : config;
  double part = 1;
  if (tw_hf_says(from, "partial_rotary_factor")) TW_TRY(tw_hf_take_number(from, "partial_rotary_factor", &part));
  return part == 1
             ? TW_OK
             : tw_hf_wrong(from, "partial_rotary_factor", "only heads that turn whole, a factor of 1, are supported");
}

// Beside rope_scaling the field counts for transformers 5, and for transformers 4 the one within does.
static tw_status take_original(const tw_hf_object *config, const tw_hf_object *chosen, tw_notes *notes, int *out) {
  static const char field[] = "original_max_position_embeddings";
  TW_TRY(tw_hf_take_size(chosen, field, out));
  int within = *out;
  TW_TRY(tw_hf_take_size(config, field, out));
  if (*out == within || !tw_hf_has(chosen, field)) return TW_OK;
  return tw_note(notes, "%s: %s is %d and %s%s %d: the first counts, as in transformers 5 (not 4)", config->path, field,
                 *out, chosen->of, field, within);
}

static tw_status take_rotary(const tw_hf_object *config, tw_notes *notes, tw_model_config *out) {
  tw_rotary *r = &out->rotary;
  tw_hf_object p = {config->path, "", NULL};
  const char *kind = "default";
  TW_TRY(choose_rotary(config, &p, &r->theta));
  const char *field = tw_hf_has(&p, "rope_type") ? "rope_type" : "type";
  TW_TRY(tw_hf_take_text(&p, field, &kind));
  TW_TRY(refuse_partial(config, &p));
  r->kind = TW_ROTARY_PLAIN;
  if (strcmp(kind, "default") == 0) return TW_OK;
  bool linear = strcmp(kind, "linear") == 0;
  if (!linear && strcmp(kind, "llama3") != 0)
    return tw_hf_wrong(&p, field, "only default, linear and llama3 are supported");
  r->kind = linear ? TW_ROTARY_LINEAR : TW_ROTARY_LLAMA3;
  TW_TRY(tw_hf_need_number(&p, "factor", &r->factor));
  if (linear) return TW_OK;
  TW_TRY(tw_hf_need_number(&p, "low_freq_factor", &r->low_factor));
  TW_TRY(tw_hf_need_number(&p, "high_freq_factor", &r->high_factor));
  r->original_positions = out->max_positions;
  return take_original(config, &p, notes, &r->original_positions);
}

// ---- GPT-Neo's windows: attention_layers has a kind for every layer, and counts; attention_types is a list of
// [kinds, how often]

static tw_status wrong_layers(const tw_hf_object *config, const char *field, const tw_model_config *out) {
  char needed[80];
  snprintf(needed, sizeof needed, "kinds of %d layers, each \"global\" or \"local\", are needed", out->layers);
  return tw_hf_wrong(config, field, needed);
}

static tw_status add_layers(const tw_hf_object *config, const char *field, const json_t *kinds, int *at,
                            tw_model_config *out) {
  const json_t *kind;
  size_t i;
  json_array_foreach((json_t *)kinds, i, kind) {
    const char *text = json_string_value(kind);
    bool local = text && strcmp(text, "local") == 0;
    if (*at >= out->layers || *at >= 64 || !text || (!local && strcmp(text, "global") != 0))
      return wrong_layers(config, field, out);
    if (local) out->local_layers |= (uint64_t)1 << *at;
    ++*at;
  }
  return json_array_size(kinds) > 0 ? TW_OK : wrong_layers(config, field, out);
}

static tw_status add_types(const tw_hf_object *config, const char *field, int *at, tw_model_config *out) {
  const json_t *types = json_object_get(config->json, field), *item;
  size_t i;
  json_array_foreach((json_t *)types, i, item) {
    const json_t *times = json_array_get(item, 1);
    if (!json_is_integer(times)) return wrong_layers(config, field, out);
    for (json_int_t t = 0; t < json_integer_value(times); t++)
      TW_TRY(add_layers(config, field, json_array_get(item, 0), at, out));
  }
  return TW_OK;
}

static tw_status take_windows(const tw_hf_object *config, tw_model_config *out) {
  bool listed = tw_hf_has(config, "attention_layers");
  const char *field = listed ? "attention_layers" : "attention_types";
  int at = 0;
  if (listed)
    TW_TRY(add_layers(config, field, json_object_get(config->json, field), &at, out));
  else if (tw_hf_says(config, field))
    TW_TRY(add_types(config, field, &at, out));
  else
    at = 24, out->local_layers = 0xAAAAAA;  // transformers' default: global and local in turn
  if (at != out->layers) return wrong_layers(config, field, out);
  if (!out->local_layers) return TW_OK;
  out->local_window = 256;  // transformers' default
  return tw_hf_take_size(config, "window_size", &out->local_window);
}

// ---- the whole

static tw_status take_heads(const tw_hf_object *config, const tw_hf_family *f, tw_notes *notes, tw_model_config *out) {
  const char *kv = f->kv_heads.name;
  if (f->kind == TW_HF_LLAMA && out->hidden % out->heads != 0)
    return tw_hf_wrong(config, f->hidden.name, "num_attention_heads must divide it, as transformers asks of llama");
  if (tw_hf_says(config, f->head_dim.name)) TW_TRY(tw_hf_take(config, &f->head_dim, notes, &out->head_dim));
  if (tw_hf_says(config, kv) || (f->kv_heads.otherwise && !tw_hf_has(config, kv)))
    TW_TRY(tw_hf_take(config, &f->kv_heads, notes, &out->kv_heads));
  if (!tw_hf_has(config, kv) && out->kv_heads && (out->kv_heads > out->heads || out->heads % out->kv_heads))
    return tw_hf_wrong(config, kv, "transformers takes 32 for it, which num_attention_heads does not allow; say it");
  if (out->kv_heads == out->heads) out->kv_heads = 0;
  if ((int64_t)out->head_dim * out->heads == out->hidden) out->head_dim = 0;
  return TW_OK;
}

static tw_status take_biases(const tw_hf_object *config, const tw_hf_family *f, tw_hf_config *out) {
  bool attention = false, inner = false, qkv = f->kind == TW_HF_QWEN2;  // always
  if (f->kind == TW_HF_LLAMA) {
    TW_TRY(tw_hf_take_flag(config, "attention_bias", &attention));
    TW_TRY(tw_hf_take_flag(config, "mlp_bias", &inner));
  }
  out->biases = (attention || qkv ? TW_QKV_BIASES : 0) | (attention ? TW_OUT_BIASES : 0) | (inner ? TW_MLP_BIASES : 0);
  return TW_OK;
}

// The first class says what stands on the layers.
static tw_status take_head(const tw_hf_object *config, const tw_hf_family *f, bool bare, tw_hf_config *out,
                           tw_notes *notes) {
  const char *name = json_string_value(json_array_get(json_object_get(config->json, "architectures"), 0));
  size_t n = strlen(f->classes);
  bool own = name && strncmp(name, f->classes, n) == 0, words = own && strcmp(name + n, "ForCausalLM") == 0;
  words |= own && strcmp(name + n, "LMHeadModel") == 0;
  out->tied = f->tied;
  TW_TRY(tw_hf_take_flag(config, "tie_word_embeddings", &out->tied));
  tw_model_config *c = &out->model;
  if (words && !bare) {
    c->head = (tw_head){.kind = TW_HEAD_WORDS, .outputs = c->vocab, .rows = TW_OUTPUT_TOKENS};
    c->output = TW_OUTPUT_LOGITS;
    return TW_OK;
  }
  if (name && strcmp(name + (own ? n : 0), "Model") != 0)
    return tw_note(notes, "%s: architectures is %s: only its layers are run; what stands on top is left out",
                   config->path, name);
  return TW_OK;
}

tw_status tw_hf_decoder_read(const tw_hf_object *config, const tw_hf_family *f, bool bare, tw_hf_config *out,
                             tw_notes *notes) {
  tw_model_config *c = &out->model;
  bool scaled = f->kind != TW_HF_NEO, rotary = f->kind & TW_HF_ROTARY;
  c->pre_norm = c->causal = true;
  if (f->kind == TW_HF_GPT2) TW_TRY(tw_hf_take_flag(config, "scale_attn_weights", &scaled));
  c->unscaled_logits = !scaled;
  if (f->kind == TW_HF_NEO) TW_TRY(take_windows(config, c));
  if (rotary) TW_TRY(take_heads(config, f, notes, c));
  if (rotary) TW_TRY(take_rotary(config, notes, c));
  TW_TRY(take_biases(config, f, out));
  return take_head(config, f, bare, out, notes);
}
