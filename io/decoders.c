#define _GNU_SOURCE
#include "io/decoders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/normalise.h"
#include "io/pattern.h"
#include "io/split_rules.h"

typedef struct {
  char *text;
  size_t bytes;
} token;

typedef struct {
  token *items;
  int count;
} token_list;

typedef struct step step;
struct step {
  tw_status (*run)(const step *s, token_list *list);
  tw_pattern *pattern;
  char *text;       // what replaces, what is stripped, Metaspace's mark, WordPiece's prefix
  int start, stop;  // Strip: how many at most
  bool flag;        // Metaspace: the first token loses its marks; WordPiece: blanks before signs go
};

enum { MOST_STEPS = 16 };
struct tw_decoder {
  step steps[MOST_STEPS];
  int count;
  bool join;  // blanks between tokens
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- lists of tokens

static void list_free(token_list *l) {
  for (int i = 0; i < l->count; i++) free(l->items[i].text);
  free(l->items);
  *l = (token_list){0};
}

// Puts a text in the place of token i, which it takes over also after a failure.
static tw_status set(token_list *l, int i, char *text, size_t bytes) {
  if (!text) return out_of_memory();
  free(l->items[i].text);
  l->items[i] = (token){text, bytes};
  return TW_OK;
}

typedef tw_status (*writer)(const step *s, const token *t, int index, FILE *out);

// Each token anew, by itself.
static tw_status each(const step *s, token_list *l, writer write) {
  for (int i = 0; i < l->count; i++) {
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return out_of_memory();
    tw_status status = write(s, &l->items[i], i, out);
    if (fclose(out) != 0 && status == TW_OK) status = out_of_memory();
    if (status == TW_OK)
      status = set(l, i, text, bytes);
    else
      free(text);
    TW_TRY(status);
  }
  return TW_OK;
}

// All tokens as one.
static tw_status fuse(token_list *l, const char *between) {
  char *text = NULL;
  size_t bytes;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return out_of_memory();
  for (int i = 0; i < l->count; i++) {
    if (i) fputs(between, out);
    fwrite(l->items[i].text, 1, l->items[i].bytes, out);
  }
  token_list one = {.items = calloc(1, sizeof *one.items), .count = 1};
  if (fclose(out) != 0 || !one.items || !text) {
    free(text);
    free(one.items);
    return out_of_memory();
  }
  one.items[0] = (token){text, bytes};
  list_free(l);
  *l = one;
  return TW_OK;
}

// ---- what is no UTF-8 becomes U+FFFD, one for every maximal part of a code point (as Rust's from_utf8_lossy)

static size_t bad_part(const unsigned char *p, size_t left) {
  size_t wanted = p[0] >= 0xF0 && p[0] <= 0xF4   ? 4
                  : p[0] >= 0xE0 && p[0] <= 0xEF ? 3
                  : p[0] >= 0xC2 && p[0] <= 0xDF ? 2
                                                 : 1;
  size_t n = 1;
  for (; n < wanted && n < left; n++) {
    unsigned char low = 0x80, high = 0xBF;
    if (n == 1 && p[0] == 0xE0) low = 0xA0;
    if (n == 1 && p[0] == 0xED) high = 0x9F;
    if (n == 1 && p[0] == 0xF0) low = 0x90;
    if (n == 1 && p[0] == 0xF4) high = 0x8F;
    if (p[n] < low || p[n] > high) break;
  }
  return n;
}

static tw_status mend(token_list *l, int index) {
  const char *raw = l->items[index].text;
  size_t bytes = l->items[index].bytes, used = 0;
  char *to = malloc(3 * bytes + 1);
  if (!to) return out_of_memory();
  while (bytes) {
    size_t good = tw_utf8_valid(raw, bytes);
    memcpy(to + used, raw, good);
    used += good;
    raw += good;
    bytes -= good;
    if (!bytes) break;
    size_t bad = bad_part((const unsigned char *)raw, bytes);
    used += tw_utf8_put(0xFFFD, to + used);
    raw += bad;
    bytes -= bad;
  }
  to[used] = '\0';
  return set(l, index, to, used);
}

// ---- the decoders

// A token that is not spelled in letters of bytes (an added one) stands for itself.
static tw_status write_bytes(const step *s, const token *t, int index, FILE *out) {
  (void)s, (void)index;
  bool spelled = true;
  for (size_t at = 0; at < t->bytes && spelled;) spelled = tw_letter_byte(tw_code_point(t->text, t->bytes, &at)) >= 0;
  if (!spelled) fwrite(t->text, 1, t->bytes, out);
  for (size_t at = 0; spelled && at < t->bytes;) fputc(tw_letter_byte(tw_code_point(t->text, t->bytes, &at)), out);
  return TW_OK;
}

static tw_status byte_level(const step *s, token_list *l) {
  TW_TRY(each(s, l, write_bytes));
  TW_TRY(fuse(l, ""));
  return mend(l, 0);
}

// The byte that <0x41> stands for, or -1. The library reads the two digits as Rust does, which takes a sign.
static int byte_of(const token *t) {
  if (t->bytes != 6 || memcmp(t->text, "<0x", 3) != 0 || t->text[5] != '>') return -1;
  int value = 0;
  for (int i = 3; i < 5; i++) {
    char c = t->text[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                       : -1;
    if (digit < 0 && !(i == 3 && c == '+')) return -1;
    value = 16 * value + (digit < 0 ? 0 : digit);
  }
  return value;
}

// n > 0 neighbouring bytes: one text if they are UTF-8, else U+FFFD each.
static tw_status join_bytes(const token *items, size_t n, token *out) {
  static const char replacement[] = "\xef\xbf\xbd";
  enum { LONGEST = sizeof replacement - 1 };
  char *text = calloc(n + 1, LONGEST);
  if (!text) return out_of_memory();
  size_t used = n;
  for (size_t k = 0; k < n; k++) text[k] = (char)byte_of(&items[k]);
  if (tw_utf8_valid(text, n) < n) {
    for (size_t k = 0; k < n; k++) memcpy(text + k * LONGEST, replacement, LONGEST);
    used = n * LONGEST;
  }
  *out = (token){text, used};
  return TW_OK;
}

static tw_status byte_fallback(const step *s, token_list *l) {
  (void)s;
  int kept = 0;
  for (int i = 0; i < l->count;) {
    int n = 0;
    while (i + n < l->count && byte_of(&l->items[i + n]) >= 0) n++;
    token t = l->items[i];
    if (n > 0) TW_TRY(join_bytes(&l->items[i], (size_t)n, &t));
    for (int k = 0; k < n; k++) free(l->items[i + k].text);
    for (int k = 0; k < (n ? n : 1); k++) l->items[i + k] = (token){0};
    l->items[kept++] = t;
    i += n ? n : 1;
  }
  l->count = kept;
  return TW_OK;
}

static tw_status fuse_all(const step *s, token_list *l) {
  (void)s;
  return fuse(l, "");
}

static tw_status write_replaced(const step *s, const token *t, int index, FILE *out) {
  (void)index;
  for (size_t at = 0; at < t->bytes;) {
    bool found;
    size_t begin, end;
    TW_TRY(tw_pattern_find(s->pattern, t->text, t->bytes, at, &found, &begin, &end));
    if (!found) begin = end = t->bytes;
    fwrite(t->text + at, 1, begin - at, out);
    if (found) fputs(s->text, out);
    at = end;
  }
  return TW_OK;
}

static tw_status replace(const step *s, token_list *l) { return each(s, l, write_replaced); }

static tw_status write_stripped(const step *s, const token *t, int index, FILE *out) {
  (void)index;
  size_t n = strlen(s->text), begin = 0, end = t->bytes;
  for (int i = 0; i < s->start && end - begin >= n && memcmp(t->text + begin, s->text, n) == 0; i++) begin += n;
  for (int i = 0; i < s->stop && end - begin >= n && memcmp(t->text + end - n, s->text, n) == 0; i++) end -= n;
  fwrite(t->text + begin, 1, end - begin, out);
  return TW_OK;
}

static tw_status strip(const step *s, token_list *l) { return each(s, l, write_stripped); }

// Of the first token all marks go, not only the one that was put before the text.
static tw_status write_unmarked(const step *s, const token *t, int index, FILE *out) {
  size_t n = strlen(s->text);
  for (size_t at = 0; at < t->bytes;) {
    if (t->bytes - at < n || memcmp(t->text + at, s->text, n) != 0) {
      fputc(t->text[at++], out);
      continue;
    }
    if (index > 0 || !s->flag) fputc(' ', out);
    at += n;
  }
  return TW_OK;
}

static tw_status metaspace(const step *s, token_list *l) { return each(s, l, write_unmarked); }

static tw_status write_piece(const step *s, const token *t, int index, FILE *out) {
  size_t n = strlen(s->text);
  bool inside = t->bytes >= n && memcmp(t->text, s->text, n) == 0;
  if (index > 0 && !inside) fputc(' ', out);
  size_t skip = index > 0 && inside ? n : 0;
  fwrite(t->text + skip, 1, t->bytes - skip, out);
  return TW_OK;
}

// As the library has them, one after the other, within a token.
static tw_status write_clean(const step *s, const token *t, int index, FILE *out) {
  static const char *const rules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                         {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                         {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  (void)s, (void)index;
  char *text = malloc(t->bytes + 1);
  size_t used = t->bytes;
  if (!text) return out_of_memory();
  memcpy(text, t->text, used);
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {  // no rule makes a text longer
    size_t from = strlen(rules[i][0]), to = strlen(rules[i][1]), kept = 0;
    for (size_t at = 0; at < used;) {
      bool hit = used - at >= from && memcmp(text + at, rules[i][0], from) == 0;
      if (hit) memcpy(text + kept, rules[i][1], to);
      if (!hit) text[kept] = text[at];
      kept += hit ? to : 1;
      at += hit ? from : 1;
    }
    used = kept;
  }
  fwrite(text, 1, used, out);
  free(text);
  return TW_OK;
}

static tw_status word_piece(const step *s, token_list *l) {
  TW_TRY(each(s, l, write_piece));
  return s->flag ? each(s, l, write_clean) : TW_OK;
}

// ---- reading

static tw_status unknown(const char *where, const json_t *value) {
  const char *type = json_string_value(json_object_get(value, "type"));
  return tw_fail(TW_ERR_FORMAT, "%s: decoder %s is not supported", where, type ? type : "of an unknown form");
}

static tw_status take_text(const json_t *value, const char *name, const char *where, step *s) {
  const char *text = json_string_value(json_object_get(value, name));
  if (!text) return unknown(where, value);
  s->text = strdup(text);
  return s->text ? TW_OK : out_of_memory();
}

static tw_status read_replace(const json_t *value, const char *where, step *s) {
  const json_t *pattern = json_object_get(value, "pattern");
  const char *regex = json_string_value(json_object_get(pattern, "Regex"));
  const char *literal = json_string_value(json_object_get(pattern, "String"));
  s->run = replace;
  TW_TRY(take_text(value, "content", where, s));
  if (regex) return tw_pattern_new(regex, where, &s->pattern);
  return literal && *literal ? tw_pattern_literal(literal, where, &s->pattern) : unknown(where, value);
}

// One code point, as the library wants it.
static bool single(const char *text) {
  size_t bytes = text ? strlen(text) : 0, at = 0;
  if (bytes == 0) return false;
  tw_code_point(text, bytes, &at);
  return at == bytes;
}

static tw_status read_strip(const json_t *value, const char *where, step *s) {
  json_int_t start = json_integer_value(json_object_get(value, "start"));
  json_int_t stop = json_integer_value(json_object_get(value, "stop"));
  s->run = strip;
  TW_TRY(take_text(value, "content", where, s));
  if (start < 0 || start > 1 << 20 || stop < 0 || stop > 1 << 20 || !single(s->text)) return unknown(where, value);
  s->start = (int)start;
  s->stop = (int)stop;
  return TW_OK;
}

static tw_status read_metaspace(const json_t *value, const char *where, step *s) {
  const char *scheme = json_string_value(json_object_get(value, "prepend_scheme"));
  const json_t *prefix = json_object_get(value, "add_prefix_space");  // of before 0.15
  s->run = metaspace;
  s->flag = scheme ? strcmp(scheme, "never") != 0 : !json_is_false(prefix);
  TW_TRY(take_text(value, "replacement", where, s));
  return single(s->text) ? TW_OK : unknown(where, value);
}

static tw_status read_word_piece(const json_t *value, const char *where, step *s) {
  s->run = word_piece;
  s->flag = !json_is_false(json_object_get(value, "cleanup"));
  return take_text(value, "prefix", where, s);
}

static tw_status take_one(tw_decoder *d, const json_t *value, const char *where) {
  const char *type = json_string_value(json_object_get(value, "type"));
  if (!type || d->count == MOST_STEPS) return unknown(where, value);
  step *s = &d->steps[d->count++];
  if (strcmp(type, "Replace") == 0) return read_replace(value, where, s);
  if (strcmp(type, "Strip") == 0) return read_strip(value, where, s);
  if (strcmp(type, "Metaspace") == 0) return read_metaspace(value, where, s);
  if (strcmp(type, "WordPiece") == 0) return read_word_piece(value, where, s);
  if (strcmp(type, "ByteLevel") == 0)
    s->run = byte_level;
  else if (strcmp(type, "ByteFallback") == 0)
    s->run = byte_fallback;
  else if (strcmp(type, "Fuse") == 0)
    s->run = fuse_all;
  return s->run ? TW_OK : unknown(where, value);
}

static tw_status read_steps(tw_decoder *d, const json_t *value, const char *where) {
  const json_t *items = json_object_get(value, "decoders"), *one;
  const char *type = json_string_value(json_object_get(value, "type"));
  size_t i;
  d->join = !value || json_is_null(value);
  if (d->join) return TW_OK;
  if (!type || strcmp(type, "Sequence") != 0) return take_one(d, value, where);
  json_array_foreach((json_t *)items, i, one) TW_TRY(take_one(d, one, where));
  return TW_OK;
}

tw_status tw_decoder_new(const json_t *value, const char *where, tw_decoder **out) {
  *out = NULL;
  tw_decoder *d = calloc(1, sizeof *d);
  if (!d) return out_of_memory();
  tw_status status = read_steps(d, value, where);
  if (status == TW_OK)
    *out = d;
  else
    tw_decoder_free(d);
  return status;
}

void tw_decoder_free(tw_decoder *d) {
  if (!d) return;
  for (int i = 0; i < d->count; i++) {
    tw_pattern_free(d->steps[i].pattern);
    free(d->steps[i].text);
  }
  free(d);
}

// ---- running

static tw_status copy_tokens(const char *const *tokens, int count, token_list *l) {
  l->items = calloc((size_t)count + 1, sizeof *l->items);
  if (!l->items) return out_of_memory();
  for (; l->count < count; l->count++) {
    size_t bytes = strlen(tokens[l->count]);
    char *text = strdup(tokens[l->count]);
    if (!text) return out_of_memory();
    l->items[l->count] = (token){text, bytes};
  }
  return TW_OK;
}

tw_status tw_decoder_run(const tw_decoder *d, const char *const *tokens, int count, char **text, size_t *bytes) {
  token_list l = {0};
  *text = NULL;
  tw_status status = copy_tokens(tokens, count, &l);
  for (int i = 0; i < d->count && status == TW_OK; i++) status = d->steps[i].run(&d->steps[i], &l);
  if (status == TW_OK) status = fuse(&l, d->join ? " " : "");
  if (status == TW_OK) {
    *text = l.items[0].text;
    *bytes = l.items[0].bytes;
    l.items[0].text = NULL;
  }
  list_free(&l);
  return status;
}
