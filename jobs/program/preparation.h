// Preparation by a session of its own (masks on a GPU, products K_b), which needs no input: all of it at once, or
// beside the online work - on the CPU while a message is awaited, on a GPU on a stream of its own, a stretch of the
// program (a layer; at its beginning less) ahead of the gates. It prepares for the whole batch, of which each online
// session takes the part of its sequences.
#ifndef TW_PREPARATION_H
#define TW_PREPARATION_H

#include "jobs/program/session.h"

typedef struct {
  tw_session session;
  bool open;
  tw_arena arena;                            // all of the session's memory
  size_t product_bytes;                      // foreseen besides, on each stream with weight products
  uint64_t beside;                           // products prepared beside the online work
  tw_status (*mark)(void *state, int step);  // work of this step follows (-1: none for now); may be NULL
  void *mark_state;
  // GPU: stretches that are enqueued beside the online work
  void *stream;
  int stretches, *ends;  // the gate behind each
  void **done;           // events
} tw_preparation;

typedef struct {
  tw_preparation *from;
  tw_session *online;  // that takes what is prepared
  int waited;          // GPU: stretches for which it has waited
} tw_taker;

// like: the session of the whole batch. Sets the bytes that its preparation needs.
tw_status tw_preparation_forecast(tw_preparation *a, const tw_session_config *like);
// Allocates the arena on the first call, and creates the session that prepares.
tw_status tw_preparation_create(tw_preparation *a, const tw_session_config *like);
void tw_preparation_destroy(tw_preparation *a);  // all but the arena, which the caller releases

// The online session takes what is prepared from here, and what is left is prepared in its waits (CPU). GPU: after a
// first preparation; from then on memory stays.
void tw_preparation_attach(tw_preparation *a, tw_session *online, tw_taker *taker);

void tw_preparation_rewind(tw_preparation *a);       // for another job
tw_status tw_preparation_finish(tw_preparation *a);  // what is still to be prepared, on the session's stream

// GPU, beside the online work: all stretches are enqueued, on `stream`, before it is.
tw_status tw_preparation_cut(tw_preparation *a, void *stream);
tw_status tw_preparation_enqueue(tw_preparation *a, int stretch);

#endif
