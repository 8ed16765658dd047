// Models of sentencepiece (tokenizer.model, sentencepiece.bpe.model), run by its own library, libsentencepiece. Where
// twain is built without it, tw_sentencepiece_new refuses.
#ifndef TW_SENTENCEPIECE_H
#define TW_SENTENCEPIECE_H

#include <stddef.h>

#include "base/status.h"
#include "io/id_list.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tw_sentencepiece tw_sentencepiece;

// The model file's bytes, which need not stay. TW_ERR_FORMAT: they are none, or there is no library.
tw_status tw_sentencepiece_new(const void *model, size_t bytes, const char *where, tw_sentencepiece **out);
void tw_sentencepiece_free(tw_sentencepiece *s);

int tw_sentencepiece_count(const tw_sentencepiece *s);
const char *tw_sentencepiece_piece(const tw_sentencepiece *s, int id);  // id in 0 .. count - 1
int tw_sentencepiece_unknown(const tw_sentencepiece *s);

// A text's ids, nothing put around them; valid UTF-8.
tw_status tw_sentencepiece_encode(const tw_sentencepiece *s, const char *text, size_t bytes, tw_ids *out);

#ifdef __cplusplus
}
#endif

#endif
