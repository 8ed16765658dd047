// A session walks a finished program in one role over a batch of sequences. One walk, three roles: dealer (both seeds,
// no values), party (own seed, shares and opened values), emulator (both seeds and values).
//
// session_config.h       what the caller says
// session_memory.h       tensors' storage
// session_corrections.h  what the dealer gives and a party takes
// opener.h               who opens values
// this file              the session, the calls of its driver, and what gates read
#ifndef TW_SESSION_H
#define TW_SESSION_H

#include "jobs/program/session_config.h"

// Where the walk is.
typedef struct {
  int next_op;      // while gates run: the first of their level
  int running;      // the gate that runs
  int level_start;  // the first gate of the level that was walked last
  bool opening;     // party: that level queued openings
} tw_walk;

// A party's work before its input, and what is left of it.
typedef struct {
  bool keep_masks;
  const tw_fan *fan;
  bool running;         // the session prepares now
  uint64_t **products;  // by op: K_b of a weight product
  bool *joined;         // by op: its product has been prepared with an earlier gate's
  int end;              // kept masks: those of gates before this one are there
  int drawn_to;         // kept masks of openings before this gate have been drawn
  size_t slice_work;    // multiply-adds of a slice (0: whole products)
  size_t columns_done;  // of the product that is prepared in slices now
} tw_session_preparation;

// Another session that prepares for this one (preparation.h).
typedef struct {
  // Called before gate number `op`. When it returns, the gate's preparation has been done or stands before it on the
  // stream.
  tw_status (*need)(void *state, int op);
  // Called while nothing else can be done; *more: it may be called again. NULL: nothing is left.
  tw_status (*idle)(void *state, bool *more);
  void *state;
} tw_preparer;

// Of chains in this walk: how many of a sequence have been run, and rounds one behind the other in them.
typedef struct {
  uint64_t chains, rounds;
} tw_chain_counts;

// Emulator: values met outside what a gate can hold, live halves only.
typedef struct {
  uint64_t count;
  int first_op;  // -1: none
} tw_bound_misses;

struct tw_session {
  // who walks what, and where work goes now; gates read these
  const tw_program *program;
  tw_role role;
  int party;
  int batch;
  const tw_backend *backend;
  void *stream;
  // from the configuration
  tw_weights weights;
  tw_batch_place place;
  tw_sequences sequences;
  tw_program_copies copies;
  tw_opener opener;
  tw_observers observers;
  // state
  tw_session_corrections corrections;
  tw_session_memory memory;
  tw_session_preparation preparation;
  tw_preparer preparer;
  tw_chain_runner chains;
  tw_chain_counts chained;
  tw_walk walk;
  const tw_lanes *lanes;  // NULL: all gates are on the stream
  bool keeps;             // what gates have used is not given to others now
  bool silent;            // the walk computes nothing: gates ask for memory (dry_run.c)
  tw_bound_misses misses;
  double *step_seconds;  // by step of the program
  uint8_t *drawn;        // debug builds: role of each use id
};

// TW_ERR_INTERNAL for an unfinished program, TW_ERR_MEMORY. The session may be destroyed in either case.
tw_status tw_session_create(const tw_session_config *config, tw_session *s);
void tw_session_destroy(tw_session *s);  // wipes

// ---- preparation

// A party's work before its input: masks and weight-product pads.
tw_status tw_session_prepare(tw_session *s);
// The same for the gates before `end` that are not prepared yet. The session does nothing else.
tw_status tw_session_prepare_to(tw_session *s, int end);
// CPU: the next gate; of its product only a slice of about this many multiply-adds.
tw_status tw_session_prepare_slice(tw_session *s, size_t work);
// Where masks are kept: the masks of openings before `end`, many at a time.
tw_status tw_session_draw_to(tw_session *s, int end);

// Take all memory that the online phase will ask for; nothing is computed. After preparation.
tw_status tw_session_reserve(tw_session *s);
// Bytes for such a session, without taking any. Another session does the other part.
typedef enum { TW_FORECAST_ONLINE, TW_FORECAST_PREPARATION } tw_forecast;
typedef struct {
  size_t arena;
  size_t products;  // what the backend takes besides, on each stream that weight products run on
} tw_session_room;
tw_status tw_session_forecast(const tw_session_config *like, tw_forecast part, tw_session_room *room);

// ---- the walk

// Back to the program's beginning, for another input with other keys.
void tw_session_rewind(tw_session *s);
// One resumable step: the gates of a level. *done when the program has ended. What the level opens (s->walk.opening)
// must have been opened before the next step. The driver sees to that, and says so by tw_session_opened.
tw_status tw_session_level(tw_session *s, bool *done);
void tw_session_opened(tw_session *s);
// Levels and flushes to the end.
tw_status tw_session_run(tw_session *s);
// Every level once, with a flush after each, whatever is pending (tw_session_reserve).
tw_status tw_session_walk_levels(tw_session *s);

// ---- for gates

static inline const tw_tensor *tw_t(const tw_session *s, int id) { return &s->program->tensors[id]; }
static inline tw_buffer *tw_b(const tw_session *s, int id) { return &s->memory.buffers[id]; }

// Party: the corrections that tw_take_later described, for kernels that apply them.
static inline const tw_correction_args *tw_taken(const tw_session *s) { return s->corrections.taken; }
// Dealer: a party's packed parts of the gate's corrections, after the last tw_give.
static inline const uint64_t *tw_given(const tw_session *s, int party) { return s->corrections.packed[party]; }

// Mask stream of an opening: fills mask[side] of out[0].
tw_status tw_draw_mask(tw_session *s, const tw_op *op, int side);
// Pad of correction c of side for one sequence: ring elements, or whole planes (bits). Host memory.
void tw_draw_pad(tw_session *s, const tw_correction *c, int side, int batch_index, uint64_t *out);

// The gate's tokens, which begin at argument `at`, with the counts of the batch.
static inline tw_liveness tw_live(const tw_session *s, const tw_op *op, int at) {
  const int *counts[] = {s->sequences.lengths, s->sequences.earlier, s->sequences.tokens};
  int64_t last = op->arg[at + 3];
  return (tw_liveness){counts[last >> 48],   (int)op->arg[at], (int)op->arg[at + 1],
                       (int)op->arg[at + 2], last & 1,         (int)(last >> 1 & INT32_MAX)};
}

// The same pads of all sequences at once, in backend memory: ring elements [batch][n].
tw_status tw_draw_pads(tw_session *s, const tw_correction *c, int side, uint64_t *out);
// They are a party's root seeds of keys of point functions, where c, being common, needs no pad. Scratch.
tw_status tw_draw_roots(tw_session *s, const tw_correction *c, int side, uint64_t **out);

// This op's list, and a table of the program, in backend memory.
static inline const int64_t *tw_list(const tw_session *s, const tw_op *op) { return s->copies.pool + op->list; }
static inline const uint64_t *tw_table_values(const tw_session *s, int table) {
  return s->copies.tables ? s->copies.tables[table] : s->program->tables[table].values;
}
static inline int tw_whole_batch(const tw_session *s) { return s->place.total_batch ? s->place.total_batch : s->batch; }
// All ones on party 1, else 0: the party that counts public values into its shares.
static inline uint64_t tw_one(const tw_session *s) { return s->role == TW_PARTY && s->party ? ~0ull : 0; }

// Emulator: note a value outside the gate's domain (|x| >= 2^bits).
void tw_out_of_bound(tw_session *s, const tw_op *op);

static inline int64_t tw_signed(uint64_t x, int ring) {
  return ring >= 64 ? (int64_t)x : (int64_t)(x << (64 - ring)) >> (64 - ring);
}

#endif
