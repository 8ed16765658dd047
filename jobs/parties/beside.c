#include "jobs/parties/beside.h"

#include <string.h>

#include "io/client.h"
#include "io/model_id.h"
#include "io/new_files.h"
#include "jobs/plan/plan.h"

static tw_status differ(const tw_path *path, const char *what, const char *here, const char *of_result) {
  return tw_fail(TW_ERR_MISMATCH,
                 "%s: is %s %s, but the result is of %s %s: it was left by an earlier run; run again, or put the "
                 "result's own %s back",
                 path->text, what, here, what, of_result, what);
}

static tw_status check_input(const char *name, const tw_id *input, bool *there) {
  tw_path path = tw_path_of(name, "input.h5");
  tw_id id;
  *there = tw_path_exists(&path);
  if (!*there) return TW_OK;
  TW_TRY(tw_input_read_id(path.text, &id));
  return strcmp(id.hex, input->hex) == 0 ? TW_OK : differ(&path, "input", id.hex, input->hex);
}

static tw_status check_model(const char *name, const tw_id *model) {
  tw_path path = tw_path_of(name, "model.json");
  tw_id id;
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_model_id_read(path.text, &id));
  return strcmp(id.hex, model->hex) == 0 ? TW_OK : differ(&path, "model", id.hex, model->hex);
}

// Of a plan with several lengths a result is one length's.
static bool has_length(const char *path, const tw_digest *plan) {
  tw_plan_length lengths[TW_MOST_LENGTHS];
  int count;
  if (tw_plan_read_lengths(path, lengths, &count) != TW_OK) return false;
  for (int i = 0; i < count; i++)
    if (strcmp(lengths[i].digest.hex, plan->hex) == 0) return true;
  return false;
}

static tw_status check_plan(const char *name, const tw_digest *plan) {
  tw_path path = tw_path_of(name, "plan.json");
  tw_digest digest;
  if (!plan || !tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read_digest(path.text, &digest));
  if (strcmp(digest.hex, plan->hex) == 0 || has_length(path.text, plan)) return TW_OK;
  return differ(&path, "plan", digest.hex, plan->hex);
}

tw_status tw_beside_check(const char *name, const char *of, const tw_id *input, const tw_id *model,
                          const tw_digest *plan, bool *with_input) {
  TW_TRY(check_input(name, input, with_input));
  TW_TRY(check_model(of, model));
  return check_plan(of, plan);
}
