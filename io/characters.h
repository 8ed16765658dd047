// What BERT's tokenizer asks about a code point, by the tables of the tokenizers library (characters.inc), which are
// those of several Unicode versions. utf8proc's own differ from them, and from one of its versions to the next.
#ifndef TW_CHARACTERS_H
#define TW_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

bool tw_char_removed(int32_t c);      // controls, formats, private use
bool tw_char_white(int32_t c);        // White_Space
bool tw_char_chinese(int32_t c);      // ideographs that are words of their own
bool tw_char_punctuation(int32_t c);  // signs that are words of their own
bool tw_char_mark(int32_t c);         // accents
bool tw_char_word(int32_t c);         // \w of regular expressions
int32_t tw_char_lower(int32_t c);     // of U+0130 the first of two code points; U+0307 follows
// Not known to the library's decomposition: neither decomposed nor moved.
bool tw_char_unknown(int32_t c);

#endif
