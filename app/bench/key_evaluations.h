// Evaluations of keys of point functions as a benchmark of their own: a threshold for each key, from words that lie in
// the backend's memory, and on a GPU from packed words that come from the host meanwhile.
#ifndef TW_KEY_EVALUATIONS_H
#define TW_KEY_EVALUATIONS_H

#include "jobs/program/timed_backend.h"

typedef struct tw_key_evaluations tw_key_evaluations;

// Keys of 20 bits: random words, which take as long as any. random: host memory to fill them from.
tw_status tw_key_evaluations_make(const tw_backend *backend, bool on_device, void *stream, const uint8_t *random,
                                  size_t random_bytes, tw_key_evaluations **out);
// What can be timed: "thresholds" of resident keys; on a GPU "key copy" of packed words from page-locked memory, and
// "key stream", the same with everything that is done by them: unpacked and evaluated while the next ones are copied.
enum { TW_EVALUATION_CALLS = 3 };
int tw_key_evaluations_calls(tw_key_evaluations *e, tw_timed_call calls[TW_EVALUATION_CALLS]);
void tw_key_evaluations_free(tw_key_evaluations *e);

#endif
