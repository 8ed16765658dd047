#include "io/word_table.h"

static int bits_for(size_t count) {
  int bits = 0;
  while ((size_t)1 << bits < count) bits++;
  return bits;
}

// A lookup opens a value for every line, and one for every element of a line; the latter has a correction, too. A bit
// of keys, which are made and moved before the run, counts as much here as six that are sent.
static size_t cost(size_t words, size_t width, size_t places) {
  return (words + places - 1) / places + 4 * places * width;
}

tw_word_table tw_word_table_of(size_t words, size_t width) {
  size_t places = 1;
  while (2 * places < words && cost(words, width, 2 * places) < cost(words, width, places)) places *= 2;
  tw_word_table t = {.words = words, .width = width, .lines = (words + places - 1) / places, .places = places};
  t.place_bits = bits_for(places);
  t.line_bits = t.lines > 1 ? bits_for(t.lines) : 1;
  return t;
}
