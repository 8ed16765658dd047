#define _GNU_SOURCE
#include "app/stop_signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "base/interrupt.h"

tw_status tw_stop_signals(int *fd) {
  sigset_t set;
  tw_readers_may_go();
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return *fd >= 0 ? TW_OK : tw_fail(TW_ERR_IO, "no descriptor for signals");
}
