// A whole small encoder, planned and ready to be walked: synthetic weights, random activations.
#ifndef TW_TEST_TINY_MODEL_H
#define TW_TEST_TINY_MODEL_H

#include "jobs/plan/plan.h"
#include "tests/common/walk.h"

typedef struct {
  tw_model model;
  tw_plan plan;
  size_t *rows, *cols;
  uint64_t **weights, *input;
  walk w;  // filled for walk_run
} tiny_model;

// Of models that are opened from then on.
extern tw_read_by tiny_model_engine;
// shape: LAYERSxHIDDENxHEADSxINTERMEDIATE. False (and a message on stderr) when something is refused.
bool tiny_model_open(tiny_model *t, const char *shape, int seq, int batch, tw_rounding rounding);
void tiny_model_draw_input(tiny_model *t);  // other activations
void tiny_model_close(tiny_model *t);

#endif
