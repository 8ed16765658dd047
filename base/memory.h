// Memory: checked allocation, 64-byte aligned buffers, and memory for secrets.
#ifndef TW_MEMORY_H
#define TW_MEMORY_H

#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// 64-byte aligned, zero-initialised; *out = NULL on failure. bytes may be 0.
tw_status tw_alloc(size_t bytes, void **out);
void tw_free(void *p);

// As tw_alloc, and kept out of core dumps where the system can (MADV_DONTDUMP); small blocks (seeds) also out of swap.
// tw_secret_free overwrites before it frees.
tw_status tw_secret_alloc(size_t bytes, void **out);
void tw_secret_free(void *p, size_t bytes);

// Overwrite; never optimised away.
void tw_wipe(void *p, size_t bytes);

// No core files from this process (RLIMIT_CORE 0). Call once from main.
void tw_no_core_dumps(void);

#ifdef __cplusplus
}
#endif

#endif
