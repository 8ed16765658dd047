// The order of copies and gates when keys pass through a bounded memory (key_laps.h) on a way of their own, ahead of
// the gates. A batch has one or two parts whose gates take turns; each part's keys flow by themselves, on the same way.
//
// Work is enqueued, and runs later. A copy may overwrite what gates have read, so it waits for gates that were enqueued
// before it; and gates wait for copies that were enqueued before them. So nothing ever waits for work that is enqueued
// after it. The parties enqueue the same messages in the same order, and so cannot wait for each other in a circle.
#ifndef TW_KEY_FLOW_H
#define TW_KEY_FLOW_H

#include "jobs/keys/key_laps.h"
#include "jobs/program/opener.h"

// What the flow has others enqueue, in the order of the calls.
typedef struct {
  void *state;
  tw_status (*follow)(void *state, int part);           // later copies wait for what the part's gates have so far
  tw_status (*copy)(void *state, int part, int block);  // to their places: of all the part's sequences
  tw_status (*want)(void *state, int part, int block);  // the part's gates come to the block now
  tw_status (*wait)(void *state, int part, int block);  // the part's later gates wait for the copy
} tw_key_flow_calls;

// laps, starts and calls: the caller's, who keeps them.
typedef struct {
  const tw_key_laps *laps;
  const uint64_t *starts;  // of a slot's blocks; starts[blocks]: its end (tw_key_blocks)
  int blocks, parts;
  uint64_t lead;  // bytes of a slot that are copied ahead of the gates, while there is room
  int ahead;      // blocks of each part that are there before the job begins (tw_key_flow_ahead); 0: none
  const tw_key_flow_calls *calls;
  struct {
    uint64_t at;         // bytes that gates have taken
    int copied, waited;  // blocks
  } part[TW_HALVES];
} tw_key_flow;

// Whole blocks, of the first `bytes` of a slot, for which there is room before any gate has read.
int tw_key_flow_ahead(const tw_key_flow *f, uint64_t bytes);
// Copies of those that are to be ahead: the caller waits for them, and begins the job then.
tw_status tw_key_flow_copy_ahead(const tw_key_flow *f);
// A job begins: the first copies.
tw_status tw_key_flow_start(tw_key_flow *f);
// The part's gates wait now for the next `bytes`; *there: there is room for all of them.
tw_status tw_key_flow_reach(tw_key_flow *f, int part, uint64_t bytes, bool *there);
// The part's gates take the next `bytes` of each sequence, which lie at *place of its memory until they take more.
tw_status tw_key_flow_take(tw_key_flow *f, int part, uint64_t bytes, uint64_t *place);

// The copies of the slot's first `end` bytes are enqueued. One lap only.
tw_status tw_key_flow_copied(tw_key_flow *f, int part, uint64_t end);
// They take whatever they have not taken of the slot's first `end` bytes. One lap only: keys lie as in the slot.
tw_status tw_key_flow_to(tw_key_flow *f, int part, uint64_t end);

#endif
