// Which paths are written sealed (tw_seal_path), for whoever writes files. Internal to io/.
#ifndef TW_SEAL_PATHS_H
#define TW_SEAL_PATHS_H

#include "io/seal.h"

typedef struct {
  char *path;
  const tw_site *site;
  const tw_peer *recipient;
  tw_seal_about about;  // set by the writer of an HDF5 file, before it begins its output
} tw_seal_target;

// NULL: the path is written as it is.
tw_seal_target *tw_seal_target_of(const char *path);

#endif
