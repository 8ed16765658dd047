#define _GNU_SOURCE
#include "app/leave.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static char left[4200];
static atomic_bool armed;

void tw_leave_remove(void) {
  if (atomic_load(&armed)) unlink(left);
}

// Only what a handler may do (signal-safety(7)); the signal then acts as it would have.
static void on_signal(int number) {
  tw_leave_remove();
  signal(number, SIG_DFL);
  raise(number);
}

void tw_leave_removing(const char *path) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  atomic_store(&armed, false);
  if (!path) return;
  snprintf(left, sizeof left, "%s", path);
  atomic_store(&armed, true);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction now;
    if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(numbers[i], on_signal);
  }
}
