// The client's split of an input, from memory to the parties' two files.
#ifndef TW_SHARE_INPUT_H
#define TW_SHARE_INPUT_H

#include "io/client.h"

// For NAME.plan.json and NAME.model.json: writes NAME.input.p0.h5 and NAME.input.p1.h5, both or none. force: files that
// are there are replaced, else they are TW_ERR_IO. *input_id: of the shares.
tw_status tw_share_input_files(const char *name, const tw_input *input, bool force, tw_id *input_id);

#endif
