// Inside the engine: what its files share. engine.c holds what is the same everywhere and the CPU's way, engine_model.c
// set-up of the model, engine_chains.c chains, engine_device.c the GPU's way.
#ifndef TW_ENGINE_STATE_H
#define TW_ENGINE_STATE_H

#include "comm/opens.h"
#include "jobs/engine/device_opener.h"
#include "jobs/engine/engine.h"
#include "jobs/engine/engine_room.h"
#include "jobs/engine/engine_trace.h"
#include "jobs/engine/step_timer.h"
#include "jobs/keys/feed_cpu.h"
#include "jobs/keys/feed_gpu.h"
#include "jobs/program/preparation.h"
#include "jobs/program/tile.h"

typedef struct tw_engine_calls tw_engine_calls;  // of kernels of chains

// A part of the batch with all it works with: the whole, or one of two halves that take turns.
typedef struct {
  tw_session session;
  int first, batch;  // sequences
  bool open;
  void *stream;
  tw_arena arena;        // all of the session's memory
  size_t product_bytes;  // foreseen besides, for weight products on the part's stream
  tw_taker taker;        // of what is prepared
  tw_tiles *tiles;       // NULL: level by level
  tw_step_timer *timer;  // GPU
  void *event;           // GPU: joins the part's stream with the first one's
} tw_engine_part;

struct tw_engine {
  tw_engine_options o;
  int party;
  bool device;
  char device_name[64];
  const tw_backend *k;
  void *stream;        // of set-up and of the first part
  void *uploads;       // GPU: of the input, while preparation runs
  void *locked_input;  // GPU: page-locked host memory
  void *beside;        // GPU, prepare_beside: of preparation
  void *forked;        // event
  tw_fan fan;          // GPU: streams of preparation that is not beside
  void *fan_events[TW_FAN];
  tw_lanes lanes;  // GPU: of small gates online
  void *lane_events[TW_LANE_EVENTS];
  // set-up: by model tensor, backend memory
  uint64_t **masked, **values;  // vectors' W^; V_b where the operands read values
  uint64_t **vector_mask;
  void **masked_operand, **share_operand;
  // the job, backend memory
  tw_seed *seeds;
  uint64_t *slots, *host_slots, *input;
  int *lengths, *host_lengths;  // [TW_COUNTS][batch]: by tw_counted
  tw_engine_part parts[TW_HALVES];
  int count;                         // parts
  tw_preparation preparation;        // preparation of the whole batch
  tw_step_timer *preparation_timer;  // GPU: of preparation beside, when traced
  tw_engine_trace *trace;
  tw_open_counters counters;
  tw_chains chains;  // of the program, where they go by tiles
  tw_tiles_reserve reserve;
  tw_engine_calls *calls;  // GPU: of their kernels
  // CPU
  tw_host_feed *host_feed;
  tw_opens *opens;
  tw_opens_stats before;
  // GPU
  const int64_t *pool;  // the program's lists and tables
  const uint64_t **tables;
  tw_device_opener *opener;
  tw_key_windows windows;
  tw_key_feed *feed;
  uint64_t device_bytes, device_key_bytes;  // foreseen
  uint64_t device_level_bytes;              // the same of an engine with chains, if it had none
  void *prepared, *graph;                   // recorded work
  double *step_seconds;
  char transport_why[160];
  double probe_latency, probe_bandwidth;
  bool kept;   // GPU: masks stay from preparation on
  bool ready;  // GPU: memory has been taken
  bool lost;   // an online phase failed: the other party may be gone
};

enum { TW_COUNTS = TW_COUNT_TOKENS + 1 };

static inline size_t tw_engine_elements(const tw_model_share *m, int i) { return m->rows[i] * m->cols[i]; }
// Elements of the inputs before input `count`, of one sequence.
static inline size_t tw_engine_input_words(const tw_engine *e, int count) {
  const tw_program *p = &e->o.plan->program;
  size_t words = 0;
  for (int i = 0; i < count; i++) words += p->tensors[p->inputs[i]].n;
  return words;
}
static inline size_t tw_engine_input_bytes(const tw_engine *e) {
  return 8 * (size_t)e->o.batch * tw_engine_input_words(e, e->o.plan->program.input_count);
}
static inline size_t tw_engine_key_bytes(const tw_engine *e) {
  return e->o.plan->program.slot_bytes[e->party] * (size_t)e->o.batch;
}

static inline bool tw_engine_has_model(const tw_engine *e) { return e->masked != NULL; }

// ---- engine_model.c
tw_status tw_engine_set_up_model(tw_engine *e);  // unless it was taken over
// All of `before` that stays the same for another batch: the model, and what the transport was measured to do.
void tw_engine_take_over(tw_engine *e, tw_engine *before);
void tw_engine_release_model(tw_engine *e);
// Host values where the backend can read them: themselves on the CPU, from where nothing is dropped.
tw_status tw_engine_to_backend(tw_engine *e, const void *host, size_t bytes, void **out);
void tw_engine_drop(tw_engine *e, void *memory, size_t bytes);

// ---- engine.c
tw_status tw_engine_allocate_job(tw_engine *e);
void tw_engine_divide(tw_engine *e);  // the batch into parts
// The session of a part, and of all parts together; without opener, source of corrections and observers.
tw_session_config tw_engine_part_config(const tw_engine *e, const tw_engine_part *p);
tw_session_config tw_engine_whole_config(const tw_engine *e);
// Bytes that a part with corrections from such a source needs, and of preparation's; before or after set-up.
tw_status tw_engine_forecast(tw_engine *e, tw_engine_part *p, tw_correction_reader source);
tw_status tw_engine_forecast_preparation(tw_engine *e);
tw_status tw_engine_create_trace(tw_engine *e);
tw_status tw_engine_run_halves(tw_engine *e, void (*progress)(void *state, double fraction), void *progress_state);

// ---- engine_chains.c
// What parties must have alike, or know of each other, before one of them has chains: each engine sends it at set-up,
// whatever was asked of it. What is not known yet is 0.
typedef struct {
  uint64_t rows;  // of a tile, on a GPU always one; 0: level by level
  uint64_t chains;
  uint8_t of_op[32];         // BLAKE2b-256 of the list which operation is in which
  uint32_t packets, blocks;  // GPU: of a round; most that it has at once, 0: none
  char gpu[16];              // its address on the PCI bus
} tw_chain_terms;
// Finds chains where they are asked for; both parties' are to be alike. TW_ERR_MISMATCH on both where they are not.
tw_status tw_engine_agree_on_chains(tw_engine *e);
// One exchange of it. mine: rows and chains are filled in.
tw_status tw_engine_exchange_chains(const tw_engine *e, tw_chain_terms *mine, tw_chain_terms *theirs);
tw_status tw_engine_find_chains(tw_engine *e);  // where tiles are asked for
tw_status tw_engine_keep_saving(tw_engine *e);  // drops those that save no rounds
// Most messages, and spans of gates, of the tiles of so many sequences.
size_t tw_engine_chain_messages(const tw_engine *e, int batch);
size_t tw_engine_chain_spans(const tw_engine *e, int batch);
// The part's session, before its first level; and before it is destroyed.
tw_status tw_engine_begin_chains(tw_engine *e, tw_engine_part *p);
void tw_engine_end_chains(tw_engine_part *p);

// ---- engine_chains_device.c; built with CUDA only
bool tw_engine_keys_have_room(tw_engine *e);  // for a whole slot of each sequence
// Finds those that a kernel takes, where both engines can have any. Before memory is foreseen.
tw_status tw_engine_agree_on_kernels(tw_engine *e, tw_chain_terms *mine);
size_t tw_engine_chain_box_bytes(const tw_engine *e);  // of packets, for the opener
size_t tw_engine_chain_bytes(const tw_engine *e);      // of the GPU's memory, all together
// When the opener is there. Where its transport carries none, the program goes level by level.
tw_status tw_engine_open_chains(tw_engine *e);
const tw_tile_runner *tw_engine_tile_runner(const tw_engine *e);  // NULL on the CPU
tw_status tw_engine_fork_chains(tw_engine *e);                    // the first of what is recorded
void *tw_engine_chain_stream(const tw_engine *e);      // what chains need is made on it; NULL: on the session's
tw_status tw_engine_advance_chains(tw_engine *e);      // the last of what is recorded
tw_status tw_engine_upload_chains(tw_engine *e);       // behind the recording
uint64_t tw_engine_chain_payload(const tw_engine *e);  // bytes of a job's packets
void tw_engine_close_chains(tw_engine *e);

// ---- engine_lanes.c; built with CUDA only
tw_status tw_engine_create_stream(const tw_engine *e, void **stream);  // of the online work
tw_status tw_engine_open_lanes(tw_engine *e);
void tw_engine_close_lanes(tw_engine *e);

// ---- engine_device.c; built with CUDA only
tw_status tw_engine_device_create(tw_engine *e);
// With a plan alone: device, device_least, keys and messages.
tw_status tw_engine_device_foresee(tw_engine *e, bool ask_gpu, tw_engine_room *out);
void tw_engine_device_stop(tw_engine *e);     // before memory and sessions go
void tw_engine_device_destroy(tw_engine *e);  // streams
tw_status tw_engine_device_prepare(tw_engine *e, const tw_engine_job *job);
tw_status tw_engine_device_online(tw_engine *e);
tw_status tw_engine_device_stats(tw_engine *e, tw_engine_stats *s);

#endif
