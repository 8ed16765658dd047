// What the dealer keeps of a model: both parties' masks, from the dealer's seeds, on either backend. Of matrices their
// sum, as the operand of products; of all else as they are.
#ifndef TW_MODEL_MASKS_H
#define TW_MODEL_MASKS_H

#include "io/model.h"
#include "jobs/program/session.h"

typedef struct {
  const tw_backend *backend;
  int count;
  size_t *rows, *cols;
  uint64_t **mask[2];     // of what is no matrix, else NULL; backend memory
  void **sum;             // matrices' operands, else NULL
  uint64_t **sum_values;  // what they read, where the backend's operands do
} tw_model_masks;

// program: what the masks are for; its products' rings decide how wide an operand is.
tw_status tw_model_masks_draw(const tw_model_dealer *dealer, const tw_program *program, const tw_backend *backend,
                              void *stream, tw_model_masks *out);
void tw_model_masks_free(tw_model_masks *m);  // wipes
tw_weights tw_model_masks_weights(const tw_model_masks *m);

#endif
