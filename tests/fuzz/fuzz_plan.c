// NAME.plan.json.
#include <stdio.h>

#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "tests/fuzz/fuzz.h"

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char *const shapes[] = {"1x8x1x8", "2x8x2x8"};
  for (int i = 0; i < 2; i++) {
    tw_model_config config;
    tw_plan plan;
    char name[16];
    snprintf(name, sizeof name, "plan%d", i);
    fuzz_must(tw_shape_config(shapes[i], &config) == TW_OK, "a shape");
    fuzz_must(tw_plan_make(&config,
                           &(tw_plan_request){.seq = 2 + i,
                                              .rounding = (tw_rounding)i,
                                              .output = (tw_output)i,
                                              .guard = i == 1,
                                              .choices.maximum = {2 * i, 3 * i}},
                           NULL, &plan) == TW_OK,
              "a plan");
    fuzz_remove("seed");
    fuzz_must(tw_plan_write(fuzz_path("seed"), &plan) == TW_OK, "its file");
    fuzz_seed_file(name, fuzz_path("seed"));
    tw_plan_free(&plan);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  tw_plan plan;
  fuzz_write("p.plan.json", data, bytes);
  if (tw_plan_read(fuzz_path("p.plan.json"), &plan) != TW_OK) return 0;
  fuzz_must(tw_program_check_uses(&plan.program) == TW_OK, "a plan that was accepted keeps R1");
  tw_plan_free(&plan);
  return 0;
}
