// The tokenizer's rules in the client's file.
#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "io/client_parts.h"

enum { SPECIAL = 1, NORMALISED = 2, SINGLE_WORD = 4, STRIP_LEFT = 8, STRIP_RIGHT = 16, ALL_FLAGS = 31 };

static tw_status put_flag(tw_h5 *f, const char *name, bool value) { return tw_h5_put_int(f, "/", name, value); }

static int flags_of(const tw_added_token *a) {
  return (a->special ? SPECIAL : 0) | (a->normalised ? NORMALISED : 0) | (a->single_word ? SINGLE_WORD : 0) |
         (a->strip_left ? STRIP_LEFT : 0) | (a->strip_right ? STRIP_RIGHT : 0);
}

static tw_status put_added(tw_h5 *f, const tw_text_rules *r, tw_rules_buffers *b) {
  size_t n = (size_t)r->added_count;
  TW_TRY(tw_h5_put_int(f, "/", "added_count", r->added_count));
  if (n == 0) return TW_OK;
  TW_TRY(tw_alloc(n * sizeof *b->texts, (void **)&b->texts));
  TW_TRY(tw_alloc(2 * n * sizeof *b->numbers, (void **)&b->numbers));
  for (size_t i = 0; i < n; i++) {
    b->texts[i] = r->added[i].text;
    b->numbers[2 * i] = r->added[i].id;
    b->numbers[2 * i + 1] = flags_of(&r->added[i]);
  }
  TW_TRY(tw_h5_put_texts(f, "added_tokens", r->added_count, b->texts));
  return tw_h5_put(f, "added_ids", H5T_STD_I32LE, 2, (hsize_t[]){n, 2}, b->numbers);
}

tw_status tw_rules_put(tw_h5 *f, const tw_text_rules *r, tw_rules_buffers *buffers) {
  TW_TRY(put_flag(f, "clean_text", r->normaliser.clean_text));
  TW_TRY(put_flag(f, "split_chinese", r->normaliser.split_chinese));
  TW_TRY(put_flag(f, "strip_accents", r->normaliser.strip_accents));
  TW_TRY(put_flag(f, "lower_case", r->normaliser.lower_case));
  TW_TRY(put_flag(f, "pair_types", r->pair_types));
  TW_TRY(put_flag(f, "cut_left", r->cut_left));
  TW_TRY(tw_h5_put_text(f, "/", "piece_prefix", r->prefix));
  TW_TRY(tw_h5_put_int(f, "/", "longest_word", r->longest_word));
  TW_TRY(tw_h5_put_int(f, "/", "pad_id", r->special.pad));
  TW_TRY(tw_h5_put_int(f, "/", "unknown_id", r->special.unknown));
  TW_TRY(tw_h5_put_int(f, "/", "start_id", r->special.start));
  TW_TRY(tw_h5_put_int(f, "/", "end_id", r->special.end));
  if (r->tokenizer) TW_TRY(tw_h5_put_texts(f, "tokenizer", 1, (char *const *)&r->tokenizer));
  if (r->chat) TW_TRY(tw_h5_put_texts(f, "chat", 1, (char *const *)&r->chat));
  return put_added(f, r, buffers);
}

void tw_rules_buffers_free(tw_rules_buffers *buffers) {
  tw_free(buffers->texts);
  tw_free(buffers->numbers);
}

// ---- reading

static tw_status take_added(const tw_h5 *f, int count, int vocab, char *const *texts, const int *numbers,
                            tw_text_rules *r) {
  for (int i = 0; i < count; i++) {
    int id = numbers[2 * i], flags = numbers[2 * i + 1];
    if (id < 0 || id >= vocab || flags < 0 || flags > ALL_FLAGS || !texts[i][0])
      return tw_fail(TW_ERR_FORMAT, "%s: dataset added_ids: token %d has id %d of %d and flags %d", f->path, i, id,
                     vocab, flags);
    TW_TRY(tw_text_rules_add(r, &(tw_added_token){.text = texts[i],
                                                  .id = id,
                                                  .special = flags & SPECIAL,
                                                  .normalised = flags & NORMALISED,
                                                  .single_word = flags & SINGLE_WORD,
                                                  .strip_left = flags & STRIP_LEFT,
                                                  .strip_right = flags & STRIP_RIGHT}));
  }
  return TW_OK;
}

static tw_status get_added(const tw_h5 *f, int vocab, tw_text_rules *r) {
  int count, *numbers = NULL;
  char **texts = NULL;
  uint64_t offset;
  TW_TRY(tw_h5_get_small(f, "added_count", 0, 1 << 24, &count));
  if (count == 0) return TW_OK;
  hsize_t shape[2] = {(hsize_t)count, 2};
  TW_TRY(tw_h5_locate(f, "added_ids", H5T_STD_I32LE, 2, shape, &offset));  // the file is as long as it says
  tw_status status = tw_alloc(2 * (size_t)count * sizeof *numbers, (void **)&numbers);
  if (status == TW_OK) status = tw_h5_get(f, "added_ids", H5T_STD_I32LE, 2, shape, numbers);
  if (status == TW_OK) status = tw_h5_get_texts(f, "added_tokens", count, &texts);
  if (status == TW_OK) status = take_added(f, count, vocab, texts, numbers, r);
  tw_h5_free_texts(texts, count);
  tw_free(numbers);
  return status;
}

// A text that a file may have, malloc's.
static tw_status get_text(const tw_h5 *f, const char *name, char **text) {
  char **one;
  if (!tw_h5_has(f, name)) return TW_OK;
  TW_TRY(tw_h5_get_texts(f, name, 1, &one));
  *text = one[0];
  one[0] = NULL;
  tw_h5_free_texts(one, 1);
  return TW_OK;
}

tw_status tw_rules_get(const tw_h5 *f, int vocab, tw_text_rules *r) {
  if (H5Aexists(f->file, "pair_types") <= 0)
    return tw_fail(
        TW_ERR_FORMAT,
        "%s: the tokenizer's rules (attribute pair_types) are missing: another version of twain wrote it, or "
        "it is damaged; run `twain import` again",
        f->path);
  TW_TRY(tw_h5_get_bool(f, "clean_text", &r->normaliser.clean_text));
  TW_TRY(tw_h5_get_bool(f, "split_chinese", &r->normaliser.split_chinese));
  TW_TRY(tw_h5_get_bool(f, "strip_accents", &r->normaliser.strip_accents));
  TW_TRY(tw_h5_get_bool(f, "lower_case", &r->normaliser.lower_case));
  TW_TRY(tw_h5_get_bool(f, "pair_types", &r->pair_types));
  TW_TRY(tw_h5_get_bool(f, "cut_left", &r->cut_left));
  TW_TRY(tw_h5_get_text(f, "/", "piece_prefix", r->prefix, sizeof r->prefix));
  TW_TRY(tw_h5_get_small(f, "longest_word", 0, INT_MAX, &r->longest_word));
  TW_TRY(tw_h5_get_small(f, "pad_id", 0, vocab - 1, &r->special.pad));
  TW_TRY(tw_h5_get_small(f, "unknown_id", 0, vocab - 1, &r->special.unknown));
  TW_TRY(tw_h5_get_small(f, "start_id", 0, vocab - 1, &r->special.start));
  TW_TRY(tw_h5_get_small(f, "end_id", 0, vocab - 1, &r->special.end));
  TW_TRY(get_text(f, "tokenizer", &r->tokenizer));
  TW_TRY(get_text(f, "chat", &r->chat));
  return get_added(f, vocab, r);
}
