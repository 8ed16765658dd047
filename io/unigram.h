// The Unigram model of a tokenizer.json: of all ways to spell a word the one whose pieces' scores add up to most.
// Source: Kudo 2018, "Subword regularization"; ties and unknown letters as the tokenizers library (0.22) has them.
#ifndef TW_UNIGRAM_H
#define TW_UNIGRAM_H

#include <jansson.h>

#include "base/status.h"
#include "io/id_list.h"
#include "io/pieces.h"

typedef struct tw_unigram tw_unigram;

// "model" of a tokenizer.json whose type is Unigram. TW_ERR_FORMAT names `where` and what is wrong.
tw_status tw_unigram_read(const json_t *model, const char *where, tw_unigram **out);
void tw_unigram_free(tw_unigram *u);

const tw_pieces *tw_unigram_pieces(const tw_unigram *u);
int tw_unigram_unknown(const tw_unigram *u);  // -1: none

// A word's ids; valid UTF-8. TW_ERR_FORMAT: it has letters without a piece, and the model has no unknown token.
tw_status tw_unigram_encode(const tw_unigram *u, const char *word, size_t bytes, tw_ids *out);

#endif
