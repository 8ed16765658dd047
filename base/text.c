#include "base/text.h"

#include <string.h>
#include <utf8proc.h>

static bool turns_direction(utf8proc_int32_t c) {
  return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

// Bytes of the character at `text`, of `left`; *plain: it may be shown. What is no character is one byte long.
static size_t look(const char *text, size_t left, bool *plain) {
  utf8proc_int32_t c;
  utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
  *plain = false;
  if (bytes <= 0) return 1;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      break;
    default:
      *plain = !turns_direction(c);
  }
  return (size_t)bytes;
}

bool tw_text_is_plain(const char *text) {
  size_t left = strlen(text);
  while (left > 0) {
    bool plain;
    size_t bytes = look(text, left, &plain);
    if (!plain) return false;
    text += bytes;
    left -= bytes;
  }
  return true;
}

void tw_text_make_plain(char *text) {
  size_t left = strlen(text);
  while (left > 0) {
    bool plain;
    size_t bytes = look(text, left, &plain);
    if (!plain) memset(text, '?', bytes);
    text += bytes;
    left -= bytes;
  }
}
