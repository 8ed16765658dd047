// The two result files of one run, joined: a part of tw_reveal.
#ifndef TW_REVEAL_ONE_H
#define TW_REVEAL_ONE_H

#include "io/client.h"
#include "io/result.h"

// NAME's files, which are of the input OF.input.h5, or of `own`, those of its sequences that have one length.
tw_status tw_reveal_one(const char *name, const char *of, const char *model, const tw_input *own, tw_result *out,
                        bool *with_input);

#endif
