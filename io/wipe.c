#define _GNU_SOURCE
#include "io/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"

// 0, or an error's number.
static int write_all(int fd, const char *bytes, size_t n, uint64_t at) {
  for (size_t done = 0; done < n;) {
    ssize_t now = pwrite(fd, bytes + done, n - done, (off_t)(at + done));
    if (now < 0 && errno != EINTR) return errno;
    if (now == 0) return ENOSPC;
    if (now > 0) done += (size_t)now;
  }
  return 0;
}

static tw_status overwrite(int fd, const char *path, uint64_t bytes) {
  enum { PART = 1 << 20 };
  void *zeros;
  TW_TRY(tw_alloc(PART, &zeros));
  int error = 0;
  for (uint64_t at = 0; at < bytes && !error; at += PART)
    error = write_all(fd, zeros, bytes - at < PART ? (size_t)(bytes - at) : PART, at);
  if (!error && fsync(fd) != 0) error = errno;
  tw_free(zeros);
  return !error ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot overwrite: %s; remove it", path, strerror(error));
}

tw_status tw_file_wipe(const char *path) {
  struct stat info;
  int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &info) != 0) {
    if (fd >= 0) close(fd);
    return tw_fail(TW_ERR_IO, "%s: cannot overwrite: %s; remove it", path, strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return tw_fail(TW_ERR_IO, "%s: is no file", path);
  }
  tw_status status = overwrite(fd, path, (uint64_t)info.st_size);
  close(fd);
  if (unlink(path) != 0 && status == TW_OK) status = tw_fail(TW_ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
  return status == TW_OK ? tw_sync_folder_of(path) : status;
}

bool tw_file_wipe_begun(const char *path) {
  uint64_t first = 1;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  bool zeros = read(fd, &first, sizeof first) == sizeof first && first == 0;
  close(fd);
  return zeros;
}
