// Memory: checked allocation, 64-byte aligned buffers, and memory for secrets.
//
// Three kinds of secrets, all kept out of core dumps where the system can (MADV_DONTDUMP) and overwritten before they
// are freed: seeds, which are always locked (never in swap) or refused; shares of an input, locked as far as the limit
// on locked memory (RLIMIT_MEMLOCK) goes; everything else, not locked.
#ifndef TW_MEMORY_H
#define TW_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// 64-byte aligned, zero-initialised; *out = NULL on failure. bytes may be 0.
tw_status tw_alloc(size_t bytes, void **out);
void tw_free(void *p);

// Room for `need` entries of `size` bytes in a list that grows; *room is how many it holds now. *list is NULL, or comes
// from here, from tw_alloc or from malloc; free it as that. New entries are not zeroed. Not for secrets: what was there
// is not overwritten. TW_ERR_MEMORY leaves the list as it was.
tw_status tw_grow(void **list, size_t *room, size_t need, size_t size);

// As tw_alloc; free with the same number of bytes.
tw_status tw_secret_alloc(size_t bytes, void **out);
void tw_secret_free(void *p, size_t bytes);

// Whole pages of their own. TW_ERR_MEMORY when they cannot be locked, unless tw_seeds_may_be_unlocked was called.
tw_status tw_seed_alloc(size_t bytes, void **out);
void tw_seed_free(void *p, size_t bytes);
// The same rule for seeds in a library's memory: TW_ERR_MEMORY unless it is locked, or may be unlocked.
tw_status tw_seeds_elsewhere(size_t bytes, bool locked);

// Whole pages of their own, locked if the limit leaves room for seeds as well.
tw_status tw_share_alloc(size_t bytes, void **out);
void tw_share_free(void *p, size_t bytes);

// Seeds that cannot be locked are accepted from here on (--allow-unlocked; TEST seeds, which are no secrets).
void tw_seeds_may_be_unlocked(void);
// Bytes of seeds and of shares that could not be locked so far.
typedef struct {
  size_t seeds, shares;
} tw_unlocked;
tw_unlocked tw_memory_unlocked(void);

// Overwrite; never optimised away.
void tw_wipe(void *p, size_t bytes);
// Overwrite what functions that have returned left on this thread's stack.
void tw_wipe_stack(void);
// What a cipher has on the stack while it works is a seed as well: the stack below the caller is kept out of dumps and
// locked, or tw_seed_alloc refuses. Once, from main.
void tw_hide_stack(void);
// The same for the stack of a thread that is not main, which calls both: hide, or TW_ERR_MEMORY as tw_seed_alloc; and
// in the end, from the same function, overwrite it and let it go.
tw_status tw_thread_stack_hide(void);
void tw_thread_stack_forget(void);

// No core files from this process (RLIMIT_CORE 0). Call once from main.
void tw_no_core_dumps(void);
// Also no core through a pipe, and no other process of this user reads the memory (PR_SET_DUMPABLE). Not for a party:
// MPI copies large messages straight from the other party's memory where both parties share a host.
void tw_not_dumpable(void);

#ifdef __cplusplus
}
#endif

#endif
