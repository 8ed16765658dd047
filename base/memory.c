#define _GNU_SOURCE
#include "base/memory.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum {
  PAGE = 4096,
  LEFT_FOR_SEEDS = 32 << 10,  // shares are locked only where this much can be locked as well
  STACK_DEPTH = 256 << 10     // no function that meets a seed or a share lies deeper below main
};

static atomic_bool may_be_unlocked, stack_unlocked;
static atomic_size_t seeds_unlocked, shares_unlocked;

static size_t rounded(size_t bytes, size_t unit) { return bytes ? (bytes + unit - 1) / unit * unit : unit; }

static tw_status out_of_memory(size_t bytes) {
  return tw_fail(TW_ERR_MEMORY, "out of memory: %zu bytes; use a smaller batch or sequence length", bytes);
}

tw_status tw_alloc(size_t bytes, void **out) {
  size_t size = rounded(bytes, 64);
  *out = aligned_alloc(64, size);
  if (!*out) return out_of_memory(bytes);
  memset(*out, 0, size);
  return TW_OK;
}

void tw_free(void *p) { free(p); }

tw_status tw_grow(void **list, size_t *room, size_t need, size_t size) {
  if (need <= *room) return TW_OK;
  size_t wanted = need + need / 2 + 16;
  void *larger = wanted > SIZE_MAX / size ? NULL : realloc(*list, wanted * size);
  if (!larger) return tw_fail(TW_ERR_MEMORY, "out of memory for a list of %zu entries", wanted);
  *list = larger;
  *room = wanted;
  return TW_OK;
}

tw_status tw_secret_alloc(size_t bytes, void **out) {
  size_t size = rounded(bytes, PAGE);
  *out = aligned_alloc(PAGE, size);
  if (!*out) return out_of_memory(bytes);
  memset(*out, 0, size);
  madvise(*out, size, MADV_DONTDUMP);  // best effort; core files are off as well
  return TW_OK;
}

void tw_secret_free(void *p, size_t bytes) {
  if (!p) return;
  tw_wipe(p, bytes);
  madvise(p, rounded(bytes, PAGE), MADV_DODUMP);
  free(p);
}

// ---- locked pages

static void *map(size_t bytes) {
  void *p = mmap(NULL, rounded(bytes, PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t bytes) {
  if (!p) return;
  tw_wipe(p, bytes);
  munmap(p, rounded(bytes, PAGE));
}

// Out of dumps in any case; true when locked, too.
static bool lock(void *p, size_t bytes) { return sodium_mlock(p, rounded(bytes, PAGE)) == 0; }

tw_status tw_seeds_elsewhere(size_t bytes, bool locked) {
  struct rlimit limit = {0, 0};
  if (locked && !stack_unlocked) return TW_OK;
  if (may_be_unlocked) {
    seeds_unlocked += bytes;
    return TW_OK;
  }
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return tw_fail(TW_ERR_MEMORY,
                 "%zu bytes of seeds%s cannot be locked in memory: the limit (`ulimit -l`) is %llu kB; raise it, or "
                 "say --allow-unlocked where swap is off or encrypted",
                 bytes, stack_unlocked ? ", and the stack," : "", (unsigned long long)limit.rlim_cur / 1024);
}

tw_status tw_seed_alloc(size_t bytes, void **out) {
  *out = map(bytes);
  if (!*out) return out_of_memory(bytes);
  tw_status status = tw_seeds_elsewhere(bytes, lock(*out, bytes));
  if (status == TW_OK) return TW_OK;
  unmap(*out, bytes);
  *out = NULL;
  return status;
}

void tw_seed_free(void *p, size_t bytes) { unmap(p, bytes); }

static bool room_for_seeds(void) {
  void *probe = map(LEFT_FOR_SEEDS);
  bool room = probe && mlock(probe, LEFT_FOR_SEEDS) == 0;
  if (probe) munmap(probe, LEFT_FOR_SEEDS);
  return room;
}

tw_status tw_share_alloc(size_t bytes, void **out) {
  *out = map(bytes);
  if (!*out) return out_of_memory(bytes);
  bool locked = lock(*out, bytes);
  if (locked && room_for_seeds()) return TW_OK;
  if (locked) munlock(*out, rounded(bytes, PAGE));
  shares_unlocked += bytes;
  return TW_OK;
}

void tw_share_free(void *p, size_t bytes) { unmap(p, bytes); }

void tw_seeds_may_be_unlocked(void) { may_be_unlocked = true; }

tw_unlocked tw_memory_unlocked(void) { return (tw_unlocked){seeds_unlocked, shares_unlocked}; }

// ---- overwriting, dumps

void tw_wipe(void *p, size_t bytes) {
  if (p && bytes) sodium_memzero(p, bytes);
}

void tw_wipe_stack(void) { sodium_stackzero(STACK_DEPTH / 4); }

void tw_hide_stack(void) {
  char *here = __builtin_frame_address(0), *end = here + PAGE - (uintptr_t)here % PAGE;
  sodium_stackzero(STACK_DEPTH);  // it must be there to be locked
  madvise(end - STACK_DEPTH, STACK_DEPTH, MADV_DONTDUMP);
  stack_unlocked = mlock(end - STACK_DEPTH, STACK_DEPTH) != 0;
}

tw_status tw_thread_stack_hide(void) {
  char *here = __builtin_frame_address(0), *end = here + PAGE - (uintptr_t)here % PAGE;
  sodium_stackzero(STACK_DEPTH);
  madvise(end - STACK_DEPTH, STACK_DEPTH, MADV_DONTDUMP);
  return tw_seeds_elsewhere(STACK_DEPTH, mlock(end - STACK_DEPTH, STACK_DEPTH) == 0);
}

void tw_thread_stack_forget(void) {
  char *here = __builtin_frame_address(0), *end = here + PAGE - (uintptr_t)here % PAGE;
  sodium_stackzero(STACK_DEPTH);
  madvise(end - STACK_DEPTH, STACK_DEPTH, MADV_DODUMP);
  munlock(end - STACK_DEPTH, STACK_DEPTH);
}

void tw_no_core_dumps(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void tw_not_dumpable(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
