#include "io/decoder_tensors.h"

#include <stddef.h>
#include <string.h>

#include "io/decoder_entries.h"

// Places in the tables of io/gpt2_tensors.c and io/gpt_neo_tensors.c, and of io/llama_tensors.c.
static const tw_decoder_layout gpt = {.qkv = 0,
                                      .out = 2,
                                      .norm1 = 4,
                                      .up = 6,
                                      .down = 8,
                                      .norm2 = 10,
                                      .gate = -1,
                                      .final_norm = 12,
                                      .word = 14,
                                      .position = 16,
                                      .head = 17};
static const tw_decoder_layout llama = {.rms_norm = true,
                                        .gated = true,
                                        .qkv = 0,
                                        .out = 2,
                                        .norm1 = 4,
                                        .gate = 5,
                                        .up = 7,
                                        .down = 9,
                                        .norm2 = 11,
                                        .final_norm = 12,
                                        .word = 13,
                                        .position = -1,
                                        .head = 15};

const tw_decoder_layout *tw_decoder_layout_by_name(const char *architecture) {
  if (strcmp(architecture, "gpt2") == 0 || strcmp(architecture, "gpt_neo") == 0) return &gpt;
  return strcmp(architecture, "llama") == 0 ? &llama : NULL;
}

const tw_decoder_layout *tw_decoder_layout_of(const tw_model_config *config) {
  return tw_decoder_layout_by_name(config->architecture);
}

tw_word_table tw_config_word_table(const tw_model_config *c) {
  return tw_word_table_of((size_t)c->vocab, (size_t)c->hidden);
}

size_t tw_lines(const tw_model_config *c) { return tw_config_word_table(c).lines; }
size_t tw_line(const tw_model_config *c) { return tw_config_word_table(c).places * (size_t)c->hidden; }
size_t tw_client_words(const tw_model_config *c) { return c->client_embeds ? tw_words(c) : 0; }
size_t tw_client_positions(const tw_model_config *c) { return c->client_embeds ? tw_positions(c) : 0; }
