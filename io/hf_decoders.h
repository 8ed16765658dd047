// config.json of decoders: GPT-2, GPT-Neo, LLaMA and Qwen2.
#ifndef TW_HF_DECODERS_H
#define TW_HF_DECODERS_H

#include <jansson.h>

#include "io/hf_config.h"

bool tw_hf_is_decoder(const char *type);  // a model_type of config.json
const char *tw_hf_decoder_types(void);    // "gpt2, gpt_neo, llama, qwen2", for messages

// Shape, positions, head and biases of the decoder that config.json describes, into out->model and what else a folder
// says. Its head is the word table's or one of its own: the weights tell (jobs/models/import.c). bare: without a head.
// TW_ERR_FORMAT names what is not computed. *notes gets what is left out.
tw_status tw_hf_decoder_read(const char *path, const json_t *config, bool bare, tw_hf_config *out, tw_notes *notes);

#endif
