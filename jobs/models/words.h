// What a decoder's logits say: which tokens are likely to come next, as text, and how likely a given one was.
#ifndef TW_WORDS_H
#define TW_WORDS_H

#include "io/client.h"

// The client's tokenizer, opened for texts of token ids.
typedef struct tw_words tw_words;
tw_status tw_words_new(const tw_client *client, tw_words **out);
void tw_words_free(tw_words *words);

// The text that token `id` adds behind ids[0 .. count - 1], malloc's, in quotes, with JSON's escapes. Part of a letter
// shows as U+FFFD, its last part as the letter; where the client has no tokenizer it is "#id".
tw_status tw_words_text(const tw_words *words, const int *ids, int count, int id, char **text);

// The same of all tokens ids[count .. count + more - 1], without the quotes where there is no tokenizer.
tw_status tw_words_texts(const tw_words *words, const int *ids, int count, int more, char **text);

typedef struct {
  int id;
  double probability;
} tw_word;

// The `most` likeliest of `count` words by their logits, the likeliest first; the lower id first of equal ones. out:
// most, which is count or less.
void tw_words_likeliest(const double *logits, int count, int most, tw_word *out);
// Natural logarithm of the probability that softmax(logits) gives `id`.
double tw_words_log_probability(const double *logits, int count, int id);

#endif
