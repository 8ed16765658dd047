// The owner's split of a model, from file to files.
#ifndef TW_SHARE_MODEL_H
#define TW_SHARE_MODEL_H

#include "io/model.h"

// NAME.model.h5 into NAME.model.p0.h5, NAME.model.p1.h5, NAME.model.dealer.h5 and NAME.model.json, all or none, with
// fresh OS-random mask seeds. A stream: a part of one tensor is in memory at a time. force: files that are there are
// replaced, else they are TW_ERR_IO. endings: what is put behind the names of party 0's, party 1's and the dealer's
// file, for files that the caller has sealed (tw_seal_path); NULL: nothing.
tw_status tw_share_model_files(const char *name, bool force, const char *const endings[3], tw_id *model_id);

#endif
