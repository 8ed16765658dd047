// Bounds measured on sample text, for plans narrower than the defaults.
#ifndef TW_CALIBRATE_H
#define TW_CALIBRATE_H

#include "io/client.h"
#include "io/model.h"
#include "io/prefix.h"
#include "jobs/models/float_model.h"
#include "jobs/models/head.h"

typedef struct {
  const char *const *texts;
  int count;
  int seq;                                         // tokens of a text; what is longer is cut
  const tw_prefix *prefix;                         // each text is what comes behind it; NULL: there is none
  void (*progress)(void *state, double fraction);  // may be NULL
  void *progress_state;
} tw_calibration;

// Largest magnitudes over all texts in the float model with the parties' rounded weights: bounds[config.layers], and
// the head's, where the model has one. Behind a prefix two sequences more are measured: repetitions of its first token,
// whose rows may be as large as that one's, and of itself. The first layer's input bound of a decoder holds all its
// words, read or not.
tw_status tw_calibrate(const tw_model *model, const tw_client *client, const tw_calibration *sample, tw_bounds *bounds,
                       tw_head_bounds *head);

#endif
