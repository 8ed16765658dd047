// A program's lists: of equal ones, as a layer's and the next one's or a token's and the next one's, one is kept. So a
// text's lists stay few enough for a cache.
#ifndef TW_POOL_H
#define TW_POOL_H

#include "jobs/program/program.h"

// Where in the program's pool these values are; put there unless they are. count: at least 1. TW_ERR_MEMORY.
tw_status tw_pool_place(tw_program *p, const int64_t *values, size_t count, size_t *place);
// Forgets which lists there are; the pool stays.
void tw_pool_close(tw_program *p);

#endif
