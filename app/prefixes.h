// The prefix of a plan, from what the owner gives.
#ifndef TW_APP_PREFIXES_H
#define TW_APP_PREFIXES_H

#include "io/client.h"
#include "io/prefix.h"
#include "jobs/plan/plan.h"

// FILE of `plan --prefix`: text, byte for byte, or a JSON list of token ids where its name ends in .json. An earlier
// NAME.prefix.json with the same tokens keeps its salt, so that a share of the model stays good. Free with
// tw_prefix_free.
tw_status tw_prefix_given(const char *name, const char *file, tw_prefix *out);

#endif
