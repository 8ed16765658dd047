// Whether a result belongs to what lies beside it under the same NAME. Files stay when a later run fails: a result of
// an earlier input, model or plan must not pass for the new one's.
#ifndef TW_BESIDE_H
#define TW_BESIDE_H

#include <stdbool.h>

#include "base/status.h"
#include "io/ids.h"

// Compares with NAME.input.h5, OF.model.json and, unless plan is NULL, OF.plan.json (or one of its lengths), as far as
// they are there; TW_ERR_MISMATCH shows both ids. *with_input: the input was there.
tw_status tw_beside_check(const char *name, const char *of, const tw_id *input, const tw_id *model,
                          const tw_digest *plan, bool *with_input);

#endif
