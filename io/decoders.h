// The decoder of a tokenizer.json: from tokens back to text, as the tokenizers library (0.22) does it.
#ifndef TW_DECODERS_H
#define TW_DECODERS_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

typedef struct tw_decoder tw_decoder;

// NULL and null: tokens with blanks between them. TW_ERR_FORMAT names `where` and the decoder that is not known.
tw_status tw_decoder_new(const json_t *value, const char *where, tw_decoder **out);
void tw_decoder_free(tw_decoder *d);

// The text of `count` tokens, valid UTF-8 each: malloc's, *bytes and a zero byte. It is valid UTF-8 and may hold zero
// bytes.
tw_status tw_decoder_run(const tw_decoder *d, const char *const *tokens, int count, char **text, size_t *bytes);

#endif
