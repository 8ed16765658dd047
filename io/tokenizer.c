#define _GNU_SOURCE
#include "io/tokenizer.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/added_tokens.h"
#include "io/characters.h"
#include "io/cut.h"

struct tw_tokenizer {
  char *const *vocabulary;
  int count;
  const tw_text_rules *rules;
  tw_added_set *raw, *normalised;
  int *table;  // open addressing: id, or -1
  size_t mask;
  size_t longest_piece;  // bytes
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- vocabulary: FNV-1a over the piece's bytes

static uint64_t hash_more(uint64_t h, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
  return h;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

// Slot of the piece prefix+text, or the free slot where it belongs.
static size_t slot_of(const tw_tokenizer *t, const char *prefix, const char *text, size_t bytes) {
  size_t skip = strlen(prefix), i = hash_more(hash_more(hash_start, prefix, skip), text, bytes) & t->mask;
  for (; t->table[i] >= 0; i = (i + 1) & t->mask) {
    const char *piece = t->vocabulary[t->table[i]];
    if (strncmp(piece, prefix, skip) == 0 && strncmp(piece + skip, text, bytes) == 0 && piece[skip + bytes] == '\0')
      break;
  }
  return i;
}

static int find_piece(const tw_tokenizer *t, const char *prefix, const char *text, size_t bytes) {
  return t->table[slot_of(t, prefix, text, bytes)];
}

static tw_status index_vocabulary(tw_tokenizer *t) {
  size_t slots = 16;
  while (slots < 2 * (size_t)t->count) slots *= 2;
  t->mask = slots - 1;
  t->table = malloc(slots * sizeof *t->table);
  if (!t->table) return out_of_memory();
  memset(t->table, -1, slots * sizeof *t->table);
  for (int id = 0; id < t->count; id++) {
    size_t bytes = strlen(t->vocabulary[id]);
    if (bytes) t->table[slot_of(t, "", t->vocabulary[id], bytes)] = id;
    if (bytes > t->longest_piece) t->longest_piece = bytes;
  }
  return TW_OK;
}

static tw_status check_ids(const tw_text_rules *r, int count) {
  const int ids[] = {r->special.pad, r->special.unknown, r->special.start, r->special.end};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (ids[i] < 0 || ids[i] >= count)
      return tw_fail(TW_ERR_FORMAT, "id %d of a special token is not in 0 .. %d", ids[i], count - 1);
  for (int i = 0; i < r->added_count; i++)
    if (r->added[i].id < 0 || r->added[i].id >= count)
      return tw_fail(TW_ERR_FORMAT, "added token \"%s\" has id %d; the vocabulary ends at %d", r->added[i].text,
                     r->added[i].id, count - 1);
  return TW_OK;
}

static tw_status normal_form(const void *state, const char *text, size_t bytes, char **out, size_t *used) {
  return tw_normalise(&((const tw_text_rules *)state)->normaliser, text, bytes, out, used);
}

static tw_status prepare(tw_tokenizer *t) {
  TW_TRY(check_ids(t->rules, t->count));
  const tw_text_rules *r = t->rules;
  TW_TRY(tw_added_set_new(r->added, r->added_count, false, normal_form, r, &t->raw));
  TW_TRY(tw_added_set_new(r->added, r->added_count, true, normal_form, r, &t->normalised));
  return t->vocabulary ? index_vocabulary(t) : TW_OK;
}

tw_status tw_tokenizer_new(char *const *vocabulary, int count, const tw_text_rules *rules, tw_tokenizer **out) {
  *out = NULL;
  if (count < 5) return tw_fail(TW_ERR_FORMAT, "a vocabulary of %d pieces is too small", count);
  tw_tokenizer *t = calloc(1, sizeof *t);
  if (!t) return out_of_memory();
  t->vocabulary = vocabulary;
  t->count = count;
  t->rules = rules;
  tw_status status = prepare(t);
  if (status == TW_OK)
    *out = t;
  else
    tw_tokenizer_free(t);
  return status;
}

void tw_tokenizer_free(tw_tokenizer *t) {
  if (!t) return;
  tw_added_set_free(t->raw);
  tw_added_set_free(t->normalised);
  free(t->table);
  free(t);
}

// ---- a growing list of ids

typedef struct {
  const tw_tokenizer *t;
  int *ids;
  int count, room;
} id_list;

static tw_status push(id_list *list, int id) {
  if (list->count == list->room) {
    int room = list->room ? 2 * list->room : 64;
    int *grown = realloc(list->ids, (size_t)room * sizeof *grown);
    if (!grown) return out_of_memory();
    list->ids = grown;
    list->room = room;
  }
  list->ids[list->count++] = id;
  return TW_OK;
}

// ---- word pieces

static int code_points(const char *word, size_t bytes) {
  int n = 0;
  for (size_t i = 0; i < bytes; i++) n += (word[i] & 0xC0) != 0x80;
  return n;
}

// Longest piece at the front of word; 0 bytes when there is none.
static size_t longest_piece(const tw_tokenizer *t, const char *prefix, const char *word, size_t bytes, int *id) {
  size_t end = bytes < t->longest_piece ? bytes : t->longest_piece;
  for (; end > 0; end--) {
    if (end < bytes && (word[end] & 0xC0) == 0x80) continue;
    *id = find_piece(t, prefix, word, end);
    if (*id >= 0) return end;
  }
  return 0;
}

static tw_status add_word(id_list *out, const char *word, size_t bytes) {
  const tw_tokenizer *t = out->t;
  if (bytes == 0) return TW_OK;
  if (!t->vocabulary) return push(out, 4 + (int)(hash_more(hash_start, word, bytes) % (uint64_t)(t->count - 4)));
  if (code_points(word, bytes) > t->rules->longest_word) return push(out, t->rules->special.unknown);
  int before = out->count;
  for (size_t at = 0; at < bytes;) {
    int id;
    size_t taken = longest_piece(t, at ? t->rules->prefix : "", word + at, bytes - at, &id);
    if (taken == 0) {  // one piece that does not exist spoils the whole word
      out->count = before;
      return push(out, t->rules->special.unknown);
    }
    TW_TRY(push(out, id));
    at += taken;
  }
  return TW_OK;
}

// ---- from text to words: added tokens, normal form, added tokens again, white space and signs

static tw_status take_normalised(void *state, const char *text, size_t bytes, int id) {
  id_list *out = state;
  if (id >= 0) return push(out, id);
  size_t begin = 0;
  for (size_t at = 0; at < bytes;) {
    size_t here = at;
    int c = tw_code_point(text, bytes, &at);
    bool sign = tw_char_punctuation(c);
    if (!sign && !tw_char_white(c)) continue;
    TW_TRY(add_word(out, text + begin, here - begin));
    if (sign) TW_TRY(add_word(out, text + here, at - here));
    begin = at;
  }
  return add_word(out, text + begin, bytes - begin);
}

static tw_status take_raw(void *state, const char *text, size_t bytes, int id) {
  id_list *out = state;
  if (id >= 0) return push(out, id);
  char *normal;
  size_t used;
  TW_TRY(tw_normalise(&out->t->rules->normaliser, text, bytes, &normal, &used));
  tw_status status = tw_added_split(out->t->normalised, normal, used, take_normalised, out);
  free(normal);
  return status;
}

static tw_status add_text(id_list *out, const char *text) {
  size_t bytes = strlen(text), valid = tw_utf8_valid(text, bytes);
  if (bytes > 1 << 24) return tw_fail(TW_ERR_RANGE, "a text of %zu bytes is too long", bytes);
  if (valid < bytes)
    return tw_fail(TW_ERR_FORMAT, "the text is not UTF-8 at byte %zu; convert it first (iconv)", valid);
  return tw_added_split(out->t->raw, text, bytes, take_raw, out);
}

// ---- the frame

static void put(tw_encoding *out, int id, int type) {
  out->ids[out->count] = id;
  out->types[out->count++] = type;
}

static void put_text(const tw_text_rules *r, const id_list *list, int kept, int type, tw_encoding *out) {
  int first = r->cut_left ? list->count - kept : 0;
  for (int i = 0; i < kept; i++) {
    out->unknown += list->ids[first + i] == r->special.unknown;
    put(out, list->ids[first + i], type);
  }
  put(out, r->special.end, type);
}

static tw_status frame(const tw_text_rules *r, const id_list lists[2], bool pair, int most, tw_encoding *out) {
  int kept[2] = {lists[0].count, lists[1].count};
  out->whole = kept[0] + kept[1] + 2 + pair;
  if (most > 0) TW_TRY(tw_cut(kept, pair, 2 + pair, most));
  size_t tokens = (size_t)(kept[0] + kept[1]) + 3;
  out->ids = malloc(tokens * sizeof *out->ids);
  out->types = malloc(tokens * sizeof *out->types);
  if (!out->ids || !out->types) return out_of_memory();
  put(out, r->special.start, 0);
  put_text(r, &lists[0], kept[0], 0, out);
  if (pair) put_text(r, &lists[1], kept[1], r->pair_types, out);
  return TW_OK;
}

tw_status tw_tokenizer_encode(const tw_tokenizer *t, const char *first, const char *second, int most,
                              tw_encoding *out) {
  *out = (tw_encoding){0};
  id_list lists[2] = {{.t = t}, {.t = t}};
  tw_status status = add_text(&lists[0], first);
  if (status == TW_OK && second) status = add_text(&lists[1], second);
  if (status == TW_OK) status = frame(t->rules, lists, second != NULL, most, out);
  free(lists[0].ids);
  free(lists[1].ids);
  if (status != TW_OK) tw_encoding_free(out);
  return status;
}

void tw_encoding_free(tw_encoding *encoding) {
  free(encoding->ids);
  free(encoding->types);
  *encoding = (tw_encoding){0};
}
