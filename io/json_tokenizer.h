// A tokenizer.json as the tokenizers library (0.22) would run it: added tokens, normalizer, pre-tokenizer, model
// (BPE, Unigram), post-processor; and back from ids to text. What it does not know it refuses.
#ifndef TW_JSON_TOKENIZER_H
#define TW_JSON_TOKENIZER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "io/tokenizer.h"

typedef struct tw_json_tokenizer tw_json_tokenizer;

// `root`: the file's object, which need not stay; where: its name, for messages. TW_ERR_FORMAT names rule and file.
tw_status tw_json_tokenizer_new(const json_t *root, const char *where, tw_json_tokenizer **out);
void tw_json_tokenizer_free(tw_json_tokenizer *t);

int tw_json_tokenizer_vocabulary(const tw_json_tokenizer *t);             // largest id + 1
int tw_json_tokenizer_id(const tw_json_tokenizer *t, const char *token);  // -1: none
const char *tw_json_tokenizer_piece(const tw_json_tokenizer *t, int id);  // NULL: none

// second: NULL, or the other text of a pair. special: with the tokens that the post-processor puts around. most > 0:
// cut to that many tokens, of a pair the longer text first. TW_ERR_FORMAT names the byte where text is not UTF-8;
// TW_ERR_RANGE when `most` leaves no room.
tw_status tw_json_tokenizer_encode(const tw_json_tokenizer *t, const char *first, const char *second, bool special,
                                   int most, bool cut_left, tw_encoding *out);

// The text of `count` ids, valid UTF-8: malloc's, *bytes (of which some may be zero) and a zero byte. skip: without
// special tokens. What is no UTF-8 becomes U+FFFD, and ids that are not there are left out.
tw_status tw_json_tokenizer_decode(const tw_json_tokenizer *t, const int *ids, int count, bool skip, char **text,
                                   size_t *bytes);

#endif
