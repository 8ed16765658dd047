// What a plan chooses between keys and rounds (tw_choices), when nobody says.
#ifndef TW_CHOICES_H
#define TW_CHOICES_H

#include "jobs/plan/plan.h"

// How long things take where a plan will run.
typedef struct {
  double round;           // seconds of a round beside its bytes
  double key_rate, rate;  // bytes a second: of keys to their gates, of openings between the parties
} tw_place;

// Two GPUs of one host: 26 us a round, openings at 118 GB/s, keys between what a copy alone brings (50 GB/s) and what
// BERT-base takes while it runs (30 GB/s).
extern const tw_place tw_place_one_host;

// Seconds that keys, bytes and rounds of this program take at least.
double tw_place_seconds(const tw_place *place, const tw_program *program);

// The choices by which a layer of this model takes least. request->choices: those that are made already are kept, where
// `made` says so.
typedef struct {
  bool wide_nodes, flat_windows, centred, maximum, argmax;
} tw_made;
tw_status tw_choices_find(const tw_model_config *config, const tw_plan_request *request, const tw_made *made,
                          const tw_place *place, tw_choices *out);

#endif
