#include "io/characters.h"

#include <stddef.h>
#include <utf8proc.h>

#include "io/characters.inc"

static bool holds(const int32_t (*ranges)[2], size_t count, int32_t c) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (c > ranges[middle][1])
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && c >= ranges[low][0];
}

#define HOLDS(table, c) holds(table, sizeof table / sizeof *table, c)

bool tw_char_removed(int32_t c) { return HOLDS(removed, c); }
bool tw_char_white(int32_t c) { return HOLDS(white, c); }
bool tw_char_chinese(int32_t c) { return HOLDS(chinese, c); }
bool tw_char_punctuation(int32_t c) { return HOLDS(punctuation, c); }
bool tw_char_mark(int32_t c) { return c >= 0x300 && HOLDS(marks, c); }
bool tw_char_word(int32_t c) { return HOLDS(word, c); }

int32_t tw_char_lower(int32_t c) {
  if (c == 0x130) return 'i';
  size_t low = 0, high = sizeof lower / sizeof *lower;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (c > lower[middle][1])
      low = middle + 1;
    else
      high = middle;
  }
  if (low == sizeof lower / sizeof *lower || c < lower[low][0] || (c - lower[low][0]) % lower[low][2] != 0) return c;
  return c + lower[low][3];
}

bool tw_char_unknown(int32_t c) {
  if (c < 0x300) return false;
  if (HOLDS(later, c)) return true;
  return utf8proc_get_property(c)->combining_class != 0 && !tw_char_mark(c) && !HOLDS(moves, c);
}
