// The forms between which a plan chooses, a row each: which ways there are, how a plan says the one it has. What a way
// costs is what its program costs (estimate.h); so a form that is added here, of digits or of other keys, is priced and
// compared like the others.
#ifndef TW_FORMS_H
#define TW_FORMS_H

#include "jobs/plan/plan.h"

enum {
  TW_FORM_GROUPS,
  TW_FORM_MAXIMUM,
  TW_FORM_NODES,
  TW_FORM_WINDOWS,
  TW_FORM_NORMS,
  TW_FORM_MEANS,
  TW_FORM_ENGINE,
  TW_FORM_ARGMAX,
  TW_FORMS
};
enum { TW_MOST_WAYS = 128 };

typedef struct {
  const char *name;    // in tables: "row maximum"
  const char *option;  // that says it by hand
  // All ways for this model, each `base` but for this form, to ways[TW_MOST_WAYS]; returns how many. The first is what
  // a plan has where nothing is chosen.
  int (*ways)(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base, tw_choices *ways);
  bool (*same)(const tw_choices *a, const tw_choices *b);
  void (*say)(const tw_choices *c, char *text, size_t size);  // "groups 7,19"; "": not in this plan
  bool unsaid;                                                // a plan does not say its usual way
  bool last;  // other forms do not depend on it, it does on them, and a way may be impossible (TW_ERR_USAGE)
} tw_form;

extern const tw_form tw_forms[TW_FORMS];

#endif
