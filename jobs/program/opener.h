// The interface of whoever opens values: the host's collector (host_opener.h), or one that works on a device
// (jobs/engine/device_opener.h).
#ifndef TW_OPENER_H
#define TW_OPENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/opens.h"

enum { TW_HALVES = 2 };  // most parts of a batch that take turns

// One opening of one sequence. out = share + mask is sent; when the message is finished, out holds the opened value.
typedef struct {
  uint32_t use;    // stream of the mask
  uint32_t index;  // of its digest in the transcript: by opening in order of the program, then by sequence of the whole
                   // batch
  bool part;       // of the opening's rows only: add_digest brings what it gives of the digest
  uint64_t slot;
  bool bits;
  int width;  // ring bits, or planes
  size_t n, words;
  const uint64_t *share, *mask;  // backend memory
  uint64_t *out;                 // backend memory
} tw_open_request;

// Openings are queued by `open`. `start` sends what is queued and gives the message's number. After `finish`, later
// work of that half may read what the message opened.
typedef struct {
  tw_status (*open)(void *state, int half, const tw_open_request *request);
  void (*queued)(void *state, size_t *words, size_t *jobs);
  tw_status (*start)(void *state, tw_flush_reason reason, uint64_t *message);
  tw_status (*finish)(void *state, int half, uint64_t message);
  void *state;
  tw_status (*poll)(void *state);                  // after every gate, so that messages move; may be NULL
  bool (*arrived)(void *state, uint64_t message);  // finish would not wait; NULL: it never waits
  // What a part of an opening gives of its digest (kernels/digest.h); NULL: no parts.
  tw_status (*add_digest)(void *state, uint32_t index, uint64_t sum);
} tw_opener;

#endif
