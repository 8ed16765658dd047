#define _GNU_SOURCE
#include "io/split_rules.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/characters.h"
#include "io/normalise.h"
#include "io/pattern.h"

// ---- stretches

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

tw_status tw_stretches_add(tw_stretches *list, char *text, size_t bytes, bool first) {
  if (bytes == 0 || !text) {
    free(text);
    return text ? TW_OK : out_of_memory();
  }
  if (list->count == list->room) {
    int room = list->room ? 2 * list->room : 16;
    tw_stretch *grown = realloc(list->items, (size_t)room * sizeof *grown);
    if (!grown) {
      free(text);
      return out_of_memory();
    }
    list->items = grown;
    list->room = room;
  }
  list->items[list->count++] = (tw_stretch){text, bytes, first};
  return TW_OK;
}

tw_status tw_stretches_copy(tw_stretches *list, const char *text, size_t bytes, bool first) {
  char *copy = malloc(bytes + 1);
  if (!copy) return out_of_memory();
  memcpy(copy, text, bytes);
  copy[bytes] = '\0';
  return tw_stretches_add(list, copy, bytes, first);
}

void tw_stretches_free(tw_stretches *list) {
  for (int i = 0; i < list->count; i++) free(list->items[i].text);
  free(list->items);
  *list = (tw_stretches){0};
}

// ---- GPT-2's alphabet: bytes that print stand for themselves, the others for U+0100 on, in order

int tw_byte_letter(unsigned char byte) {
  if (byte < 33) return 256 + byte;
  if (byte >= 127 && byte <= 160) return 289 + byte - 127;
  return byte == 173 ? 323 : byte;
}

int tw_letter_byte(int c) {
  if (c >= 256 && c < 289) return c - 256;
  if (c >= 289 && c < 323) return c - 289 + 127;
  if (c == 323) return 173;
  return c >= 33 && c < 256 && tw_byte_letter((unsigned char)c) == c ? c : -1;
}

size_t tw_utf8_put(int code_point, char *to) {
  return (size_t)utf8proc_encode_char(code_point, (utf8proc_uint8_t *)to);
}

// ---- rules

typedef enum { ISOLATED, REMOVED, CONTIGUOUS, WITH_PREVIOUS, WITH_NEXT } behaviour;

typedef struct rule rule;
struct rule {
  tw_status (*apply)(const rule *r, const tw_stretch *in, tw_stretches *out);
  tw_pattern *pattern;
  char *text;  // to put before, or instead
  behaviour cut;
  bool invert, left, right, individual, prefix, use_regex;
  int form;  // utf8proc's options
  tw_normaliser bert;
};

struct tw_rules_list {
  rule *rules;
  int count, room;
};

// ---- cutting

typedef struct {
  size_t begin, end;
  bool hit;
} span;

typedef struct {
  span *spans;
  int count, room;
} span_list;

static tw_status add_span(span_list *l, size_t begin, size_t end, bool hit) {
  if (begin == end) return TW_OK;
  if (l->count == l->room) {
    int room = l->room ? 2 * l->room : 32;
    span *grown = realloc(l->spans, (size_t)room * sizeof *grown);
    if (!grown) return out_of_memory();
    l->spans = grown;
    l->room = room;
  }
  l->spans[l->count++] = (span){begin, end, hit};
  return TW_OK;
}

// Neighbours that belong together become one.
static void join_spans(span_list *l, behaviour how) {
  int n = 0;
  bool before = false;
  for (int i = 0; i < l->count; i++) {
    span s = l->spans[i];
    bool joins = n > 0 && ((how == CONTIGUOUS && s.hit == before) || (how == WITH_PREVIOUS && s.hit && !before));
    bool joins_next = how == WITH_NEXT && n > 0 && !s.hit && before;
    before = s.hit;
    if (joins || joins_next)
      l->spans[n - 1].end = s.end;
    else
      l->spans[n++] = s;
  }
  l->count = n;
}

static tw_status cut(const rule *r, const tw_stretch *in, span_list *l, tw_stretches *out) {
  for (int i = 0; i < l->count; i++) l->spans[i].hit ^= r->invert;
  join_spans(l, r->cut);
  for (int i = 0; i < l->count; i++) {
    const span *s = &l->spans[i];
    if (r->cut == REMOVED && s->hit) continue;
    TW_TRY(tw_stretches_copy(out, in->text + s->begin, s->end - s->begin, in->first && s->begin == 0));
  }
  return TW_OK;
}

static tw_status find_all(const tw_pattern *p, const tw_stretch *in, span_list *l) {
  size_t at = 0;
  while (at < in->bytes) {
    bool found;
    size_t begin, end;
    TW_TRY(tw_pattern_find(p, in->text, in->bytes, at, &found, &begin, &end));
    if (!found) break;
    TW_TRY(add_span(l, at, begin, false));
    TW_TRY(add_span(l, begin, end, true));
    at = end;
  }
  return add_span(l, at, in->bytes, false);
}

static tw_status apply_split(const rule *r, const tw_stretch *in, tw_stretches *out) {
  span_list l = {0};
  tw_status status = find_all(r->pattern, in, &l);
  if (status == TW_OK) status = cut(r, in, &l, out);
  free(l.spans);
  return status;
}

// By a property of each code point.
static tw_status cut_by(const rule *r, bool (*is)(int), const tw_stretch *in, tw_stretches *out) {
  span_list l = {0};
  tw_status status = TW_OK;
  size_t begin = 0;
  for (size_t at = 0; at < in->bytes && status == TW_OK;) {
    size_t here = at;
    if (!is(tw_code_point(in->text, in->bytes, &at))) continue;
    status = add_span(&l, begin, here, false);
    if (status == TW_OK) status = add_span(&l, here, at, true);
    begin = at;
  }
  if (status == TW_OK) status = add_span(&l, begin, in->bytes, false);
  if (status == TW_OK) status = cut(r, in, &l, out);
  free(l.spans);
  return status;
}

// Rust's char::is_numeric: the categories Nd, Nl and No.
static bool is_numeric(int c) {
  utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
}

static tw_status apply_digits(const rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, is_numeric, in, out);
}
static tw_status apply_punctuation(const rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, tw_char_punctuation, in, out);
}
static tw_status apply_white(const rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, tw_char_white, in, out);
}

// ---- rewriting

static tw_status prepend(const char *what, const tw_stretch *in, tw_stretches *out) {
  size_t more = strlen(what);
  char *text = malloc(more + in->bytes + 1);
  if (!text) return out_of_memory();
  memcpy(text, what, more);
  memcpy(text + more, in->text, in->bytes + 1);
  return tw_stretches_add(out, text, more + in->bytes, in->first);
}

static tw_status apply_prepend(const rule *r, const tw_stretch *in, tw_stretches *out) {
  return prepend(r->text, in, out);
}

static tw_status apply_replace(const rule *r, const tw_stretch *in, tw_stretches *out) {
  span_list l = {0};
  size_t with = strlen(r->text), bytes = 0;
  tw_status status = find_all(r->pattern, in, &l);
  for (int i = 0; i < l.count; i++) bytes += l.spans[i].hit ? with : l.spans[i].end - l.spans[i].begin;
  char *text = status == TW_OK ? malloc(bytes + 1) : NULL;
  if (status == TW_OK && !text) status = out_of_memory();
  if (status == TW_OK) {
    size_t at = 0;
    for (int i = 0; i < l.count; i++) {
      const span *s = &l.spans[i];
      size_t n = s->hit ? with : s->end - s->begin;
      memcpy(text + at, s->hit ? r->text : in->text + s->begin, n);
      at += n;
    }
    text[bytes] = '\0';
    status = tw_stretches_add(out, text, bytes, in->first);
  }
  free(l.spans);
  return status;
}

// Between code points that the library's tables do not know: those stay, and where they are.
static tw_status apply_form(const rule *r, const tw_stretch *in, tw_stretches *out) {
  char *text = NULL;
  size_t used = 0, begin = 0;
  tw_status status = TW_OK;
  for (size_t at = 0, here = 0; begin < in->bytes && status == TW_OK;) {
    bool stop = false;
    while (at < in->bytes && !stop) {
      here = at;
      stop = tw_char_unknown(tw_code_point(in->text, in->bytes, &at));
    }
    if (!stop) here = at;
    utf8proc_uint8_t *part = NULL;
    utf8proc_ssize_t n = here > begin
                             ? utf8proc_map((const utf8proc_uint8_t *)in->text + begin,
                                            (utf8proc_ssize_t)(here - begin), &part, (utf8proc_option_t)r->form)
                             : 0;
    char *grown = n < 0 ? NULL : realloc(text, used + (size_t)n + (at - here) + 1);
    if (n < 0)
      status = tw_fail(TW_ERR_FORMAT, "a text cannot be normalised: %s", utf8proc_errmsg(n));
    else if (!grown)
      status = out_of_memory();
    if (grown) {
      text = grown;
      if (n) memcpy(text + used, part, (size_t)n);
      memcpy(text + used + n, in->text + here, at - here);
      used += (size_t)n + (at - here);
      text[used] = '\0';
    }
    free(part);
    begin = at;
  }
  if (status == TW_OK) return tw_stretches_add(out, text, used, in->first);
  free(text);
  return status;
}

static tw_status apply_bert(const rule *r, const tw_stretch *in, tw_stretches *out) {
  char *text;
  size_t used;
  TW_TRY(tw_normalise(&r->bert, in->text, in->bytes, &text, &used));
  return tw_stretches_add(out, text, used, in->first);
}

static tw_status apply_strip(const rule *r, const tw_stretch *in, tw_stretches *out) {
  size_t begin = 0, end = in->bytes;
  for (size_t at = 0; r->left && at < in->bytes && tw_char_white(tw_code_point(in->text, in->bytes, &at));) begin = at;
  while (r->right && end > begin) {
    size_t before = end - 1, at;
    while ((in->text[before] & 0xC0) == 0x80) before--;
    at = before;
    if (!tw_char_white(tw_code_point(in->text, in->bytes, &at))) break;
    end = before;
  }
  return tw_stretches_copy(out, in->text + begin, end - begin, in->first);
}

// ---- ByteLevel and Metaspace

static tw_status spell_bytes(const tw_stretch *in, tw_stretches *out) {
  char *text = malloc(2 * in->bytes + 1);
  size_t used = 0;
  if (!text) return out_of_memory();
  for (size_t i = 0; i < in->bytes; i++) used += tw_utf8_put(tw_byte_letter((unsigned char)in->text[i]), text + used);
  text[used] = '\0';
  return tw_stretches_add(out, text, used, in->first);
}

// Each stretch: a blank before it unless it has one, the pattern's pieces, their bytes as letters.
static tw_status apply_byte_level(const rule *r, const tw_stretch *in, tw_stretches *out) {
  tw_stretches whole = {0}, parts = {0};
  bool blank = r->prefix && in->text[0] != ' ';
  tw_status status = blank ? prepend(" ", in, &whole) : tw_stretches_copy(&whole, in->text, in->bytes, in->first);
  if (status == TW_OK && r->use_regex) status = apply_split(r, &whole.items[0], &parts);
  tw_stretches *list = r->use_regex ? &parts : &whole;
  for (int i = 0; status == TW_OK && i < list->count; i++) status = spell_bytes(&list->items[i], out);
  tw_stretches_free(&whole);
  tw_stretches_free(&parts);
  return status;
}

typedef enum { ALWAYS, FIRST, NEVER } scheme;

static tw_status apply_metaspace(const rule *r, const tw_stretch *in, tw_stretches *out) {
  rule blanks = *r;
  tw_stretches marked = {0}, whole = {0};
  tw_status status = apply_replace(&blanks, in, &marked);
  if (status == TW_OK && marked.count) {
    const tw_stretch *m = &marked.items[0];
    bool has = strncmp(m->text, r->text, strlen(r->text)) == 0;
    bool wanted = r->form == ALWAYS || (r->form == FIRST && m->first);
    status = !has && wanted ? prepend(r->text, m, &whole) : tw_stretches_copy(&whole, m->text, m->bytes, m->first);
  }
  tw_pattern *mark = NULL;
  if (status == TW_OK && r->individual) status = tw_pattern_literal(r->text, "Metaspace", &mark);
  if (status == TW_OK && whole.count) {
    rule s = {.pattern = mark, .cut = WITH_NEXT};
    status = mark ? apply_split(&s, &whole.items[0], out)
                  : tw_stretches_copy(out, whole.items[0].text, whole.items[0].bytes, whole.items[0].first);
  }
  tw_pattern_free(mark);
  tw_stretches_free(&marked);
  tw_stretches_free(&whole);
  return status;
}

// ---- reading

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

static tw_status take_text(const json_t *value, const char *name, const char *where, rule *r) {
  const char *text = json_string_value(json_object_get(value, name));
  if (!text) return tw_fail(TW_ERR_FORMAT, "%s: a rule lacks its %s", where, name);
  r->text = strdup(text);
  return r->text ? TW_OK : out_of_memory();
}

static tw_status take_pattern(const json_t *value, const char *where, rule *r) {
  const json_t *pattern = json_object_get(value, "pattern");
  const char *regex = json_string_value(json_object_get(pattern, "Regex"));
  const char *literal = json_string_value(json_object_get(pattern, "String"));
  if (regex) return tw_pattern_new(regex, where, &r->pattern);
  if (literal && *literal) return tw_pattern_literal(literal, where, &r->pattern);
  return tw_fail(TW_ERR_FORMAT, "%s: a rule's pattern is neither Regex nor String", where);
}

static tw_status take_behaviour(const json_t *value, const char *where, behaviour otherwise, rule *r) {
  static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
  const char *name = json_string_value(json_object_get(value, "behavior"));
  r->cut = otherwise;
  if (!name) return TW_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) {
      r->cut = (behaviour)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_FORMAT, "%s: the behavior %s is not known", where, name);
}

static tw_status read_split(const json_t *v, const char *where, rule *r) {
  r->apply = apply_split;
  r->invert = flag(v, "invert", false);
  TW_TRY(take_behaviour(v, where, ISOLATED, r));
  return take_pattern(v, where, r);
}

static tw_status read_digits(const json_t *v, const char *where, rule *r) {
  (void)where;
  r->apply = apply_digits;
  r->cut = flag(v, "individual_digits", false) ? ISOLATED : CONTIGUOUS;
  return TW_OK;
}

static tw_status read_punctuation(const json_t *v, const char *where, rule *r) {
  r->apply = apply_punctuation;
  return take_behaviour(v, where, ISOLATED, r);
}

static tw_status read_white(const json_t *v, const char *where, rule *r) {
  (void)v, (void)where;
  r->apply = apply_white;
  r->cut = REMOVED;
  return TW_OK;
}

static tw_status read_byte_level(const json_t *v, const char *where, rule *r) {
  r->apply = apply_byte_level;
  r->prefix = flag(v, "add_prefix_space", true);
  r->use_regex = flag(v, "use_regex", true);
  return r->use_regex ? tw_pattern_new(gpt2, where, &r->pattern) : TW_OK;
}

static tw_status read_metaspace(const json_t *v, const char *where, rule *r) {
  const char *name = json_string_value(json_object_get(v, "prepend_scheme"));
  r->apply = apply_metaspace;
  r->individual = flag(v, "split", true);
  r->form = !name                         ? (flag(v, "add_prefix_space", true) ? ALWAYS : NEVER)
            : strcmp(name, "always") == 0 ? ALWAYS
            : strcmp(name, "first") == 0  ? FIRST
                                          : NEVER;
  TW_TRY(take_text(v, "replacement", where, r));
  return tw_pattern_literal(" ", where, &r->pattern);
}

static tw_status read_prepend(const json_t *v, const char *where, rule *r) {
  r->apply = apply_prepend;
  return take_text(v, "prepend", where, r);
}

static tw_status read_replace(const json_t *v, const char *where, rule *r) {
  r->apply = apply_replace;
  TW_TRY(take_text(v, "content", where, r));
  return take_pattern(v, where, r);
}

static tw_status read_strip(const json_t *v, const char *where, rule *r) {
  (void)where;
  r->apply = apply_strip;
  r->left = flag(v, "strip_left", true);
  r->right = flag(v, "strip_right", true);
  return TW_OK;
}

static tw_status read_lower(const json_t *v, const char *where, rule *r) {
  (void)v, (void)where;
  r->apply = apply_bert;
  r->bert = (tw_normaliser){.lower_case = true};
  return TW_OK;
}

static tw_status read_bert(const json_t *v, const char *where, rule *r) {
  (void)where;
  const json_t *accents = json_object_get(v, "strip_accents");
  bool lower = flag(v, "lowercase", true);
  r->apply = apply_bert;
  r->bert = (tw_normaliser){.clean_text = flag(v, "clean_text", true),
                            .split_chinese = flag(v, "handle_chinese_chars", true),
                            .lower_case = lower,
                            .strip_accents = json_is_boolean(accents) ? json_is_true(accents) : lower};
  return TW_OK;
}

static tw_status form(rule *r, int options) {
  r->apply = apply_form;
  r->form = options;
  return TW_OK;
}
static tw_status read_nfc(const json_t *v, const char *where, rule *r) {
  (void)v, (void)where;
  return form(r, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}
static tw_status read_nfd(const json_t *v, const char *where, rule *r) {
  (void)v, (void)where;
  return form(r, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
}

typedef struct {
  const char *type;
  tw_status (*read)(const json_t *value, const char *where, rule *r);
} reader;

static const reader normalizers[] = {{"NFC", read_nfc},
                                     {"NFD", read_nfd},
                                     {"Prepend", read_prepend},
                                     {"Replace", read_replace},
                                     {"Strip", read_strip},

                                     {"Lowercase", read_lower},
                                     {"BertNormalizer", read_bert},
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
  rule *grown = realloc(l->rules, (size_t)room * sizeof *grown);
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
    l->rules[l->count] = (rule){0};
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
    free(list->rules[i].text);
  }
  free(list->rules);
  free(list);
}

tw_status tw_rules_apply(const tw_rules_list *list, tw_stretches *stretches) {
  for (int i = 0; i < list->count; i++) {
    tw_stretches next = {0};
    tw_status status = TW_OK;
    for (int j = 0; status == TW_OK && j < stretches->count; j++)
      status = list->rules[i].apply(&list->rules[i], &stretches->items[j], &next);
    tw_stretches_free(stretches);
    *stretches = next;
    TW_TRY(status);
  }
  return TW_OK;
}
