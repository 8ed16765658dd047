// Shapes by name: encoders as they were first published, and decoders.
#include <stdio.h>
#include <string.h>

#include "io/hf_config.h"
#include "jobs/models/import.h"

static tw_model_config bert(int layers, int hidden, int heads, int intermediate) {
  return (tw_model_config){.architecture = "bert",
                           .layers = layers,
                           .hidden = hidden,
                           .heads = heads,
                           .intermediate = intermediate,
                           .max_positions = 512,
                           .vocab = 30522,
                           .type_vocab = 2,
                           .norm_epsilon = 1e-12,
                           .activation = "gelu",
                           .synthetic = true};
}

typedef struct {
  const char *name, *architecture, *activation;
  int layers, hidden, heads, kv_heads, intermediate, positions, words;
  double theta;
  int window;  // of every other layer, the second on; its logits are not scaled
} decoder_shape;

static const decoder_shape decoders[] = {
    {"gpt2", "gpt2", "gelu_new", 12, 768, 12, 0, 3072, 1024, 50257, 0, 0},
    {"gpt-neo-1.3b", "gpt_neo", "gelu_new", 24, 2048, 16, 0, 8192, 2048, 50257, 0, 256},
    {"llama-2-7b", "llama", "silu", 32, 4096, 32, 0, 11008, 4096, 32000, 1e4, 0},
    {"llama-3-8b", "llama", "silu", 32, 4096, 32, 8, 14336, 8192, 128256, 5e5, 0},
    {"smollm2-135m", "llama", "silu", 30, 576, 9, 3, 1536, 8192, 49152, 1e5, 0}};

static tw_model_config decoder(const decoder_shape *s) {
  tw_model_config c = {.layers = s->layers,
                       .hidden = s->hidden,
                       .heads = s->heads,
                       .kv_heads = s->kv_heads,
                       .intermediate = s->intermediate,
                       .max_positions = s->positions,
                       .vocab = s->words,
                       .type_vocab = 1,
                       .norm_epsilon = 1e-5,
                       .head = {.kind = TW_HEAD_WORDS, .outputs = s->words, .rows = TW_OUTPUT_TOKENS},
                       .output = TW_OUTPUT_LOGITS,
                       .pre_norm = true,
                       .causal = true,
                       .unscaled_logits = s->window > 0,
                       .local_window = s->window,
                       .rotary = {.kind = s->theta > 0 ? TW_ROTARY_PLAIN : TW_ROTARY_NONE, .theta = s->theta},
                       .synthetic = true};
  snprintf(c.architecture, sizeof c.architecture, "%s", s->architecture);
  snprintf(c.activation, sizeof c.activation, "%s", s->activation);
  for (int i = 1; s->window > 0 && i < s->layers; i += 2) c.local_layers |= (uint64_t)1 << i;
  return c;
}

static bool find_shape(const char *shape, tw_model_config *out) {
  static const struct {
    const char *name;
    int layers, hidden, heads, intermediate;
  } berts[] = {{"bert-tiny", 2, 128, 2, 512},    {"bert-mini", 4, 256, 4, 1024},   {"bert-small", 4, 512, 8, 2048},
               {"bert-medium", 8, 512, 8, 2048}, {"bert-base", 12, 768, 12, 3072}, {"bert-large", 24, 1024, 16, 4096},
               {"minilm", 6, 384, 12, 1536}};
  for (size_t i = 0; i < sizeof berts / sizeof *berts; i++) {
    if (strcmp(berts[i].name, shape) != 0) continue;
    *out = bert(berts[i].layers, berts[i].hidden, berts[i].heads, berts[i].intermediate);
    return true;
  }
  for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
    if (strcmp(decoders[i].name, shape) != 0) continue;
    *out = decoder(&decoders[i]);
    return true;
  }
  int layers, hidden, heads, intermediate, used = 0;
  if (sscanf(shape, "%7dx%7dx%7dx%7d%n", &layers, &hidden, &heads, &intermediate, &used) != 4 || shape[used] != '\0')
    return false;
  *out = bert(layers, hidden, heads, intermediate);
  return true;
}

tw_status tw_shape_config(const char *shape, tw_model_config *config) {
  *config = (tw_model_config){.layers = 0};
  if (!find_shape(shape, config))
    return tw_fail(
        TW_ERR_USAGE,
        "unknown shape '%s': use bert-tiny, bert-mini, bert-small, bert-medium, bert-base, bert-large, minilm, gpt2, "
        "gpt-neo-1.3b, llama-2-7b, llama-3-8b, smollm2-135m or LAYERSxHIDDENxHEADSxINTERMEDIATE",
        shape);
  snprintf(config->name, sizeof config->name, "%s", shape);
  return tw_model_config_check(shape, config);
}
