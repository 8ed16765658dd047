// A "Precompiled" normalizer of a tokenizer.json: sentencepiece's table of what is written for what, a double-array
// trie (Darts) over UTF-8 with the texts behind it. Read as the tokenizers library does: cluster by cluster of at most
// five bytes, else letter by letter, and of several entries the shortest. libsentencepiece itself takes the longest, so
// it does not serve here.
#ifndef TW_CHARSMAP_H
#define TW_CHARSMAP_H

#include <stddef.h>

#include "base/status.h"

typedef struct tw_charsmap tw_charsmap;

// base64: precompiled_charsmap. TW_ERR_FORMAT names `where`.
tw_status tw_charsmap_new(const char *base64, const char *where, tw_charsmap **out);
void tw_charsmap_free(tw_charsmap *m);

// text: valid UTF-8. *out is malloc's, *used bytes and a zero byte.
tw_status tw_charsmap_apply(const tw_charsmap *m, const char *text, size_t bytes, char **out, size_t *used);

#endif
