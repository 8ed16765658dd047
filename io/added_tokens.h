// Added tokens are looked for in the text itself: leftmost first, of several the longest. As the tokenizers library.
#ifndef TW_ADDED_TOKENS_H
#define TW_ADDED_TOKENS_H

#include "io/text_rules.h"

typedef struct tw_added_set tw_added_set;

// Makes the normal form of `text`: malloc's, *used bytes and a zero byte.
typedef tw_status (*tw_normal_form)(const void *state, const char *text, size_t bytes, char **out, size_t *used);

// Of `count` tokens those that are looked for in the normalised text, or the others, which are looked for before. The
// tokens must outlive the set. TW_ERR_FORMAT names tokens that cannot be told apart, or that normalise to nothing.
tw_status tw_added_set_new(const tw_added_token *tokens, int count, bool normalised, tw_normal_form form,
                           const void *state, tw_added_set **out);
void tw_added_set_free(tw_added_set *set);

// Hand `text`, stretch after stretch, to `take`: id of an added token, or -1 with a stretch of other text.
typedef tw_status (*tw_take_stretch)(void *state, const char *text, size_t bytes, int id);
tw_status tw_added_split(const tw_added_set *set, const char *text, size_t bytes, tw_take_stretch take, void *state);

#endif
