#define _GNU_SOURCE
#include "base/interrupt.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static void (*undo_all)(void);
static atomic_int held, undoing, waiting;  // waiting: the signal that came while held

static void (*volatile say_asked)(void);  // NULL: the first signal ends the process, too
static _Atomic uint64_t asked_ns;         // when one asked; 0: none has
static double launcher_patience;          // 0: a launcher kills nobody

static void end_by(int number) {
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigset_t just_this;
  undo_all();
  // Others of this launcher put their files right at the same time; as soon as one has left, it kills them.
  if (number == SIGALRM) nanosleep(&(struct timespec){0, (long)(0.15e9 * launcher_patience)}, NULL);
  if (number == SIGALRM) number = SIGTERM;
  sigaction(number, &usual, NULL);
  sigemptyset(&just_this);
  sigaddset(&just_this, number);
  pthread_sigmask(SIG_UNBLOCK, &just_this, NULL);
  raise(number);
}

// Whether the signal is a wish, or the same one again.
static bool is_wish(int number, const siginfo_t *info) {
  const uint64_t same = 1000000000;
  uint64_t before = 0, now = tw_clock_ns();
  if (!say_asked || number == SIGHUP || number == SIGALRM) return false;
  if (number == SIGTERM && launcher_patience > 0 && info->si_pid == getppid()) {
    const long usec = (long)(0.6e6 * launcher_patience);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {usec / 1000000, usec % 1000000}}, NULL);
  }
  if (!atomic_compare_exchange_strong(&asked_ns, &before, now)) return now - before < same;
  say_asked();
  return true;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  if (is_wish(number, info)) return;
  if (atomic_exchange(&undoing, 1)) return;  // a second one changes nothing
  if (!held) end_by(number);
  waiting = number;
  undoing = 0;
  if (!held && atomic_exchange(&waiting, 0)) end_by(number);  // released meanwhile, on another thread
}

void tw_interrupts_catch(void (*undo)(void)) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
  undo_all = undo;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction before, action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
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

void tw_interrupts_defer(void (*asked)(void), double launcher_seconds) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
  sigfillset(&action.sa_mask);
  launcher_patience = launcher_seconds;
  if (launcher_seconds > 0) sigaction(SIGALRM, &action, NULL);
  say_asked = asked;
}

bool tw_interrupts_asked(void) { return asked_ns != 0; }

void tw_readers_may_go(void) { signal(SIGPIPE, SIG_IGN); }
