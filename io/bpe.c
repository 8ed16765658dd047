#define _GNU_SOURCE
#include "io/bpe.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/normalise.h"

typedef struct {
  int left, right, rank, whole;  // whole: the pair's id
} merge;

struct tw_bpe {
  tw_pieces pieces;
  merge *merges;  // open addressing over (left, right); rank -1: free
  size_t merge_mask;
  int unknown;        // -1: none
  int byte_ids[256];  // byte_fallback: <0x00> ..; -1: none
  bool byte_fallback, fuse_unknown, ignore_merges;
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- vocabulary

static int find(const tw_bpe *b, const char *text, size_t bytes) { return tw_pieces_find(&b->pieces, text, bytes); }

const tw_pieces *tw_bpe_pieces(const tw_bpe *b) { return &b->pieces; }
int tw_bpe_unknown(const tw_bpe *b) { return b->unknown; }

static tw_status take_vocabulary(const json_t *vocabulary, const char *where, tw_bpe *b) {
  enum { MOST = 1 << 24 };
  const char *piece;
  json_t *value;
  int count = 0;
  if (!json_is_object(vocabulary)) return tw_fail(TW_ERR_FORMAT, "%s: model.vocab is no table of pieces", where);
  json_object_foreach((json_t *)vocabulary, piece, value) {
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= MOST)
      return tw_fail(TW_ERR_FORMAT, "%s: model.vocab: the id of \"%s\" is no id", where, piece);
    if (id >= count) count = (int)id + 1;
  }
  TW_TRY(tw_pieces_allocate(&b->pieces, count));
  json_object_foreach((json_t *)vocabulary, piece, value) {
    char **slot = &b->pieces.text[json_integer_value(value)];
    if (*slot)
      return tw_fail(TW_ERR_FORMAT, "%s: model.vocab: \"%s\" and \"%s\" have the same id", where, *slot, piece);
    if (!(*slot = strdup(piece))) return out_of_memory();
  }
  return tw_pieces_index(&b->pieces);
}

// ---- merges

static size_t merge_slot(const tw_bpe *b, int left, int right) {
  uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
  size_t i = (size_t)(h >> 20) & b->merge_mask;
  for (; b->merges[i].rank >= 0; i = (i + 1) & b->merge_mask)
    if (b->merges[i].left == left && b->merges[i].right == right) break;
  return i;
}

static const merge *find_merge(const tw_bpe *b, int left, int right) {
  const merge *m = &b->merges[merge_slot(b, left, right)];
  return m->rank >= 0 ? m : NULL;
}

static tw_status no_merge(const char *where, int rank, const char *why) {
  return tw_fail(TW_ERR_FORMAT, "%s: model.merges: entry %d %s", where, rank, why);
}

static tw_status add_merge(tw_bpe *b, const char *where, int rank, const char *left, size_t left_bytes,
                           const char *right, size_t right_bytes) {
  char whole[1024];
  int l = find(b, left, left_bytes), r = find(b, right, right_bytes);
  if (left_bytes + right_bytes >= sizeof whole) return no_merge(where, rank, "is too long");
  if (l < 0 || r < 0) return no_merge(where, rank, "has a piece that the vocabulary lacks");
  memcpy(whole, left, left_bytes);
  memcpy(whole + left_bytes, right, right_bytes);
  int id = find(b, whole, left_bytes + right_bytes);
  if (id < 0) return no_merge(where, rank, "makes a piece that the vocabulary lacks");
  b->merges[merge_slot(b, l, r)] = (merge){l, r, rank, id};  // the last of two equal ones counts
  return TW_OK;
}

// "left right", or ["left", "right"].
static tw_status take_merge(tw_bpe *b, const char *where, int rank, const json_t *value) {
  if (json_is_array(value)) {
    const char *left = json_string_value(json_array_get(value, 0)),
               *right = json_string_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || !left || !right) return no_merge(where, rank, "is no pair");
    return add_merge(b, where, rank, left, strlen(left), right, strlen(right));
  }
  const char *text = json_string_value(value), *blank = text ? strchr(text, ' ') : NULL;
  if (!blank || strchr(blank + 1, ' ')) return no_merge(where, rank, "is no pair");
  return add_merge(b, where, rank, text, (size_t)(blank - text), blank + 1, strlen(blank + 1));
}

static tw_status take_merges(const json_t *merges, const char *where, tw_bpe *b) {
  size_t n = json_array_size(merges), slots = 16, i;
  json_t *value;
  if (!json_is_array(merges) || n > 1 << 24) return tw_fail(TW_ERR_FORMAT, "%s: model.merges is no list", where);
  while (slots < 2 * n) slots *= 2;
  b->merge_mask = slots - 1;
  b->merges = malloc(slots * sizeof *b->merges);
  if (!b->merges) return out_of_memory();
  for (i = 0; i < slots; i++) b->merges[i].rank = -1;
  json_array_foreach((json_t *)merges, i, value) TW_TRY(take_merge(b, where, (int)i, value));
  return TW_OK;
}

// ---- reading

static tw_status refuse_setting(const char *where, const char *name) {
  return tw_fail(TW_ERR_FORMAT, "%s: model.%s is set, which is not supported", where, name);
}

static tw_status take_settings(const json_t *model, const char *where, tw_bpe *b) {
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (int i = 0; i < 2; i++) {
    const char *affix = json_string_value(json_object_get(model, affixes[i]));
    if (affix && *affix) return refuse_setting(where, affixes[i]);
  }
  if (json_number_value(json_object_get(model, "dropout")) != 0) return refuse_setting(where, "dropout");
  const char *unknown = json_string_value(json_object_get(model, "unk_token"));
  b->unknown = unknown ? find(b, unknown, strlen(unknown)) : -1;
  b->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
  b->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
  b->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
  for (int i = 0; i < 256; i++) {
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", i);
    b->byte_ids[i] = find(b, name, strlen(name));
  }
  return TW_OK;
}

tw_status tw_bpe_read(const json_t *model, const char *where, tw_bpe **out) {
  *out = NULL;
  tw_bpe *b = calloc(1, sizeof *b);
  if (!b) return out_of_memory();
  tw_status status = take_vocabulary(json_object_get(model, "vocab"), where, b);
  if (status == TW_OK) status = take_settings(model, where, b);
  if (status == TW_OK) status = take_merges(json_object_get(model, "merges"), where, b);
  if (status == TW_OK)
    *out = b;
  else
    tw_bpe_free(b);
  return status;
}

void tw_bpe_free(tw_bpe *b) {
  if (!b) return;
  tw_pieces_free(&b->pieces);
  free(b->merges);
  free(b);
}

// ---- a word

typedef struct {
  int id, before, after;  // neighbours; -1: none. id -1: merged away
} symbol;

// A pair that could be merged, by rank, then by place.
typedef struct {
  int rank, at, left, right, whole;
} candidate;

typedef struct {
  symbol *symbols;
  candidate *heap;
  int count, waiting;
} word_state;

static bool sooner(const candidate *a, const candidate *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

// A word of n symbols has at most n - 1 pairs at first, and every merge makes two: 3 n are room enough.
static void offer(const tw_bpe *b, word_state *w, int at) {
  if (at < 0 || w->symbols[at].after < 0) return;
  int left = w->symbols[at].id, right = w->symbols[w->symbols[at].after].id;
  const merge *m = find_merge(b, left, right);
  if (!m) return;
  int i = w->waiting++;
  candidate c = {m->rank, at, left, right, m->whole};
  for (; i > 0 && sooner(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
  w->heap[i] = c;
}

static candidate take_soonest(word_state *w) {
  candidate best = w->heap[0], last = w->heap[--w->waiting];
  int i = 0;
  for (int child; (child = 2 * i + 1) < w->waiting; i = child) {
    if (child + 1 < w->waiting && sooner(&w->heap[child + 1], &w->heap[child])) child++;
    if (!sooner(&w->heap[child], &last)) break;
    w->heap[i] = w->heap[child];
  }
  w->heap[i] = last;
  return best;
}

static void merge_all(const tw_bpe *b, word_state *w) {
  for (int i = 0; i < w->count; i++) offer(b, w, i);
  while (w->waiting > 0) {
    candidate c = take_soonest(w);
    symbol *s = &w->symbols[c.at];
    if (s->id != c.left || s->after < 0 || w->symbols[s->after].id != c.right) continue;  // merged meanwhile
    symbol *gone = &w->symbols[s->after];
    s->id = c.whole;
    s->after = gone->after;
    gone->id = -1;
    if (s->after >= 0) w->symbols[s->after].before = c.at;
    offer(b, w, s->before);
    offer(b, w, c.at);
  }
}

static void append(word_state *w, int id) {
  int i = w->count++;
  w->symbols[i] = (symbol){id, i - 1, -1};
  if (i > 0) w->symbols[i - 1].after = i;
}

// The word's letters as ids: pieces, else their bytes, else the unknown token, else nothing.
static void spell(const tw_bpe *b, const char *word, size_t bytes, word_state *w) {
  bool unknown_before = false;
  for (size_t at = 0; at < bytes;) {
    size_t here = at;
    tw_code_point(word, bytes, &at);
    int id = find(b, word + here, at - here);
    bool fallback = id < 0 && b->byte_fallback;
    for (size_t i = here; fallback && i < at; i++) fallback = b->byte_ids[(unsigned char)word[i]] >= 0;
    if (id >= 0) {
      append(w, id);
    } else if (fallback) {
      for (size_t i = here; i < at; i++) append(w, b->byte_ids[(unsigned char)word[i]]);
    } else if (b->unknown >= 0 && !(b->fuse_unknown && unknown_before)) {
      append(w, b->unknown);
    }
    unknown_before = id < 0 && !fallback;
  }
}

tw_status tw_bpe_encode(const tw_bpe *b, const char *word, size_t bytes, tw_ids *out) {
  int known = b->ignore_merges ? find(b, word, bytes) : -1;
  if (known >= 0) return tw_ids_push(out, known);
  if (bytes > INT_MAX / 4) return tw_fail(TW_ERR_RANGE, "a word of %zu bytes", bytes);
  word_state w = {.symbols = malloc((bytes + 1) * sizeof *w.symbols), .heap = malloc((3 * bytes + 1) * sizeof *w.heap)};
  tw_status status = w.symbols && w.heap ? TW_OK : out_of_memory();
  if (status == TW_OK) {
    spell(b, word, bytes, &w);
    merge_all(b, &w);
  }
  for (int i = 0; status == TW_OK && i < w.count; i++)
    if (w.symbols[i].id >= 0) status = tw_ids_push(out, w.symbols[i].id);
  free(w.symbols);
  free(w.heap);
  return status;
}
