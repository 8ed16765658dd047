// NAME.input.h5 split between the parties: what `share --input` and `encode --share` do.
#ifndef TW_INPUT_SHARES_H
#define TW_INPUT_SHARES_H

#include "app/sealing.h"

// Of an input that has several lengths, two files for each. model: NULL is NAME.
tw_status tw_input_shares(const char *name, const char *model, const tw_sealing *sealing, bool force, bool quiet);

#endif
