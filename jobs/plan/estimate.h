// Seconds that one inference will take, by a device's rates and a link: every choice of a plan is priced by this, and
// what `twain plan` foretells is the same.
#ifndef TW_ESTIMATE_H
#define TW_ESTIMATE_H

#include "comm/link.h"
#include "jobs/plan/rates.h"
#include "jobs/program/program.h"

// Where a plan will run.
typedef struct {
  const tw_rates *rates;
  tw_link_profile link;
  double dealer_rate;  // bytes a second, at which a live dealer's keys come to a party; 0: they are there
  int sequences;       // that share every round, all of whose work counts; 0: one
  bool by_one_layer;   // choices are priced by a model of one layer, not by its first and its last
} tw_place;

// Two GPUs of one host, and nothing but rounds, keys and bytes: 26 us a round, openings at 118 GB/s, keys between what
// a copy alone brings (50 GB/s) and what BERT-base takes while it runs (30 GB/s). What a plan chooses by where nobody
// says more.
extern const tw_place tw_place_one_host;

tw_work tw_work_of(const tw_program *program, const tw_op *op);
double tw_products_seconds(const tw_rates *rates, const tw_work *work);
// Seconds of it, beside what opens it.
double tw_work_seconds(const tw_rates *rates, const tw_program *program, const tw_op *op);

// Seconds, and what they are of. The preparation before the input, then the online phase: gates, and what they wait
// for.
typedef struct {
  double preparation;
  double gates;     // computing
  double messages;  // the fixed part of every round, packing and checking of what is opened
  double latency;   // rounds * one way of the link
  double bytes;     // bytes over its rate
  double keys;      // waiting for keys that are on their way
  uint64_t rounds, key_bytes, sent_bytes;
} tw_estimate;

static inline double tw_estimate_online(const tw_estimate *f) {
  return f->gates + f->messages + f->latency + f->bytes + f->keys;
}
static inline double tw_estimate_seconds(const tw_estimate *f) { return f->preparation + tw_estimate_online(f); }

// Of something that is done `count` times, 2 or more, from what it takes once and twice.
tw_estimate tw_estimate_repeated(const tw_estimate *one, const tw_estimate *two, int count);

// step_seconds: what each step has of the online phase, [step_count]; may be NULL. repeats: how often a step of layer
// `layer` counts, for a program that stands for one of more layers; NULL: once.
typedef double tw_layer_repeats(void *state, int layer);
void tw_estimate_program(const tw_program *program, const tw_place *place, tw_layer_repeats *repeats, void *state,
                         double *step_seconds, tw_estimate *out);

#endif
