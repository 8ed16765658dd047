// Help for people: text wrapped at the width of the terminal.
#ifndef TW_HELP_H
#define TW_HELP_H

#include <stdio.h>

#include "app/options.h"

// Columns for `file`: $COLUMNS where it is set, else the terminal's, else 80; 40 at least.
int tw_help_width(FILE *file);

// Words of text from column `column` on, further lines behind `indent` spaces, none beyond `width` unless a word alone
// is longer. A line break in the text is one in the output. Ends with a line break.
void tw_help_wrap(FILE *file, const char *text, int column, int indent, int width);

// `left` in the left column, `text` wrapped in the right one.
void tw_help_row(FILE *file, const char *left, const char *text, int indent, int width);

// Usage, what the command does, and its options by group with their defaults.
void tw_help_print(FILE *file, const tw_command *command);

#endif
