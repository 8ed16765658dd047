// Seeds and shares in this process's memory: the option and the warning of the commands that hold them.
#ifndef TW_APP_SECRETS_H
#define TW_APP_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/parties/warnings.h"

// An entry of an option table whose settings have the field allow_unlocked.
#define TW_SECRETS_OPTION(settings)                                                                              \
  {                                                                                                              \
    .name = "allow-unlocked", .field = offsetof(settings, allow_unlocked),                                       \
    .help =                                                                                                      \
        "go on where seeds cannot be locked in memory (`ulimit -l`): they may reach swap, which must be off or " \
        "encrypted"                                                                                              \
  }

// Warnings go where messages go.
extern const tw_listener tw_speaker;
// Says once what could not be locked so far, if anything.
void tw_secrets_warn(void);

#endif
