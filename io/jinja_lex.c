// A chat template's text cut into tokens, white space around tags taken off as trim_blocks, lstrip_blocks and "-" say.
#include <stdlib.h>
#include <string.h>

#include "io/characters.h"
#include "io/jinja_parts.h"
#include "io/normalise.h"

typedef struct {
  tw_jinja *t;
  const char *at, *end;
  int line;
  bool line_begins;  // what stands before `at` ends a line, or nothing does
} reader;

static tw_status wrong(const reader *r, const char *what) {
  return tw_fail(TW_ERR_FORMAT, "line %d of the chat template: %s", r->line, what);
}

static tw_status add(reader *r, tw_jinja_kind kind, const char *text, size_t bytes) {
  tw_jinja *t = r->t;
  if (t->count == t->room) {
    int room = t->room ? 2 * t->room : 128;
    tw_jinja_token *grown = realloc(t->tokens, (size_t)room * sizeof *grown);
    if (!grown) return tw_fail(TW_ERR_MEMORY, "out of memory");
    t->tokens = grown;
    t->room = room;
  }
  t->tokens[t->count++] = (tw_jinja_token){kind, text, bytes, r->line};
  return TW_OK;
}

static void move(reader *r, const char *to) {
  for (; r->at < to; r->at++) r->line += *r->at == '\n';
}

// ---- white space

static const char *skip_white(const char *at, const char *end) {
  while (at < end) {
    size_t next = 0;
    int c = tw_code_point(at, (size_t)(end - at), &next);
    if (!tw_char_white(c) && !(c >= 0x1c && c <= 0x1f)) break;
    at += next;
  }
  return at;
}

static const char *skip_white_back(const char *begin, const char *end) {
  while (end > begin) {
    const char *before = end - 1;
    while (before > begin && (*before & 0xC0) == 0x80) before--;
    if (skip_white(before, end) != end) break;
    end = before;
  }
  return end;
}

// Where the text before a tag ends; sign: what follows the tag's opening.
static const char *text_end(const reader *r, const char *tag, bool prints, char sign) {
  if (sign == '-') return skip_white_back(r->at, tag);
  if (sign == '+' || prints) return tag;
  const char *begin = tag;
  while (begin > r->at && begin[-1] != '\n') begin--;
  if (begin == r->at && !r->line_begins) return tag;
  return skip_white(begin, tag) == tag ? begin : tag;
}

// Moves behind a tag's end; sign: what stands before it.
static void leave(reader *r, bool prints, char sign) {
  move(r, r->at + 2);
  const char *before = r->at;
  if (sign == '-')
    move(r, skip_white(r->at, r->end));
  else if (!prints && sign != '+' && r->at < r->end && *r->at == '\n')
    move(r, r->at + 1);
  r->line_begins = r->at > before && r->at[-1] == '\n';
}

// ---- inside a tag

static bool name_letter(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static tw_status take_string(reader *r) {
  char quote = *r->at;
  const char *begin = r->at + 1, *at = begin;
  for (; at < r->end && *at != quote; at++)
    if (*at == '\\') at++;
  if (at >= r->end) return wrong(r, "a string has no end");
  TW_TRY(add(r, TW_JINJA_STRING, begin, (size_t)(at - begin)));
  move(r, at + 1);
  return TW_OK;
}

static tw_status take_word(reader *r, int *depth) {
  static const char *const signs[] = {"//", "**", "==", "!=", "<=", ">="};
  const char *begin = r->at, *at = begin;
  if (*begin == '"' || *begin == '\'') return take_string(r);
  if (name_letter(*begin, true)) {
    while (at < r->end && name_letter(*at, false)) at++;
    TW_TRY(add(r, TW_JINJA_NAME, begin, (size_t)(at - begin)));
  } else if (*begin >= '0' && *begin <= '9') {
    while (at < r->end && *at >= '0' && *at <= '9') at++;
    if (at < r->end && (*at == '.' || name_letter(*at, true))) return wrong(r, "a number other than a whole one");
    TW_TRY(add(r, TW_JINJA_NUMBER, begin, (size_t)(at - begin)));
  } else {
    at++;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
      if (r->end - begin > 1 && memcmp(begin, signs[i], 2) == 0) at = begin + 2;
    if (!strchr("+-*/%~<>=!.,:()[]{}|", *begin) || (*begin == '!' && at == begin + 1))
      return wrong(r, "a sign that is not known");
    *depth += (strchr("([{", *begin) != NULL) - (strchr(")]}", *begin) != NULL);
    TW_TRY(add(r, TW_JINJA_SIGN, begin, (size_t)(at - begin)));
  }
  move(r, at);
  return TW_OK;
}

// From behind a tag's opening to behind its end.
static tw_status take_inside(reader *r, bool prints) {
  const char *end = prints ? "}}" : "%}";
  int depth = 0;
  TW_TRY(add(r, prints ? TW_JINJA_PRINT : TW_JINJA_TAG, r->at, 0));
  for (;;) {
    move(r, skip_white(r->at, r->end));
    if (r->end - r->at < 2) return wrong(r, "a tag has no end");
    char sign = *r->at == '-' || (*r->at == '+' && !prints) ? *r->at : '\0';
    if (depth <= 0 && sign && r->end - r->at > 2 && memcmp(r->at + 1, end, 2) == 0)
      move(r, r->at + 1);
    else
      sign = '\0';
    if (depth <= 0 && memcmp(r->at, end, 2) == 0) {
      TW_TRY(add(r, prints ? TW_JINJA_PRINT_END : TW_JINJA_TAG_END, r->at, 2));
      leave(r, prints, sign);
      return TW_OK;
    }
    TW_TRY(take_word(r, &depth));
  }
}

static tw_status take_comment(reader *r) {
  const char *at = r->at;
  while (r->end - at >= 2 && memcmp(at, "#}", 2) != 0) at++;
  if (r->end - at < 2) return wrong(r, "a comment has no end");
  char sign = at > r->at ? at[-1] : '\0';
  move(r, at);
  leave(r, false, sign);
  return TW_OK;
}

static tw_status take_next(reader *r) {
  const char *tag = r->at;
  while (tag < r->end && !(*tag == '{' && r->end - tag > 1 && strchr("{%#", tag[1]))) tag++;
  bool found = tag < r->end;
  char sign = found && r->end - tag > 2 && (tag[2] == '-' || tag[2] == '+') ? tag[2] : '\0';
  const char *until = found ? text_end(r, tag, tag[1] == '{', sign) : tag;
  if (until > r->at) TW_TRY(add(r, TW_JINJA_TEXT, r->at, (size_t)(until - r->at)));
  char kind = found ? tag[1] : '\0';
  move(r, found ? tag + 2 + (sign != '\0') : tag);
  if (kind == '#') return take_comment(r);
  return found ? take_inside(r, kind == '{') : TW_OK;
}

tw_status tw_jinja_read_tokens(tw_jinja *t) {
  reader r = {.t = t, .at = t->source, .end = t->source + strlen(t->source), .line = 1, .line_begins = true};
  if (r.end > r.at && r.end[-1] == '\n') r.end--;  // one line end at the very end is no text
  while (r.at < r.end) TW_TRY(take_next(&r));
  return add(&r, TW_JINJA_END, r.end, 0);
}
