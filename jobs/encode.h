// The client's step: texts or token ids to embedded, padded input.
#ifndef TW_ENCODE_H
#define TW_ENCODE_H

#include "io/client.h"

// Tokenise `count` texts and embed each at length seq: LayerNorm(word + position + type 0), [PAD] after the live
// tokens. TW_ERR_RANGE: a text has more than seq tokens (which text, how many, what to do). Free with tw_input_free.
tw_status tw_encode(const tw_client *client, const char *const *texts, int count, int seq, tw_input *out);

// The same from token ids, lengths[i] of them in ids[i], taken as they are (no [CLS] or [SEP] is added).
// TW_ERR_RANGE: an id outside the vocabulary, named by text and position.
tw_status tw_encode_ids(const tw_client *client, const int *const *ids, const int *lengths, int count, int seq,
                        tw_input *out);

#endif
