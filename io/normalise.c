#define _GNU_SOURCE
#include "io/normalise.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/characters.h"
#include "io/text_buffer.h"

static tw_status add(tw_text_buffer *out, int32_t c) {
  char one[4];
  return tw_text_put(out, one, (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)one));
}

int tw_code_point(const char *text, size_t bytes, size_t *at) {
  utf8proc_int32_t c;
  *at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + *at, (utf8proc_ssize_t)(bytes - *at), &c);
  return c;
}

size_t tw_utf8_valid(const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &c);
    if (n <= 0) return at;
    at += (size_t)n;
  }
  return bytes;
}

static tw_status clean_and_space(const tw_normaliser *n, const char *text, size_t bytes, tw_text_buffer *out) {
  for (size_t at = 0; at < bytes;) {
    int32_t c = tw_code_point(text, bytes, &at);
    if (n->clean_text) {
      bool kept = c == '\t' || c == '\n' || c == '\r';
      if (!kept && tw_char_removed(c)) continue;
      if (kept || tw_char_white(c)) c = ' ';
    }
    bool apart = n->split_chinese && tw_char_chinese(c);
    if (apart) TW_TRY(add(out, ' '));
    TW_TRY(add(out, c));
    if (apart) TW_TRY(add(out, ' '));
  }
  return TW_OK;
}

static tw_status decompose(const char *text, size_t bytes, tw_text_buffer *out) {
  if (bytes == 0) return TW_OK;
  utf8proc_uint8_t *apart = NULL;
  utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &apart,
                                    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  if (n < 0) return tw_fail(TW_ERR_MEMORY, "cannot normalise the text: %s", utf8proc_errmsg(n));
  tw_status status = TW_OK;
  for (size_t at = 0; at < (size_t)n && status == TW_OK;) {
    int32_t c = tw_code_point((char *)apart, (size_t)n, &at);
    if (!tw_char_mark(c)) status = add(out, c);
  }
  free(apart);
  return status;
}

// Code points that the library's decomposition does not know end a stretch: nothing moves past them.
static tw_status strip_accents(const char *text, size_t bytes, tw_text_buffer *out) {
  size_t begin = 0;
  if (bytes == 0) return TW_OK;  // text may be NULL
  for (size_t at = 0; at < bytes;) {
    size_t here = at;
    int32_t c = tw_code_point(text, bytes, &at);
    if (!tw_char_unknown(c)) continue;
    TW_TRY(decompose(text + begin, here - begin, out));
    TW_TRY(add(out, c));
    begin = at;
  }
  return decompose(text + begin, bytes - begin, out);
}

static tw_status lower_case(const char *text, size_t bytes, tw_text_buffer *out) {
  for (size_t at = 0; at < bytes;) {
    int32_t c = tw_code_point(text, bytes, &at);
    TW_TRY(add(out, tw_char_lower(c)));
    if (c == 0x130) TW_TRY(add(out, 0x307));
  }
  return TW_OK;
}

static tw_status normalise(const tw_normaliser *n, const char *text, size_t bytes, tw_text_buffer *now,
                           tw_text_buffer *before) {
  TW_TRY(clean_and_space(n, text, bytes, now));
  for (int step = 0; step < 2; step++) {
    if (!(step ? n->lower_case : n->strip_accents)) continue;
    tw_text_buffer swap = *before;
    *before = *now;
    *now = swap;
    now->used = 0;
    TW_TRY((step ? lower_case : strip_accents)(before->text, before->used, now));
  }
  return tw_text_put(now, "", 0);
}

tw_status tw_normalise(const tw_normaliser *n, const char *text, size_t bytes, char **out, size_t *used) {
  tw_text_buffer now = {0}, before = {0};
  tw_status status = normalise(n, text, bytes, &now, &before);
  free(before.text);
  if (status != TW_OK) {
    free(now.text);
    now = (tw_text_buffer){0};
  }
  *out = now.text;
  *used = now.used;
  return status;
}
