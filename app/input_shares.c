#include "app/input_shares.h"

#include <stdio.h>

#include "app/void_files.h"
#include "io/new_files.h"
#include "jobs/parties/input_lengths.h"
#include "jobs/parties/share_input.h"
#include "jobs/plan/lengths.h"

typedef struct {
  const char *model;  // NULL: that of the input's name
  const tw_sealing *sealing;
  bool force, quiet;
} input_words;

// NAME's, all of one length.
static tw_status share_one(const char *name, const tw_input *input, const input_words *w) {
  tw_id id;
  tw_path path[2];
  const char *endings[2];
  for (int party = 0; party < 2; party++)
    TW_TRY(tw_sealing_place(name, party ? "input.p1.h5" : "input.p0.h5", w->sealing, (tw_site_role)party, &path[party],
                            &endings[party]));
  bool again = tw_path_exists(&path[0]) || tw_path_exists(&path[1]);
  TW_TRY(tw_share_input_files(name, w->model, input, w->force, endings, &id));
  if (!w->quiet)
    printf("input %s, %d sequence%s\nfor party 0: %s\nfor party 1: %s\n", id.hex, input->count,
           input->count == 1 ? "" : "s", path[0].text, path[1].text);
  static const char *const made[] = {"result.p0.h5", "result.p1.h5", "result.h5", "result.untrusted.h5"};
  if (again && !w->quiet) tw_say_void(name, made, sizeof made / sizeof *made, "of the input shared before");
  return TW_OK;
}

// A share of an earlier input, for a length that this one has not: a run must not take it for this one's.
static tw_status check_absent(const char *name, bool force) {
  for (int party = 0; party < 2; party++) {
    tw_path path = tw_path_of(name, party ? "input.p1.h5" : "input.p0.h5");
    if (!tw_path_exists(&path)) continue;
    if (!force)
      return tw_fail(TW_ERR_IO, "%s: is of an earlier input; remove it, or have it removed with --force", path.text);
    if (remove(path.text) != 0) return tw_fail(TW_ERR_IO, "%s: cannot be removed", path.text);
  }
  return TW_OK;
}

// A file for each length that the input has.
static tw_status share_lengths(const char *name, const tw_plan *plan, const tw_input *input, const input_words *w) {
  int left = input->count;
  for (int i = 0; i < plan->length_count; i++) left -= tw_input_count_of_length(input, plan->lengths[i].seq);
  if (left > 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "%s.input.h5: %d sequences are for lengths that the plan has not; encode again with this plan", name,
                   left);
  for (int i = 0; i < plan->length_count; i++) {
    int seq = plan->lengths[i].seq;
    tw_path own = tw_length_name(name, seq);
    if (tw_input_count_of_length(input, seq) == 0) TW_TRY(check_absent(own.text, w->force));
  }
  for (int i = 0; i < plan->length_count; i++) {
    int seq = plan->lengths[i].seq;
    tw_path own = tw_length_name(name, seq);
    tw_input part;
    if (tw_input_count_of_length(input, seq) == 0) continue;
    TW_TRY(tw_input_of_length(input, seq, &part));
    tw_status status = share_one(own.text, &part, w);
    tw_input_free(&part);
    TW_TRY(status);
  }
  return TW_OK;
}

tw_status tw_input_shares(const char *name, const char *model, const tw_sealing *sealing, bool force, bool quiet) {
  tw_input input;
  tw_plan plan;
  input_words w = {model, sealing, force, quiet};
  TW_TRY(tw_input_read(tw_path_of(name, "input.h5").text, &input));
  tw_status status;
  if (!input.seqs) {
    status = share_one(name, &input, &w);
  } else {
    status = tw_plan_read_of(model, name, &plan);
    if (!w.model) w.model = name;
    if (status == TW_OK) {
      status = plan.length_count ? share_lengths(name, &plan, &input, &w) : share_one(name, &input, &w);
      tw_plan_free(&plan);
    }
  }
  tw_input_free(&input);
  return status;
}
