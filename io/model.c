// Plain models in memory.
#include "io/model.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/tensors.h"

static const char *const output_names[TW_OUTPUTS] = {"tokens", "pooled",     "cls",        "logits",
                                                     "dense",  "all-logits", "next-token", "text"};

const char *tw_output_name(tw_model_output o) { return output_names[o]; }

tw_status tw_output_parse(const char *text, tw_model_output *out) {
  for (int i = 0; i < TW_OUTPUTS; i++)
    if (strcmp(text, output_names[i]) == 0) {
      *out = (tw_model_output)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_USAGE,
                 "unknown output '%s'; use tokens, pooled, cls, logits, all-logits, next-token, text or dense", text);
}

static const char *const head_names[TW_HEADS] = {"none", "sequence", "tokens", "dense", "words"};

const char *tw_head_name(tw_head_kind kind) { return head_names[kind]; }

tw_status tw_head_parse(const char *text, tw_head_kind *out) {
  for (int i = 0; i < TW_HEADS; i++)
    if (strcmp(text, head_names[i]) == 0) {
      *out = (tw_head_kind)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_FORMAT, "unknown head '%s'", text);
}

static const char *const rotary_names[TW_ROTARIES] = {"none", "plain", "linear", "llama3"};

const char *tw_rotary_name(tw_rotary_kind kind) { return rotary_names[kind]; }

tw_status tw_rotary_parse(const char *text, tw_rotary_kind *out) {
  for (int i = 0; i < TW_ROTARIES; i++)
    if (strcmp(text, rotary_names[i]) == 0) {
      *out = (tw_rotary_kind)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_FORMAT, "unknown rotary positions '%s'", text);
}

int tw_config_head_dim(const tw_model_config *c) { return c->head_dim ? c->head_dim : c->hidden / c->heads; }
int tw_config_kv_heads(const tw_model_config *c) { return c->kv_heads ? c->kv_heads : c->heads; }
int tw_config_query_width(const tw_model_config *c) { return c->heads * tw_config_head_dim(c); }
int tw_config_kv_width(const tw_model_config *c) { return tw_config_kv_heads(c) * tw_config_head_dim(c); }

int tw_config_window(const tw_model_config *c, int layer) {
  return layer < 64 && (c->local_layers >> layer & 1) ? c->local_window : 0;
}

bool tw_config_parties_embed(const tw_model_config *c) { return tw_decoder_layout_of(c) && !c->client_embeds; }

bool tw_config_scales(const tw_model_config *config, tw_model_output output) {
  return config->normalise_output && output != TW_OUTPUT_TOKENS;
}

bool tw_output_of_head(tw_model_output output) {
  return output == TW_OUTPUT_LOGITS || output == TW_OUTPUT_ALL_LOGITS || output == TW_OUTPUT_NEXT_TOKEN ||
         output == TW_OUTPUT_TEXT || output == TW_OUTPUT_DENSE;
}

bool tw_output_of_tokens(tw_model_output output) { return output == TW_OUTPUT_NEXT_TOKEN || output == TW_OUTPUT_TEXT; }

bool tw_output_of_last_row(tw_model_output output) { return output == TW_OUTPUT_LOGITS || tw_output_of_tokens(output); }

int tw_config_output_cols(const tw_model_config *c, tw_model_output output) {
  if (tw_output_of_tokens(output)) return 1;
  return tw_output_of_head(output) ? c->head.outputs : c->hidden;
}

tw_status tw_config_allows_output(const tw_model_config *c, tw_model_output output) {
  bool classifier = c->head.kind == TW_HEAD_SEQUENCE || c->head.kind == TW_HEAD_TOKENS;
  bool words = c->head.kind == TW_HEAD_WORDS;
  if (tw_decoder_layout_of(c) && (output == TW_OUTPUT_POOLED || output == TW_OUTPUT_CLS))
    return tw_fail(TW_ERR_USAGE, "model %s is a decoder, whose rows are not pooled; use tokens%s", c->name,
                   words ? ", logits, all-logits, next-token or text" : "");
  if (output == TW_OUTPUT_TEXT && words && !tw_config_parties_embed(c))
    return tw_fail(TW_ERR_USAGE,
                   "model %s was imported with --client-embeds, but only the parties can look up a text's words; "
                   "import it without",
                   c->name);
  if (tw_output_of_head(output) && output != TW_OUTPUT_DENSE && words) return TW_OK;
  if (output == TW_OUTPUT_ALL_LOGITS)
    return tw_fail(TW_ERR_USAGE, "model %s has no head that gives a word's logits for every row; use tokens", c->name);
  if (tw_output_of_tokens(output))
    return tw_fail(TW_ERR_USAGE, "model %s has no head that gives a next word; use tokens", c->name);
  if (output == TW_OUTPUT_LOGITS && !classifier)
    return tw_fail(TW_ERR_USAGE, "model %s has no classifier that gives logits; use tokens, pooled or cls", c->name);
  if (output == TW_OUTPUT_DENSE && c->head.kind != TW_HEAD_DENSE)
    return tw_fail(TW_ERR_USAGE, "model %s has no Dense module; use tokens, pooled or cls", c->name);
  return TW_OK;
}

bool tw_config_by_row(const tw_model_config *c, tw_model_output output) {
  return output == TW_OUTPUT_TOKENS || output == TW_OUTPUT_ALL_LOGITS ||
         (output == TW_OUTPUT_LOGITS && c->head.kind == TW_HEAD_TOKENS);
}

tw_status tw_model_allocate(const tw_model_config *config, tw_model *out) {
  int count = tw_model_tensor_count(config);
  *out = (tw_model){.config = *config};
  tw_status status = tw_alloc((size_t)count * sizeof *out->tensors, (void **)&out->tensors);
  for (int i = 0; status == TW_OK && i < count; i++) {
    tw_model_tensor *t = &out->tensors[i];
    tw_model_tensor_shape(config, i, t->name, &t->rows, &t->cols);
    out->count = i + 1;
    status = tw_alloc(t->rows * t->cols * sizeof *t->values, (void **)&t->values);
  }
  if (status != TW_OK) tw_model_free(out);
  return status;
}

void tw_model_free(tw_model *model) {
  for (int i = 0; model->tensors && i < model->count; i++) tw_free(model->tensors[i].values);
  tw_free(model->tensors);
  *model = (tw_model){0};
}
