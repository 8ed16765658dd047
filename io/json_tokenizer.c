#define _GNU_SOURCE
#include "io/json_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/added_tokens.h"
#include "io/json_tokenizer_parts.h"
#include "io/split_rules.h"

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- reading

static bool flag(const json_t *value, const char *name, bool otherwise) {
  const json_t *v = json_object_get(value, name);
  return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static tw_status take_added(tw_json_tokenizer *t, const json_t *list, const char *where) {
  size_t i, n = json_array_size(list);
  json_t *value;
  t->added = calloc(n + 1, sizeof *t->added);
  if (!t->added) return out_of_memory();
  json_array_foreach((json_t *)list, i, value) {
    const char *text = json_string_value(json_object_get(value, "content"));
    json_int_t id = json_integer_value(json_object_get(value, "id"));
    bool special = flag(value, "special", false);
    if (!text || !*text || !json_is_integer(json_object_get(value, "id")) || id < 0 || id >= 1 << 24)
      return tw_fail(TW_ERR_FORMAT, "%s: added_tokens: entry %zu has no content or no id", where, i);
    t->added[t->added_count] = (tw_added_token){.text = strdup(text),
                                                .id = (int)id,
                                                .special = special,
                                                .normalised = flag(value, "normalized", !special),
                                                .single_word = flag(value, "single_word", false),
                                                .strip_left = flag(value, "lstrip", false),
                                                .strip_right = flag(value, "rstrip", false)};
    if (!t->added[t->added_count].text) return out_of_memory();
    t->added_count++;
  }
  return TW_OK;
}

// For added tokens: their normal form.
static tw_status normal_form(const void *state, const char *text, size_t bytes, char **out, size_t *used) {
  const tw_json_tokenizer *t = state;
  tw_stretches s = {0};
  tw_status status = tw_stretches_copy(&s, text, bytes, true);
  if (status == TW_OK) status = tw_rules_apply(t->normalizers, &s);
  *out = NULL;
  *used = 0;
  if (status == TW_OK && s.count) {
    *out = s.items[0].text;
    *used = s.items[0].bytes;
    s.items[0].text = NULL;
  } else if (status == TW_OK && !(*out = strdup(""))) {
    status = out_of_memory();
  }
  tw_stretches_free(&s);
  return status;
}

static tw_status read_parts(tw_json_tokenizer *t, const json_t *root, const char *where) {
  TW_TRY(tw_json_model_new(json_object_get(root, "model"), where, &t->model));
  TW_TRY(tw_normalizers_read(json_object_get(root, "normalizer"), where, &t->normalizers));
  TW_TRY(tw_pre_tokenizers_read(json_object_get(root, "pre_tokenizer"), where, &t->pre_tokenizers));
  TW_TRY(take_added(t, json_object_get(root, "added_tokens"), where));
  TW_TRY(tw_added_set_new(t->added, t->added_count, false, normal_form, t, &t->raw));
  TW_TRY(tw_added_set_new(t->added, t->added_count, true, normal_form, t, &t->normalised));
  TW_TRY(tw_frame_read(t, json_object_get(root, "post_processor"), where));
  return tw_decoder_new(json_object_get(root, "decoder"), where, &t->decoder);
}

tw_status tw_json_tokenizer_new(const json_t *root, const char *where, tw_json_tokenizer **out) {
  *out = NULL;
  tw_json_tokenizer *t = calloc(1, sizeof *t);
  if (!t) return out_of_memory();
  tw_status status = read_parts(t, root, where);
  if (status == TW_OK)
    *out = t;
  else
    tw_json_tokenizer_free(t);
  return status;
}

void tw_json_tokenizer_free(tw_json_tokenizer *t) {
  if (!t) return;
  tw_added_set_free(t->raw);
  tw_added_set_free(t->normalised);
  for (int i = 0; i < t->added_count; i++) free(t->added[i].text);
  free(t->added);
  tw_json_model_free(t->model);
  tw_rules_list_free(t->normalizers);
  tw_rules_list_free(t->pre_tokenizers);
  for (int i = 0; i < 2; i++) free(t->frame[i].parts);
  tw_decoder_free(t->decoder);
  free(t);
}

// ---- names

static const tw_added_token *added_by_id(const tw_json_tokenizer *t, int id) {
  for (int i = 0; i < t->added_count; i++)
    if (t->added[i].id == id) return &t->added[i];
  return NULL;
}

int tw_json_tokenizer_vocabulary(const tw_json_tokenizer *t) {
  int n = tw_json_model_pieces(t->model)->count;
  for (int i = 0; i < t->added_count; i++)
    if (t->added[i].id >= n) n = t->added[i].id + 1;
  return n;
}

int tw_json_tokenizer_id(const tw_json_tokenizer *t, const char *token) {
  for (int i = 0; i < t->added_count; i++)
    if (strcmp(t->added[i].text, token) == 0) return t->added[i].id;
  return tw_pieces_find(tw_json_model_pieces(t->model), token, strlen(token));
}

const char *tw_json_tokenizer_piece(const tw_json_tokenizer *t, int id) {
  const tw_added_token *a = added_by_id(t, id);
  const tw_pieces *p = tw_json_model_pieces(t->model);
  return a ? a->text : id >= 0 && id < p->count ? p->text[id] : NULL;
}

// By its text, as the library does it: a piece of the same name with another id is one, too.
static bool is_special(const tw_json_tokenizer *t, const char *piece) {
  for (int i = 0; i < t->added_count; i++) {
    const char *name = t->added[i].special ? t->added[i].text : NULL;
    if (name && strcmp(name, piece) == 0) return true;
  }
  return false;
}

// ---- text to ids

typedef struct {
  const tw_json_tokenizer *t;
  const char *begin;  // of the whole text
  bool first;         // of what is being normalised
  tw_ids ids;
} encoder;

static tw_status take_normalised(void *state, const char *text, size_t bytes, int id) {
  encoder *e = state;
  if (id >= 0) return tw_ids_push(&e->ids, id);
  tw_stretches words = {0};
  tw_status status = tw_stretches_copy(&words, text, bytes, e->first && text == e->begin);
  if (status == TW_OK) status = tw_rules_apply(e->t->pre_tokenizers, &words);
  for (int i = 0; status == TW_OK && i < words.count; i++)
    status = tw_json_model_encode(e->t->model, words.items[i].text, words.items[i].bytes, &e->ids);
  tw_stretches_free(&words);
  return status;
}

static tw_status take_raw(void *state, const char *text, size_t bytes, int id) {
  encoder *e = state;
  if (id >= 0) return tw_ids_push(&e->ids, id);
  bool first = text == e->begin;
  const char *begin = e->begin;
  char *normal;
  size_t used;
  TW_TRY(normal_form(e->t, text, bytes, &normal, &used));
  e->begin = normal;
  e->first = first;
  tw_status status = tw_added_split(e->t->normalised, normal, used, take_normalised, e);
  e->begin = begin;
  free(normal);
  return status;
}

static tw_status encode_text(const tw_json_tokenizer *t, const char *text, tw_ids *ids) {
  size_t bytes = strlen(text), valid = tw_utf8_valid(text, bytes);
  if (bytes > 1 << 24) return tw_fail(TW_ERR_RANGE, "a text of %zu bytes is too long", bytes);
  if (valid < bytes)
    return tw_fail(TW_ERR_FORMAT, "the text is not UTF-8 at byte %zu; convert it first (iconv)", valid);
  encoder e = {.t = t, .begin = text};
  tw_status status = tw_added_split(t->raw, text, bytes, take_raw, &e);
  *ids = e.ids;
  return status;
}

tw_status tw_json_tokenizer_encode(const tw_json_tokenizer *t, const char *first, const char *second, bool special,
                                   int most, bool cut_left, tw_encoding *out) {
  tw_ids ids[2] = {{0}, {0}};
  *out = (tw_encoding){0};
  tw_status status = encode_text(t, first, &ids[0]);
  if (status == TW_OK && second) status = encode_text(t, second, &ids[1]);
  if (status == TW_OK) status = tw_frame_put(t, ids, second != NULL, special, most, cut_left, out);
  free(ids[0].ids);
  free(ids[1].ids);
  if (status != TW_OK) tw_encoding_free(out);
  return status;
}

// ---- ids to text

tw_status tw_json_tokenizer_decode(const tw_json_tokenizer *t, const int *ids, int count, bool skip, char **text,
                                   size_t *bytes) {
  const char **pieces = malloc(((size_t)count + 1) * sizeof *pieces);
  int kept = 0;
  *text = NULL;
  if (!pieces) return out_of_memory();
  for (int i = 0; i < count; i++) {
    const char *piece = tw_json_tokenizer_piece(t, ids[i]);
    if (piece && !(skip && is_special(t, piece))) pieces[kept++] = piece;
  }
  tw_status status = tw_decoder_run(t->decoder, pieces, kept, text, bytes);
  free(pieces);
  return status;
}
