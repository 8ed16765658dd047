// Seeds and shares in this process's memory: the warnings of the commands that hold them.
#ifndef TW_APP_SECRETS_H
#define TW_APP_SECRETS_H

#include "jobs/parties/warnings.h"

// Warnings go where messages go.
extern const tw_listener tw_speaker;
// Says once what could not be locked so far, if anything.
void tw_secrets_warn(void);

#endif
