// Corrections of a session: the dealer gives them gate by gate, a party takes them in the same order.
#ifndef TW_SESSION_CORRECTIONS_H
#define TW_SESSION_CORRECTIONS_H

#include "jobs/program/program.h"
#include "kernels/backend.h"

// Where a party's corrections come from, in order of use. `read` copies bytes into host memory. `window` leaves them
// where they are in the backend's memory, in order of the session's stream; NULL: there is only `read`. `shares` gives
// in their place the party's shares of a gate's correction number i, expanded; else NULL. `reach` has the session's
// stream wait for the next `bytes` of a sequence, so that windows of them may be read by other streams that wait for
// it; *there: it could. NULL: they are there. `window_at` is a window from any byte of the slot on, in any order; NULL:
// there is only one order. aside: in order of the source's other stream instead, where it has one.
typedef struct {
  tw_status (*read)(void *state, int batch_index, void *dst, size_t bytes);
  void *state;
  tw_status (*window)(void *state, int batch_index, size_t bytes, const uint8_t **packed);
  tw_status (*shares)(void *state, const tw_op *op, int i, uint64_t *out);
  tw_status (*reach)(void *state, size_t bytes, bool *there);
  tw_status (*window_at)(void *state, int batch_index, uint64_t offset, size_t bytes, bool aside,
                         const uint8_t **packed);
} tw_correction_reader;

// Memory for parts that are taken one behind the other and stay. memory: its address may mean nothing while a session
// only asks for memory; used: words, rounded up part by part.
typedef struct {
  uint64_t *memory;
  size_t words, used;
} tw_correction_room;

// Where one party's parts of the corrections go, in order of use: bytes in backend memory, written in order of the
// stream.
typedef struct {
  tw_status (*append)(void *state, const void *data, size_t bytes);
  void *state;
} tw_sink;

// What a session knows of corrections: both ends given by its caller, and the running gate's own.
typedef struct {
  tw_correction_reader source;  // party
  tw_sink sink[2];              // dealer
  uint8_t *dealt[2];  // dealer: each party's whole slot in backend memory; NULL: a gate's parts live until its sink
                      // has them
  tw_correction_args taken[TW_MAX_CORRECTIONS];  // party: the running gate's, for kernels that apply them
  const uint64_t *given[TW_MAX_CORRECTIONS];     // dealer: the running gate's values
  const uint64_t *packed[2];                     // dealer: both parties' packed parts of them
  tw_correction_room *room;                      // party: where parts lie; NULL: they live until the gate ends
} tw_session_corrections;

// ---- For gates. `part` has a place for every number of the gate's declaration (tw_emit_dealt); NULL: nothing is dealt
// under that number. A part is [n] words, or [planes][words of n]; at a party [batch] of them.

// Dealer: memory for all parts, until the gate ends.
tw_status tw_dealt_memory(tw_session *s, const tw_op *op, uint64_t **part);
// Dealer: the parts' values (backend memory that lives until the gate ends). What each party reads of them is packed
// and handed out; it begins at tw_given(s, party).
tw_status tw_give(tw_session *s, const tw_op *op, uint64_t *const *part);
// Party: its shares of all parts, of a common one the values.
tw_status tw_take(tw_session *s, const tw_op *op, uint64_t **part);
// The same, of a gate with one part, into memory of the gate.
tw_status tw_take_into(tw_session *s, const tw_op *op, uint64_t *memory);
// Where the parts will be, for the backend's gates that apply their corrections (tw_taken) themselves.
tw_status tw_take_later(tw_session *s, const tw_op *op, uint64_t **part);

#endif
