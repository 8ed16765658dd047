// Files of an earlier version that are carried over to this one (io/format.h): a party's model share, the dealer's file
// and the client's, whose owner may not have the model any more. Read whole and checked, then written anew.
#ifndef TW_UPGRADE_H
#define TW_UPGRADE_H

#include "base/status.h"

typedef struct tw_upgrade tw_upgrade;

// Version and format of an HDF5 file of twain's, of whatever kind and version. TW_ERR_FORMAT: it is none.
typedef struct {
  char format[64];
  int version;
} tw_file_version;
tw_status tw_file_version_read(const char *path, tw_file_version *out);

// The content of a file of version 1 .. TW_FORMAT_VERSION - 1, with all the checks of its reader. TW_ERR_FORMAT for a
// kind that is not carried over, with what to do instead. Free with tw_upgrade_free.
tw_status tw_upgrade_read(const char *path, tw_upgrade **out);
// The same content as a new file of this version, which must not be there yet.
tw_status tw_upgrade_write(const tw_upgrade *u, const char *path);
void tw_upgrade_free(tw_upgrade *u);  // wipes; may be NULL

#endif
