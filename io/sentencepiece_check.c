#include "io/sentencepiece_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

// Fields of the message, by number; the two rules of normalisation hold a table each.
enum { NORMALISER = 3, DENORMALISER = 5, TABLE = 2 };

typedef struct {
  const unsigned char *at, *end;
} reader;

static tw_status damaged(const char *where) {
  return tw_fail(TW_ERR_FORMAT, "%s: it is damaged, or no model of sentencepiece; download it again", where);
}

// ---- Protocol Buffers

static bool take_number(reader *r, uint64_t *out) {
  *out = 0;
  for (int shift = 0; shift < 70 && r->at < r->end; shift += 7) {
    unsigned char byte = *r->at++;
    if (shift < 64) *out |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

// The next field; inside: its bytes, where it has some of its own. Groups are of older messages than these.
static bool take_field(reader *r, int *number, reader *inside) {
  uint64_t key, n;
  *inside = (reader){NULL, NULL};
  if (!take_number(r, &key) || key >> 3 > INT32_MAX) return false;
  *number = (int)(key >> 3);
  switch (key & 7) {
    case 0:
      return take_number(r, &n);
    case 1:
      n = 8;
      break;
    case 2:
      if (!take_number(r, &n)) return false;
      break;
    case 5:
      n = 4;
      break;
    default:
      return false;
  }
  if (n > (uint64_t)(r->end - r->at)) return false;
  if ((key & 7) == 2) *inside = (reader){r->at, r->at + n};
  r->at += n;
  return true;
}

// ---- the table: bytes of the trie (four), the trie, the texts

static uint32_t unit(const unsigned char *trie, size_t at) {
  const unsigned char *p = trie + 4 * at;
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset(uint32_t u) { return (size_t)(u >> 10) << ((u & (1u << 9)) >> 6); }

// The library has room for so many entries that begin alike.
enum { MOST_LEAVES = 32 };

typedef struct {
  uint32_t at;
  uint32_t leaves;  // on the way here
} node;

// The node behind unit `from`, which has the number u: it and all that may be looked up behind it lie in the trie.
static bool enter(const unsigned char *trie, size_t units, size_t texts, size_t from, uint32_t u, uint32_t leaves,
                  node *to) {
  size_t at = from ^ offset(u);
  if ((at | 255) >= units) return false;
  bool leaf = u >> 8 & 1;
  *to = (node){(uint32_t)at, leaves + leaf};
  return to->leaves <= MOST_LEAVES && (!leaf || (unit(trie, at) & 0x7fffffff) < texts);
}

// Every way from the root. Ends that are alike are shared, so a node may be reached by several: again only with more
// leaves on the way than before, which also ends every circle.
static bool walk(const unsigned char *trie, size_t units, size_t texts, node *stack, unsigned char *seen) {
  size_t waiting = 0;
  if (!enter(trie, units, texts, 0, unit(trie, 0) & ~(1u << 8), 0, &stack[waiting++])) return false;
  while (waiting > 0) {
    node n = stack[--waiting];
    for (uint32_t letter = 1; letter < 256; letter++) {
      size_t at = n.at ^ letter;
      uint32_t u = unit(trie, at);
      if ((u & (1u << 31 | 255)) != letter) continue;
      if (seen[at] > n.leaves) continue;
      if (waiting == units || !enter(trie, units, texts, at, u, n.leaves, &stack[waiting++])) return false;
      seen[at] = (unsigned char)(n.leaves + 1);
    }
  }
  return true;
}

static tw_status check_table(reader r, const char *where) {
  size_t bytes = (size_t)(r.end - r.at);
  if (bytes == 0) return TW_OK;
  size_t trie = bytes > 4 ? unit(r.at, 0) : 0, texts = bytes > 4 + trie ? bytes - 4 - trie : 0;
  if (trie < 4 || trie % 4 != 0 || texts == 0 || r.end[-1] != '\0') return damaged(where);
  node *stack = malloc(trie / 4 * sizeof *stack);
  unsigned char *seen = calloc(trie / 4, 1);
  tw_status status = TW_OK;
  if (!stack || !seen)
    status = tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer");
  else if (!walk(r.at + 4, trie / 4, texts, stack, seen))
    status = damaged(where);
  free(stack);
  free(seen);
  return status;
}

static tw_status check_rules(reader r, const char *where) {
  while (r.at < r.end) {
    int number;
    reader inside;
    if (!take_field(&r, &number, &inside)) return damaged(where);
    if (number == TABLE && inside.at) TW_TRY(check_table(inside, where));
  }
  return TW_OK;
}

tw_status tw_sentencepiece_check(const void *model, size_t bytes, const char *where) {
  reader r = {model, (const unsigned char *)model + bytes};
  if (bytes == 0) return damaged(where);
  while (r.at < r.end) {
    int number;
    reader inside;
    if (!take_field(&r, &number, &inside)) return damaged(where);
    if ((number == NORMALISER || number == DENORMALISER) && inside.at) TW_TRY(check_rules(inside, where));
  }
  return TW_OK;
}
