#define _GNU_SOURCE
#include "io/json_model.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "io/bpe.h"
#include "io/sentencepiece.h"
#include "io/unigram.h"

struct tw_json_model {
  tw_bpe *bpe;  // one of these three
  tw_unigram *unigram;
  tw_sentencepiece *sentencepiece;
  const tw_pieces *pieces;
  int unknown;
  tw_pieces own;  // sentencepiece's
  int shift;      // what sentencepiece's ids are raised by
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

// ---- sentencepiece: "proto" is the model file in base64. The ids are its own raised by "shift", but the unknown one
// is "unk_id", or raised like the others where that is null.

static tw_status list_own(tw_json_model *m, const char *where) {
  int n = tw_sentencepiece_count(m->sentencepiece), unknown = tw_sentencepiece_unknown(m->sentencepiece);
  if (m->unknown < 0 || m->shift < 0 || m->shift > 1 << 16 || n > 1 << 24 || m->unknown >= n + m->shift)
    return tw_fail(TW_ERR_FORMAT, "%s: model: shift or unk_id is out of range", where);
  TW_TRY(tw_pieces_allocate(&m->own, n + m->shift));
  for (int i = 0; i < n; i++) {
    int id = i == unknown ? m->unknown : i + m->shift;
    free(m->own.text[id]);
    if (!(m->own.text[id] = strdup(tw_sentencepiece_piece(m->sentencepiece, i)))) return out_of_memory();
  }
  return tw_pieces_index(&m->own);
}

static tw_status read_sentencepiece(tw_json_model *m, const json_t *value, const char *where) {
  const char *base64 = json_string_value(json_object_get(value, "proto"));
  const json_t *shift = json_object_get(value, "shift"), *unknown = json_object_get(value, "unk_id");
  if (!base64 || !json_is_integer(shift) || (!json_is_integer(unknown) && !json_is_null(unknown)))
    return tw_fail(TW_ERR_FORMAT, "%s: model: no proto, shift and unk_id", where);
  size_t length = strlen(base64), used;
  unsigned char *proto = malloc(length + 1);
  if (!proto) return out_of_memory();
  tw_status status = TW_OK;
  if (sodium_base642bin(proto, length, base64, length, NULL, &used, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
    status = tw_fail(TW_ERR_FORMAT, "%s: model.proto is not base64", where);
  if (status == TW_OK) status = tw_sentencepiece_new(proto, used, where, &m->sentencepiece);
  free(proto);
  TW_TRY(status);
  m->shift = (int)json_integer_value(shift);
  m->unknown =
      json_is_null(unknown) ? tw_sentencepiece_unknown(m->sentencepiece) + m->shift : (int)json_integer_value(unknown);
  return list_own(m, where);
}

static tw_status encode_sentencepiece(const tw_json_model *m, const char *word, size_t bytes, tw_ids *out) {
  int before = out->count, unknown = tw_sentencepiece_unknown(m->sentencepiece);
  TW_TRY(tw_sentencepiece_encode(m->sentencepiece, word, bytes, out));
  for (int i = before; i < out->count; i++) out->ids[i] = out->ids[i] == unknown ? m->unknown : out->ids[i] + m->shift;
  return TW_OK;
}

// ---- any

static tw_status read(tw_json_model *m, const json_t *value, const char *where) {
  const char *type = json_string_value(json_object_get(value, "type"));
  if (!json_is_object(value)) return tw_fail(TW_ERR_FORMAT, "%s: it has no model", where);
  // files of before 0.10 name no type; merges are BPE's alone
  if (type ? strcmp(type, "BPE") == 0 : json_object_get(value, "merges") != NULL) {
    TW_TRY(tw_bpe_read(value, where, &m->bpe));
    m->pieces = tw_bpe_pieces(m->bpe);
    m->unknown = tw_bpe_unknown(m->bpe);
    return TW_OK;
  }
  if (type && strcmp(type, "Unigram") == 0) {
    TW_TRY(tw_unigram_read(value, where, &m->unigram));
    m->pieces = tw_unigram_pieces(m->unigram);
    m->unknown = tw_unigram_unknown(m->unigram);
    return TW_OK;
  }
  if (type && strcmp(type, "SentencePiece") == 0) {
    m->pieces = &m->own;
    return read_sentencepiece(m, value, where);
  }
  return tw_fail(TW_ERR_FORMAT, "%s: model is %s; only WordPiece, BPE and Unigram are supported", where,
                 type ? type : "of an unknown form");
}

tw_status tw_json_model_new(const json_t *value, const char *where, tw_json_model **out) {
  *out = NULL;
  tw_json_model *m = calloc(1, sizeof *m);
  if (!m) return out_of_memory();
  tw_status status = read(m, value, where);
  if (status == TW_OK)
    *out = m;
  else
    tw_json_model_free(m);
  return status;
}

void tw_json_model_free(tw_json_model *m) {
  if (!m) return;
  tw_bpe_free(m->bpe);
  tw_unigram_free(m->unigram);
  tw_sentencepiece_free(m->sentencepiece);
  tw_pieces_free(&m->own);
  free(m);
}

const tw_pieces *tw_json_model_pieces(const tw_json_model *m) { return m->pieces; }
int tw_json_model_unknown(const tw_json_model *m) { return m->unknown; }

tw_status tw_json_model_encode(const tw_json_model *m, const char *word, size_t bytes, tw_ids *out) {
  if (m->bpe) return tw_bpe_encode(m->bpe, word, bytes, out);
  return m->unigram ? tw_unigram_encode(m->unigram, word, bytes, out) : encode_sentencepiece(m, word, bytes, out);
}
