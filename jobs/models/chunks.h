// Texts that are longer than a sequence, divided into chunks with the same special tokens around each.
#ifndef TW_CHUNKS_H
#define TW_CHUNKS_H

#include "io/tokenizer.h"

// Tokens before and behind a text's own.
typedef struct {
  int head, tail;
} tw_frame;

// By the text's tokens with special ones and its `count` without. TW_ERR_FORMAT: the one does not contain the other.
tw_status tw_frame_find(const tw_encoding *whole, const int *ids, int count, tw_frame *out);
// How many chunks of at most `most` tokens: 1 where all of it fits. Each but the first begins with the last `overlap`
// own tokens of the one before. TW_ERR_USAGE where such chunks have no room for a token more.
tw_status tw_chunks_count(const tw_encoding *whole, const tw_frame *frame, int most, int overlap, int *count);
// Chunk `index`; free with tw_encoding_free. unknown of a chunk: 0, as the whole text's are counted.
tw_status tw_chunk_of(const tw_encoding *whole, const tw_frame *frame, int most, int overlap, int index,
                      tw_encoding *out);

#endif
