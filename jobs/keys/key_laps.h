// Where a slot's keys lie on their way to gates when the memory they pass through is smaller than the slot: they go
// round it, lap after lap. What gates take at once, a window, lies in one piece: a lap ends before the first window
// that does not fit behind the others. Positions only; who waits for whom is jobs/keys/key_flow.h.
#ifndef TW_KEY_LAPS_H
#define TW_KEY_LAPS_H

#include <stddef.h>

#include "jobs/program/program.h"

// A slot's windows, one behind the other from 0 on: window i ends at ends[i], the last one at slot_bytes.
typedef struct {
  uint64_t slot_bytes;
  uint64_t *ends;
  int count;
} tw_key_windows;

typedef struct {
  uint64_t room;     // bytes of the memory
  uint64_t *starts;  // of the laps, in the slot; starts[count]: the slot's end
  int count;
} tw_key_laps;

// The windows of a party's gates: a gate takes all its corrections at once. Free with tw_key_windows_free.
tw_status tw_key_windows_of(const tw_program *program, int party, tw_key_windows *out);
void tw_key_windows_free(tw_key_windows *w);

uint64_t tw_key_largest(const tw_key_windows *w);  // bytes
// Bytes for one sequence, when keys come in blocks of `block` bytes: `most`, or the whole slot if that is less; but no
// less than gates need to go on while the next keys come, which is twice the largest window and two blocks.
uint64_t tw_key_room(const tw_key_windows *w, uint64_t block, uint64_t most);

// TW_ERR_INTERNAL: a window does not fit in. Free with tw_key_laps_free.
tw_status tw_key_laps_create(const tw_key_windows *w, uint64_t room, tw_key_laps *out);
void tw_key_laps_free(tw_key_laps *l);

// The lap that holds byte `at` of the slot, and where in the memory that byte lies: as far from a multiple of 256 as in
// the slot.
int tw_key_lap(const tw_key_laps *l, uint64_t at);
uint64_t tw_key_place(const tw_key_laps *l, uint64_t at);
// How much of the slot gates must have read before its first `end` bytes may have been written.
uint64_t tw_key_read_before(const tw_key_laps *l, uint64_t end);

#endif
