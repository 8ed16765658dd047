#define _GNU_SOURCE
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "io/seal_paths.h"
#include "io/unfinished.h"

uint32_t tw_crc32c(uint32_t previous, const void *data, size_t bytes) {
  uint32_t state = ~previous;
  unsigned char *at = (unsigned char *)data;  // the library only reads
  while (bytes > 0) {
    int part = bytes > INT_MAX ? INT_MAX : (int)bytes;
    state = crc32_iscsi(at, part, state);
    at += part;
    bytes -= (size_t)part;
  }
  return ~state;
}

tw_status tw_folder_of(const char *path, char *folder) {
  if (strlen(path) + sizeof ".partial" > PATH_MAX) return tw_fail(TW_ERR_IO, "%s: the path is too long", path);
  const char *slash = strrchr(path, '/');
  int bytes = slash && slash != path ? (int)(slash - path) : 1;
  snprintf(folder, PATH_MAX, "%.*s", bytes, slash ? path : ".");
  return TW_OK;
}

tw_status tw_sync_folder_of(const char *path) {
  char folder[PATH_MAX];
  TW_TRY(tw_folder_of(path, folder));
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open the folder: %s", folder, strerror(errno));
  tw_status status = TW_OK;
  if (fsync(fd) != 0) status = tw_fail(TW_ERR_IO, "%s: cannot fsync the folder: %s", folder, strerror(errno));
  close(fd);
  return status;
}

static tw_status in_the_way(const char *partial) {
  return tw_fail(TW_ERR_IO, "%s: exists: another command is writing it, or was killed; if none is running, remove it",
                 partial);
}

static tw_status check_folder(const char *path) {
  struct stat info;
  char folder[PATH_MAX];
  TW_TRY(tw_folder_of(path, folder));
  if (stat(folder, &info) != 0) return tw_fail(TW_ERR_IO, "%s: cannot write there: %s", folder, strerror(errno));
  if (!S_ISDIR(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is not a folder", folder);
  if (access(folder, W_OK | X_OK) != 0)
    return tw_fail(TW_ERR_IO, "%s: the folder is not writable: %s", folder, strerror(errno));
  return TW_OK;
}

static tw_status check_absent(const char *path) {
  struct stat info;
  if (lstat(path, &info) == 0) return tw_fail(TW_ERR_IO, "%s: exists already; remove it or choose another name", path);
  return TW_OK;
}

tw_status tw_file_check_new(const char *path) {
  struct stat info;
  char folder[PATH_MAX], partial[PATH_MAX];
  TW_TRY(tw_folder_of(path, folder));
  snprintf(partial, sizeof partial, "%.*s.partial", (int)(PATH_MAX - sizeof ".partial"), path);
  TW_TRY(check_absent(path));
  if (lstat(partial, &info) == 0) return in_the_way(partial);
  return check_folder(path);
}

static bool begins_as_hdf5(const char *path) {
  static const char signature[8] = "\x89HDF\r\n\x1a\n";
  char begin[sizeof signature];
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  bool alike =
      fd >= 0 && pread(fd, begin, sizeof begin, 0) == sizeof begin && memcmp(begin, signature, sizeof begin) == 0;
  if (fd >= 0) close(fd);
  return alike;
}

tw_status tw_file_check_table(const char *path, bool force) {
  struct stat info;
  if (!force || lstat(path, &info) != 0) return tw_file_check_new(path);
  if (!S_ISREG(info.st_mode))
    return tw_fail(TW_ERR_IO, "%s: is no plain file, and is not replaced by a table; choose another name", path);
  if (begins_as_hdf5(path))
    return tw_fail(TW_ERR_IO,
                   "%s: is an HDF5 file, and is not replaced by a table, not with --force either; choose another name",
                   path);
  return check_folder(path);
}

// A command that was killed may have left the old file, or a part of the new one, beside the name.
static tw_status no_such_file(const char *path, const char *maker) {
  struct stat info;
  char beside[PATH_MAX + 16];
  snprintf(beside, sizeof beside, "%s.replaced", path);
  if (lstat(beside, &info) == 0)
    return tw_fail(TW_ERR_IO,
                   "%s: no such file, but %s is there: a command that was to replace it was killed; if none is "
                   "running, put the old file back: mv %s %s",
                   path, beside, beside, path);
  snprintf(beside, sizeof beside, "%s.partial", path);
  if (lstat(beside, &info) == 0)
    return tw_fail(TW_ERR_IO,
                   "%s: no such file, but %s is there: another command is writing it, or was killed; if none is "
                   "running, remove that and run `%s` again",
                   path, beside, maker);
  snprintf(beside, sizeof beside, "%s" TW_SEALED_ENDING, path);
  if (lstat(beside, &info) == 0)
    return tw_fail(TW_ERR_IO, "%s: no such file, but %s is there: open it with `twain unseal`", path, beside);
  return tw_fail(TW_ERR_IO, "%s: no such file; run `%s` first", path, maker);
}

tw_status tw_file_check_readable(const char *path, const char *maker, bool secret) {
  struct stat info;
  if (stat(path, &info) != 0) {
    if (errno == ENOENT) return no_such_file(path, maker);
    return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is not a regular file", path);
  if (secret && info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "%s: holds secrets but belongs to user %u, not to you (%u); copy it under your own user",
                   path, (unsigned)info.st_uid, (unsigned)geteuid());
  if (secret && (info.st_mode & 077) != 0)
    return tw_fail(TW_ERR_IO, "%s: holds secrets but its mode %04o opens it to group or world; run `chmod 600 %s`",
                   path, (unsigned)(info.st_mode & 07777), path);
  if (access(path, R_OK) != 0) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
  return TW_OK;
}

static tw_status no_room(const tw_output *out, const char *what, int error) {
  char folder[PATH_MAX] = ".";
  TW_TRY(tw_folder_of(out->path, folder));
  struct statvfs fs;
  unsigned long long room = statvfs(folder, &fs) == 0 ? (unsigned long long)fs.f_bavail * fs.f_frsize : 0;
  struct rlimit limit;
  if (error == EFBIG && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    return tw_fail(TW_ERR_IO, "%s: cannot write %s: %llu bytes needed, files limited to %llu bytes; raise `ulimit -f`",
                   out->partial, what, (unsigned long long)out->bytes, (unsigned long long)limit.rlim_cur);
  return tw_fail(TW_ERR_IO,
                 "%s: cannot write %s: %s; the file needs %llu bytes, %llu bytes are free in %s; "
                 "make room or write elsewhere",
                 out->partial, what, strerror(error), (unsigned long long)out->bytes, room, folder);
}

// Ask for the room at once, so that a full disk is told before hours of work; file systems without
// reservations (EOPNOTSUPP and its relatives) only get their free space compared.
static tw_status reserve(tw_output *out) {
  struct rlimit limit;
  struct statvfs fs;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < out->bytes)
    return no_room(out, "the file", EFBIG);
  if (fstatvfs(out->fd, &fs) == 0 && fs.f_blocks > 0 && out->bytes / fs.f_frsize > fs.f_bavail)
    return no_room(out, "the file", ENOSPC);
  if (fallocate(out->fd, 0, 0, (off_t)out->bytes) != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    return no_room(out, "the file", errno);
  if (ftruncate(out->fd, (off_t)out->bytes) != 0) return no_room(out, "the file", errno);
  return TW_OK;
}

static void end(tw_output *out) {
  if (out->fd >= 0) close(out->fd);
  tw_sealer_destroy(out->sealer);
  free(out->path);
  free(out->partial);
  *out = (tw_output){.fd = -1};
}

static tw_status name(tw_output *out, const char *path) {
  out->path = strdup(path);
  if (out->path && asprintf(&out->partial, "%s.partial", path) >= 0) return TW_OK;
  out->partial = NULL;
  end(out);
  return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
}

static void create(tw_output *out) {
  tw_interrupts_hold();
  out->fd = open(out->partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int error = errno;
  if (out->fd >= 0) tw_unfinished_add(out->partial);
  tw_interrupts_release();
  errno = error;
}

static void discard(const char *path) {
  tw_interrupts_hold();
  unlink(path);
  tw_unfinished_rename(path, NULL);
  tw_interrupts_release();
}

tw_status tw_output_begin(tw_output *out, const char *path, uint64_t bytes) {
  const tw_seal_target *seal = tw_seal_target_of(path);
  *out = (tw_output){.fd = -1, .bytes = seal ? tw_sealed_bytes(bytes) : bytes, .plain = bytes};
  TW_TRY(tw_file_check_new(path));
  TW_TRY(name(out, path));
  create(out);
  if (out->fd < 0) {
    tw_status status = tw_fail(TW_ERR_IO, "%s: cannot create: %s", out->partial, strerror(errno));
    end(out);
    return status;
  }
  tw_status status = reserve(out);
  if (status == TW_OK && seal)
    status = tw_sealer_create(path, seal->site, seal->recipient, &seal->about, bytes, &out->sealer);
  if (status != TW_OK) tw_output_abort(out);
  return status;
}

tw_status tw_output_sync(tw_output *out) {
  return fsync(out->fd) == 0 ? TW_OK : no_room(out, "the file (fsync)", errno);
}

// ---- claimed long before

// Whether the file behind fd is a file of ours that nobody else writes, and still has its name. A lock goes with its
// process, so one that is free is left over.
static bool left_over(int fd, const char *partial) {
  struct stat held, named;
  return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && S_ISREG(held.st_mode) && held.st_nlink == 1 &&
         held.st_uid == geteuid() && (held.st_mode & 077) == 0 && lstat(partial, &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

// File systems without flock: a new file is ours all the same.
static tw_status take(tw_output *out) {
  create(out);
  if (out->fd >= 0) {
    if (flock(out->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return TW_OK;
  } else if (errno != EEXIST) {
    return tw_fail(TW_ERR_IO, "%s: cannot create: %s", out->partial, strerror(errno));
  } else {
    out->fd = open(out->partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (out->fd >= 0 && left_over(out->fd, out->partial) && ftruncate(out->fd, 0) == 0) {
      tw_interrupts_hold();
      tw_unfinished_add(out->partial);
      tw_interrupts_release();
      return TW_OK;
    }
  }
  return in_the_way(out->partial);
}

// Where room cannot be reserved it is written.
static tw_status fill(tw_output *out) {
  static const char zeros[1 << 16];
  if (fallocate(out->fd, 0, 0, (off_t)out->bytes) == 0) return TW_OK;
  for (uint64_t at = 0; at < out->bytes; at += sizeof zeros) {
    size_t part = out->bytes - at < sizeof zeros ? (size_t)(out->bytes - at) : sizeof zeros;
    TW_TRY(tw_output_write(out, "the file", zeros, part, at));
  }
  return tw_output_sync(out);
}

static tw_status check_replaceable(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0) return TW_OK;
  if (S_ISDIR(info.st_mode)) return tw_fail(TW_ERR_IO, "%s: is a folder; remove it or choose another name", path);
  if (info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "%s: belongs to user %u, not to you (%u), and is not replaced; choose another name", path,
                   (unsigned)info.st_uid, (unsigned)geteuid());
  return TW_OK;
}

tw_status tw_output_claim(tw_output *out, const char *path, uint64_t bytes, bool replace) {
  *out = (tw_output){.fd = -1, .bytes = bytes, .plain = bytes, .replace = replace};
  if (tw_seal_target_of(path)) return tw_fail(TW_ERR_INTERNAL, "%s: cannot be claimed and sealed", path);
  TW_TRY(check_folder(path));
  TW_TRY(replace ? check_replaceable(path) : check_absent(path));
  TW_TRY(name(out, path));
  tw_status status = take(out);
  if (status != TW_OK) {
    end(out);  // what is in the way stays
    return status;
  }
  status = reserve(out);
  if (status == TW_OK) status = fill(out);
  if (status != TW_OK) tw_output_abort(out);
  return status;
}

tw_status tw_output_resize(tw_output *out, uint64_t bytes) {
  out->bytes = out->plain = bytes;
  return ftruncate(out->fd, (off_t)bytes) == 0 ? TW_OK : no_room(out, "the file", errno);
}

static tw_status write_as_is(tw_output *out, const char *what, const void *data, size_t bytes, uint64_t offset) {
  const char *at = data;
  while (bytes > 0) {
    ssize_t done = pwrite(out->fd, at, bytes, (off_t)offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return no_room(out, what, done < 0 ? errno : ENOSPC);
    at += done;
    bytes -= (size_t)done;
    offset += (uint64_t)done;
  }
  return TW_OK;
}

static tw_status put_sealed(void *out, const void *data, size_t bytes, uint64_t offset) {
  return write_as_is(out, "a sealed chunk", data, bytes, offset);
}

static tw_status get_sealed(void *file, void *data, size_t bytes, uint64_t offset) {
  const tw_output *out = file;
  return tw_read_at(out->fd, out->partial, "a sealed chunk", data, bytes, offset);
}

static tw_seal_file_ways ways(tw_output *out) { return (tw_seal_file_ways){put_sealed, get_sealed, out}; }

tw_status tw_output_write(tw_output *out, const char *what, const void *data, size_t bytes, uint64_t offset) {
  const tw_seal_file_ways to = ways(out);
  if (out->sealer) return tw_sealer_write(out->sealer, &to, data, bytes, offset);
  return write_as_is(out, what, data, bytes, offset);
}

// Under its final name the file must not replace another one; renameat2 makes that atomic where it exists.
static int rename_as_new(const char *from, const char *to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (access(to, F_OK) == 0) {
    errno = EEXIST;
    return -1;
  }
  return rename(from, to);
}

static int rename_new(const char *from, const char *to) {
  tw_interrupts_hold();
  int failed = rename_as_new(from, to), error = errno;
  if (!failed) tw_unfinished_rename(from, to);
  tw_interrupts_release();
  errno = error;
  return failed;
}

// In the place of an older file, which goes with this.
static int rename_over(const char *from, const char *to) {
  tw_interrupts_hold();
  int failed = rename(from, to), error = errno;
  if (!failed) tw_unfinished_rename(from, NULL);
  tw_interrupts_release();
  errno = error;
  return failed;
}

tw_status tw_output_commit(tw_output *out) {
  bool renamed = false;
  const tw_seal_file_ways to = ways(out);
  tw_status status = out->sealer ? tw_sealer_finish(out->sealer, &to) : TW_OK;
  if (status == TW_OK) status = tw_output_sync(out);
  int fd = out->fd;
  out->fd = -1;
  // close may be the first to hear of a write error or a quota on network file systems
  if (close(fd) != 0 && status == TW_OK) status = no_room(out, "the file (close)", errno);
  if (status == TW_OK) {
    if ((out->replace ? rename_over : rename_new)(out->partial, out->path) != 0)
      status = tw_fail(TW_ERR_IO, "%s: cannot rename the finished file: %s", out->path, strerror(errno));
    else
      renamed = true;
  }
  if (status == TW_OK) status = tw_sync_folder_of(out->path);
  if (status != TW_OK) discard(renamed ? out->path : out->partial);
  end(out);
  return status;
}

void tw_output_abort(tw_output *out) {
  if (out->partial && out->fd >= 0) discard(out->partial);
  end(out);
}

tw_status tw_read_at(int fd, const char *path, const char *what, void *data, size_t bytes, uint64_t offset) {
  char *at = data;
  while (bytes > 0) {
    ssize_t done = pread(fd, at, bytes, (off_t)offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return tw_fail(TW_ERR_IO, "%s: %s: cannot read: %s", path, what, strerror(errno));
    if (done == 0)
      return tw_fail(TW_ERR_FORMAT, "%s: %s: the file is cut off at byte %llu; copy it again", path, what,
                     (unsigned long long)offset);
    at += done;
    bytes -= (size_t)done;
    offset += (uint64_t)done;
  }
  return TW_OK;
}
