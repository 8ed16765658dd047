// BERT's tokenizer: cleaning and splitting (BasicTokenizer), then greedy longest-match word pieces (WordPiece).
// Source: Devlin et al. 2018, as in the transformers library's BertTokenizer, whose token ids are the reference.
// One difference: lower-casing is per code point, so a final capital sigma becomes a plain one.
#ifndef TW_TOKENIZER_H
#define TW_TOKENIZER_H

#include <stdbool.h>

#include "base/status.h"

typedef struct tw_tokenizer tw_tokenizer;

// Ids of the tokens that frame and fill a sequence.
typedef struct {
  int pad, unknown, start, end;  // [PAD], [UNK], [CLS], [SEP]
} tw_special_ids;

// vocabulary: `count` UTF-8 pieces by id ("" marks an unused id; the last of two equal pieces wins); it must outlive
// the tokenizer. NULL makes a tokenizer for synthetic models: whole words are hashed to ids 4 .. count-1, with [PAD],
// [UNK], [CLS] and [SEP] at 0 .. 3. TW_ERR_FORMAT when a special token is missing from the vocabulary.
tw_status tw_tokenizer_new(char *const *vocabulary, int count, bool lower_case, tw_tokenizer **out);
void tw_tokenizer_free(tw_tokenizer *t);

tw_special_ids tw_tokenizer_special(const tw_tokenizer *t);

// [CLS] pieces [SEP]: *count ids, to be freed with free(). TW_ERR_FORMAT names the byte where text is not UTF-8.
tw_status tw_tokenizer_encode(const tw_tokenizer *t, const char *text, int **ids, int *count);

#endif
