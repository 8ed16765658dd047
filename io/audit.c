#define _GNU_SOURCE
#include "io/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "io/host.h"

// Who and where. Fields of the event follow.
static json_t *who(const char *event) {
  char time[32], host[256], job[64];
  const struct passwd *user = getpwuid(getuid());
  tw_host_time(time, sizeof time);
  tw_host_name(host, sizeof host);
  tw_host_job(job, sizeof job);
  return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s?, s:i}", "time", time, "event", event, "twain", TWAIN_VERSION,
                   "user", user ? user->pw_name : "", "uid", (int)getuid(), "host", host, "job", *job ? job : NULL,
                   "process", (int)getpid());
}

static tw_status to_syslog(const char *line) {
  if (access("/dev/log", W_OK) != 0)
    return tw_fail(TW_ERR_IO, "the audit log is the system's (TWAIN_AUDIT=syslog), and nobody listens at /dev/log: %s",
                   strerror(errno));
  openlog("twain", LOG_PID, LOG_AUTHPRIV);
  syslog(LOG_INFO, "%s", line);
  closelog();
  return TW_OK;
}

static tw_status failed(const char *path, const char *what) {
  return tw_fail(TW_ERR_IO, "%s: cannot %s the audit log (TWAIN_AUDIT): %s", path, what, strerror(errno));
}

// ---- the lock: lines of processes that write at the same time stay whole

static void name_process(long pid, char *out, size_t size) {
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%ld/comm", pid);
  FILE *file = fopen(path, "r");
  if (file && !fgets(name, sizeof name, file)) name[0] = '\0';
  if (file) fclose(file);
  name[strcspn(name, "\n")] = '\0';
  tw_text_make_plain(name);
  snprintf(out, size, *name ? "process %ld (%s)" : "a process that process %ld has started", pid, name);
}

// By the kernel's list (proc(5), /proc/locks), which has this host's processes.
static void find_holder(int fd, char *out, size_t size) {
  char line[256];
  long pid;
  unsigned major_number, minor_number;
  unsigned long long inode;
  struct stat info;
  FILE *file = fopen("/proc/locks", "r");
  snprintf(out, size, "a process that is not known, perhaps of another host,");
  while (file && fstat(fd, &info) == 0 && fgets(line, sizeof line, file))
    if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%llu", &pid, &major_number, &minor_number, &inode) == 4 && pid > 0 &&
        inode == info.st_ino && major_number == major(info.st_dev) && minor_number == minor(info.st_dev)) {
      name_process(pid, out, size);
      break;
    }
  if (file) fclose(file);
}

// Who writes a line holds it for as long as one fsync takes.
static tw_status lock(int fd, const char *path) {
  enum { SECONDS = 10 };
  char holder[128];
  const struct timespec pause = {.tv_nsec = 5000000};
  double end = tw_seconds() + SECONDS;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed(path, "lock");
    if (tw_seconds() >= end) {
      find_holder(fd, holder, sizeof holder);
      return tw_fail(TW_ERR_IO,
                     "%s: waited %d s to write the audit log (TWAIN_AUDIT), which %s holds locked; look whether it "
                     "hangs, then start again",
                     path, SECONDS, holder);
    }
    nanosleep(&pause, NULL);
  }
  return TW_OK;
}

static tw_status append(int fd, const char *path, const char *line, size_t bytes) {
  struct stat info;
  TW_TRY(lock(fd, path));
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return tw_fail(TW_ERR_IO, "%s: is no file; TWAIN_AUDIT names one, or says syslog", path);
  ssize_t written = write(fd, line, bytes);
  if (written >= 0 && (size_t)written != bytes) errno = ENOSPC;
  if (written < 0 || (size_t)written != bytes) return failed(path, "write");
  return fsync(fd) == 0 ? TW_OK : failed(path, "fsync");
}

static tw_status to_file(const char *path, const char *text) {
  char *line;
  if (*path != '/') return tw_fail(TW_ERR_USAGE, "TWAIN_AUDIT '%s': a path from the root is needed, or syslog", path);
  // O_APPEND alone: a file that is set append-only (chattr +a) takes no other way
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
  if (fd < 0) return failed(path, "open");
  int bytes = asprintf(&line, "%s\n", text);
  tw_status status = bytes < 0 ? tw_fail(TW_ERR_MEMORY, "out of memory") : append(fd, path, line, (size_t)bytes);
  if (bytes >= 0) free(line);
  close(fd);
  return status;
}

static const char *place(void) {
  const char *where = getenv("TWAIN_AUDIT");
  return where && *where ? where : NULL;
}

bool tw_audit_wanted(void) { return place() != NULL; }

tw_status tw_audit(const char *event, json_t *fields) {
  const char *where = place();
  if (!where) {
    json_decref(fields);
    return TW_OK;
  }
  json_t *record = who(event);
  char *text = NULL;
  if (record && fields && json_object_update(record, fields) == 0) text = json_dumps(record, JSON_COMPACT);
  json_decref(record);
  json_decref(fields);
  if (!text) return tw_fail(TW_ERR_MEMORY, "no memory for a line of the audit log");
  tw_status status = strcmp(where, "syslog") == 0 ? to_syslog(text) : to_file(where, text);
  free(text);
  return status;
}

char *tw_audit_slots(const uint64_t *slots, size_t count) {
  enum { WIDEST = 44 };  // two numbers of 64 bits and what stands between
  char *text = malloc(WIDEST * count + 1);
  size_t used = 0;
  if (!text) return NULL;
  *text = '\0';
  for (size_t i = 0, end; i < count; i = end) {
    for (end = i + 1; end < count && slots[end] == slots[end - 1] + 1;) end++;
    used += (size_t)sprintf(text + used, "%s%" PRIu64, i ? ", " : "", slots[i]);
    if (end > i + 1) used += (size_t)sprintf(text + used, "-%" PRIu64, slots[end - 1]);
  }
  return text;
}
