#include "jobs/plan/choices.h"

#include <math.h>

#include "jobs/models/fold.h"

const tw_place tw_place_one_host = {26e-6, 40e9, 118e9};

double tw_place_seconds(const tw_place *place, const tw_program *p) {
  uint64_t sent = 0;
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].opens) sent += tw_program_open_bytes(&p->tensors[p->ops[i].out[0]]);
  uint64_t keys = p->slot_bytes[0] > p->slot_bytes[1] ? p->slot_bytes[0] : p->slot_bytes[1];
  return place->round * p->levels + (double)keys / place->key_rate + (double)sent / place->rate;
}

typedef struct {
  tw_model_config layer;  // the model's, of one layer
  tw_plan_request request;
  const tw_place *place;
  double least;
  tw_choices best;
} search;

static tw_status try_choices(search *s, const tw_choices *c) {
  tw_plan plan;
  s->request.choices = *c;
  TW_TRY(tw_plan_make(&s->layer, &s->request, NULL, &plan));
  double seconds = tw_place_seconds(s->place, &plan.program);
  tw_plan_free(&plan);
  if (seconds < s->least) {
    s->least = seconds;
    s->best = *c;
  }
  return TW_OK;
}

static int groups_of(int members, int group) { return (members + group - 1) / group; }

// One, two and three levels; the last takes all that are left.
static tw_status try_maxima(search *s, tw_choices c) {
  enum { MOST_FIRST = 12, MOST_SECOND = 8 };
  int keys = s->request.seq;
  for (int first = 2; first <= MOST_FIRST; first++) {
    int left = groups_of(keys, first);
    if (left > 1 && left <= TW_LARGEST_GROUP) {
      tw_choices two = c;
      two.maximum[0] = first;
      two.maximum[1] = left;
      TW_TRY(try_choices(s, &two));
    }
    for (int second = 2; second <= MOST_SECOND && left > second; second++) {
      int last = groups_of(left, second);
      if (last < 2 || last > TW_LARGEST_GROUP) continue;
      tw_choices three = c;
      three.maximum[0] = first;
      three.maximum[1] = second;
      three.maximum[2] = last;
      TW_TRY(try_choices(s, &three));
    }
  }
  if (keys >= 2 && keys <= TW_LARGEST_GROUP) {
    c.maximum[0] = keys;
    return try_choices(s, &c);
  }
  return TW_OK;
}

// Fewest rounds first: what takes as long in more of them is not taken.
static tw_status try_argmax(search *s, tw_choices c) {
  enum { MOST = 40 };
  for (c.argmax_rounds = 1; c.argmax_rounds <= MOST; c.argmax_rounds++) {
    tw_status status = try_choices(s, &c);
    if (status != TW_OK && status != TW_ERR_USAGE) return status;
  }
  return TW_OK;
}

tw_status tw_choices_find(const tw_model_config *config, const tw_plan_request *request, const tw_made *made,
                          const tw_place *place, tw_choices *out) {
  search s = {.layer = *config, .request = *request, .place = place, .least = INFINITY};
  s.layer.layers = 1;
  tw_choices c = request->choices;
  c.argmax_rounds = 0;                                       // they depend on the nodes, and no other choice on them
  if (!made->centred) c.centred = tw_model_centres(config);  // a round less and fewer keys, everywhere
  TW_TRY(try_choices(&s, &c));
  if (!made->maximum) TW_TRY(try_maxima(&s, c));
  c = s.best;
  for (int wide = 0; wide < 2; wide++)
    for (int flat = 0; flat < 2; flat++) {
      tw_choices other = c;
      if (!made->wide_nodes) other.wide_nodes = wide;
      if (!made->flat_windows) other.flat_windows = flat;
      TW_TRY(try_choices(&s, &other));
    }
  if (made->argmax)
    s.best.argmax_rounds = request->choices.argmax_rounds;
  else if (request->output == TW_OUTPUT_NEXT_TOKEN)
    TW_TRY(try_argmax(&s, s.best));
  *out = s.best;
  return TW_OK;
}
