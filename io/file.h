// Files written whole or not at all, and the checks every reader makes before it looks inside.
#ifndef TW_FILE_H
#define TW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// CRC-32C (Castagnoli; RFC 3720, appendix B.4). previous: 0, or the CRC of the bytes before these.
uint32_t tw_crc32c(uint32_t previous, const void *data, size_t bytes);

// TW_ERR_IO when `path` (or the partial file of an unfinished writer) exists, or its folder is not writable.
// Every writer makes this check; a command whose work is expensive makes it before it starts.
tw_status tw_file_check_new(const char *path);

// The same of a file that `force` may replace where it is there. TW_ERR_IO where it is no plain file, or an HDF5 file:
// what is replaced here are tables, and no file of twain's own.
tw_status tw_file_check_table(const char *path, bool force);

// TW_ERR_IO unless `path` is a readable regular file. maker: the command that writes such files, named when it is
// missing. secret: it must also belong to this user and be closed to group and world.
tw_status tw_file_check_readable(const char *path, const char *maker, bool secret);

// A file being written as PATH.partial, mode 0600.
typedef struct {
  int fd;
  uint64_t bytes;  // final size
  uint64_t plain;  // the same of what is written, less than that of a sealed file
  char *path, *partial;
  bool replace;              // an existing PATH, in one step
  struct tw_sealer *sealer;  // of a path that is written sealed (tw_seal_path)
} tw_output;

// Reserves `bytes` on the disk where the file system can; TW_ERR_IO tells needed and free bytes when there is no room.
tw_status tw_output_begin(tw_output *out, const char *path, uint64_t bytes);
// The same long before the file is written: PATH.partial is this process's from here to commit or abort, and `bytes`,
// an upper bound, are really taken on the disk. Another process that is writing the same file is TW_ERR_IO; what a
// process that is gone left unfinished is taken over where flock tells, else TW_ERR_IO. replace: PATH may exist, and is
// there unchanged until commit puts the new file in its place, so that at no time a copy of it lies about.
tw_status tw_output_claim(tw_output *out, const char *path, uint64_t bytes, bool replace);
// The final size, known when the file is written.
tw_status tw_output_resize(tw_output *out, uint64_t bytes);
// what: name of the dataset, for messages. Of a sealed file: bytes and offset of the plain one; each byte once.
tw_status tw_output_write(tw_output *out, const char *what, const void *data, size_t bytes, uint64_t offset);
// All that was written is on the disk.
tw_status tw_output_sync(tw_output *out);
// fsync, rename, fsync of the folder. Ends `out`; on failure neither the file nor its partial remains.
tw_status tw_output_commit(tw_output *out);
void tw_output_abort(tw_output *out);

// pread of exactly `bytes`; TW_ERR_FORMAT when the file ends before.
tw_status tw_read_at(int fd, const char *path, const char *what, void *data, size_t bytes, uint64_t offset);

// The folder that holds `path`; room for PATH_MAX bytes.
tw_status tw_folder_of(const char *path, char *folder);
// fsync of it.
tw_status tw_sync_folder_of(const char *path);

#endif
