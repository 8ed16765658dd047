// BertNormalizer of the tokenizers library: cleaning, spaces around ideographs, accents, lower case, in this order.
#ifndef TW_NORMALISE_H
#define TW_NORMALISE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct {
  bool clean_text;     // drop controls, make every white space a blank
  bool split_chinese;  // spaces around ideographs
  bool strip_accents;  // decompose, drop marks
  bool lower_case;     // per code point, as the library does: a final capital sigma becomes a plain one
} tw_normaliser;

// text: valid UTF-8. *out is malloc's, *used bytes and a zero byte.
tw_status tw_normalise(const tw_normaliser *n, const char *text, size_t bytes, char **out, size_t *used);

// The code point at text[at]; *at moves behind it. Valid UTF-8 only.
int tw_code_point(const char *text, size_t bytes, size_t *at);
// Bytes up to the first that is not UTF-8; `bytes` when all is.
size_t tw_utf8_valid(const char *text, size_t bytes);

#endif
