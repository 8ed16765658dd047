#include "app/run_lengths.h"

#include <stdio.h>
#include <string.h>

#include "jobs/parties/handshake.h"
#include "jobs/plan/lengths.h"

static bool is_there(const char *name, int party) {
  tw_path path = tw_path_of(name, party ? "input.p1.h5" : "input.p0.h5");
  return tw_path_exists(&path);
}

static tw_path named(const char *name, const char *fallback, int seq) {
  return tw_length_name(name ? name : fallback, seq);
}

tw_status tw_run_lengths_find(const tw_party_options *o, int party, tw_run_lengths *out) {
  const char *model = o->model ? o->model : o->name, *of = o->plan ? o->plan : model;
  tw_path plan = tw_path_of(of, "plan.json");
  tw_plan_length lengths[TW_MOST_LENGTHS];
  int count;
  out->count = 0;
  if (o->service || !tw_path_exists(&plan)) return TW_OK;
  if (tw_plan_read_lengths(plan.text, lengths, &count) != TW_OK) return TW_OK;  // whoever reads the plan will say so
  for (int i = 0; i < count; i++) {
    int seq = lengths[i].seq, at = out->count;
    tw_path input = named(o->input, o->name, seq);
    if (!is_there(input.text, party)) continue;
    out->list[at].seq = seq;
    out->list[at].input = input;
    out->list[at].name = named(NULL, o->name, seq);
    out->list[at].output = named(o->output, o->name, seq);
    out->list[at].keys = named(o->keys, model, seq);
    snprintf(out->list[at].model.text, sizeof out->list->model.text, "%s", model);
    out->list[at].files = NULL;
    out->count++;
  }
  if (out->count && o->dealer)
    return tw_fail(TW_ERR_USAGE,
                   "a live dealer serves plans of one length, this input has %d: take key files, or plan without "
                   "--lengths and --fit",
                   out->count);
  return TW_OK;
}

tw_status tw_run_lengths_failed(const tw_run_lengths *lengths, int i, tw_status status, const char *more) {
  char message[1600];
  if (status == TW_OK || !lengths->count) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  return tw_fail(status, "sequences of up to %d tokens: %s%s", lengths->list[i].seq, message, more);
}

static tw_status compare(const tw_run_lengths *lengths, tw_channel *channel) {
  for (int i = 0; i < lengths->count; i++)
    TW_TRY(tw_run_lengths_failed(lengths, i, tw_party_compare(lengths->list[i].files, channel), ""));
  return TW_OK;
}

tw_status tw_run_lengths_agree(const tw_run_lengths *lengths, tw_channel *channel, tw_status found) {
  tw_terms terms;
  char list[16 * TW_MOST_LENGTHS] = "";
  if (!lengths->count) return found;
  memset(&terms, 0, sizeof terms);
  for (int i = 0, used = 0; i < lengths->count; i++)
    used += snprintf(list + used, sizeof list - (size_t)used, "%d ", lengths->list[i].seq);
  tw_digest_of(list, strlen(list), &terms.lengths);
  TW_TRY(tw_agree(channel, found, &terms));
  return compare(lengths, channel);
}

tw_party_options tw_run_lengths_options(const tw_run_lengths *lengths, int i, const tw_party_options *o) {
  tw_party_options one = *o;
  if (!lengths->count) return one;
  one.name = lengths->list[i].name.text;
  one.model = lengths->list[i].model.text;
  one.keys = lengths->list[i].keys.text;
  one.input = lengths->list[i].input.text;
  one.output = lengths->list[i].output.text;
  return one;
}

tw_status tw_run_lengths_open(tw_run_lengths *lengths, const tw_party_options *o, int party) {
  TW_TRY(tw_run_lengths_find(o, party, lengths));
  int parts = lengths->count ? lengths->count : 1;
  for (int i = 0; i < parts; i++) {
    tw_party_options one = tw_run_lengths_options(lengths, i, o);
    if (i) one.like = lengths->list[0].files;
    TW_TRY(tw_run_lengths_failed(lengths, i, tw_party_open(&one, party, &lengths->list[i].files), ""));
  }
  return TW_OK;
}

void tw_run_lengths_close(tw_run_lengths *lengths) {
  int parts = lengths->count ? lengths->count : 1;
  for (int i = parts - 1; i >= 0; i--) tw_party_close(lengths->list[i].files);
}
