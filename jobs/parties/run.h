// One party's inference: handshake, ledger, preparation, online phase, result.
#ifndef TW_RUN_H
#define TW_RUN_H

#include "comm/channel.h"
#include "io/client.h"
#include "io/key_store.h"
#include "io/ledger.h"
#include "io/model.h"
#include "io/result.h"
#include "jobs/engine/engine.h"
#include "jobs/parties/conversation_files.h"
#include "jobs/parties/used_slots.h"
#include "jobs/plan/plan.h"

typedef struct {
  const tw_plan *plan;
  const tw_model_share *model;  // the party's own
  const tw_key_store *keys;
  int key_files;  // that stand at `keys`, of which each run takes one (key_choice.h); 0: one
  const tw_input_share *input;
  const char *input_path;  // its file, for messages; NULL: not known
  // The inputs that `input` joins, with their conversations; what the turns leave is put there, too. 0: the plan has
  // none
  const tw_turn_files *turns;
  int turn_count;
  tw_channel *channel;
  const tw_ledger *ledger;
  int64_t first_slot;  // of a row of slots; -1: the first ones that are free on both parties
  // Of a run in batches (jobs/parties/batches.h), NULL and 0 otherwise: slots that its rows shall have [input->count],
  // if they are free, and those that earlier batches used up [used_count]
  const uint64_t *wished;
  const tw_used_slot *used;
  int used_count;
  int needed;             // for tw_run_look: slots; 0: one for each sequence of the input, -1: none
  bool in_batches;        // for tw_run_look: these may come from several key files
  const int *input_rows;  // [input->count]: which ones of the whole input these are; NULL: all
  bool allow_test_keys;
  tw_device_kind device;                           // chosen (tw_device_choose), not auto
  tw_ways transports;                              // between GPUs, best first
  bool overlap;                                    // halves of a batch of two or more take turns
  bool prepare_beside;                             // preparation runs beside the online phase
  bool time_steps;                                 // on a GPU, where it takes time; on a CPU they are always timed
  bool trace;                                      // record what happened when (tw_result_share.spans); times steps
  void (*progress)(void *state, double fraction);  // may be NULL
  void *progress_state;
  // [TW_SLOTS_TEXT]: the slots, and what earlier batches used up, as soon as these may be marked; may be NULL
  char *spent;
  uint64_t *taken;  // [input->count]: the slots, at the same time; may be NULL
  // Where several runs of one plan, model, channel and device keep their engine, NULL before the first; the caller
  // destroys it. Their inputs' shares all lie at one address, and so does what they read of earlier turns, with their
  // inputs once more (tw_turns_words of the largest; wiped after each run). NULL: an engine of this run alone.
  tw_engine **engine;
  uint64_t *earlier_room;
} tw_run_options;

// What party `party` can see alone, of its own files, before the other one is there; of a live dealer's keys (a store
// that is not open, all zeros) nothing, and of inputs that are still to come (NULL) nothing. Uses no slot and changes
// nothing. channel and what is below ledger, but first_slot and allow_test_keys, may be left out.
tw_status tw_run_look(const tw_run_options *options, int party);
// Whether an input is of this plan and model, and well formed.
tw_status tw_run_check_input(const tw_plan *plan, const tw_model_share *model, const tw_input_share *input);
// Of both parties' files, before anything else: whether models, plans, inputs and, if `keys`, key files belong
// together. Uses no slot. TW_ERR_MISMATCH on both parties.
tw_status tw_run_compare(const tw_run_options *options, bool keys);
// Before the first input: an engine for `batch` sequences, of which the first run takes over what it can. Both parties.
tw_status tw_run_set_up(const tw_run_options *options, int batch);
// Handshake (protocol version, model, plan, key, ledgers, slots, input, lengths, batch), both parties' slots marked in
// their ledgers and acknowledged, then the inference. On any difference both parties return TW_ERR_MISMATCH with both
// values in the message. *out: free with tw_result_share_free; the caller fills the environment, but for device,
// transport and why it was taken.
tw_status tw_run(const tw_run_options *options, tw_result_share *out);

#endif
