// The normalizers and pre-tokenizers that a tokenizer.json lists.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/split_rules_parts.h"

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static tw_status unknown(const char *where, const char *part, const json_t *value) {
  const char *type = json_string_value(json_object_get(value, "type"));
  return tw_fail(TW_ERR_FORMAT,
                 "%s: %s %s is not supported: text would be cut otherwise than by the model's own "
                 "tokenizer",
                 where, part, type ? type : "of an unknown form");
}

static bool flag(const json_t *value, const char *name, bool otherwise) {
  const json_t *v = json_object_get(value, name);
  return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static tw_status take_text(const json_t *value, const char *name, const char *where, tw_rule *r) {
  const char *text = json_string_value(json_object_get(value, name));
  if (!text) return tw_fail(TW_ERR_FORMAT, "%s: a rule lacks its %s", where, name);
  r->text = strdup(text);
  return r->text ? TW_OK : out_of_memory();
}

static tw_status take_pattern(const json_t *value, const char *where, tw_rule *r) {
  const json_t *pattern = json_object_get(value, "pattern");
  const char *regex = json_string_value(json_object_get(pattern, "Regex"));
  const char *literal = json_string_value(json_object_get(pattern, "String"));
  if (regex) return tw_pattern_new(regex, where, &r->pattern);
  if (literal && *literal) return tw_pattern_literal(literal, where, &r->pattern);
  return tw_fail(TW_ERR_FORMAT, "%s: a rule's pattern is neither Regex nor String", where);
}

static tw_status take_behaviour(const json_t *value, const char *where, tw_cut_kind otherwise, tw_rule *r) {
  static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
  const char *name = json_string_value(json_object_get(value, "behavior"));
  r->cut = otherwise;
  if (!name) return TW_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) {
      r->cut = (tw_cut_kind)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_FORMAT, "%s: the behavior %s is not known", where, name);
}

static tw_status read_split(const json_t *v, const char *where, tw_rule *r) {
  r->apply = tw_rule_split;
  r->invert = flag(v, "invert", false);
  TW_TRY(take_behaviour(v, where, TW_CUT_ISOLATED, r));
  return take_pattern(v, where, r);
}

static tw_status read_digits(const json_t *v, const char *where, tw_rule *r) {
  (void)where;
  r->apply = tw_rule_digits;
  r->cut = flag(v, "individual_digits", false) ? TW_CUT_ISOLATED : TW_CUT_CONTIGUOUS;
  return TW_OK;
}

static tw_status read_punctuation(const json_t *v, const char *where, tw_rule *r) {
  r->apply = tw_rule_punctuation;
  return take_behaviour(v, where, TW_CUT_ISOLATED, r);
}

static tw_status read_white(const json_t *v, const char *where, tw_rule *r) {
  (void)v, (void)where;
  r->apply = tw_rule_white;
  r->cut = TW_CUT_REMOVED;
  return TW_OK;
}

static tw_status read_byte_level(const json_t *v, const char *where, tw_rule *r) {
  r->apply = tw_rule_byte_level;
  r->prefix = flag(v, "add_prefix_space", true);
  r->use_regex = flag(v, "use_regex", true);
  return r->use_regex ? tw_pattern_new(gpt2, where, &r->pattern) : TW_OK;
}

static tw_status read_metaspace(const json_t *v, const char *where, tw_rule *r) {
  const char *name = json_string_value(json_object_get(v, "prepend_scheme"));
  r->apply = tw_rule_metaspace;
  r->individual = flag(v, "split", true);
  r->form = !name                         ? (flag(v, "add_prefix_space", true) ? TW_PREPEND_ALWAYS : TW_PREPEND_NEVER)
            : strcmp(name, "always") == 0 ? TW_PREPEND_ALWAYS
            : strcmp(name, "first") == 0  ? TW_PREPEND_FIRST
                                          : TW_PREPEND_NEVER;
  TW_TRY(take_text(v, "replacement", where, r));
  return tw_pattern_literal(" ", where, &r->pattern);
}

static tw_status read_prepend(const json_t *v, const char *where, tw_rule *r) {
  r->apply = tw_rule_prepend;
  return take_text(v, "prepend", where, r);
}

static tw_status read_replace(const json_t *v, const char *where, tw_rule *r) {
  r->apply = tw_rule_replace;
  TW_TRY(take_text(v, "content", where, r));
  return take_pattern(v, where, r);
}

static tw_status read_strip(const json_t *v, const char *where, tw_rule *r) {
  (void)where;
  r->apply = tw_rule_strip;
  r->left = flag(v, "strip_left", true);
  r->right = flag(v, "strip_right", true);
  return TW_OK;
}

static tw_status read_lower(const json_t *v, const char *where, tw_rule *r) {
  (void)v, (void)where;
  r->apply = tw_rule_bert;
  r->bert = (tw_normaliser){.lower_case = true};
  return TW_OK;
}

static tw_status read_bert(const json_t *v, const char *where, tw_rule *r) {
  (void)where;
  const json_t *accents = json_object_get(v, "strip_accents");
  bool lower = flag(v, "lowercase", true);
  r->apply = tw_rule_bert;
  r->bert = (tw_normaliser){.clean_text = flag(v, "clean_text", true),
                            .split_chinese = flag(v, "handle_chinese_chars", true),
                            .lower_case = lower,
                            .strip_accents = json_is_boolean(accents) ? json_is_true(accents) : lower};
  return TW_OK;
}

static tw_status read_precompiled(const json_t *v, const char *where, tw_rule *r) {
  const char *map = json_string_value(json_object_get(v, "precompiled_charsmap"));
  r->apply = tw_rule_map;
  return tw_charsmap_new(map ? map : "", where, &r->map);
}

static tw_status form(tw_rule *r, int options) {
  r->apply = tw_rule_form;
  r->form = options;
  return TW_OK;
}
static tw_status read_nfc(const json_t *v, const char *where, tw_rule *r) {
  (void)v, (void)where;
  return form(r, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}
static tw_status read_nfd(const json_t *v, const char *where, tw_rule *r) {
  (void)v, (void)where;
  return form(r, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
}

typedef struct {
  const char *type;
  tw_status (*read)(const json_t *value, const char *where, tw_rule *r);
} reader;

static const reader normalizers[] = {
    {"NFC", read_nfc},     {"NFD", read_nfd},         {"Prepend", read_prepend},         {"Replace", read_replace},
    {"Strip", read_strip}, {"Lowercase", read_lower}, {"Precompiled", read_precompiled}, {"BertNormalizer", read_bert},
    {NULL, NULL}};
static const reader pre_tokenizers[] = {{"Split", read_split},
                                        {"Digits", read_digits},
                                        {"ByteLevel", read_byte_level},
                                        {"Metaspace", read_metaspace},
                                        {"Punctuation", read_punctuation},
                                        {"WhitespaceSplit", read_white},
                                        {NULL, NULL}};

static tw_status grow_rules(tw_rules_list *l) {
  if (l->count < l->room) return TW_OK;
  int room = l->room ? 2 * l->room : 4;
  tw_rule *grown = realloc(l->rules, (size_t)room * sizeof *grown);
  if (!grown) return out_of_memory();
  l->rules = grown;
  l->room = room;
  return TW_OK;
}

static tw_status read_rule(const json_t *value, const char *where, const char *part, const char *list,
                           const reader *readers, int depth, tw_rules_list *l) {
  const char *type = json_string_value(json_object_get(value, "type"));
  if (type && strcmp(type, "Sequence") == 0 && depth < 8) {
    const json_t *items = json_object_get(value, list), *one;
    size_t i;
    if (!json_is_array(items)) return unknown(where, part, value);
    json_array_foreach(items, i, one) TW_TRY(read_rule(one, where, part, list, readers, depth + 1, l));
    return TW_OK;
  }
  for (; type && readers->type; readers++) {
    if (strcmp(type, readers->type) != 0) continue;
    TW_TRY(grow_rules(l));
    l->rules[l->count] = (tw_rule){0};
    return readers->read(value, where, &l->rules[l->count++]);
  }
  return unknown(where, part, value);
}

static tw_status read_list(const json_t *value, const char *where, const char *part, const char *list,
                           const reader *readers, tw_rules_list **out) {
  *out = NULL;
  tw_rules_list *l = calloc(1, sizeof *l);
  if (!l) return out_of_memory();
  tw_status status = TW_OK;
  if (value && !json_is_null(value)) status = read_rule(value, where, part, list, readers, 0, l);
  if (status == TW_OK)
    *out = l;
  else
    tw_rules_list_free(l);
  return status;
}

tw_status tw_normalizers_read(const json_t *value, const char *where, tw_rules_list **out) {
  return read_list(value, where, "normalizer", "normalizers", normalizers, out);
}

tw_status tw_pre_tokenizers_read(const json_t *value, const char *where, tw_rules_list **out) {
  return read_list(value, where, "pre_tokenizer", "pretokenizers", pre_tokenizers, out);
}

void tw_rules_list_free(tw_rules_list *list) {
  if (!list) return;
  for (int i = 0; i < list->count; i++) {
    tw_pattern_free(list->rules[i].pattern);
    tw_charsmap_free(list->rules[i].map);
    free(list->rules[i].text);
  }
  free(list->rules);
  free(list);
}
