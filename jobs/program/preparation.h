// Preparation by a session of its own (masks on a GPU, products K_b), which needs no input: all of it at once, or
// beside the online work - on the CPU while a message is awaited, on a GPU on a stream of its own, a stretch of the
// program (a layer; at its beginning less) ahead of the gates. It prepares for the whole batch, of which each online
// session takes the part of its sequences.
#ifndef TW_AHEAD_H
#define TW_AHEAD_H

#include "jobs/program/session.h"

typedef struct {
  tw_session session;
  bool open;
  void *arena;  // backend memory, all of the session's; its owner wipes
  size_t arena_bytes;
  uint64_t beside;                            // products prepared beside the online work
  tw_status (*mark)(void *state, int label);  // work of this label follows (-1: none for now); may be NULL
  void *mark_state;
  // GPU: stretches that are enqueued beside the online work
  void *stream;
  int stretches, *ends;  // the gate behind each
  void **done;           // events
} tw_ahead;

typedef struct {
  tw_ahead *from;
  tw_session *online;  // that takes what is prepared
  int waited;          // GPU: stretches for which it has waited
} tw_taker;

// like: the session of the whole batch, described. Bytes of memory that its preparation needs.
tw_status tw_ahead_forecast(tw_ahead *a, const tw_session *like);
// Takes it unless it has it, and opens the session that prepares.
tw_status tw_ahead_open(tw_ahead *a, const tw_session *like);
void tw_ahead_close(tw_ahead *a);  // but for the arena

// The online session takes what is prepared from here, and what is left is prepared in its waits (CPU). GPU: after a
// first preparation; from then on memory stays.
void tw_ahead_attach(tw_ahead *a, tw_session *online, tw_taker *taker);

void tw_ahead_rewind(tw_ahead *a);       // for another job
tw_status tw_ahead_finish(tw_ahead *a);  // what is still to be prepared, on the session's stream

// GPU, beside the online work: all stretches are enqueued, on `stream`, before it is.
tw_status tw_ahead_cut(tw_ahead *a, void *stream);
tw_status tw_ahead_enqueue(tw_ahead *a, int stretch);

#endif
