// A decoder's next token, or its logits as the tokens that are likely to come next.
#ifndef TW_APP_WORDS_H
#define TW_APP_WORDS_H

#include "io/client.h"
#include "io/result.h"

// The next token, or of every row of r the likeliest ones; where all rows of a sequence are there, and its input is,
// also how likely each of its tokens was, and their perplexity. Of a long sequence the first TW_ROWS_SHOWN rows
// (labels.h). input: NULL where it is not there; with show_texts its texts and
// words are printed, too. path: of the result file, which has all.
tw_status tw_words_print(const tw_result *r, const tw_client *client, const tw_input *input, const char *path,
                         bool show_texts);

#endif
