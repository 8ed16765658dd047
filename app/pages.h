// What packages install beside the program, made from the tables that help is made of: man pages, completion for
// shells.
#ifndef TW_PAGES_H
#define TW_PAGES_H

#include <stdio.h>

#include "app/options.h"

// twain(1), or with a command twain-COMMAND(1), which has the command's parts too, as troff for man(7).
void tw_pages_man(FILE *file, const tw_command *command);

// A completion for "bash" or "zsh"; TW_ERR_USAGE for another word, and for NULL.
tw_status tw_pages_completion(FILE *file, const char *shell);

#endif
