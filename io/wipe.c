#define _GNU_SOURCE
#include "io/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"

static tw_status overwrite(int fd, const char *path, uint64_t bytes) {
  enum { PART = 1 << 20 };
  void *zeros;
  TW_TRY(tw_alloc(PART, &zeros));
  bool written = true;
  for (uint64_t at = 0; at < bytes && written; at += PART) {
    size_t n = bytes - at < PART ? (size_t)(bytes - at) : PART;
    written = pwrite(fd, zeros, n, (off_t)at) == (ssize_t)n;
  }
  if (written) written = fsync(fd) == 0;
  int error = errno;
  tw_free(zeros);
  return written ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot overwrite: %s; remove it", path, strerror(error));
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
