// What an engine records of its online phases, when asked to: the parts' gates, the messages they wait for, and keys on
// their way. On the CPU by the clock; on a GPU by timers on the streams, which stay part of a recorded graph, and are
// read when the stream has ended. An engine that does not trace calls nothing of this.
#ifndef TW_ENGINE_TRACE_H
#define TW_ENGINE_TRACE_H

#include "base/trace.h"
#include "jobs/keys/key_source.h"
#include "jobs/program/preparation.h"
#include "jobs/program/session.h"

typedef struct tw_engine_trace tw_engine_trace;

// streams: one a part, for a GPU; NULL on the CPU. room: spans of one online phase, openings not counted; messages: of
// one, at most.
tw_status tw_engine_trace_create(const tw_program *program, int parts, void *const *streams, size_t room,
                                 size_t messages, tw_engine_trace **out);
// Most openings of one online phase, level by level.
static inline size_t tw_engine_trace_messages(const tw_program *p) { return TW_HALVES * ((size_t)p->levels + 1); }
void tw_engine_trace_destroy(tw_engine_trace *t);
tw_trace *tw_engine_trace_spans(tw_engine_trace *t);

// An online phase begins. GPU: enqueued on the first stream, which the others follow.
tw_status tw_engine_trace_begin(tw_engine_trace *t);
void *tw_engine_trace_origin(const tw_engine_trace *t);  // GPU: the timer of the beginning
// CPU: it has ended. GPU: its streams have; spans of the openings are added.
tw_status tw_engine_trace_end(tw_engine_trace *t);

// The part's opener with its messages recorded, from the moment one leaves to the moment the part has what it opened.
tw_opener tw_engine_trace_opener(tw_engine_trace *t, tw_opener opener);
// CPU: record the part's gates (a session's mark), preparation beside, and, of keys in a file, every chunk that is
// read and checked.
tw_observers tw_engine_trace_observers(tw_engine_trace *t, int part);
void tw_engine_trace_preparation(tw_engine_trace *t, tw_preparation *a);
tw_key_source tw_engine_trace_keys(tw_engine_trace *t, const tw_key_source *source, int first_of_second_part);

#endif
