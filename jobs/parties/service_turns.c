#include "jobs/parties/service_turns.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "io/queue.h"
#include "io/wipe.h"

tw_status tw_service_turns_check(const char *caches, const tw_plan *plan) {
  if (caches && !plan->shape.earlier)
    return tw_fail(TW_ERR_USAGE, "--caches %s: this plan has no conversations; plan with --conversation", caches);
  if (!caches && plan->shape.earlier)
    return tw_fail(TW_ERR_USAGE, "this plan has conversations: say --caches DIR, where the service keeps them");
  return caches ? tw_cache_folder_check(caches) : TW_OK;
}

static tw_status gone(const tw_input_share *input) {
  return tw_fail(
      TW_ERR_USED,
      "nothing is kept behind input %s: its conversation has gone on, has ended or failed, or waited for too "
      "long; begin a new one",
      input->after.hex);
}

// A cache that was read, by a run that failed before it could wipe it, or while it did: its conversation has ended.
static tw_status end_conversation(const tw_conversation_files *files, const tw_input_share *input) {
  tw_file_wipe(files->before_path.text);
  return gone(input);
}

// What the turn goes on behind.
static tw_status look_before(const tw_service_turns *t, const tw_run_options *run, const char *client,
                             const tw_input_share *input, tw_conversation_files *files, char *detail) {
  const tw_turn_files turn = {input, files};
  tw_path name;
  TW_TRY(tw_cache_folder_name(&t->folder, client, &input->after, &name));
  tw_path file = tw_cache_folder_file(&t->folder, &name);
  if (!tw_path_exists(&file)) return gone(input);
  tw_status status = tw_conversation_look(run->plan, name.text, t->folder.party, files);
  if (status == TW_OK) status = tw_conversation_check(&turn, &run->model->model_id, run->ledger);
  if (status == TW_OK) return TW_OK;
  snprintf(detail, TW_SERVICE_TURNS_DETAIL, "%s", tw_error_message());
  if (status == TW_ERR_USED || tw_file_wipe_begun(file.text)) return end_conversation(files, input);
  return tw_fail(status,
                 "what this party keeps behind input %s does not fit: another plan, model, ledger or number of "
                 "sequences; begin a new conversation",
                 input->after.hex);
}

// What the turn would leave.
static tw_status check_room(const tw_service_turns *t, const char *client, const tw_input_share *input, int begun) {
  tw_path name;
  int count;
  TW_TRY(tw_cache_folder_name(&t->folder, client, &input->input_id, &name));
  tw_path file = tw_cache_folder_file(&t->folder, &name);
  if (tw_path_exists(&file))
    return tw_fail(TW_ERR_USED, "a conversation goes on behind this input already; an input serves once");
  if (input->after.hex[0]) return TW_OK;
  TW_TRY(tw_cache_folder_count(&t->folder, client, &count));
  if (count + begun < t->most) return TW_OK;
  return tw_fail(TW_ERR_USED, "%d conversations of this client are kept already; try again later", count + begun);
}

tw_status tw_service_turns_take(const tw_service_turns *t, const tw_run_options *run, const char *name,
                                const tw_input_share *input, int begun, tw_conversation_files *files, char *detail) {
  char client[TW_QUEUE_WORD + 1];
  tw_queue_divide(name, client);
  detail[0] = '\0';
  TW_TRY(tw_conversation_look(run->plan, NULL, t->folder.party, files));
  if (!t->folder.folder && (input->after.hex[0] || input->goes_on))
    return tw_fail(TW_ERR_MISMATCH, "is of a conversation; the plan of this service has none (`plan --conversation`)");
  if (input->after.hex[0]) TW_TRY(look_before(t, run, client, input, files, detail));
  return input->goes_on ? check_room(t, client, input, begun) : TW_OK;
}

tw_status tw_service_turns_claim(const tw_service_turns *t, const char *name, const tw_input_share *input,
                                 tw_conversation_files *files) {
  char client[TW_QUEUE_WORD + 1];
  tw_path path;
  if (!input->goes_on || files->place) return TW_OK;
  tw_queue_divide(name, client);
  TW_TRY(tw_cache_folder_make(&t->folder, client));
  TW_TRY(tw_cache_folder_name(&t->folder, client, &input->input_id, &path));
  return tw_conversation_claim(files, path.text, input, false);
}

tw_status tw_service_turns_tidy(tw_service_turns *t) {
  const uint64_t between = 1000000000, now = tw_clock_ns();
  if (!t->folder.folder || (t->looked_ns && now - t->looked_ns < between)) return TW_OK;
  t->looked_ns = now;
  return tw_cache_folder_wipe_old(&t->folder, t->seconds);
}
