#include "app/secrets.h"

#include "app/show/print.h"

static void say(void *state, const char *text) {
  (void)state;
  tw_say("%s", text);
}

const tw_listener tw_speaker = {.show = say};

void tw_secrets_warn(void) { tw_warn_of_memory(&tw_speaker); }
