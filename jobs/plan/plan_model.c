// The model of a plan's file: what twain computes of it, all public.
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "io/hf_config.h"
#include "jobs/plan/plan_json.h"
#include "jobs/plan/plan_parts.h"

enum { MOST_LAYERS = 1024 };

// ---- writing

// Null for encoders.
static json_t *decoder_json(const tw_model_config *c) {
  const tw_rotary *r = &c->rotary;
  json_t *ends = json_array();
  if (!tw_decoder_layout_of(c)) return json_decref(ends), json_null();
  for (int i = 0; i < c->end_count; i++) json_array_append_new(ends, json_integer(c->ends[i]));
  return json_pack("{s:i, s:i, s:b, s:b, s:i, s:I, s:o, s:{s:s, s:f, s:f, s:f, s:f, s:i}}", "kv_heads", c->kv_heads,
                   "head_dim", c->head_dim, "client_embeds", c->client_embeds, "unscaled_logits", c->unscaled_logits,
                   "local_window", c->local_window, "local_layers", (json_int_t)c->local_layers, "ends", ends, "rotary",
                   "kind", tw_rotary_name(r->kind), "theta", r->theta, "factor", r->factor, "low_factor", r->low_factor,
                   "high_factor", r->high_factor, "original_positions", r->original_positions);
}

json_t *tw_plan_model_json(const tw_model_config *c) {
  json_t *head = json_pack("{s:s, s:i, s:s, s:s}", "kind", tw_head_name(c->head.kind), "outputs", c->head.outputs,
                           "activation", c->head.activation, "rows", tw_output_name(c->head.rows));
  return json_pack(
      "{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:b, s:b, s:b, s:o, s:o, s:s, s:b}", "name",
      c->name, "architecture", c->architecture, "layers", c->layers, "hidden", c->hidden, "heads", c->heads,
      "intermediate", c->intermediate, "max_positions", c->max_positions, "position_offset", c->position_offset,
      "vocab", c->vocab, "type_vocab", c->type_vocab, "embedding", c->embedding, "norm_epsilon", c->norm_epsilon,
      "activation", c->activation, "pre_norm", c->pre_norm, "causal", c->causal, "synthetic", c->synthetic, "decoder",
      decoder_json(c), "head", head, "output", tw_output_name(c->output), "normalise_output", c->normalise_output);
}

// ---- reading

static tw_status read_head(const char *path, const json_t *model, tw_head *h) {
  static const char of[] = "model.head";
  char kind[16], rows[16];
  json_t *head;
  TW_TRY(tw_plan_member(path, model, "model", "head", JSON_OBJECT, &head));
  TW_TRY(tw_plan_text(path, head, of, "kind", kind, sizeof kind));
  TW_TRY(tw_plan_text(path, head, of, "rows", rows, sizeof rows));
  TW_TRY(tw_plan_text(path, head, of, "activation", h->activation, sizeof h->activation));
  TW_TRY(tw_plan_int(path, head, of, "outputs", 0, 1 << 24, &h->outputs));
  if (tw_head_parse(kind, &h->kind) != TW_OK) return tw_plan_wrong(path, "%s.kind '%s' is unknown", of, kind);
  if (tw_output_parse(rows, &h->rows) != TW_OK) return tw_plan_wrong(path, "%s.rows '%s' is unknown", of, rows);
  return TW_OK;
}

static tw_status read_rotary(const char *path, const json_t *decoder, tw_rotary *r) {
  static const char of[] = "model.decoder.rotary";
  char kind[16];
  json_t *rotary;
  TW_TRY(tw_plan_member(path, decoder, "model.decoder", "rotary", JSON_OBJECT, &rotary));
  TW_TRY(tw_plan_text(path, rotary, of, "kind", kind, sizeof kind));
  if (tw_rotary_parse(kind, &r->kind) != TW_OK) return tw_plan_wrong(path, "%s.kind '%s' is unknown", of, kind);
  TW_TRY(tw_plan_number(path, rotary, of, "theta", &r->theta));
  TW_TRY(tw_plan_number(path, rotary, of, "factor", &r->factor));
  TW_TRY(tw_plan_number(path, rotary, of, "low_factor", &r->low_factor));
  TW_TRY(tw_plan_number(path, rotary, of, "high_factor", &r->high_factor));
  return tw_plan_int(path, rotary, of, "original_positions", 0, 1 << 30, &r->original_positions);
}

static tw_status read_ends(const char *path, const json_t *decoder, tw_model_config *c) {
  static const char of[] = "model.decoder";
  json_t *ends;
  TW_TRY(tw_plan_member(path, decoder, of, "ends", JSON_ARRAY, &ends));
  if (json_array_size(ends) > TW_MOST_ENDS)
    return tw_plan_wrong(path, "%s.ends has more than %d words", of, TW_MOST_ENDS);
  for (size_t i = 0; i < json_array_size(ends); i++) {
    json_int_t id = json_integer_value(json_array_get(ends, i));
    if (!json_is_integer(json_array_get(ends, i)) || id < 0 || id > INT_MAX)
      return tw_plan_wrong(path, "%s.ends[%zu] is no number of a word", of, i);
    c->ends[c->end_count++] = (int)id;
  }
  return TW_OK;
}

static tw_status read_decoder(const char *path, const json_t *model, tw_model_config *c) {
  enum { MOST = 1 << 24 };
  static const char of[] = "model.decoder";
  json_t *decoder, *layers;
  if (!tw_decoder_layout_of(c)) return TW_OK;
  TW_TRY(tw_plan_member(path, model, "model", "decoder", JSON_OBJECT, &decoder));
  TW_TRY(tw_plan_int(path, decoder, of, "kv_heads", 0, MOST, &c->kv_heads));
  TW_TRY(tw_plan_int(path, decoder, of, "head_dim", 0, MOST, &c->head_dim));
  TW_TRY(tw_plan_bool(path, decoder, of, "client_embeds", &c->client_embeds));
  TW_TRY(tw_plan_bool(path, decoder, of, "unscaled_logits", &c->unscaled_logits));
  TW_TRY(tw_plan_int(path, decoder, of, "local_window", 0, MOST, &c->local_window));
  TW_TRY(tw_plan_member(path, decoder, of, "local_layers", JSON_INTEGER, &layers));
  c->local_layers = (uint64_t)json_integer_value(layers);
  TW_TRY(read_ends(path, decoder, c));
  return read_rotary(path, decoder, &c->rotary);
}

tw_status tw_plan_read_model(const char *path, const json_t *root, tw_model_config *c) {
  enum { MOST = 1 << 24 };
  json_t *m;
  char output[32];
  *c = (tw_model_config){.layers = 0};
  TW_TRY(tw_plan_member(path, root, "", "model", JSON_OBJECT, &m));
  TW_TRY(tw_plan_text(path, m, "model", "name", c->name, sizeof c->name));
  TW_TRY(tw_plan_text(path, m, "model", "architecture", c->architecture, sizeof c->architecture));
  TW_TRY(tw_plan_text(path, m, "model", "activation", c->activation, sizeof c->activation));
  TW_TRY(tw_plan_int(path, m, "model", "layers", 1, MOST_LAYERS, &c->layers));
  TW_TRY(tw_plan_int(path, m, "model", "hidden", 1, MOST, &c->hidden));
  TW_TRY(tw_plan_int(path, m, "model", "heads", 1, MOST, &c->heads));
  TW_TRY(tw_plan_int(path, m, "model", "intermediate", 1, MOST, &c->intermediate));
  TW_TRY(tw_plan_int(path, m, "model", "max_positions", 1, MOST, &c->max_positions));
  TW_TRY(tw_plan_int(path, m, "model", "position_offset", 0, MOST, &c->position_offset));
  TW_TRY(tw_plan_int(path, m, "model", "embedding", 0, MOST, &c->embedding));
  TW_TRY(tw_plan_int(path, m, "model", "vocab", 1, MOST, &c->vocab));
  TW_TRY(tw_plan_int(path, m, "model", "type_vocab", 1, MOST, &c->type_vocab));
  TW_TRY(tw_plan_positive(path, m, "model", "norm_epsilon", &c->norm_epsilon));
  TW_TRY(tw_plan_bool(path, m, "model", "pre_norm", &c->pre_norm));
  TW_TRY(tw_plan_bool(path, m, "model", "causal", &c->causal));
  TW_TRY(tw_plan_bool(path, m, "model", "synthetic", &c->synthetic));
  TW_TRY(tw_plan_bool(path, m, "model", "normalise_output", &c->normalise_output));
  TW_TRY(read_decoder(path, m, c));
  TW_TRY(read_head(path, m, &c->head));
  TW_TRY(tw_plan_text(path, m, "model", "output", output, sizeof output));
  if (tw_output_parse(output, &c->output) != TW_OK) return tw_plan_wrong(path, "model.output '%s' is unknown", output);
  return tw_model_config_check(path, c);
}
