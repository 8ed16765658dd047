// config.json of decoders: GPT-2, GPT-Neo, LLaMA and Qwen2.
#ifndef TW_HF_DECODERS_H
#define TW_HF_DECODERS_H

#include "io/hf_config.h"
#include "io/hf_fields.h"

// Positions, heads of keys and values, windows, head and biases of the decoder that config.json describes, into
// out->model, which has its sizes, and what else a folder says. Its head is the word table's or one of its own: the
// weights tell (jobs/models/import.c). bare: without a head. TW_ERR_FORMAT names what is not computed. *notes gets what
// is left out.
tw_status tw_hf_decoder_read(const tw_hf_object *config, const tw_hf_family *family, bool bare, tw_hf_config *out,
                             tw_notes *notes);

#endif
