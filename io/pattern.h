// Regular expressions of tokenizer.json files, which are Oniguruma's, by PCRE2. What the two read differently is
// spelled out or refused.
#ifndef TW_PATTERN_H
#define TW_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct tw_pattern tw_pattern;

// TW_ERR_FORMAT names `where` and what is not supported.
tw_status tw_pattern_new(const char *regex, const char *where, tw_pattern **out);
// Looks for these bytes as they are.
tw_status tw_pattern_literal(const char *text, const char *where, tw_pattern **out);
void tw_pattern_free(tw_pattern *p);

// The first match at or after `from`: *begin < *end, or found false. Empty matches are passed over. TW_ERR_RANGE when
// it takes too many steps.
tw_status tw_pattern_find(const tw_pattern *p, const char *text, size_t bytes, size_t from, bool *found, size_t *begin,
                          size_t *end);

#endif
