// What the caller of a session says once, before it is created.
#ifndef TW_SESSION_CONFIG_H
#define TW_SESSION_CONFIG_H

#include "jobs/program/opener.h"
#include "jobs/program/session_corrections.h"
#include "jobs/program/session_memory.h"

typedef enum { TW_DEALER, TW_PARTY, TW_EMULATOR } tw_role;

// The session's place in the whole batch, when it works on a part of it.
typedef struct {
  int half;
  int first_sequence;
  int total_batch;  // 0: the session's batch is the whole
} tw_batch_place;

// What belongs to each sequence of the batch.
typedef struct {
  const tw_seed *seeds[2];                 // [side][batch], backend memory; party: own side only
  const uint64_t *slots;                   // [batch], host memory
  const uint64_t *backend_slots;           // the same in backend memory; NULL: `slots`
  const int *lengths;                      // live tokens, cached rows counted (backend memory); NULL: all
  const int *earlier, *tokens;             // the other counts of tw_counted, alike; NULL: all
  const uint64_t *inputs[TW_MOST_INPUTS];  // backend memory, each [batch][n]; party: shares; emulator: values
} tw_sequences;

// The program's lists and tables in backend memory; NULL: the program's own.
typedef struct {
  const int64_t *pool;
  const uint64_t *const *tables;
} tw_program_copies;

// Secret model tensors as each role sees them, by canonical index; entries are ring-64 integers.
typedef struct {
  int count;
  const size_t *rows, *cols;
  uint64_t *const *masked;      // party: W^
  void *const *masked_operand;  // party: matrices W^ as product operands (preparation)
  void *const *share_operand;   // party: V_b = b W^ - p_b as product operands (online)
  uint64_t *const *mask[2];     // dealer (no matrices), emulator: p_0, p_1; party: own side only
  void *const *mask_sum;        // dealer: matrices p_0 + p_1 as product operands
  uint64_t *const *value;       // emulator: W
} tw_weights;

// Streams over which preparation is spread, in any order. The first one goes on alone from join to fork.
enum { TW_FAN = 4 };
typedef struct {
  void *stream[TW_FAN];
  int count;
  bool products;  // also products; those of many rows fill a device alone, and take memory on every stream
  tw_status (*fork)(void *state);
  tw_status (*join)(void *state);
  void *state;
} tw_fan;

// Streams on which small gates of a level run side by side; the first is the session's. record: the event happens when
// what is on the lane so far has been done; wait: later work of the lane waits for it.
enum { TW_LANES = 3, TW_LANE_EVENTS = 128 };
typedef struct {
  void *stream[TW_LANES];
  tw_status (*record)(void *state, int event, int lane);
  tw_status (*wait)(void *state, int event, int lane);
  void *state;
} tw_lanes;

// Who looks on while a session walks; all may be NULL.
typedef struct {
  // Emulator and party: called with every opened tensor.
  tw_status (*watch)(void *state, tw_session *s, const tw_op *op);
  void *watch_state;
  // Party, online: work of this step follows (-1: a flush); for timers and ranges.
  tw_status (*mark)(void *state, int step);
  void *mark_state;
} tw_observers;

// Who runs a party's chains (chains.h) in place of their operations. of_op NULL: nobody, operations run one by one.
typedef struct {
  const int *of_op;  // by operation: its chain; -1: none
  // Called at every operation of a chain, in the program's order: the first one's runs the whole chain. Of a session
  // that is silent it asks for the chain's memory only.
  tw_status (*run)(void *state, tw_session *s, int op);
  void *state;
} tw_chain_runner;

typedef struct {
  const tw_program *program;  // finished
  tw_role role;
  int party;  // of a party: 0 or 1
  int batch;
  const tw_backend *backend;  // NULL: the CPU
  void *stream;               // the backend's
  tw_weights weights;
  tw_batch_place place;
  tw_sequences sequences;
  tw_program_copies copies;
  tw_opener opener;             // party
  tw_correction_reader source;  // party
  tw_sink sink[2];              // dealer
  uint8_t *dealt[2];            // dealer: see tw_session_corrections
  bool keep_masks;              // masks stay from preparation on, online work leaves them alone
  const tw_fan *fan;            // of preparation, where masks are kept; NULL: all is done on the stream
  const tw_lanes *lanes;        // of small gates online; NULL: all are on the stream
  tw_arena arena;
  tw_observers observers;
  tw_chain_runner chains;  // party
} tw_session_config;

#endif
