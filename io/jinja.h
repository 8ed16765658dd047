// Chat templates: the part of the language Jinja in which tokenizer_config.json says how a conversation becomes text.
// Run as transformers runs them (Jinja 3, trim_blocks, lstrip_blocks). What is not known here is refused by its name
// and line, never passed over.
#ifndef TW_JINJA_H
#define TW_JINJA_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

typedef struct tw_jinja tw_jinja;

// text: valid UTF-8, which need not stay. TW_ERR_FORMAT names the line.
tw_status tw_jinja_new(const char *text, tw_jinja **out);
void tw_jinja_free(tw_jinja *t);

// What the template writes where `names` (an object) are its variables: malloc's, *bytes and a zero byte.
// TW_ERR_FORMAT: the template has something that is not known here, or refuses by itself (raise_exception).
// TW_ERR_RANGE: it takes too many steps.
tw_status tw_jinja_run(const tw_jinja *t, json_t *names, char **out, size_t *bytes);

#endif
