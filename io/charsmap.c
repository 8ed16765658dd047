#include "io/charsmap.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/normalise.h"
#include "io/text_buffer.h"

struct tw_charsmap {
  unsigned char *data;
  size_t units;       // of four bytes each, behind the first four
  const char *texts;  // each ends in a zero byte
  size_t bytes;
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

static uint32_t word_at(const unsigned char *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static tw_status malformed(const char *where) {
  return tw_fail(TW_ERR_FORMAT,
                 "%s: normalizer Precompiled: precompiled_charsmap is malformed; download the file again", where);
}

static tw_status read(tw_charsmap *m, const char *base64, const char *where) {
  size_t length = strlen(base64), used;
  m->data = malloc(length + 1);
  if (!m->data) return out_of_memory();
  if (sodium_base642bin(m->data, length, base64, length, NULL, &used, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      used < 4)
    return malformed(where);
  size_t trie = word_at(m->data);
  if (trie % 4 != 0 || trie < 4 || trie > used - 4) return malformed(where);
  m->units = trie / 4;
  m->texts = (const char *)m->data + 4 + trie;
  m->bytes = used - 4 - trie;
  return tw_utf8_valid(m->texts, m->bytes) == m->bytes ? TW_OK : malformed(where);
}

tw_status tw_charsmap_new(const char *base64, const char *where, tw_charsmap **out) {
  *out = NULL;
  tw_charsmap *m = calloc(1, sizeof *m);
  if (!m) return out_of_memory();
  tw_status status = read(m, base64, where);
  if (status == TW_OK)
    *out = m;
  else
    tw_charsmap_free(m);
  return status;
}

void tw_charsmap_free(tw_charsmap *m) {
  if (!m) return;
  free(m->data);
  free(m);
}

// A unit of the trie: its label in the low byte (and bit 31, which is no label's), whether a leaf follows, and by what
// the place of its children differs. Source: Darts-clone (Yata 2011).
static uint32_t unit(const tw_charsmap *m, size_t at) {
  return at < m->units ? word_at(m->data + 4 + 4 * at) : 1u << 31;
}
static size_t offset(uint32_t u) { return (size_t)(u >> 10) << ((u & (1u << 9)) >> 6); }

// What stands for the shortest beginning of `text` that the table has; NULL: none.
static const char *shortest(const tw_charsmap *m, const char *text, size_t bytes, size_t *length) {
  size_t at = offset(unit(m, 0));
  for (size_t i = 0; i < bytes; i++) {
    at ^= (unsigned char)text[i];
    uint32_t u = unit(m, at);
    if ((u & (1u << 31 | 0xff)) != (unsigned char)text[i]) return NULL;
    at ^= offset(u);
    if (!(u >> 8 & 1)) continue;
    size_t value = unit(m, at) & 0x7fffffff;
    if (value > m->bytes) return NULL;
    const char *end = memchr(m->texts + value, '\0', m->bytes - value);
    *length = end ? (size_t)(end - (m->texts + value)) : m->bytes - value;
    return tw_utf8_valid(m->texts + value, *length) == *length ? m->texts + value : NULL;
  }
  return NULL;
}

// End of the grapheme cluster that begins at `at`.
static size_t cluster_end(const char *text, size_t bytes, size_t at) {
  utf8proc_int32_t state = 0;
  int before = tw_code_point(text, bytes, &at);
  while (at < bytes) {
    size_t next = at;
    int c = tw_code_point(text, bytes, &next);
    if (utf8proc_grapheme_break_stateful(before, c, &state)) break;
    before = c;
    at = next;
  }
  return at;
}

static tw_status apply_cluster(const tw_charsmap *m, const char *text, size_t bytes, tw_text_buffer *out) {
  enum { LONGEST = 5 };
  size_t length;
  const char *whole = bytes <= LONGEST ? shortest(m, text, bytes, &length) : NULL;
  if (whole) return tw_text_put(out, whole, length);
  for (size_t at = 0; at < bytes;) {
    size_t begin = at;
    tw_code_point(text, bytes, &at);
    const char *one = shortest(m, text + begin, at - begin, &length);
    TW_TRY(one ? tw_text_put(out, one, length) : tw_text_put(out, text + begin, at - begin));
  }
  return TW_OK;
}

tw_status tw_charsmap_apply(const tw_charsmap *m, const char *text, size_t bytes, char **out, size_t *used) {
  tw_text_buffer b = {0};
  tw_status status = tw_text_put(&b, "", 0);
  for (size_t at = 0; at < bytes && status == TW_OK;) {
    size_t end = cluster_end(text, bytes, at);
    status = apply_cluster(m, text + at, end - at, &b);
    at = end;
  }
  if (status != TW_OK) free(b.text);
  *out = status == TW_OK ? b.text : NULL;
  *used = b.used;
  return status;
}
