// Models of sentencepiece whose table of characters would lead its library out of the table's memory: the library
// follows the table (a double-array trie, Darts) without looking. So it is looked through before.
#ifndef TW_SENTENCEPIECE_CHECK_H
#define TW_SENTENCEPIECE_CHECK_H

#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// The model file's bytes (a Protocol Buffers message, sentencepiece_model.proto). TW_ERR_FORMAT names `where`.
tw_status tw_sentencepiece_check(const void *model, size_t bytes, const char *where);

#ifdef __cplusplus
}
#endif

#endif
