#define _GNU_SOURCE
#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { LOCKED_AT_MOST = 16 << 10 };  // bytes of a block that holds seeds rather than shares

static size_t rounded(size_t bytes, size_t unit) { return bytes ? (bytes + unit - 1) / unit * unit : unit; }

tw_status tw_alloc(size_t bytes, void **out) {
  size_t size = rounded(bytes, 64);
  *out = aligned_alloc(64, size);
  if (!*out) return tw_fail(TW_ERR_MEMORY, "out of memory: %zu bytes; use a smaller batch or sequence length", bytes);
  memset(*out, 0, size);
  return TW_OK;
}

void tw_free(void *p) { free(p); }

tw_status tw_secret_alloc(size_t bytes, void **out) {
  size_t size = rounded(bytes, 4096);
  *out = aligned_alloc(4096, size);
  if (!*out) return tw_fail(TW_ERR_MEMORY, "out of memory: %zu bytes; use a smaller batch or sequence length", bytes);
  memset(*out, 0, size);
  madvise(*out, size, MADV_DONTDUMP);             // best effort; core files are off as well
  if (size <= LOCKED_AT_MOST) mlock(*out, size);  // best effort: seeds stay out of swap
  return TW_OK;
}

void tw_secret_free(void *p, size_t bytes) {
  if (!p) return;
  tw_wipe(p, bytes);
  if (rounded(bytes, 4096) <= LOCKED_AT_MOST) munlock(p, rounded(bytes, 4096));
  madvise(p, rounded(bytes, 4096), MADV_DODUMP);
  free(p);
}

void tw_wipe(void *p, size_t bytes) {
  if (p && bytes) sodium_memzero(p, bytes);
}

void tw_no_core_dumps(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}
