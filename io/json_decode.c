// From ids back to text: the decoder of a tokenizer.json.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer_parts.h"
#include "io/normalise.h"

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

static tw_status unknown(const char *where, const json_t *value) {
  const char *type = json_string_value(json_object_get(value, "type"));
  return tw_fail(TW_ERR_FORMAT, "%s: decoder %s is not supported", where, type ? type : "of an unknown form");
}

static tw_status set_replacement(tw_json_tokenizer *t, const char *from, const char *to) {
  if (t->decode_from) return tw_fail(TW_ERR_FORMAT, "a decoder that replaces twice is not supported");
  t->decode_from = strdup(from);
  t->decode_to = strdup(to);
  return t->decode_from && t->decode_to ? TW_OK : out_of_memory();
}

static tw_status set_strip(tw_json_tokenizer *t, const char *what, int most) {
  free(t->strip);
  t->strip = strdup(what);
  t->strip_most = most;
  return t->strip ? TW_OK : out_of_memory();
}

static tw_status take_one(tw_json_tokenizer *t, const json_t *value, const char *where) {
  const char *type = json_string_value(json_object_get(value, "type"));
  if (!type) return unknown(where, value);
  if (strcmp(type, "ByteLevel") == 0) {
    t->decode = TW_DECODE_BYTE_LEVEL;
    return TW_OK;
  }
  t->decode = TW_DECODE_PIECES;
  if (strcmp(type, "Fuse") == 0) return TW_OK;
  if (strcmp(type, "ByteFallback") == 0) {
    t->decode_bytes = true;
    return TW_OK;
  }
  if (strcmp(type, "Replace") == 0) {
    const char *from = json_string_value(json_object_get(json_object_get(value, "pattern"), "String"));
    const char *to = json_string_value(json_object_get(value, "content"));
    return from && *from && to ? set_replacement(t, from, to) : unknown(where, value);
  }
  if (strcmp(type, "Strip") == 0) {
    const char *what = json_string_value(json_object_get(value, "content"));
    json_int_t start = json_integer_value(json_object_get(value, "start"));
    if (!what || !*what || start < 0 || start > 64 || json_integer_value(json_object_get(value, "stop")) != 0)
      return unknown(where, value);
    return set_strip(t, what, (int)start);
  }
  if (strcmp(type, "Metaspace") == 0) {
    const char *from = json_string_value(json_object_get(value, "replacement"));
    const char *scheme = json_string_value(json_object_get(value, "prepend_scheme"));
    if (!from || !*from) return unknown(where, value);
    TW_TRY(set_replacement(t, from, " "));
    return scheme && strcmp(scheme, "never") == 0 ? TW_OK : set_strip(t, " ", 1);
  }
  return unknown(where, value);
}

tw_status tw_decoder_read(tw_json_tokenizer *t, const json_t *value, const char *where) {
  const json_t *items = json_object_get(value, "decoders"), *one;
  const char *type = json_string_value(json_object_get(value, "type"));
  size_t i;
  if (!value || json_is_null(value)) return TW_OK;
  if (!type || strcmp(type, "Sequence") != 0) return take_one(t, value, where);
  json_array_foreach((json_t *)items, i, one) TW_TRY(take_one(t, one, where));
  return TW_OK;
}

void tw_decoder_free(tw_json_tokenizer *t) {
  free(t->decode_from);
  free(t->decode_to);
  free(t->strip);
}

// ---- decoding, into bytes

static tw_status write_byte_level(const char *piece, FILE *out) {
  size_t bytes = strlen(piece);
  bool spelled = true;
  for (size_t at = 0; at < bytes && spelled;) spelled = tw_letter_byte(tw_code_point(piece, bytes, &at)) >= 0;
  if (!spelled) {  // an added token
    fputs(piece, out);
    return TW_OK;
  }
  for (size_t at = 0; at < bytes;) fputc(tw_letter_byte(tw_code_point(piece, bytes, &at)), out);
  return TW_OK;
}

static void write_piece(const tw_json_tokenizer *t, const char *piece, FILE *out) {
  unsigned byte;
  char end;
  if (t->decode_bytes && strlen(piece) == 6 && sscanf(piece, "<0x%2X%c", &byte, &end) == 2 && end == '>') {
    fputc((int)byte, out);
    return;
  }
  size_t n = t->decode_from ? strlen(t->decode_from) : 0;
  while (*piece) {
    if (n && strncmp(piece, t->decode_from, n) == 0) {
      fputs(t->decode_to, out);
      piece += n;
    } else {
      fputc(*piece++, out);
    }
  }
}

static void write_token(const tw_json_tokenizer *t, const char *piece, bool first, FILE *out) {
  if (t->decode == TW_DECODE_BYTE_LEVEL) {
    write_byte_level(piece, out);
  } else if (t->decode == TW_DECODE_PIECES) {
    write_piece(t, piece, out);
  } else {
    fprintf(out, "%s%s", first ? "" : " ", piece);
  }
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

static tw_status mend(const char *raw, size_t bytes, char **text) {
  char *to = malloc(3 * bytes + 1);
  size_t used = 0;
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
  *text = to;
  return TW_OK;
}

tw_status tw_json_tokenizer_decode(const tw_json_tokenizer *t, const int *ids, int count, bool skip, char **text) {
  char *raw = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&raw, &bytes);
  *text = NULL;
  if (!out) return out_of_memory();
  bool first = true;
  for (int i = 0; i < count; i++) {
    const char *piece = tw_json_tokenizer_piece(t, ids[i]);
    if (!piece || (skip && tw_json_tokenizer_special(t, ids[i]))) continue;
    write_token(t, piece, first, out);
    first = false;
  }
  tw_status status = fclose(out) == 0 ? TW_OK : out_of_memory();
  size_t skipped = 0, n = t->strip ? strlen(t->strip) : 0;
  for (int i = 0; n && i < t->strip_most && bytes - skipped >= n && strncmp(raw + skipped, t->strip, n) == 0; i++)
    skipped += n;
  if (status == TW_OK) status = mend(raw + skipped, bytes - skipped, text);
  free(raw);
  return status;
}
