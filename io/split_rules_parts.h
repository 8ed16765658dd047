// What reading and running the rules of a tokenizer.json share. Internal to io/.
#ifndef TW_SPLIT_RULES_PARTS_H
#define TW_SPLIT_RULES_PARTS_H

#include "io/charsmap.h"
#include "io/normalise.h"
#include "io/pattern.h"
#include "io/split_rules.h"

// What becomes of a match: a stretch of its own, nothing, one with its neighbours that match, or part of one beside it.
typedef enum { TW_CUT_ISOLATED, TW_CUT_REMOVED, TW_CUT_CONTIGUOUS, TW_CUT_WITH_PREVIOUS, TW_CUT_WITH_NEXT } tw_cut_kind;
// Which stretches Metaspace puts its mark before.
typedef enum { TW_PREPEND_ALWAYS, TW_PREPEND_FIRST, TW_PREPEND_NEVER } tw_prepend;

typedef struct tw_rule tw_rule;
struct tw_rule {
  tw_status (*apply)(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
  tw_pattern *pattern;
  char *text;  // to put before, or instead
  tw_cut_kind cut;
  bool invert, left, right, individual, prefix, use_regex;
  int form;  // utf8proc's options, or a tw_prepend
  tw_normaliser bert;
  tw_charsmap *map;
};

struct tw_rules_list {
  tw_rule *rules;
  int count, room;
};

// Each makes of one stretch what the rule of its name does, and appends it to `out`.
tw_status tw_rule_split(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_digits(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_punctuation(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_white(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_prepend(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_replace(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_form(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_bert(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_map(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_strip(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_byte_level(const tw_rule *r, const tw_stretch *in, tw_stretches *out);
tw_status tw_rule_metaspace(const tw_rule *r, const tw_stretch *in, tw_stretches *out);

#endif
