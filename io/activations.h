// The activations that a model may name, in config.json's hidden_act and in twain's own files. A row NAME here stands
// for the spec tw_spec_NAME (jobs/models/spec.h), which says what is computed.
#ifndef TW_ACTIVATIONS_H
#define TW_ACTIVATIONS_H

#include <stdbool.h>

#define TW_ACTIVATIONS(ROW) \
  ROW(gelu)                 \
  ROW(gelu_new)             \
  ROW(gelu_fast)            \
  ROW(gelu_pytorch_tanh)    \
  ROW(quick_gelu)           \
  ROW(relu)                 \
  ROW(silu)                 \
  ROW(sigmoid)              \
  ROW(tanh)

bool tw_activation_known(const char *name);
const char *tw_activation_names(void);  // "gelu, silu, ...", for messages

#endif
