// Byte-pair encoding: a word's letters are merged, the pair that was learnt first before all others.
// Source: Sennrich, Haddow, Birch 2016 (BPE); Radford et al. 2019 (on bytes). As the tokenizers library (0.22) does it.
#ifndef TW_BPE_H
#define TW_BPE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "io/id_list.h"
#include "io/pieces.h"

typedef struct tw_bpe tw_bpe;

// "model" of a tokenizer.json whose type is BPE. TW_ERR_FORMAT names `where` and what is not supported.
tw_status tw_bpe_read(const json_t *model, const char *where, tw_bpe **out);
void tw_bpe_free(tw_bpe *b);

const tw_pieces *tw_bpe_pieces(const tw_bpe *b);
int tw_bpe_unknown(const tw_bpe *b);  // id of unk_token, -1: none

// A word's ids; valid UTF-8.
tw_status tw_bpe_encode(const tw_bpe *b, const char *word, size_t bytes, tw_ids *out);

#endif
