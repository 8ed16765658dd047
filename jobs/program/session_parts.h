// What the files of the session (session*.c) share; jobs/program/session.h is what others call.
#ifndef TW_SESSION_PARTS_H
#define TW_SESSION_PARTS_H

#include "jobs/program/session.h"

// ---- session.c
tw_status tw_session_run_op(tw_session *s, int index);  // or what is to be prepared of it; releases what has been used
void tw_session_release_inputs(tw_session *s, int index);  // of that gate, where nobody reads them after it

void tw_session_release_after(tw_session *s, int index);  // what the gate was the last to use

// ---- session_lanes.c
tw_status tw_session_run_gates(tw_session *s, int from, int to);  // of one level

// ---- session_streams.c
// The stream of an opening's mask, and memory for it.
tw_status tw_session_describe_draw(tw_session *s, const tw_op *op, int side, tw_draw_args *out);
// Debug builds abort when a stream is drawn in a second role (docs/security.md, R1). role: 1 mask, 2 pad.
void tw_session_note_stream(tw_session *s, uint32_t use, uint8_t role);

// ---- session_memory.c
void tw_session_release_tensor(tw_session *s, int id);
void tw_session_release_scratch(tw_session *s);
void tw_session_release_blocks(tw_session *s);

#endif
