// Text that comes from others, made fit for a terminal and a log.
#ifndef TW_TEXT_H
#define TW_TEXT_H

#include <stdbool.h>

// Plain: valid UTF-8, without control characters, line and paragraph separators, and marks that
// change the direction of writing: what a terminal shows is what is there, on one
// line.
bool tw_text_is_plain(const char *text);

// Each byte of what is not plain becomes a question mark.
void tw_text_make_plain(char *text);

#endif
