#include "jobs/plan/choose.h"

#include <math.h>
#include <stdio.h>

typedef struct {
  const tw_model_config *config;
  const tw_plan_request *asked;
  const tw_choose_by *by;
  const tw_model_bounds *bounds;
  tw_made made;  // with what the bounds do not fit
} choosing;

static uint64_t key_bytes_of(const tw_plan *plan) {
  uint64_t bytes[2] = {0};
  for (int i = 0; i < plan->program.correction_count; i++)
    for (int party = 0; party < 2; party++) bytes[party] += plan->program.corrections[i].bytes[party];
  return bytes[0] > bytes[1] ? bytes[0] : bytes[1];
}

// Keys of norms take wider rings than digits do. Where bounds fit no ring by the keys that were asked for: whether they
// do by digits.
static bool digits_fit(const choosing *c, const tw_plan_request *asked) {
  tw_plan plan;
  tw_plan_request request = *asked;
  request.choices.engine = TW_BY_DIGITS;
  if (tw_plan_make(c->config, &request, c->bounds, &plan) != TW_OK) return false;
  tw_plan_free(&plan);
  return true;
}

static tw_status refused(const choosing *c, const tw_plan_request *asked) {
  char message[1024];
  snprintf(message, sizeof message, "%s", tw_error_message());
  if (!digits_fit(c, asked)) return tw_fail(TW_ERR_RANGE, "%s", message);
  if (!c->made.form[TW_FORM_ENGINE]) return TW_OK;  // another engine may do
  return tw_fail(TW_ERR_RANGE, "%s; or read functions from digits, where these bounds fit (--engine digit, not %s)",
                 message, tw_read_by_name(asked->choices.engine));
}

// limit: of what choices are priced at.
static tw_status make(choosing *c, uint64_t limit, tw_found *found, tw_plan *out) {
  for (bool first = true;; first = false) {
    tw_plan_request request = *c->asked;
    TW_TRY(tw_choices_find(c->config, &request, &c->made, c->by->place, limit, &request.choices, found));
    tw_status status = tw_plan_make(c->config, &request, c->bounds, out);
    tw_read_by engine = request.choices.engine;
    if (status != TW_ERR_RANGE || engine == TW_BY_DIGITS) return status;
    if (c->made.form[TW_FORM_ENGINE] || first) TW_TRY(refused(c, &request));
    c->made.without[engine] = true;
  }
}

static tw_status too_many(const choosing *c, uint64_t fewest) {
  const char *more = c->made.form[TW_FORM_ENGINE]
                         ? ", plan fewer tokens, or let the planner choose what functions are read from (--engine auto)"
                         : ", or plan fewer tokens";
  return tw_fail(TW_ERR_RANGE,
                 "no choice of forms was found that takes %llu bytes of keys or fewer; %llu are the fewest: allow "
                 "more by --key-budget%s",
                 (unsigned long long)c->by->key_budget, (unsigned long long)fewest, more);
}

// Prices are to the plan's bytes nearly as they were for the choices before.
static tw_status within_budget(choosing *c, tw_found *found, tw_plan *out) {
  enum { TRIES = 4 };
  uint64_t budget = c->by->key_budget, limit = 0;
  for (int i = 0;; i++) {
    TW_TRY(make(c, limit, found, out));
    uint64_t taken = key_bytes_of(out), priced = found->best.estimate.key_bytes;
    if (taken <= budget) return TW_OK;
    tw_plan_free(out);
    if (limit && priced > limit) return too_many(c, taken);
    uint64_t next = (uint64_t)floor((double)budget * (double)priced / (double)taken);
    limit = i == TRIES || next < 1 ? 1 : !limit || next < limit ? next : limit - 1;
    if (limit < 1) limit = 1;
  }
}

tw_status tw_plan_choose(const tw_model_config *config, tw_plan_request *request, const tw_choose_by *by,
                         const tw_model_bounds *bounds, tw_found *found, tw_plan *out) {
  choosing c = {.config = config, .asked = request, .by = by, .bounds = bounds, .made = by->made};
  tw_found own;
  if (by->key_budget && !found) found = &own;
  TW_TRY(by->key_budget ? within_budget(&c, found, out) : make(&c, 0, found, out));
  request->choices = out->choices;
  return TW_OK;
}
