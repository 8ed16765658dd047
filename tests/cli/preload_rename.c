// Loaded before a party's libraries (LD_PRELOAD): it is killed where it would give a file a name that ends with
// TWAIN_RENAME_KILL. TWAIN_RENAME_WAIT: a file that is waited for before, at most ten seconds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die_at(const char *to) {
  const char *ending = getenv("TWAIN_RENAME_KILL"), *wait = getenv("TWAIN_RENAME_WAIT");
  if (!ending) return;
  size_t n = strlen(to), m = strlen(ending);
  if (n < m || strcmp(to + n - m, ending) != 0) return;
  for (int i = 0; wait && i < 1000 && access(wait, F_OK) != 0; i++) usleep(10000);
  raise(SIGKILL);
}

int rename(const char *from, const char *to) {
  die_at(to);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  die_at(to);
  return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
