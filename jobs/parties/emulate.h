// The emulator on a whole model: what the parties must have opened, from both seeds of TEST keys and the plain
// model and input. An offline tool: it computes on values and rounding offsets, never on shares.
#ifndef TW_EMULATE_H
#define TW_EMULATE_H

#include "io/client.h"
#include "io/model.h"
#include "io/prefix.h"
#include "jobs/plan/plan.h"

typedef struct {
  int64_t *output;              // [count][rows][cols] integers at the output's scale
  uint64_t *guard;              // [count] the guard's count; zeros without one
  char transcript[65];          // digest over everything opened, as both parties compute it
  uint64_t out_of_bound;        // values met outside their gate's domain, and
  char first_out_of_bound[96];  // where first ("layer 3, gelu, gate select")
  // of a conversation that can go on: [count] rows that live, and for each sequence the next turn's input
  // (jobs/models/conversation.h); else NULL
  int *rows;
  uint64_t *kept;
} tw_emulation;

// prefix: the plan's, NULL where it has none. slots[i]: key slot of sequence i; test_seed: the number given to `deal
// --test-seed`.
tw_status tw_emulate(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                     const uint64_t *slots, uint64_t test_seed, tw_emulation *out);
// A turn behind the one that `before` is of, with as many sequences; NULL: it is a first one.
tw_status tw_emulate_turn(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                          const tw_emulation *before, const uint64_t *slots, uint64_t test_seed, tw_emulation *out);
void tw_emulation_free(tw_emulation *e);

// The same for many inputs of one plan, whose weights are made ready once. Plan, model and prefix must outlive it.
typedef struct tw_emulator tw_emulator;
tw_status tw_emulator_create(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, tw_emulator **out);
// As tw_emulate_turn; before may be NULL.
tw_status tw_emulator_run(const tw_emulator *e, const tw_input *input, const tw_emulation *before,
                          const uint64_t *slots, uint64_t test_seed, tw_emulation *out);
void tw_emulator_destroy(tw_emulator *e);  // may be NULL

#endif
