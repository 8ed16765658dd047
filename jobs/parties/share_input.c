#include "jobs/parties/share_input.h"

#include "io/model_id.h"
#include "io/new_files.h"
#include "jobs/parties/share.h"

static tw_status write_input(tw_new_files *places, const tw_input_share shares[2]) {
  TW_TRY(tw_new_files_begin(places));
  for (int party = 0; party < 2; party++) {
    TW_TRY(tw_input_share_write(places->path[party].text, &shares[party]));
    places->written[party] = true;
  }
  return TW_OK;
}

static tw_status split_input(const char *name, const tw_input *input, tw_input_share shares[2]) {
  tw_id model_id;
  tw_plan plan;
  TW_TRY(tw_model_id_read(tw_path_of(name, "model.json").text, &model_id));
  TW_TRY(tw_plan_read(tw_path_of(name, "plan.json").text, &plan));
  tw_status status = tw_share_input(input, &plan, &model_id, shares);
  tw_plan_free(&plan);
  return status;
}

tw_status tw_share_input_files(const char *name, const tw_input *input, bool force, tw_id *input_id) {
  static const char *const suffixes[] = {"input.p0.h5", "input.p1.h5"};
  tw_new_files places;
  tw_input_share shares[2];
  TW_TRY(tw_new_files_check(&places, name, suffixes, 2, force));
  TW_TRY(split_input(name, input, shares));
  *input_id = shares[0].input_id;
  tw_status status = tw_new_files_end(&places, write_input(&places, shares));
  for (int party = 0; party < 2; party++) tw_input_share_free(&shares[party]);
  return status;
}
