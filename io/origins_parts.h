// Origins in a file. Internal to io/.
#ifndef TW_ORIGINS_PARTS_H
#define TW_ORIGINS_PARTS_H

#include "io/h5.h"
#include "io/origins.h"

// Datasets text_numbers, lines and ids, as far as there is something. What was read is freed by the caller, also after
// a failure.
tw_status tw_origins_put(tw_h5 *f, int count, const tw_origins *origins);
tw_status tw_origins_get(const tw_h5 *f, int count, tw_origins *out);

#endif
