// BERT's tokenizer: added tokens, cleaning and splitting, then greedy longest-match word pieces (WordPiece).
// Source: Devlin et al. 2018; the reference for token ids are the fast tokenizers of transformers.
#ifndef TW_TOKENIZER_H
#define TW_TOKENIZER_H

#include <stdbool.h>

#include "base/status.h"
#include "io/text_rules.h"

typedef struct tw_tokenizer tw_tokenizer;

// vocabulary: `count` UTF-8 pieces by id ("" marks an unused id; the last of two equal pieces wins). NULL makes a
// tokenizer for synthetic models: whole words are hashed to ids 4 .. count-1. Vocabulary and rules must outlive the
// tokenizer. TW_ERR_FORMAT when an id of the rules is not in 0 .. count-1.
tw_status tw_tokenizer_new(char *const *vocabulary, int count, const tw_text_rules *rules, tw_tokenizer **out);
void tw_tokenizer_free(tw_tokenizer *t);

typedef struct {
  int count;
  int *ids, *types;  // free() each; types: 0, or 1 in the second text of a pair
  int unknown;       // how many are [UNK]
  int whole;         // tokens before the cut
} tw_encoding;

// [CLS] first [SEP], and with `second` (else NULL) second [SEP]. most > 0: cut to that many tokens, of a pair the
// longer text first. TW_ERR_FORMAT names the byte where text is not UTF-8; TW_ERR_RANGE when `most` leaves no room.
tw_status tw_tokenizer_encode(const tw_tokenizer *t, const char *first, const char *second, int most, tw_encoding *out);
void tw_encoding_free(tw_encoding *encoding);

#endif
