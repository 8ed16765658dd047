// Changes inside an HDF5 file of twain's that leave the file sound to HDF5 and its checksums right, so that what is
// changed reaches the readers behind them.
#ifndef TW_FUZZ_H5_EDIT_H
#define TW_FUZZ_H5_EDIT_H

#include "tests/fuzz/fuzz.h"

// Each edit: what (one byte), which attribute or dataset (one byte), how. At most 8.
void h5_edit(const char *path, fuzz_bytes *edits);

#endif
