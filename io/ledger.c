// Marks of one party's slots of one key, the lock under which they are chosen, and the other party's ledger.
#define _GNU_SOURCE
#include "io/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/file.h"
#include "io/host.h"
#include "io/ledger_paths.h"

// ---- paths

tw_status tw_ledger_key_path(const tw_ledger *ledger, int party, const tw_id *key_id, const char *name,
                             tw_ledger_path *out) {
  if ((party != 0 && party != 1) || !tw_id_is_hex(key_id) || ledger->dir[0] == '\0')
    return tw_fail(TW_ERR_INTERNAL, "ledger \"%s\": party %d, key id \"%s\"", ledger->dir, party, key_id->hex);
  snprintf(out->text, sizeof out->text, "%s/p%d/%s%s%s", ledger->dir, party, key_id->hex, name ? "/" : "",
           name ? name : "");
  return TW_OK;
}

static tw_status mark_path(const tw_ledger *ledger, int party, const tw_id *key_id, uint64_t slot,
                           tw_ledger_path *out) {
  char name[24];
  snprintf(name, sizeof name, "%llu", (unsigned long long)slot);
  return tw_ledger_key_path(ledger, party, key_id, name, out);
}

bool tw_ledger_slot_of(const char *name, uint64_t *slot) {
  size_t digits = strspn(name, "0123456789");
  if (digits == 0 || name[digits] || digits > 20 || (digits > 1 && name[0] == '0')) return false;
  errno = 0;
  *slot = strtoull(name, NULL, 10);
  return errno == 0;
}

tw_status tw_ledger_check_key_folder(const tw_ledger *ledger, int party, const tw_id *key_id, bool *there) {
  tw_ledger_path path;
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, NULL, &path));
  TW_TRY(tw_ledger_check_own(ledger->dir, true, true, there));
  if (!*there) return tw_fail(TW_ERR_IO, "%s: the ledger is gone", ledger->dir);
  char *slash = strrchr(path.text, '/');
  *slash = '\0';
  TW_TRY(tw_ledger_check_own(path.text, true, false, there));
  *slash = '/';
  return *there ? tw_ledger_check_own(path.text, true, false, there) : TW_OK;
}

static tw_status make_folder(const char *path) {
  if (mkdir(path, 0700) != 0 && errno != EEXIST)
    return tw_fail(TW_ERR_IO, "%s: cannot make the ledger's folder: %s", path, strerror(errno));
  return TW_OK;
}

tw_status tw_ledger_make_key_folder(const tw_ledger *ledger, int party, const tw_id *key_id) {
  tw_ledger_path path;
  bool there;
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, NULL, &path));
  char *slash = strrchr(path.text, '/');
  *slash = '\0';
  TW_TRY(make_folder(path.text));
  tw_status status = tw_sync_folder_of(path.text);
  *slash = '/';
  if (status == TW_OK) status = make_folder(path.text);
  if (status == TW_OK) status = tw_sync_folder_of(path.text);
  if (status != TW_OK) return tw_fail_in(status, "ledger");
  return tw_ledger_check_key_folder(ledger, party, key_id, &there);
}

// ---- notes

size_t tw_ledger_write_note(char *text, size_t size, const char *note) {
  char when[32], host[256], job[64];
  tw_host_time(when, sizeof when);
  tw_host_name(host, sizeof host);
  tw_host_job(job, sizeof job);
  int used = snprintf(text, size, "time=%s\nhost=%s\npid=%ld\njob=%s\nnote=%s\n", when, host, (long)getpid(), job,
                      note ? note : "");
  return used < 0 ? 0 : (size_t)used < size ? (size_t)used : size - 1;
}

int tw_ledger_read_note(const char *path, char *note, size_t size) {
  note[0] = '\0';
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t got = read(fd, note, size - 1);
  int error = got < 0 ? errno : 0;
  note[got > 0 ? got : 0] = '\0';
  close(fd);
  return error;
}

// Printable ASCII only, whatever is in the file.
void tw_ledger_note_line(const char *note, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  snprintf(value, size, "unknown");
  for (const char *line = note; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    if (strncmp(line, name, length) == 0 && line[length] == '=')
      snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
  for (char *c = value; *c; c++)
    if (*c < ' ' || *c > '~') *c = '?';
}

// ---- the lock

static tw_status no_locks(const char *path, int error) {
  return tw_fail(
      TW_ERR_IO,
      "%s: the ledger's file system does not lock files (flock: %s), so runs that start together would take "
      "each other's slots; put the ledger where flock works: a local disk, NFS with its lock service, Lustre "
      "mounted with -o flock",
      path, strerror(error));
}

// The file that is locked must be the one that the next process will open.
static bool same_file(const char *path, int fd) {
  struct stat named, held;
  return lstat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
         named.st_ino == held.st_ino;
}

static void pause_ms(long ms) {
  struct timespec t = {.tv_nsec = ms * 1000000};
  nanosleep(&t, NULL);
}

// For those who wait and want to know for whom; a note that cannot be written is no reason to stop.
static void sign(int fd) {
  char text[1024];
  size_t bytes = tw_ledger_write_note(text, sizeof text, "holds the lock, or held it last");
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, bytes, 0) < 0) return;
}

tw_status tw_ledger_lock(const tw_ledger *ledger, int party, const tw_id *key_id, double seconds, int *fd) {
  tw_ledger_path path;
  double end = tw_seconds() + seconds;
  *fd = -1;
  TW_TRY(tw_ledger_make_key_folder(ledger, party, key_id));
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, "lock", &path));
  for (;;) {
    // for writing: NFS locks no other files
    int held = open(path.text, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (held < 0) return tw_fail(TW_ERR_IO, "%s: cannot open the ledger's lock: %s", path.text, strerror(errno));
    int busy;
    while ((busy = flock(held, LOCK_EX | LOCK_NB)) != 0 && (errno == EWOULDBLOCK || errno == EINTR) &&
           tw_seconds() < end)
      pause_ms(2 + tw_clock_ns() % 16);
    if (busy == 0 && same_file(path.text, held)) {
      sign(held);
      *fd = held;
      return TW_OK;
    }
    int error = errno;
    close(held);
    if (busy != 0 && error != EWOULDBLOCK && error != EINTR) return no_locks(path.text, error);
    if (tw_seconds() >= end) return TW_OK;
  }
}

void tw_ledger_unlock(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

tw_status tw_ledger_held(const tw_ledger *ledger, int party, const tw_id *key_id, double waited) {
  tw_ledger_path path;
  char note[1024], when[32], host[256], pid[24];
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, "lock", &path));
  tw_ledger_read_note(path.text, note, sizeof note);
  tw_ledger_note_line(note, "time", when, sizeof when);
  tw_ledger_note_line(note, "host", host, sizeof host);
  tw_ledger_note_line(note, "pid", pid, sizeof pid);
  return tw_fail(TW_ERR_IO,
                 "%s: waited %.0f s for another run to take its slots: process %s on host %s has held the lock since "
                 "%s; look whether it hangs, then start again",
                 path.text, waited, pid, host, when);
}

// ---- the other party's ledger

static tw_status read_peer(const tw_ledger *ledger, int party, const tw_id *key_id, tw_id *peer) {
  tw_ledger_path path;
  char note[256];
  bool there;
  peer->hex[0] = '\0';
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, "peer", &path));
  TW_TRY(tw_ledger_check_own(path.text, false, false, &there));
  if (!there) return TW_OK;
  int error = tw_ledger_read_note(path.text, note, sizeof note);
  if (error) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path.text, strerror(error));
  tw_ledger_note_line(note, "ledger", peer->hex, sizeof peer->hex);
  if (tw_id_is_hex(peer)) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: damaged: it cannot be told which ledger the other party used; deal new keys (`twain deal`)",
                 path.text);
}

tw_status tw_ledger_check_peer(const tw_ledger *ledger, int party, const tw_id *key_id, const tw_id *peer,
                               bool *recorded) {
  tw_id known;
  TW_TRY(read_peer(ledger, party, key_id, &known));
  *recorded = known.hex[0] != '\0';
  if (!*recorded || strcmp(known.hex, peer->hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "key %s: party %d comes with the ledger of id %s, but used this key with the one of id %s, says the "
                 "ledger %s: that is not party %d's ledger of this key; it must name the right one (--ledger DIR), or "
                 "new keys must be dealt (`twain deal`)",
                 key_id->hex, 1 - party, peer->hex, known.hex, ledger->dir, 1 - party);
}

tw_status tw_ledger_record_peer(const tw_ledger *ledger, int party, const tw_id *key_id, const tw_id *peer) {
  tw_ledger_path path, partial;
  bool recorded;
  char text[64];
  TW_TRY(tw_ledger_make_key_folder(ledger, party, key_id));
  TW_TRY(tw_ledger_check_peer(ledger, party, key_id, peer, &recorded));
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, "peer", &path));
  if (recorded) return tw_sync_folder_of(path.text);
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, "peer.partial", &partial));
  size_t bytes = (size_t)snprintf(text, sizeof text, "ledger=%s\n", peer->hex);
  int fd = open(partial.text, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  if (fd >= 0 && close(fd) != 0) written = false;
  if (!written || rename(partial.text, path.text) != 0)
    return tw_fail(TW_ERR_IO, "%s: cannot record the other party's ledger: %s", path.text, strerror(errno));
  return tw_sync_folder_of(path.text);
}

// ---- marks

static tw_status used_before(const char *path, const tw_id *key_id, uint64_t slot) {
  char note[2048], when[64], host[256], pid[32], job[128];
  tw_ledger_read_note(path, note, sizeof note);
  tw_ledger_note_line(note, "time", when, sizeof when);
  tw_ledger_note_line(note, "host", host, sizeof host);
  tw_ledger_note_line(note, "pid", pid, sizeof pid);
  tw_ledger_note_line(note, "job", job, sizeof job);
  return tw_fail(TW_ERR_USED,
                 "key %s: slot %llu was used before: at %s on host %s (process %s, job %s), says the ledger %s; a slot "
                 "serves one inference: use another slot (--slot) or deal new keys (`twain deal`)",
                 key_id->hex, (unsigned long long)slot, when, host, pid, job[0] ? job : "none", path);
}

tw_status tw_ledger_check(const tw_ledger *ledger, int party, const tw_id *key_id, uint64_t slot) {
  tw_ledger_path path;
  struct stat info;
  bool there;
  TW_TRY(tw_ledger_check_key_folder(ledger, party, key_id, &there));
  TW_TRY(mark_path(ledger, party, key_id, slot, &path));
  if (lstat(path.text, &info) == 0) return used_before(path.text, key_id, slot);
  // free only where the file system says that the mark or its folder does not exist
  if (errno != ENOENT)
    return tw_fail(TW_ERR_IO, "%s: cannot tell whether the slot was used: %s; repair the ledger or its permissions",
                   path.text, strerror(errno));
  return TW_OK;
}

tw_status tw_ledger_marks(const tw_ledger *ledger, int party, const tw_id *key_id, uint64_t count, uint64_t *bits) {
  tw_ledger_path path;
  bool there;
  uint64_t slot;
  memset(bits, 0, (count + 63) / 64 * sizeof *bits);
  TW_TRY(tw_ledger_check_key_folder(ledger, party, key_id, &there));
  if (!there) return TW_OK;
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, NULL, &path));
  DIR *stream = opendir(path.text);
  int error = errno;
  if (stream) {
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
      if (tw_ledger_slot_of(entry->d_name, &slot) && slot < count) bits[slot / 64] |= UINT64_C(1) << slot % 64;
      errno = 0;
    }
    error = errno;
    closedir(stream);
  }
  if (error)
    return tw_fail(TW_ERR_IO, "%s: cannot tell which slots were used: %s; repair the ledger or its permissions",
                   path.text, strerror(error));
  return TW_OK;
}

static tw_status mark_one(const char *path, const tw_id *key_id, uint64_t slot, const char *note) {
  char text[1024];
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) return used_before(path, key_id, slot);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot mark the slot as used: %s", path, strerror(errno));
  size_t bytes = tw_ledger_write_note(text, sizeof text, note);
  bool written = write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  if (close(fd) != 0) written = false;
  if (!written)
    return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s; the slot counts as used all the same", path,
                   strerror(errno));
  return TW_OK;
}

tw_status tw_ledger_mark(const tw_ledger *ledger, int party, const tw_id *key_id, const uint64_t *slots, size_t n,
                         const char *note) {
  tw_ledger_path path;
  TW_TRY(tw_ledger_make_key_folder(ledger, party, key_id));
  for (size_t i = 0; i < n; i++) {
    TW_TRY(mark_path(ledger, party, key_id, slots[i], &path));
    TW_TRY(mark_one(path.text, key_id, slots[i], note));
  }
  if (n == 0) return TW_OK;
  tw_status status = tw_sync_folder_of(path.text);
  return status == TW_OK ? TW_OK : tw_fail_in(status, "ledger");
}
