// What a result says to a person: labels, or words.
#ifndef TW_APP_ANSWER_H
#define TW_APP_ANSWER_H

#include <stdbool.h>

#include "io/result.h"

// Before the question: TW_ERR_USAGE where results of this kind ("pooled", "text" ...) are not printed and no file is
// named; the file must not be there, and its folder be writable.
tw_status tw_answer_place(const char *result, const char *file);
// Logits with what MODEL.client.h5 says of them, labels or words; a next token; a text. input: a
// file, or NULL; with show_texts its texts stand beside them. Of other results, and without the client's file, nothing.
// path: of the result, which has all.
tw_status tw_answer_print(const char *model, const tw_result *r, const char *input, const char *path, bool show_texts);

#endif
