#include "jobs/plan/choices.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/plan/plan_parts.h"

// How many go on from one form to the next: choices of one form depend a little on those of another.
enum { KEPT = 8, MOST_TRIED = 1024 };

// A plan like all that read the same functions from keys: their tables are the same.
typedef struct {
  tw_plan first;
  tw_plan prompt;  // of a text of more tokens than two: the same for its first alone
  bool there;
} model_plans;

typedef struct {
  const tw_model_config *part;            // of a layer or two
  model_plans models[TW_ALL_BY_KEY + 1];  // by what is read from keys
  int tokens;                             // of a text
  tw_plan_request request;
  const tw_place *place;
  const bool *without;  // tw_made
  uint64_t key_budget;
  int layers;        // of the model; the plans have at most two
  int asked_argmax;  // rounds that were asked for: which of them there are depends on other choices
  bool made_lookup;
  tw_candidate *tried;
  int tried_count;
} search;

// A model of many layers is thought of as its first layer again and again, and its last.
static double repeats(void *state, int layer) {
  const search *s = state;
  return layer == 0 && s->layers > 1 && !s->place->by_one_layer ? s->layers - 1 : 1;
}

static bool same(const tw_choices *a, const tw_choices *b) {
  for (int i = 0; i < TW_FORMS; i++)
    if (!tw_forms[i].same(a, b)) return false;
  return true;
}

// Within the budget first, then by time; out of it by keys.
static bool better(const search *s, const tw_candidate *a, const tw_candidate *b) {
  bool a_fits = !s->key_budget || a->estimate.key_bytes <= s->key_budget,
       b_fits = !s->key_budget || b->estimate.key_bytes <= s->key_budget;
  if (a_fits != b_fits) return a_fits;
  if (!a_fits) return a->estimate.key_bytes < b->estimate.key_bytes;
  return tw_estimate_seconds(&a->estimate) < tw_estimate_seconds(&b->estimate);
}

static tw_status price_like(search *s, const tw_plan *like, const tw_choices *c, tw_estimate *out) {
  tw_plan plan;
  tw_plan_request request = s->request;
  request.choices = *c;
  request.generated = like->shape.generated;
  tw_status status = tw_plan_variant(like, &request, &plan);
  if (status == TW_OK) tw_estimate_program(&plan.program, s->place, repeats, s, NULL, out);
  tw_plan_free(&plan);
  return status;
}

static tw_status models_of(search *s, tw_read_by engine, const model_plans **out) {
  model_plans *m = &s->models[engine];
  tw_plan_request request = s->request;
  tw_status status = TW_OK;
  *out = m;
  if (m->there) return TW_OK;
  request.choices.engine = engine;
  if (s->tokens > 2) {
    request.generated = 1;
    status = tw_plan_make(s->part, &request, NULL, &m->prompt);
    request.generated = 2;
  }
  if (status == TW_OK) status = tw_plan_make(s->part, &request, NULL, &m->first);
  m->there = status == TW_OK;
  if (status != TW_OK) tw_plan_free(&m->prompt);
  return status;
}

// Every token of a text behind the first costs as much as the second.
static tw_status price(search *s, const tw_choices *c, tw_estimate *out) {
  tw_estimate one;
  const model_plans *like;
  TW_TRY(models_of(s, c->engine, &like));
  TW_TRY(price_like(s, &like->first, c, out));
  if (s->tokens <= 2) return TW_OK;
  TW_TRY(price_like(s, &like->prompt, c, &one));
  *out = tw_estimate_repeated(&one, out, s->tokens);
  return TW_OK;
}

static tw_status try_choices(search *s, const tw_choices *c, tw_candidate *out) {
  *out = (tw_candidate){.choices = *c, .there = true};
  for (int i = 0; i < s->tried_count; i++)
    if (same(&s->tried[i].choices, c)) {
      *out = s->tried[i];
      return TW_OK;
    }
  tw_status status = price(s, c, &out->estimate);
  out->there = status == TW_OK;
  if (status != TW_OK) return status;
  if (s->tried_count < MOST_TRIED) s->tried[s->tried_count++] = *out;
  return TW_OK;
}

// Into a list of the best, best first; of equals the earlier one stays in front.
static void insert(const search *s, tw_candidate kept[KEPT], int *count, const tw_candidate *c) {
  int at = *count;
  for (int i = 0; i < *count; i++)
    if (same(&kept[i].choices, &c->choices)) return;
  while (at > 0 && better(s, c, &kept[at - 1])) at--;
  if (at == KEPT) return;
  if (*count < KEPT) ++*count;
  memmove(&kept[at + 1], &kept[at], sizeof *kept * (size_t)(*count - 1 - at));
  kept[at] = *c;
}

// A lookup beside an argmax needs a place that is said: plans of one host by themselves stay what they are.
static bool may_try(const search *s, const tw_choices *way) {
  bool beside = s->request.choices.lookup_beside;
  return s->made_lookup ? way->lookup_beside == beside : !way->lookup_beside || !s->place->by_one_layer;
}

// All ways of a form from what was kept so far into next.
static tw_status expand(search *s, int form, const tw_candidate *from, tw_candidate next[KEPT], int *count) {
  tw_choices ways[TW_MOST_WAYS];
  tw_candidate candidate;
  int way_count = tw_forms[form].ways(s->part, &s->request, &from->choices, ways);
  for (int i = 0; i < way_count; i++) {
    if (form == TW_FORM_ARGMAX && !may_try(s, &ways[i])) continue;
    if (form == TW_FORM_ENGINE && s->without[ways[i].engine]) continue;
    tw_status status = try_choices(s, &ways[i], &candidate);
    bool may_fail =
        tw_forms[form].last || from->choices.argmax_rounds;  // of these rounds there may be none by this way
    if (status == TW_ERR_USAGE && may_fail) continue;
    if (status == TW_ERR_RANGE && form == TW_FORM_ENGINE) continue;  // bounds that are too wide for a function's key
    if (status != TW_OK) return status;
    insert(s, next, count, &candidate);
  }
  return TW_OK;
}

// Form by form; each of the best so far in every way of the next.
static tw_status search_forms(search *s, const tw_made *made, const tw_choices *start, tw_candidate kept[KEPT]) {
  int count = 1;
  TW_TRY(try_choices(s, start, &kept[0]));
  for (int form = 0; form < TW_FORMS; form++) {
    tw_candidate next[KEPT];
    int next_count = 0;
    if (made->form[form]) continue;
    for (int i = 0; i < (tw_forms[form].last ? 1 : count); i++) TW_TRY(expand(s, form, &kept[i], next, &next_count));
    memcpy(kept, next, sizeof next);
    count = next_count;
  }
  return TW_OK;
}

// Whoever is best by one step after the other of a form alone: forms that were chosen before what is read from keys.
static tw_status go_on(search *s, const tw_made *made, tw_candidate *best) {
  bool moved = !made->form[TW_FORM_ENGINE];
  while (moved) {
    moved = false;
    for (int form = 0; form < TW_FORMS; form++) {
      tw_candidate next[KEPT];
      int count = 0;
      if (made->form[form] || tw_forms[form].last) continue;
      TW_TRY(expand(s, form, best, next, &count));
      if (count == 0 || !better(s, &next[0], best)) continue;
      *best = next[0];
      moved = true;
    }
  }
  return TW_OK;
}

// The best with another way of one form.
static tw_status look_around(search *s, const tw_made *made, tw_found *found) {
  for (int form = 0; form < TW_FORMS; form++) {
    tw_candidate next[KEPT];
    int count = 0;
    if (made->form[form]) continue;
    TW_TRY(expand(s, form, &found->best, next, &count));
    for (int i = 0; i < count && !found->other[form].there; i++)
      if (!tw_forms[form].same(&next[i].choices, &found->best.choices)) found->other[form] = next[i];
  }
  for (int i = 0; i < s->tried_count; i++)
    if (!same(&s->tried[i].choices, &found->best.choices) &&
        (!found->runner_up.there || better(s, &s->tried[i], &found->runner_up)))
      found->runner_up = s->tried[i];
  return TW_OK;
}

// The rounds of an argmax that were asked for, with the lookup where it takes less.
static tw_status take_asked(search *s, tw_candidate *best) {
  tw_choices asked = best->choices;
  tw_candidate beside;
  asked.argmax_rounds = s->asked_argmax;
  TW_TRY(try_choices(s, &asked, best));
  asked.lookup_beside = !asked.lookup_beside;
  if (s->request.generated < 2 || !may_try(s, &asked)) return TW_OK;
  if (try_choices(s, &asked, &beside) == TW_OK && better(s, &beside, best)) *best = beside;
  return TW_OK;
}

static tw_status find(search *s, const tw_made *made, tw_choices *out, tw_found *found) {
  tw_candidate kept[KEPT];
  TW_TRY(search_forms(s, made, &s->request.choices, kept));
  TW_TRY(go_on(s, made, &kept[0]));
  if (s->asked_argmax) TW_TRY(take_asked(s, &kept[0]));
  *out = kept[0].choices;
  if (!found) return TW_OK;
  *found = (tw_found){.best = kept[0]};
  return look_around(s, made, found);
}

tw_status tw_choices_find(const tw_model_config *config, const tw_plan_request *request, const tw_made *made,
                          const tw_place *place, uint64_t key_budget, tw_choices *out, tw_found *found) {
  tw_model_config part = *config;
  search s = {.part = &part,
              .request = *request,
              .place = place,
              .without = made->without,
              .key_budget = key_budget,
              .layers = config->layers,
              .tokens = request->generated,
              .asked_argmax = request->choices.argmax_rounds,
              .made_lookup = made->lookup};
  int most = place->by_one_layer ? 1 : 2;
  if (part.layers > most) part.layers = most;
  TW_TRY(tw_alloc(sizeof *s.tried * MOST_TRIED, (void **)&s.tried));
  s.request.choices.argmax_rounds = 0;
  tw_status status = find(&s, made, out, found);
  for (int i = 0; i <= TW_ALL_BY_KEY; i++) {
    tw_plan_free(&s.models[i].prompt);
    tw_plan_free(&s.models[i].first);
  }
  tw_free(s.tried);
  return status;
}
