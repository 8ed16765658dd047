// Files whose bytes shall be gone with their names.
#ifndef TW_WIPE_H
#define TW_WIPE_H

#include <stdbool.h>

#include "base/status.h"

// Overwrites the file's bytes with zeros, on the disk, then removes it, also where it could not be overwritten. Not
// through a link. What the disk itself keeps elsewhere (a flash drive, snapshots, file systems that copy on write) it
// cannot reach. TW_ERR_IO.
tw_status tw_file_wipe(const char *path);
// Whether that was begun, by a process that died meanwhile: no file of twain's begins with zeros.
bool tw_file_wipe_begun(const char *path);

#endif
