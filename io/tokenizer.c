#define _GNU_SOURCE
#include "io/tokenizer.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

enum { MAX_WORD = 100 };  // code points; BERT turns longer words into [UNK]

struct tw_tokenizer {
  char *const *vocabulary;
  int count;
  bool lower_case;
  int *table;  // open addressing: id, or -1
  size_t mask;
  tw_special_ids special;
  int mask_token;  // -1 when the vocabulary has none
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

static tw_status require(const tw_tokenizer *t, const char *token, int *id) {
  *id = find_piece(t, "", token, strlen(token));
  return *id >= 0 ? TW_OK : tw_fail(TW_ERR_FORMAT, "the vocabulary lacks %s; it is not BERT's", token);
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
  }
  TW_TRY(require(t, "[PAD]", &t->special.pad));
  TW_TRY(require(t, "[UNK]", &t->special.unknown));
  TW_TRY(require(t, "[CLS]", &t->special.start));
  TW_TRY(require(t, "[SEP]", &t->special.end));
  t->mask_token = find_piece(t, "", "[MASK]", 6);
  return TW_OK;
}

tw_status tw_tokenizer_new(char *const *vocabulary, int count, bool lower_case, tw_tokenizer **out) {
  *out = NULL;
  if (count < 5) return tw_fail(TW_ERR_FORMAT, "a vocabulary of %d pieces is too small", count);
  tw_tokenizer *t = calloc(1, sizeof *t);
  if (!t) return out_of_memory();
  t->vocabulary = vocabulary;
  t->count = count;
  t->lower_case = lower_case;
  t->special = (tw_special_ids){.pad = 0, .unknown = 1, .start = 2, .end = 3};
  t->mask_token = -1;
  tw_status status = vocabulary ? index_vocabulary(t) : TW_OK;
  if (status == TW_OK)
    *out = t;
  else
    tw_tokenizer_free(t);
  return status;
}

void tw_tokenizer_free(tw_tokenizer *t) {
  if (!t) return;
  free(t->table);
  free(t);
}

tw_special_ids tw_tokenizer_special(const tw_tokenizer *t) { return t->special; }

// ---- characters

static bool is_space(utf8proc_int32_t c, utf8proc_category_t category) {
  return c == '\t' || c == '\n' || c == '\r' || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

static bool is_control(utf8proc_category_t category) {
  return category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

// All ASCII signs count as punctuation, also those that Unicode calls symbols ($ + < = > ^ ` | ~).
static bool is_punctuation(utf8proc_int32_t c) {
  if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126)) return true;
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// The blocks that BERT spaces out character by character.
static bool is_cjk(utf8proc_int32_t c) {
  static const utf8proc_int32_t blocks[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                               {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF},
                                               {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if (c >= blocks[i][0] && c <= blocks[i][1]) return true;
  return false;
}

// ---- a growing list of ids

typedef struct {
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
  for (size_t end = bytes; end > 0; end--) {
    if (end < bytes && (word[end] & 0xC0) == 0x80) continue;
    *id = find_piece(t, prefix, word, end);
    if (*id >= 0) return end;
  }
  return 0;
}

static tw_status add_word(const tw_tokenizer *t, const char *word, size_t bytes, id_list *out) {
  if (bytes == 0) return TW_OK;
  if (!t->vocabulary) return push(out, 4 + (int)(hash_more(hash_start, word, bytes) % (uint64_t)(t->count - 4)));
  if (code_points(word, bytes) > MAX_WORD) return push(out, t->special.unknown);
  int before = out->count;
  for (size_t at = 0; at < bytes;) {
    int id;
    size_t taken = longest_piece(t, at ? "##" : "", word + at, bytes - at, &id);
    if (taken == 0) {  // one piece that does not exist spoils the whole word
      out->count = before;
      return push(out, t->special.unknown);
    }
    TW_TRY(push(out, id));
    at += taken;
  }
  return TW_OK;
}

// ---- cleaning and splitting

// Drop controls, make every space a blank, space out CJK, lower-case. `clean` has room for 6 bytes a byte of text.
static size_t clean_text(const tw_tokenizer *t, const char *text, size_t bytes, char *clean) {
  size_t used = 0;
  for (size_t at = 0; at < bytes;) {
    utf8proc_int32_t c;
    at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &c);
    utf8proc_category_t category = utf8proc_category(c);
    if (is_space(c, category)) {
      clean[used++] = ' ';
    } else if (c != 0xFFFD && !is_control(category)) {
      bool cjk = is_cjk(c);
      if (cjk) clean[used++] = ' ';
      c = t->lower_case ? utf8proc_tolower(c) : c;
      used += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)clean + used);
      if (cjk) clean[used++] = ' ';
    }
  }
  return used;
}

// Words end at blanks; each punctuation sign is a word. Accents (Mn) are passed over when lower-casing.
static tw_status split_words(const tw_tokenizer *t, char *text, size_t bytes, id_list *out) {
  size_t used = 0;  // the current word is gathered at the front of text, which has been read already
  for (size_t at = 0; at < bytes;) {
    utf8proc_int32_t c;
    size_t width = (size_t)utf8proc_iterate((utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &c);
    bool sign = is_punctuation(c);
    if (sign || c == ' ') {
      TW_TRY(add_word(t, text, used, out));
      used = 0;
    }
    if (sign) {
      TW_TRY(add_word(t, text + at, width, out));
    } else if (c != ' ' && !(t->lower_case && utf8proc_category(c) == UTF8PROC_CATEGORY_MN)) {
      memmove(text + used, text + at, width);
      used += width;
    }
    at += width;
  }
  return add_word(t, text, used, out);
}

static tw_status add_plain(const tw_tokenizer *t, const char *text, size_t bytes, id_list *out) {
  char *clean = malloc(6 * bytes + 1);
  if (!clean) return out_of_memory();
  size_t used = clean_text(t, text, bytes, clean);
  tw_status status;
  if (t->lower_case) {
    utf8proc_uint8_t *apart = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((utf8proc_uint8_t *)clean, (utf8proc_ssize_t)used, &apart, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    status = n < 0 ? tw_fail(TW_ERR_MEMORY, "cannot normalise the text: %s", utf8proc_errmsg(n))
                   : split_words(t, (char *)apart, (size_t)n, out);
    free(apart);
  } else {
    status = split_words(t, clean, used, out);
  }
  free(clean);
  return status;
}

// Length of the special token that begins at text, else 0.
static size_t special_at(const tw_tokenizer *t, const char *text, int *id) {
  if (*text != '[') return 0;
  const struct {
    const char *token;
    int id;
  } tokens[] = {{"[PAD]", t->special.pad},
                {"[UNK]", t->special.unknown},
                {"[CLS]", t->special.start},
                {"[SEP]", t->special.end},
                {"[MASK]", t->mask_token}};
  for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
    size_t n = strlen(tokens[i].token);
    if (tokens[i].id >= 0 && strncmp(text, tokens[i].token, n) == 0) {
      *id = tokens[i].id;
      return n;
    }
  }
  return 0;
}

// Text between special tokens is cleaned and split on its own.
static tw_status add_text(const tw_tokenizer *t, const char *text, size_t bytes, id_list *out) {
  size_t begin = 0;
  for (size_t at = 0; at < bytes;) {
    int id;
    size_t n = special_at(t, text + at, &id);
    if (n == 0) {
      at++;
      continue;
    }
    TW_TRY(add_plain(t, text + begin, at - begin, out));
    TW_TRY(push(out, id));
    begin = at += n;
  }
  return add_plain(t, text + begin, bytes - begin, out);
}

static tw_status check_utf8(const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &c);
    if (n <= 0) return tw_fail(TW_ERR_FORMAT, "the text is not UTF-8 at byte %zu; convert it first (iconv)", at);
    at += (size_t)n;
  }
  return TW_OK;
}

tw_status tw_tokenizer_encode(const tw_tokenizer *t, const char *text, int **ids, int *count) {
  *ids = NULL;
  *count = 0;
  size_t bytes = strlen(text);
  if (bytes > 1 << 24) return tw_fail(TW_ERR_RANGE, "a text of %zu bytes is too long", bytes);
  TW_TRY(check_utf8(text, bytes));
  id_list list = {0};
  tw_status status = push(&list, t->special.start);
  if (status == TW_OK) status = add_text(t, text, bytes, &list);
  if (status == TW_OK) status = push(&list, t->special.end);
  if (status != TW_OK) {
    free(list.ids);
    return status;
  }
  *ids = list.ids;
  *count = list.count;
  return TW_OK;
}
