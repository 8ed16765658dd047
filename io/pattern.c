#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "io/pattern.inc"
#include "io/text_buffer.h"

struct tw_pattern {
  pcre2_code *code;
  pcre2_match_data *match;
  pcre2_match_context *limits;
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- Oniguruma's syntax to PCRE2's
//
// \s is Unicode's White_Space in Oniguruma; PCRE2's has U+180E besides. So it is spelled out. Categories are completed
// to the library's Unicode. \w, \b and \h differ in more, and stand in no tokenizer that is known: refused. In [ ], &&
// is an intersection in Oniguruma.

#define WHITE "\\t-\\r\\x{85}\\p{Z}"

static tw_status refuse(const char *where, const char *regex, const char *what) {
  return tw_fail(TW_ERR_FORMAT,
                 "%s: the pattern \"%s\" has %s, which this twain does not read as the tokenizers "
                 "library does",
                 where, regex, what);
}

static tw_status put_category(const char *name, bool negated, bool in_class, const char *where, const char *regex,
                              tw_text_buffer *out) {
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    if (strcmp(later[i].category, name) != 0) continue;
    if (in_class && negated) return refuse(where, regex, "a negated category between brackets");
    if (!in_class) TW_TRY(tw_text_put(out, negated ? "[^" : "[", negated ? 2 : 1));
    TW_TRY(tw_text_put(out, "\\p{", 3));
    TW_TRY(tw_text_put(out, name, strlen(name)));
    TW_TRY(tw_text_put(out, "}", 1));
    TW_TRY(tw_text_put(out, later[i].added, strlen(later[i].added)));
    return in_class ? TW_OK : tw_text_put(out, "]", 1);
  }
  return refuse(where, regex, "a \\p that is no category");
}

// The escape at p[0] == '\\'; *taken: its bytes.
static tw_status escape(const char *p, bool in_class, const char *where, const char *regex, tw_text_buffer *out,
                        size_t *taken) {
  *taken = 2;
  switch (p[1]) {
    case 's':
      return in_class ? tw_text_put(out, WHITE, strlen(WHITE)) : tw_text_put(out, "[" WHITE "]", strlen(WHITE) + 2);
    case 'S':
      if (in_class) return refuse(where, regex, "\\S between brackets");
      return tw_text_put(out, "[^" WHITE "]", strlen(WHITE) + 3);
    case 'p':
    case 'P': {
      char name[4] = "";
      const char *end = p[2] == '{' ? strchr(p, '}') : NULL;
      bool negated = (p[1] == 'P') ^ (end && p[3] == '^');
      const char *begin = p + 3 + (end && p[3] == '^');
      if (!end || end < begin || end - begin > 3) return refuse(where, regex, "a \\p that is no category");
      memcpy(name, begin, (size_t)(end - begin));
      *taken = (size_t)(end - p) + 1;
      return put_category(name, negated, in_class, where, regex, out);
    }
    case 'd':
      return put_category("Nd", false, in_class, where, regex, out);
    case 'D':
      return put_category("Nd", true, in_class, where, regex, out);
    case 'r':
    case 'n':
    case 't':
      return tw_text_put(out, p, 2);
    case '\0':
      return refuse(where, regex, "a \\ at its end");
    default:
      if ((p[1] >= 'a' && p[1] <= 'z') || (p[1] >= 'A' && p[1] <= 'Z') || (p[1] >= '0' && p[1] <= '9'))
        return refuse(where, regex, "an escape of another kind");
      return tw_text_put(out, p, 2);
  }
}

static tw_status translate(const char *regex, const char *where, tw_text_buffer *out) {
  bool in_class = false;
  size_t class_begin = 0;
  for (size_t i = 0; regex[i];) {
    size_t taken = 1;
    char c = regex[i];
    if (c == '\\') {
      TW_TRY(escape(regex + i, in_class, where, regex, out, &taken));
    } else {
      if (in_class && (c == '[' || (c == '&' && regex[i + 1] == '&')))
        return refuse(where, regex, "a set inside a set");
      if (!in_class && c == '[') {
        in_class = true;
        class_begin = i + (regex[i + 1] == '^');
      } else if (in_class && c == ']' && i > class_begin + 1) {
        in_class = false;
      }
      TW_TRY(tw_text_put(out, &c, 1));
    }
    i += taken;
  }
  return TW_OK;
}

// ---- compiled

static tw_status compile(const char *text, size_t bytes, uint32_t options, const char *where, tw_pattern **out) {
  int code;
  PCRE2_SIZE at;
  tw_pattern *p = calloc(1, sizeof *p);
  if (!p) return out_of_memory();
  p->code = pcre2_compile((PCRE2_SPTR)text, bytes, options | PCRE2_UTF, &code, &at, NULL);
  if (!p->code) {
    PCRE2_UCHAR message[160] = "";
    pcre2_get_error_message(code, message, sizeof message);
    free(p);
    return tw_fail(TW_ERR_FORMAT, "%s: the pattern \"%s\" cannot be read: %s", where, text, (const char *)message);
  }
  pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);  // where there is none, matching interprets
  p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
  p->limits = pcre2_match_context_create(NULL);
  if (!p->match || !p->limits) {
    tw_pattern_free(p);
    return out_of_memory();
  }
  pcre2_set_match_limit(p->limits, 50000000);
  pcre2_set_heap_limit(p->limits, 256 << 10);  // KiB
  *out = p;
  return TW_OK;
}

tw_status tw_pattern_new(const char *regex, const char *where, tw_pattern **out) {
  tw_text_buffer b = {0};
  *out = NULL;
  tw_status status = tw_text_put(&b, "", 0);
  if (status == TW_OK) status = translate(regex, where, &b);
  if (status == TW_OK) status = compile(b.text, b.used, PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, where, out);
  free(b.text);
  return status;
}

tw_status tw_pattern_literal(const char *text, const char *where, tw_pattern **out) {
  *out = NULL;
  return compile(text, strlen(text), PCRE2_LITERAL, where, out);
}

void tw_pattern_free(tw_pattern *p) {
  if (!p) return;
  pcre2_code_free(p->code);
  pcre2_match_data_free(p->match);
  pcre2_match_context_free(p->limits);
  free(p);
}

tw_status tw_pattern_find(const tw_pattern *p, const char *text, size_t bytes, size_t from, bool *found, size_t *begin,
                          size_t *end) {
  *found = false;
  while (from <= bytes) {
    int code = pcre2_match(p->code, (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK, p->match, p->limits);
    if (code == PCRE2_ERROR_NOMATCH) return TW_OK;
    if (code < 0)
      return tw_fail(TW_ERR_RANGE, "a tokenizer's pattern gives up on a text of %zu bytes (PCRE2 error %d)", bytes,
                     code);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->match);
    if (at[1] > at[0]) {
      *found = true;
      *begin = at[0];
      *end = at[1];
      return TW_OK;
    }
    for (from = at[1] + 1; from < bytes && (text[from] & 0xC0) == 0x80;) from++;
  }
  return TW_OK;
}
