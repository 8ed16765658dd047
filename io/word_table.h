// The secret table of a decoder's words, as it is shared: the row of word i is `width` values, words lie one behind the
// other, and zeros fill the last of `lines` whole lines of `places` words each. Parties look a word up by both parts of
// its number, line and place in it (docs/design/protocols.md, section 8).
#ifndef TW_WORD_TABLE_H
#define TW_WORD_TABLE_H

#include <stddef.h>

typedef struct {
  size_t words, width;
  size_t lines, places;       // lines, and words of each: a power of two
  int line_bits, place_bits;  // of a word's number: its line, and below it its place there
} tw_word_table;

// `places` follows from both sizes: as many as make a lookup's traffic and keys least. words: at least 1.
tw_word_table tw_word_table_of(size_t words, size_t width);

#endif
