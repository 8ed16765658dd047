#define _GNU_SOURCE
#include "io/split_rules.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/characters.h"
#include "io/split_rules_parts.h"

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
static void join_spans(span_list *l, tw_cut_kind how) {
  int n = 0;
  bool before = false;
  for (int i = 0; i < l->count; i++) {
    span s = l->spans[i];
    bool joins =
        n > 0 && ((how == TW_CUT_CONTIGUOUS && s.hit == before) || (how == TW_CUT_WITH_PREVIOUS && s.hit && !before));
    bool joins_next = how == TW_CUT_WITH_NEXT && n > 0 && !s.hit && before;
    before = s.hit;
    if (joins || joins_next)
      l->spans[n - 1].end = s.end;
    else
      l->spans[n++] = s;
  }
  l->count = n;
}

static tw_status cut(const tw_rule *r, const tw_stretch *in, span_list *l, tw_stretches *out) {
  for (int i = 0; i < l->count; i++) l->spans[i].hit ^= r->invert;
  join_spans(l, r->cut);
  for (int i = 0; i < l->count; i++) {
    const span *s = &l->spans[i];
    if (r->cut == TW_CUT_REMOVED && s->hit) continue;
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

tw_status tw_rule_split(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  span_list l = {0};
  tw_status status = find_all(r->pattern, in, &l);
  if (status == TW_OK) status = cut(r, in, &l, out);
  free(l.spans);
  return status;
}

// By a property of each code point.
static tw_status cut_by(const tw_rule *r, bool (*is)(int), const tw_stretch *in, tw_stretches *out) {
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

tw_status tw_rule_digits(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, is_numeric, in, out);
}
tw_status tw_rule_punctuation(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, tw_char_punctuation, in, out);
}
tw_status tw_rule_white(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  return cut_by(r, tw_char_white, in, out);
}

// ---- rewriting

static tw_status prepend(const char *what, const tw_stretch *in, tw_stretches *out) {
  size_t more = strlen(what);
  char *text = malloc(more + in->bytes + 1);
  if (!text) return out_of_memory();
  memcpy(text, what, more);
  memcpy(text + more, in->text, in->bytes);
  text[more + in->bytes] = '\0';
  return tw_stretches_add(out, text, more + in->bytes, in->first);
}

tw_status tw_rule_prepend(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  return prepend(r->text, in, out);
}

tw_status tw_rule_replace(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
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
tw_status tw_rule_form(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
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

tw_status tw_rule_bert(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  char *text;
  size_t used;
  TW_TRY(tw_normalise(&r->bert, in->text, in->bytes, &text, &used));
  return tw_stretches_add(out, text, used, in->first);
}

tw_status tw_rule_map(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  char *text;
  size_t used;
  TW_TRY(tw_charsmap_apply(r->map, in->text, in->bytes, &text, &used));
  return tw_stretches_add(out, text, used, in->first);
}

tw_status tw_rule_strip(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
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
tw_status tw_rule_byte_level(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  tw_stretches whole = {0}, parts = {0};
  bool blank = r->prefix && in->text[0] != ' ';
  tw_status status = blank ? prepend(" ", in, &whole) : tw_stretches_copy(&whole, in->text, in->bytes, in->first);
  if (status == TW_OK && r->use_regex) status = tw_rule_split(r, &whole.items[0], &parts);
  tw_stretches *list = r->use_regex ? &parts : &whole;
  for (int i = 0; status == TW_OK && i < list->count; i++) status = spell_bytes(&list->items[i], out);
  tw_stretches_free(&whole);
  tw_stretches_free(&parts);
  return status;
}

tw_status tw_rule_metaspace(const tw_rule *r, const tw_stretch *in, tw_stretches *out) {
  tw_rule blanks = *r;
  tw_stretches marked = {0}, whole = {0};
  tw_status status = tw_rule_replace(&blanks, in, &marked);
  if (status == TW_OK && marked.count) {
    const tw_stretch *m = &marked.items[0];
    bool has = strncmp(m->text, r->text, strlen(r->text)) == 0;
    bool wanted = r->form == TW_PREPEND_ALWAYS || (r->form == TW_PREPEND_FIRST && m->first);
    status = !has && wanted ? prepend(r->text, m, &whole) : tw_stretches_copy(&whole, m->text, m->bytes, m->first);
  }
  tw_pattern *mark = NULL;
  if (status == TW_OK && r->individual) status = tw_pattern_literal(r->text, "Metaspace", &mark);
  if (status == TW_OK && whole.count) {
    tw_rule s = {.pattern = mark, .cut = TW_CUT_WITH_NEXT};
    status = mark ? tw_rule_split(&s, &whole.items[0], out)
                  : tw_stretches_copy(out, whole.items[0].text, whole.items[0].bytes, whole.items[0].first);
  }
  tw_pattern_free(mark);
  tw_stretches_free(&marked);
  tw_stretches_free(&whole);
  return status;
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
