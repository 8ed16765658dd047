// The client's step for a later turn of a conversation.
#ifndef TW_ENCODE_TURN_H
#define TW_ENCODE_TURN_H

#include "io/result.h"
#include "jobs/models/encode.h"

// Texts that go on behind the turn of input `before`, whose text `said` is, one a sequence: each begins with the last
// word of that text, which has no row yet, and goes on with the tokens of its text as it stands. name: of that turn.
// of_chats: what a chat's template puts behind an answer; the word that ends an answer is then not said twice. Free
// with tw_input_free. TW_ERR_MISMATCH: input and text are not of one turn, or not as many, or
// ids of the two differ in one place. Ids are those of either, lines those of `texts`.
tw_status tw_encode_turn(const tw_client *client, const tw_input *before, const tw_result *said, const char *name,
                         const tw_text *texts, int count, int seq, bool of_chats, tw_input *out);

#endif
