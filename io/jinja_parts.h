// What the files of the chat template's language share. Internal to io/.
#ifndef TW_JINJA_PARTS_H
#define TW_JINJA_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "io/jinja.h"
#include "io/text_buffer.h"

// Text between tags; the four ends of tags; what stands inside them.
typedef enum {
  TW_JINJA_TEXT,
  TW_JINJA_PRINT,      // {{
  TW_JINJA_PRINT_END,  // }}
  TW_JINJA_TAG,        // {%
  TW_JINJA_TAG_END,    // %}
  TW_JINJA_NAME,
  TW_JINJA_STRING,  // without its quotes, escapes as written
  TW_JINJA_NUMBER,
  TW_JINJA_SIGN,
  TW_JINJA_END
} tw_jinja_kind;

typedef struct {
  tw_jinja_kind kind;
  const char *text;  // points into the template
  size_t bytes;
  int line;
} tw_jinja_token;

struct tw_jinja {
  char *source;
  tw_jinja_token *tokens;  // the last is TW_JINJA_END
  int count, room;
};

// One run. A value is a json_t; NULL is Jinja's undefined. After a failure, and where `live` is false, expressions are
// read and give NULL.
typedef struct {
  const tw_jinja *t;
  int at;  // the token that comes next
  bool live;
  int depth;
  long steps;
  tw_status status;
  json_t **scopes;  // objects, the innermost last
  int scope_count, scope_room;
  tw_text_buffer *out;
} tw_jinja_run_state;

// jinja_lex.c: fills tokens from source. TW_ERR_FORMAT names the line.
tw_status tw_jinja_read_tokens(tw_jinja *t);

// jinja.c
const tw_jinja_token *tw_jinja_next(const tw_jinja_run_state *r);
bool tw_jinja_is(const tw_jinja_run_state *r, tw_jinja_kind kind, const char *text);
bool tw_jinja_take(tw_jinja_run_state *r, tw_jinja_kind kind, const char *text);    // if it is there
void tw_jinja_expect(tw_jinja_run_state *r, tw_jinja_kind kind, const char *text);  // or fail
void tw_jinja_fail(tw_jinja_run_state *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
typedef char tw_jinja_name[64];
bool tw_jinja_take_name(tw_jinja_run_state *r, tw_jinja_name name);  // or fail, name empty
bool tw_jinja_live(const tw_jinja_run_state *r);
bool tw_jinja_deeper(tw_jinja_run_state *r);  // false, and failed, when too deep; else r->depth-- when done
json_t *tw_jinja_look_up(const tw_jinja_run_state *r, const char *name);  // borrowed
void tw_jinja_put(tw_jinja_run_state *r, const char *text, size_t bytes);

static inline bool tw_jinja_sign(tw_jinja_run_state *r, const char *text) {
  return tw_jinja_take(r, TW_JINJA_SIGN, text);
}
static inline bool tw_jinja_word(tw_jinja_run_state *r, const char *text) {
  return tw_jinja_take(r, TW_JINJA_NAME, text);
}
// Releases a and b; returns value.
static inline json_t *tw_jinja_drop(json_t *a, json_t *b, json_t *value) {
  json_decref(a);
  json_decref(b);
  return value;
}

// jinja_expression.c and jinja_value.c: from the token that comes next. The caller owns what is returned.
json_t *tw_jinja_expression(tw_jinja_run_state *r);
json_t *tw_jinja_expression_plain(tw_jinja_run_state *r);  // without "a if b else c": what a loop goes through
json_t *tw_jinja_value(tw_jinja_run_state *r);             // without operators
bool tw_jinja_true(const json_t *value);
bool tw_jinja_equal(const json_t *a, const json_t *b);

// jinja_library.c: filters, tests, methods and functions, by name. The arguments stay the caller's; what is returned is
// theirs, too. Where the name is not known r fails.
typedef struct {
  json_t *items[8];
  int count;
  json_t *named;  // an object, or NULL
} tw_jinja_arguments;
json_t *tw_jinja_filter(tw_jinja_run_state *r, const char *name, json_t *value, const tw_jinja_arguments *a);
bool tw_jinja_test(tw_jinja_run_state *r, const char *name, json_t *value, const tw_jinja_arguments *a);
json_t *tw_jinja_method(tw_jinja_run_state *r, json_t *value, const char *name, const tw_jinja_arguments *a);
json_t *tw_jinja_call(tw_jinja_run_state *r, const char *name, const tw_jinja_arguments *a);
// What printing a value writes; a new string, NULL for undefined.
json_t *tw_jinja_string(tw_jinja_run_state *r, json_t *value);

#endif
