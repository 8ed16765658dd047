// The program as a whole: its commands, exit codes and environment, for help, man pages and completion.
#ifndef TW_OVERVIEW_H
#define TW_OVERVIEW_H

#include "app/options.h"

enum { TW_COMMANDS_MOST = 40 };
// NULL-terminated. A client's build (TWAIN_CLIENT) has those that need neither MPI nor keys.
extern const tw_command *const tw_commands[];

typedef struct {
  const char *word, *meaning;
} tw_term;
// Each ends with a row whose word is NULL.
extern const tw_term tw_exit_codes[], tw_environment_variables[];
extern const char tw_what_twain_does[], tw_how_to_read_on[];

void tw_overview_print(FILE *file);

#endif
