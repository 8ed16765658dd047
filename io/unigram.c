#define _GNU_SOURCE
#include "io/unigram.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/normalise.h"

// An unknown letter costs this much more than the worst piece.
static const double unknown_penalty = 10.0;

struct tw_unigram {
  tw_pieces pieces;
  double *scores;
  double unknown_score;
  size_t longest;  // bytes of a piece
  int unknown;     // -1: none
  int byte_ids[256];
  bool byte_fallback;
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- reading

static tw_status take_piece(tw_unigram *u, const json_t *entry, const char *where, size_t id) {
  const char *piece = json_string_value(json_array_get(entry, 0));
  const json_t *score = json_array_get(entry, 1);
  if (!piece || !json_is_number(score) || json_array_size(entry) != 2)
    return tw_fail(TW_ERR_FORMAT, "%s: model.vocab: entry %zu is no piece with its score", where, id);
  u->scores[id] = json_number_value(score);
  if (u->scores[id] < u->unknown_score) u->unknown_score = u->scores[id];
  if (strlen(piece) > u->longest) u->longest = strlen(piece);
  u->pieces.text[id] = strdup(piece);
  return u->pieces.text[id] ? TW_OK : out_of_memory();
}

static tw_status take_vocabulary(tw_unigram *u, const json_t *vocabulary, const char *where) {
  size_t n = json_array_size(vocabulary), id;
  json_t *entry;
  if (!json_is_array(vocabulary) || n == 0 || n > 1 << 24)
    return tw_fail(TW_ERR_FORMAT, "%s: model.vocab is no list of pieces with their scores", where);
  TW_TRY(tw_pieces_allocate(&u->pieces, (int)n));
  u->scores = calloc(n, sizeof *u->scores);
  if (!u->scores) return out_of_memory();
  u->unknown_score = INFINITY;
  json_array_foreach((json_t *)vocabulary, id, entry) TW_TRY(take_piece(u, entry, where, id));
  u->unknown_score -= unknown_penalty;
  return tw_pieces_index(&u->pieces);
}

static tw_status take_settings(tw_unigram *u, const json_t *model, const char *where) {
  const json_t *unknown = json_object_get(model, "unk_id");
  json_int_t id = json_integer_value(unknown);
  u->unknown = -1;
  if (unknown && !json_is_null(unknown)) {
    if (!json_is_integer(unknown) || id < 0 || id >= u->pieces.count)
      return tw_fail(TW_ERR_FORMAT, "%s: model.unk_id is no id of its vocabulary", where);
    u->unknown = (int)id;
  }
  u->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
  for (int i = 0; i < 256; i++) {
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", i);
    u->byte_ids[i] = tw_pieces_find(&u->pieces, name, strlen(name));
  }
  return TW_OK;
}

tw_status tw_unigram_read(const json_t *model, const char *where, tw_unigram **out) {
  *out = NULL;
  tw_unigram *u = calloc(1, sizeof *u);
  if (!u) return out_of_memory();
  tw_status status = take_vocabulary(u, json_object_get(model, "vocab"), where);
  if (status == TW_OK) status = take_settings(u, model, where);
  if (status == TW_OK)
    *out = u;
  else
    tw_unigram_free(u);
  return status;
}

void tw_unigram_free(tw_unigram *u) {
  if (!u) return;
  tw_pieces_free(&u->pieces);
  free(u->scores);
  free(u);
}

const tw_pieces *tw_unigram_pieces(const tw_unigram *u) { return &u->pieces; }
int tw_unigram_unknown(const tw_unigram *u) { return u->unknown; }

// ---- the best way to every place of a word

typedef struct {
  double score;
  int id;
  size_t from;  // where the last piece begins; SIZE_MAX: nothing ends here yet
} node;

static void offer(node *to, size_t from, double score, int id) {
  if (to->from == SIZE_MAX || score > to->score) *to = (node){score, id, from};
}

static tw_status no_unknown(void) {
  return tw_fail(TW_ERR_FORMAT, "the text has letters that the vocabulary lacks, and the model has no unknown token");
}

// All pieces that begin at `at`; a letter that is none is unknown.
static tw_status step(const tw_unigram *u, const char *word, size_t bytes, size_t at, node *best, size_t *next) {
  double here = best[at].score;
  uint64_t hash = TW_HASH_START;
  size_t end = at;
  bool single = false;
  tw_code_point(word, bytes, next);
  while (end < bytes) {
    size_t before = end;
    tw_code_point(word, bytes, &end);
    if (end - at > u->longest) break;
    hash = tw_hash_more(hash, word + before, end - before);
    int id = tw_pieces_find_hashed(&u->pieces, hash, word + at, end - at);
    if (id < 0) continue;
    offer(&best[end], at, u->scores[id] + here, id);
    single |= end == *next;
  }
  if (single) return TW_OK;
  if (u->unknown < 0) return no_unknown();
  offer(&best[*next], at, u->unknown_score + here, u->unknown);
  return TW_OK;
}

// The id of a stretch; of an unknown one its bytes, where the model has pieces for them.
static tw_status put(const tw_unigram *u, const char *text, size_t bytes, tw_ids *out) {
  int id = tw_pieces_find(&u->pieces, text, bytes);
  bool fallback = id < 0 && u->byte_fallback;
  for (size_t i = 0; fallback && i < bytes; i++) fallback = u->byte_ids[(unsigned char)text[i]] >= 0;
  for (size_t i = 0; fallback && i < bytes; i++) TW_TRY(tw_ids_push(out, u->byte_ids[(unsigned char)text[i]]));
  if (fallback) return TW_OK;
  if (id < 0) id = u->unknown;
  return id < 0 ? no_unknown() : tw_ids_push(out, id);
}

// Backwards along the best way, then forwards; neighbouring unknown letters are one stretch.
static tw_status walk(const tw_unigram *u, const char *word, size_t bytes, node *best, tw_ids *out) {
  size_t after = SIZE_MAX;
  for (size_t end = bytes; end > 0;) {  // best[].from becomes where the piece that begins here ends
    size_t begin = best[end].from;
    best[end].from = after;
    after = end;
    end = begin;
  }
  best[0].from = after;
  for (size_t at = 0; at < bytes;) {
    size_t end = best[at].from;
    while (u->unknown >= 0 && best[end].id == u->unknown && end < bytes && best[best[end].from].id == u->unknown)
      end = best[end].from;
    TW_TRY(put(u, word + at, end - at, out));
    at = end;
  }
  return TW_OK;
}

tw_status tw_unigram_encode(const tw_unigram *u, const char *word, size_t bytes, tw_ids *out) {
  if (bytes == 0) return TW_OK;
  node *best = malloc((bytes + 1) * sizeof *best);
  if (!best) return out_of_memory();
  for (size_t i = 0; i <= bytes; i++) best[i] = (node){0, -1, SIZE_MAX};
  tw_status status = TW_OK;
  for (size_t at = 0, next = 0; at < bytes && status == TW_OK; at = next)
    status = step(u, word, bytes, at, best, &next);
  if (status == TW_OK) status = walk(u, word, bytes, best, out);
  free(best);
  return status;
}
