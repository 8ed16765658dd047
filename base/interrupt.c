#define _GNU_SOURCE
#include "base/interrupt.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static void (*undo_all)(void);
static atomic_int held, undoing, waiting;  // waiting: the signal that came while held

static void end_by(int number) {
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigset_t just_this;
  undo_all();
  sigaction(number, &usual, NULL);
  sigemptyset(&just_this);
  sigaddset(&just_this, number);
  pthread_sigmask(SIG_UNBLOCK, &just_this, NULL);
  raise(number);
}

static void on_signal(int number) {
  if (atomic_exchange(&undoing, 1)) return;  // a second one changes nothing
  if (!held) end_by(number);
  waiting = number;
  undoing = 0;
  if (!held && atomic_exchange(&waiting, 0)) end_by(number);  // released meanwhile, on another thread
}

void tw_interrupts_catch(void (*undo)(void)) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  undo_all = undo;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction before, action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL) sigaction(numbers[i], &action, NULL);
  }
}

void tw_interrupts_hold(void) {
  held = 1;
  while (undoing) sched_yield();  // another thread's handler: it ends the process, or sees `held` and lets go
}

void tw_interrupts_release(void) {
  held = 0;
  int number = atomic_exchange(&waiting, 0);
  if (number) end_by(number);
}

void tw_readers_may_go(void) { signal(SIGPIPE, SIG_IGN); }
