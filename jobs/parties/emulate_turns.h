// The emulator on a run that goes on behind others of a conversation.
#ifndef TW_EMULATE_TURNS_H
#define TW_EMULATE_TURNS_H

#include "jobs/parties/emulate.h"

// tw_emulate of an input's run in `slots`. Where the input is a later turn's, the turns before it are emulated first,
// from NAME.input.h5, NAME.result.p0.h5 and .p1.h5 of each. TW_ERR_MISMATCH: one of these is of another turn or plan.
tw_status tw_emulate_turns(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                           const uint64_t *slots, uint64_t test_seed, tw_emulation *out);

#endif
