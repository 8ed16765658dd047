#include "jobs/plan/forms.h"

#include <stdio.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "jobs/models/fold.h"

// ---- groups of a row maximum: one, two and three levels; the last takes all that are left

static int groups_of(int members, int group) { return (members + group - 1) / group; }

static int add_groups(const tw_choices *base, const int groups[3], tw_choices *ways, int count) {
  if (count == TW_MOST_WAYS) return count;
  ways[count] = *base;
  memset(ways[count].maximum, 0, sizeof ways[count].maximum);
  for (int i = 0; i < 3; i++) ways[count].maximum[i] = groups[i];
  return count + 1;
}

static int maximum_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                        tw_choices *ways) {
  enum { MOST_FIRST = 12, MOST_SECOND = 8 };
  int text = request->generated ? request->generated - 1 : 0;
  int keys = request->prefix.rows + request->earlier + request->seq + text;
  int most = base->early_groups ? TW_LARGEST_GROUP : TW_LARGEST_LATE_GROUP;
  (void)config;
  int count = add_groups(base, (int[3]){0}, ways, 0);
  for (int first = 2; first <= MOST_FIRST; first++) {
    int left = groups_of(keys, first);
    if (left > 1 && left <= most) count = add_groups(base, (int[3]){first, left}, ways, count);
    for (int second = 2; second <= MOST_SECOND && left > second; second++) {
      int last = groups_of(left, second);
      if (last >= 2 && last <= most) count = add_groups(base, (int[3]){first, second, last}, ways, count);
    }
  }
  if (keys >= 2 && keys <= most) count = add_groups(base, (int[3]){keys}, ways, count);
  return count;
}

static bool maximum_same(const tw_choices *a, const tw_choices *b) {
  return memcmp(a->maximum, b->maximum, sizeof a->maximum) == 0;
}

static void maximum_say(const tw_choices *c, char *text, size_t size) {
  int used = snprintf(text, size, "groups %d", c->maximum[0] ? c->maximum[0] : 8);
  for (int i = 1; i < TW_MOST_LEVELS && c->maximum[i]; i++)
    used += snprintf(text + used, size - (size_t)used, ",%d", c->maximum[i]);
}

// ---- forms of two ways

#define TWO_WAYS(form, member)                                                                                  \
  static int form##_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base, \
                         tw_choices *ways) {                                                                    \
    (void)config, (void)request;                                                                                \
    ways[0] = ways[1] = *base;                                                                                  \
    ways[0].member = false;                                                                                     \
    ways[1].member = true;                                                                                      \
    return 2;                                                                                                   \
  }                                                                                                             \
  static bool form##_same(const tw_choices *a, const tw_choices *b) { return a->member == b->member; }
TWO_WAYS(nodes, wide_nodes)
TWO_WAYS(windows, flat_windows)
TWO_WAYS(means, centred)
TWO_WAYS(norms, flat_norms)
TWO_WAYS(groups, early_groups)

static void nodes_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, "nodes of %d", c->wide_nodes ? 8 : 4);
}
static void windows_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, c->flat_windows ? "windows in 1 level" : "windows in 2 levels");
}
static void means_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, "norms with%s a mean", c->centred ? "out" : "");
}

static void norms_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, "norms compared in %d level%s", c->flat_norms ? 1 : 2, c->flat_norms ? "" : "s");
}
static void groups_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, "groups in %d rounds", c->early_groups ? 3 : 4);
}

// Only of texts: there a row stands alone, and its planes of bits are nearly empty.
static int text_norms_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                           tw_choices *ways) {
  return request->generated ? norms_ways(config, request, base, ways) : (ways[0] = *base, 1);
}
static int text_groups_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                            tw_choices *ways) {
  int count = request->generated ? groups_ways(config, request, base, ways) : 1;
  for (int i = 0; i < TW_MOST_LEVELS; i++)
    if (base->maximum[i] > TW_LARGEST_LATE_GROUP) count = 1;  // the other way has none so large
  if (count == 1) ways[0] = *base;
  return count;
}

// Only where its weights can be centred. A decoder's rows go on from layer to layer, and truncations that all round
// down would give them a mean again.
static int possible_means_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                               tw_choices *ways) {
  int count = means_ways(config, request, base, ways);
  bool stays = !tw_decoder_layout_of(config) || request->rounding != TW_FAITHFUL;
  return tw_model_centres(config) && stays ? count : 1;
}

// ---- what functions are read from, those first that need no keys

static const char *const engine_names[] = {"digit",
                                           "pfss-norms",
                                           "pfss-reciprocal",
                                           "pfss-rows",
                                           "pfss-exp",
                                           "pfss-norms+exp",
                                           "pfss-reciprocal+exp",
                                           "pfss-rows+exp",
                                           "pfss-activation",
                                           "pfss-norms+activation",
                                           "pfss-reciprocal+activation",
                                           "pfss-rows+activation",
                                           "pfss-exp+activation",
                                           "pfss-norms+exp+activation",
                                           "pfss-reciprocal+exp+activation",
                                           "pfss"};
enum { ENGINES = sizeof engine_names / sizeof *engine_names };
static const struct {
  const char *name;
  tw_read_by engine;
} engine_parts[] = {{"norms", TW_ROOTS_BY_KEY},
                    {"reciprocal", TW_RECIPROCALS_BY_KEY},
                    {"rows", TW_ROWS_BY_KEY},
                    {"exp", TW_EXP_BY_KEY},
                    {"activation", TW_ACTIVATIONS_BY_KEY}};

const char *tw_read_by_name(tw_read_by engine) { return engine_names[engine & TW_ALL_BY_KEY]; }

// The function that `text` begins with, up to a + or its end; 0: none.
static int part_of(const char *text, size_t *length) {
  *length = strcspn(text, "+");
  for (size_t i = 0; i < sizeof engine_parts / sizeof *engine_parts; i++)
    if (strlen(engine_parts[i].name) == *length && strncmp(engine_parts[i].name, text, *length) == 0)
      return (int)engine_parts[i].engine;
  return 0;
}

// Functions one by one, in any order; 0: not that.
static int parts_of(const char *text) {
  size_t length;
  int all = 0, part;
  for (;; text += length + 1) {
    part = part_of(text, &length);
    if (!part || (all & part)) return 0;
    all |= part;
    if (!text[length]) return all;
  }
}

tw_status tw_read_by_parse(const char *text, tw_read_by *out) {
  int parts = strncmp(text, "pfss-", 5) == 0 ? parts_of(text + 5) : 0;
  for (int i = 0; i < ENGINES; i++)
    if (parts ? i == parts : strcmp(text, engine_names[i]) == 0) {
      *out = (tw_read_by)i;
      return TW_OK;
    }
  return tw_fail(
      TW_ERR_USAGE,
      "unknown --engine '%s'; use auto, digit, pfss, or pfss- and some of norms, reciprocal, rows (both), exp, "
      "activation with + between",
      text);
}

// Norms of decoders, and activations that are two lines, are never read from keys.
static int without_keys(const tw_model_config *config) {
  const tw_spec *activation = tw_spec_by_name(config->activation);
  return (tw_decoder_layout_of(config) ? TW_ROOTS_BY_KEY : 0) |
         (activation && tw_spec_by_key(activation) ? 0 : TW_ACTIVATIONS_BY_KEY);
}

tw_status tw_read_by_check(tw_read_by engine, const tw_model_config *config) {
  if (engine == TW_BY_DIGITS || (engine & ~without_keys(config))) return TW_OK;
  return tw_fail(TW_ERR_USAGE,
                 "--engine %s: of %s nothing is read from keys then, as norms of decoders and activations of two lines "
                 "go by digits; use digit, or pfss- and reciprocal or exp",
                 tw_read_by_name(engine), config->name);
}

// Of two names of the same plan the longer one.
static int engine_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                       tw_choices *ways) {
  bool norms = !(without_keys(config) & TW_ROOTS_BY_KEY), activations = !(without_keys(config) & TW_ACTIVATIONS_BY_KEY);
  int count = 0;
  (void)request;
  for (int i = 0; i < ENGINES; i++) {
    if (!norms && !(i & TW_ROOTS_BY_KEY) != !(i & TW_RECIPROCALS_BY_KEY)) continue;
    if (!activations && !(i & TW_ACTIVATIONS_BY_KEY) != !(i & TW_EXP_BY_KEY)) continue;
    ways[count] = *base;
    ways[count++].engine = (tw_read_by)i;
  }
  return count;
}

static bool engine_same(const tw_choices *a, const tw_choices *b) { return a->engine == b->engine; }

static void engine_say(const tw_choices *c, char *text, size_t size) {
  snprintf(text, size, "engine %s", tw_read_by_name(c->engine));
}

// ---- rounds of an argmax, with the next word's lookup behind it or beside it: fewest first, so that what takes as
// long in more of them is not taken

static int argmax_ways(const tw_model_config *config, const tw_plan_request *request, const tw_choices *base,
                       tw_choices *ways) {
  enum { MOST = 40, LEAST_BESIDE = 8, MOST_BESIDE = 28 };
  int count = 0;
  (void)config;
  for (int i = 0; i <= MOST; i++)
    for (int beside = 0; beside < 2; beside++) {
      if (beside && (request->generated < 2 || i < LEAST_BESIDE || i > MOST_BESIDE)) continue;
      ways[count] = *base;
      ways[count].argmax_rounds = i;
      ways[count++].lookup_beside = beside;
    }
  return tw_output_of_tokens(request->output) ? count : 1;
}

static bool argmax_same(const tw_choices *a, const tw_choices *b) {
  return a->argmax_rounds == b->argmax_rounds && a->lookup_beside == b->lookup_beside;
}

static void argmax_say(const tw_choices *c, char *text, size_t size) {
  const char *what = c->lookup_beside ? "argmax and lookup" : "argmax";
  text[0] = '\0';
  if (c->lookup_beside) snprintf(text, size, "%s", what);
  if (c->argmax_rounds) snprintf(text, size, "%s in %d rounds", what, c->argmax_rounds);
}

const tw_form tw_forms[TW_FORMS] = {
    [TW_FORM_GROUPS] = {"groups of a row maximum", "group-rounds", text_groups_ways, groups_same, groups_say, true,
                        false},
    [TW_FORM_MAXIMUM] = {"row maximum", "maximum-groups", maximum_ways, maximum_same, maximum_say, false, false},
    [TW_FORM_NODES] = {"comparisons", "node-arity", nodes_ways, nodes_same, nodes_say, false, false},
    [TW_FORM_WINDOWS] = {"windows of tables", "window-levels", windows_ways, windows_same, windows_say, false, false},
    [TW_FORM_NORMS] = {"comparisons of norms", "norm-levels", text_norms_ways, norms_same, norms_say, true, false},
    [TW_FORM_MEANS] = {"norms", "norm-means", possible_means_ways, means_same, means_say, false, false},
    [TW_FORM_ENGINE] = {"functions", "engine", engine_ways, engine_same, engine_say, true, false},
    [TW_FORM_ARGMAX] = {"argmax", "argmax-rounds", argmax_ways, argmax_same, argmax_say, false, true}};

void tw_choices_text(const tw_choices *c, char text[TW_CHOICES_TEXT]) {
  char said[TW_CHOICES_TEXT];
  size_t used = 0;
  text[0] = '\0';
  for (int i = -1; i < TW_FORMS && used < TW_CHOICES_TEXT; i++) {
    const tw_form *form = &tw_forms[i < 0 ? TW_FORM_ENGINE : i];  // in front
    if (i == TW_FORM_ENGINE || (form->unsaid && form->same(c, &(tw_choices){0}))) continue;
    form->say(c, said, sizeof said);
    if (*said) used += (size_t)snprintf(text + used, TW_CHOICES_TEXT - used, "%s%s", used ? ", " : "", said);
  }
}
