// modules.json of sentence-transformers (2 to 6): what follows the encoder, and where each part keeps its settings.
#ifndef TW_HF_MODULES_H
#define TW_HF_MODULES_H

#include "io/hf_config.h"

// Sets output, normalise_output, default_prompt, encoder, sentence_lower_case and max_seq_length of *out; a folder
// without modules.json leaves them. A module that would change the result and that twain does not compute is
// TW_ERR_FORMAT, with its name.
tw_status tw_hf_modules_read(const char *folder, tw_hf_config *out, tw_notes *notes);

#endif
