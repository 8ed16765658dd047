// Memory of a session: each tensor's storage, and blocks from which it and the gates' scratch memory are taken.
#ifndef TW_SESSION_MEMORY_H
#define TW_SESSION_MEMORY_H

#include "jobs/program/program.h"

// A tensor's storage, batch * n elements (or batch * planes * words of 64 bits). What each role keeps in it:
// clang-format off
//   party     WIRE                 value = the opened X^;      mask[party] = its r_b
//   party     BITWIRE              value = the opened planes;  mask[party] = its m_b
//   party     SHARE, BITS, ONEHOT  value = its own share
//   dealer    WIRE                 mask[0], mask[1] = r_0, r_1
//   dealer    BITWIRE              mask[0], mask[1] = m_0, m_1
//   dealer    ONEHOT               sign = plane of the looked-up digit's signs: 1 where it is +1
//   emulator  all                  as the dealer; and value = the true value of WIRE, SHARE, BITS and BITWIRE
// clang-format on
typedef struct {
  uint64_t *value, *mask[2];
  uint64_t *sign;
} tw_buffer;

// Memory that the caller provides for all of a session; its owner wipes and releases it.
typedef struct {
  void *memory;  // backend memory; NULL: the session takes blocks from the backend
  size_t bytes;
  bool late;  // blocks are reused as late as can be, not as few taken as can be
} tw_arena;
static inline size_t tw_arena_rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }

typedef struct tw_memory_block tw_memory_block;

typedef struct {
  tw_buffer *buffers;  // by tensor
  tw_arena arena;
  size_t arena_used;
  tw_memory_block *blocks, *scratch;  // all; those that a gate gives back
  tw_memory_block **by_address;       // buckets of all
  tw_memory_block **unused;           // those to be had again, by size
  size_t bytes_held;                  // of all blocks
} tw_session_memory;

size_t tw_words_of(const tw_session *s, int id);                    // u64 words of one sequence's part of the tensor
tw_status tw_make_value(tw_session *s, int id);                     // allocate value
tw_status tw_make_mask(tw_session *s, int id, int side);            // allocate mask
tw_status tw_scratch(tw_session *s, size_t words, uint64_t **out);  // lives until the gate ends
tw_status tw_keep(tw_session *s, size_t words, uint64_t **out);     // lives until the session is destroyed
// Enqueues zeros over all that the session has taken, so that a walk leaves nothing; only between two whole walks.
tw_status tw_session_wipe(tw_session *s);

#endif
