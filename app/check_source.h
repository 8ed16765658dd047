// Where `check` gets what it compares: a run's result, or the emulator in the place of a run.
#ifndef TW_APP_CHECK_SOURCE_H
#define TW_APP_CHECK_SOURCE_H

#include "app/comparison.h"
#include "io/result.h"
#include "jobs/parties/emulate.h"

typedef struct {
  const tw_model *model;
  const tw_prefix *prefix;
  tw_input input;  // without its rows
  tw_input_reader *rows;
  // of a run
  tw_result result;  // without its values
  tw_result_rows *values;
  // of the emulator
  bool emulated;
  uint64_t test_seed;
  tw_plan plan, part;  // part: of the length in hand
  bool has_plan, has_part;
  tw_emulator *emulator;
} tw_check_source;

// NAME.result.h5, or NAME.result.untrusted.h5, with NAME.input.h5; TW_ERR_MISMATCH where they do not belong together,
// to the model, or to what lies beside them.
tw_status tw_check_open_result(tw_check_source *source, const char *name, const char *of, const tw_model *model);
// NAME.input.h5 by OF.plan.json: sequence i has slot i of TEST keys of `test_seed`.
tw_status tw_check_open_emulator(tw_check_source *source, const char *name, const char *of, const tw_model *model,
                                 uint64_t test_seed);
// What is compared, but for progress and temperature. prefix: of the input, or NULL; it must outlive the comparison.
tw_status tw_check_request(tw_check_source *source, const tw_prefix *prefix, tw_compare_request *out);
void tw_check_close(tw_check_source *source);  // also after a failure

#endif
