#define _GNU_SOURCE
#include "io/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/host.h"

tw_status tw_ledger_default(char *dir, size_t size) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  int used;
  if (state && state[0] == '/')
    used = snprintf(dir, size, "%s/twain/ledger", state);
  else if (home && home[0] == '/')
    used = snprintf(dir, size, "%s/.local/state/twain/ledger", home);
  else
    return tw_fail(TW_ERR_USAGE, "no folder for the ledger: neither XDG_STATE_HOME nor HOME is set; give --ledger DIR");
  if (used < 0 || (size_t)used >= size)
    return tw_fail(TW_ERR_USAGE, "the ledger's path is too long; give --ledger DIR");
  return TW_OK;
}

static tw_status mark_path(char path[PATH_MAX], const char *dir, int rank, const tw_id *key_id, uint64_t slot) {
  if ((rank != 0 && rank != 1) || strspn(key_id->hex, "0123456789abcdef") != 32)
    return tw_fail(TW_ERR_INTERNAL, "ledger: rank %d, key id \"%s\"", rank, key_id->hex);
  int used = snprintf(path, PATH_MAX, "%s/p%d/%s/%llu", dir, rank, key_id->hex, (unsigned long long)slot);
  if (dir[0] == '\0' || used < 0 || used >= PATH_MAX)
    return tw_fail(TW_ERR_USAGE, "ledger: the path \"%s\" is empty or too long; give another --ledger DIR", dir);
  return TW_OK;
}

// Value of a line "name=..." in a note; "unknown" when the note was cut off by a crash.
static void note_line(const char *note, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  snprintf(value, size, "unknown");
  for (const char *line = note; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    if (strncmp(line, name, length) == 0 && line[length] == '=')
      snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
}

static tw_status used_before(const char *path, const tw_id *key_id, uint64_t slot) {
  char note[2048] = "", when[64], host[256], pid[32], job[128];
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    ssize_t got = read(fd, note, sizeof note - 1);
    note[got > 0 ? got : 0] = '\0';
    close(fd);
  }
  note_line(note, "time", when, sizeof when);
  note_line(note, "host", host, sizeof host);
  note_line(note, "pid", pid, sizeof pid);
  note_line(note, "job", job, sizeof job);
  return tw_fail(TW_ERR_USED,
                 "key %s: slot %llu was used before: at %s on host %s (process %s, job %s), says the ledger %s; a slot "
                 "serves one inference: use another slot (--slot) or deal new keys (`twain deal`)",
                 key_id->hex, (unsigned long long)slot, when, host, pid, job[0] ? job : "none", path);
}

// *marked is false only where the file system says that the mark or a folder above it does not exist.
static tw_status look(const char *path, bool *marked) {
  struct stat info;
  *marked = true;
  if (lstat(path, &info) == 0) return TW_OK;
  if (errno != ENOENT)
    return tw_fail(TW_ERR_IO, "%s: cannot tell whether the slot was used: %s; repair the ledger or its permissions",
                   path, strerror(errno));
  *marked = false;
  return TW_OK;
}

tw_status tw_ledger_check(const char *dir, int rank, const tw_id *key_id, uint64_t slot) {
  char path[PATH_MAX];
  bool marked;
  TW_TRY(mark_path(path, dir, rank, key_id, slot));
  TW_TRY(look(path, &marked));
  return marked ? used_before(path, key_id, slot) : TW_OK;
}

// All folders above `path`, from the top; a new one is made durable in its parent at once.
static tw_status make_folders(const char *path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(folder, 0700) == 0) {
      tw_status status = tw_sync_folder_of(folder);
      if (status != TW_OK) return tw_fail_in(status, "ledger");
    } else if (errno != EEXIST) {
      return tw_fail(TW_ERR_IO, "%s: cannot create the ledger's folder: %s; give another --ledger DIR", folder,
                     strerror(errno));
    }
    *slash = '/';
  }
  return TW_OK;
}

// A folder that a racing process has just made may not be durable yet: the three levels of the ledger are always
// synced.
static tw_status sync_levels(const char *path) {
  char level[PATH_MAX];
  snprintf(level, sizeof level, "%s", path);
  for (int i = 0; i < 4; i++) {
    tw_status status = tw_sync_folder_of(level);
    if (status != TW_OK) return tw_fail_in(status, "ledger");
    char *slash = strrchr(level, '/');
    if (!slash || slash == level) break;
    *slash = '\0';
  }
  return TW_OK;
}

static tw_status write_note(int fd, const char *path, const char *note) {
  char text[1024], when[32], host[256], job[64];
  tw_host_time(when, sizeof when);
  tw_host_name(host, sizeof host);
  tw_host_job(job, sizeof job);
  int used = snprintf(text, sizeof text, "time=%s\nhost=%s\npid=%ld\njob=%s\nnote=%s\n", when, host, (long)getpid(),
                      job, note ? note : "");
  size_t bytes = used < 0 ? 0 : (size_t)used < sizeof text ? (size_t)used : sizeof text - 1;
  if (write(fd, text, bytes) != (ssize_t)bytes || fsync(fd) != 0)
    return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s; the slot counts as used all the same", path,
                   strerror(errno));
  return TW_OK;
}

tw_status tw_ledger_mark(const char *dir, int rank, const tw_id *key_id, uint64_t slot, const char *note) {
  char path[PATH_MAX];
  TW_TRY(mark_path(path, dir, rank, key_id, slot));
  TW_TRY(make_folders(path));
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) return used_before(path, key_id, slot);
  if (fd < 0)
    return tw_fail(TW_ERR_IO, "%s: cannot mark the slot as used: %s; give another --ledger DIR", path, strerror(errno));
  tw_status status = write_note(fd, path, note);
  if (close(fd) != 0 && status == TW_OK)
    status = tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s; the slot counts as used all the same", path,
                     strerror(errno));
  return status == TW_OK ? sync_levels(path) : status;
}

tw_status tw_ledger_first_free(const char *dir, int rank, const tw_id *key_id, uint64_t count, uint64_t *slot) {
  for (uint64_t i = 0; i < count; i++) {
    char path[PATH_MAX];
    bool marked;
    TW_TRY(mark_path(path, dir, rank, key_id, i));
    TW_TRY(look(path, &marked));
    if (marked) continue;
    *slot = i;
    return TW_OK;
  }
  return tw_fail(TW_ERR_USED,
                 "key %s: all %llu slots were used before, says the ledger %s; deal new keys (`twain deal`)",
                 key_id->hex, (unsigned long long)count, dir);
}
