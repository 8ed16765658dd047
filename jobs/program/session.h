// A session walks a finished program in one role over a batch of sequences. One walk, three roles:
// dealer (both seeds, no values), party (own seed, shares and opened values), clear (both seeds and values: the
// emulator).
#ifndef TW_SESSION_H
#define TW_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/opens.h"
#include "jobs/program/program.h"
#include "kernels/backend.h"

enum { TW_HALVES = 2 };  // most parts of a batch that take turns

typedef enum { TW_DEALER, TW_PARTY, TW_EMULATOR } tw_role;

// A tensor's storage, batch * n elements (or batch * planes * words): what the roles keep of it.
//   party   WIRE value = X^, mask[party] = r_b; SHARE, BITS, ONEHOT value = own share; BITWIRE value = opened,
//   mask[party] = m_b dealer  WIRE mask[0..1] = r_0, r_1; BITWIRE mask[0..1] = m_0, m_1; ONEHOT value = sign plane of
//   the looked-up digit clear   as the dealer, and WIRE, SHARE, BITS, BITWIRE value = the value itself
typedef struct {
  uint64_t *value, *mask[2];
  uint64_t *sign;  // ONEHOT of dealer and clear: bit 1 where the looked-up digit's sign is +1
} tw_buffer;

// Where a party's corrections come from: bytes in order of use, copied into host memory by `read`, or left where they
// are in the backend's memory, in order of the session's stream, by `window`.
typedef struct {
  tw_status (*read)(void *state, int batch_index, void *dst, size_t bytes);
  void *state;
  tw_status (*window)(void *state, int batch_index, size_t bytes, const uint8_t **packed);
} tw_correction_reader;

// One opening of one sequence: out = share + mask is sent; after the flush out holds the opened value (backend memory).
typedef struct {
  uint32_t use;
  uint32_t index;  // of its digest in the transcript: by opening in order of the program, then by sequence of the whole
                   // batch
  uint64_t slot;
  bool bits;
  int width;  // ring bits, or planes
  size_t n, words;
  const uint64_t *share, *mask;
  uint64_t *out;
} tw_open_request;

// Who opens: the host's collector (comm/opens.h), or one that works on a device. Openings are queued; start sends what
// is queued and gives the message's number; after finish, later work of that half may read what the message opened.
// arrived: finish would not wait; NULL: it never waits.
typedef struct {
  tw_status (*open)(void *state, int half, const tw_open_request *request);
  void (*queued)(void *state, size_t *words, size_t *jobs);
  tw_status (*start)(void *state, tw_flush_reason reason, uint64_t *message);
  tw_status (*finish)(void *state, int half, uint64_t message);
  void *state;
  tw_status (*poll)(void *state);  // after every gate, so that messages move; may be NULL
  bool (*arrived)(void *state, uint64_t message);
} tw_opener;

// Where one party's halves of the corrections go, in order of use: bytes in backend memory, written in order of the
// stream.
typedef struct {
  tw_status (*append)(void *state, const void *data, size_t bytes);
  void *state;
} tw_sink;

// Secret model tensors as each role sees them, by canonical index; entries are ring-64 integers.
typedef struct {
  int count;
  const size_t *rows, *cols;
  uint64_t *const *masked;      // party: W^
  void *const *masked_operand;  // party: matrices W^ as product operands (preparation)
  void *const *share_operand;   // party: V_b = b W^ - p_b as product operands (online)
  uint64_t *const *mask[2];     // dealer (vectors), clear: p_0, p_1; party: own side only
  void *const *mask_sum;        // dealer: matrices p_0 + p_1 as product operands
  uint64_t *const *value;       // clear: W
} tw_weights;

// Streams over which work is spread that can be done in any order. The first one goes on alone from join to fork.
enum { TW_FAN = 4 };
typedef struct {
  void *stream[TW_FAN];
  int count;
  bool products;  // also products; those of many rows fill a device alone, and take memory on every stream
  tw_status (*fork)(void *state);
  tw_status (*join)(void *state);
  void *state;
} tw_fan;

typedef struct tw_block tw_block;

struct tw_session {
  const tw_program *program;
  tw_role role;
  int party;  // party
  int batch;
  int half, first_sequence, total_batch;  // its place in the whole batch (total_batch 0: it is the whole)
  const tw_seed *seeds[2];                // [side][batch]; party: own side only
  const uint64_t *slots;                  // [batch]
  const int *lengths;                     // live tokens of each sequence (backend memory); NULL: all
  const uint64_t *input;                  // party: shares [batch][n]; clear: values (backend memory)
  tw_weights weights;
  const tw_backend *backend;  // NULL: the CPU
  void *stream;               // the backend's
  const tw_fan *fan;          // of preparation, where masks are kept; NULL: all is done on the stream
  tw_correction_reader source;
  tw_sink sink[2];
  uint8_t *dealt[2];  // dealer: each party's whole slot in backend memory; NULL: a gate's halves live until its sink
                      // has them
  tw_opens *opens;    // the host's collector, unless
  tw_opener opener;   // another is given
  // state
  const int64_t *pool;                           // the program's lists in backend memory
  const uint64_t **tables;                       // the program's tables in backend memory
  const uint64_t *backend_slots;                 // slots in backend memory
  tw_correction_args taken[TW_MAX_CORRECTIONS];  // the running gate's corrections
  const uint64_t *given[TW_MAX_CORRECTIONS];     // dealer: their values
  const uint64_t *packed[2];                     // dealer: both parties' packed halves of them
  tw_buffer *buffers;
  uint64_t **prepared;  // per op: K_b of a weight product
  bool keep_masks;      // set before opening: masks stay from preparation on, online work leaves them alone
  bool preparing;
  size_t slice_work, columns_done;  // multiply-adds of a slice (0: whole products); of the product being prepared
  // party, when another session prepares (jobs/program/preparation.h). need: called before gate number `op`; when it
  // returns, the gate's preparation has been done or stands before it on the stream. idle, NULL when there is nothing
  // left: called while nothing else can be done; *more: it may be called again.
  tw_status (*need)(void *state, int op);
  tw_status (*idle)(void *state, bool *more);
  void *preparation;
  int next_op, level_start, drawn_to;  // drawn_to: kept masks of openings before this gate have been drawn
  bool opening;                        // party: the last step queued openings
  size_t bytes_held;                   // by the pool
  uint8_t *arena;  // when given before opening: all memory comes from it (its owner wipes), none from the backend
  size_t arena_bytes, arena_used;
  tw_block *blocks, *scratch;
  double *step_seconds;    // per step
  uint64_t out_of_bound;   // clear: values met outside what a gate can hold, live halves only
  int first_out_of_bound;  // op
  tw_status (*watch)(void *state, tw_session *, const tw_op *);  // clear and party: called with every opened tensor
  void *watch_state;
  tw_status (*mark)(void *state,
                    int step);  // party, online: work of this step follows (-1: a flush); for timers and ranges
  void *mark_state;
  uint8_t *drawn;  // debug: role of each use id
};

tw_status tw_session_create(tw_session *s);  // after filling the public fields above "state"
void tw_session_destroy(tw_session *s);      // wipes

// A party's work before its input: masks and weight-product pads.
tw_status tw_session_prepare(tw_session *s);
// Of a session that does nothing else: the gates before `end` that are still to be prepared; or, on the CPU, one gate,
// of its product only a slice of about this many multiply-adds.
tw_status tw_session_prepare_to(tw_session *s, int end);
// The masks of openings among them alone, many at a time; where masks are kept.
tw_status tw_session_draw_to(tw_session *s, int end);
tw_status tw_session_prepare_slice(tw_session *s, size_t work);

// Take all memory that the online phase will ask for; nothing is computed. After tw_session_prepare.
tw_status tw_session_reserve(tw_session *s);
// Bytes of an arena for a session filled in like this one, without taking any.
static inline size_t tw_arena_rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }
typedef enum { TW_FORECAST_ONLINE, TW_FORECAST_PREPARATION } tw_forecast;  // another session does the other part
tw_status tw_session_forecast(const tw_session *like, tw_forecast part, size_t *bytes);
// Back to the program's beginning, for another input with other keys.
void tw_session_rewind(tw_session *s);
// Every level once, with flushes, whatever is pending (tw_session_reserve).
tw_status tw_session_walk_levels(tw_session *s);

// One resumable step: the gates of a level. *done when the program has ended. What the level opens (s->opening) must
// have been opened before the next step; the driver sees to that, and says so by tw_session_opened.
tw_status tw_session_level(tw_session *s, bool *done);
void tw_session_opened(tw_session *s);

// Steps and flushes to the end.
tw_status tw_session_run(tw_session *s);

// ---- for gates ----
static inline const tw_tensor *tw_t(const tw_session *s, int id) { return &s->program->tensors[id]; }
static inline tw_buffer *tw_b(const tw_session *s, int id) { return &s->buffers[id]; }
size_t tw_words_of(const tw_session *s, int id);                    // u64 words of one sequence's part of the tensor
tw_status tw_make_value(tw_session *s, int id);                     // allocate value
tw_status tw_make_mask(tw_session *s, int id, int side);            // allocate mask
tw_status tw_scratch(tw_session *s, size_t words, uint64_t **out);  // lives until the gate ends
tw_status tw_keep(tw_session *s, size_t words, uint64_t **out);     // lives until the session closes

// Party: shares of correction i of this op for the whole batch ([batch][n] or [batch][planes][words]).
tw_status tw_take(tw_session *s, const tw_op *op, int i, uint64_t **out);
// The same, and correction 0 goes into memory of the gate.
tw_status tw_take_into(tw_session *s, const tw_op *op, uint64_t *memory);
// Where correction i will be, for the backend's gates that take their corrections (s->taken) themselves.
tw_status tw_take_later(tw_session *s, const tw_op *op, int i, uint64_t **out);
// Dealer: correction i's values (backend memory that lives until the gate ends). With the last one both parties' halves
// of all of them are packed and handed out; correction i = 0 begins at halves[party].
tw_status tw_give(tw_session *s, const tw_op *op, int i, const uint64_t *values);
// Mask stream of an opening: fills mask[side] of out[0].
tw_status tw_draw_mask(tw_session *s, const tw_op *op, int side);
// Pad of correction i of side for elements [first, first+n) (ring) into out; or for whole planes (bits).
void tw_draw_pad(tw_session *s, const tw_correction *c, int side, int batch_index, uint64_t *out);

// Live lengths and causality, for gates on attention rows.
static inline tw_liveness tw_live(const tw_session *s) {
  return (tw_liveness){s->lengths, s->program->seq, s->program->causal};
}

// This op's list in backend memory.
static inline const int64_t *tw_list(const tw_session *s, const tw_op *op) { return s->pool + op->list; }
static inline int tw_whole_batch(const tw_session *s) { return s->total_batch ? s->total_batch : s->batch; }
// All ones on party 1, else 0: the party that counts public values into its shares.
static inline uint64_t tw_one(const tw_session *s) { return s->role == TW_PARTY && s->party ? ~0ull : 0; }

// Clear: note a value outside the gate's domain (|x| >= 2^bits).
void tw_out_of_bound(tw_session *s, const tw_op *op);

static inline int64_t tw_signed(uint64_t x, int ring) {
  return ring >= 64 ? (int64_t)x : (int64_t)(x << (64 - ring)) >> (64 - ring);
}

#endif
