#define _GNU_SOURCE
#include "io/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "io/characters.h"

typedef struct {
  char *text;
  size_t bytes;
  const tw_added_token *token;
} pattern;

struct tw_added_set {
  int count;
  pattern *patterns;  // sorted by their bytes
};

static int by_bytes(const void *a, const void *b) {
  const pattern *x = a, *y = b;
  size_t common = x->bytes < y->bytes ? x->bytes : y->bytes;
  int order = memcmp(x->text, y->text, common);
  return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static tw_status add_pattern(tw_added_set *set, tw_normal_form form, const void *state, const tw_added_token *token) {
  pattern *p = &set->patterns[set->count];
  p->token = token;
  if (token->normalised) {
    TW_TRY(form(state, token->text, strlen(token->text), &p->text, &p->bytes));
  } else {
    p->text = strdup(token->text);
    p->bytes = strlen(token->text);
    if (!p->text) return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer");
  }
  set->count++;
  if (p->bytes > 0) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "added token \"%s\" (id %d) is empty once it is normalised; remove it from the folder",
                 token->text, token->id);
}

static tw_status check_distinct(const tw_added_set *set) {
  for (int i = 1; i < set->count; i++) {
    const pattern *a = &set->patterns[i - 1], *b = &set->patterns[i];
    if (by_bytes(a, b) != 0 || a->token->id == b->token->id) continue;
    return tw_fail(TW_ERR_FORMAT,
                   "added tokens \"%s\" (id %d) and \"%s\" (id %d) are the same once they are normalised; transformers "
                   "takes one at random, another in each process: remove one, or set its \"normalized\" to false",
                   a->token->text, a->token->id, b->token->text, b->token->id);
  }
  return TW_OK;
}

tw_status tw_added_set_new(const tw_added_token *tokens, int count, bool normalised, tw_normal_form form,
                           const void *state, tw_added_set **out) {
  *out = NULL;
  tw_added_set *set = calloc(1, sizeof *set);
  if (set) set->patterns = calloc((size_t)count + 1, sizeof *set->patterns);
  tw_status status = set && set->patterns ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer");
  for (int i = 0; status == TW_OK && i < count; i++)
    if (tokens[i].normalised == normalised) status = add_pattern(set, form, state, &tokens[i]);
  if (status == TW_OK) {
    qsort(set->patterns, (size_t)set->count, sizeof *set->patterns, by_bytes);
    status = check_distinct(set);
  }
  if (status == TW_OK)
    *out = set;
  else
    tw_added_set_free(set);
  return status;
}

void tw_added_set_free(tw_added_set *set) {
  if (!set) return;
  for (int i = 0; i < set->count; i++) free(set->patterns[i].text);
  free(set->patterns);
  free(set);
}

// First pattern in [low, high), which agree in `depth` bytes, whose next byte is at least `byte`.
static int narrow(const tw_added_set *set, int low, int high, size_t depth, int byte) {
  while (low < high) {
    int middle = (low + high) / 2;
    const pattern *p = &set->patterns[middle];
    if (p->bytes <= depth || (unsigned char)p->text[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// The longest pattern at the front of text, or NULL.
static const pattern *longest_at(const tw_added_set *set, const char *text, size_t bytes) {
  const pattern *found = NULL;
  int low = 0, high = set->count;
  for (size_t depth = 0; depth < bytes && low < high; depth++) {
    int byte = (unsigned char)text[depth];
    low = narrow(set, low, high, depth, byte);
    high = narrow(set, low, high, depth, byte + 1);
    if (low < high && set->patterns[low].bytes == depth + 1) found = &set->patterns[low];
  }
  return found;
}

static size_t char_before(const char *text, size_t at) {
  do at--;
  while ((text[at] & 0xC0) == 0x80);
  return at;
}

// Beside a whole-word token there is no letter or digit.
static bool stands_alone(const char *text, size_t bytes, size_t start, size_t stop) {
  size_t at = stop, before = start > 0 ? char_before(text, start) : 0;
  if (stop < bytes && tw_char_word(tw_code_point(text, bytes, &at))) return false;
  return start == 0 || !tw_char_word(tw_code_point(text, bytes, &before));
}

static size_t skip_white_left(const char *text, size_t bytes, size_t start, size_t least) {
  while (start > least) {
    size_t before = char_before(text, start), at = before;
    if (!tw_char_white(tw_code_point(text, bytes, &at))) break;
    start = before;
  }
  return start;
}

static size_t skip_white_right(const char *text, size_t bytes, size_t stop) {
  while (stop < bytes) {
    size_t at = stop;
    if (!tw_char_white(tw_code_point(text, bytes, &at))) break;
    stop = at;
  }
  return stop;
}

tw_status tw_added_split(const tw_added_set *set, const char *text, size_t bytes, tw_take_stretch take, void *state) {
  size_t done = 0;  // all before has been handed out
  for (size_t at = 0; at < bytes;) {
    const pattern *found = longest_at(set, text + at, bytes - at);
    if (!found) {
      at++;
      continue;
    }
    size_t start = at, stop = at + found->bytes;
    at = stop;
    if (found->token->single_word && !stands_alone(text, bytes, start, stop)) continue;
    if (found->token->strip_left) start = skip_white_left(text, bytes, start, done);
    if (found->token->strip_right) stop = skip_white_right(text, bytes, stop);
    if (done < start) TW_TRY(take(state, text + done, start - done, -1));
    TW_TRY(take(state, text + start, stop - start, found->token->id));
    done = stop;
  }
  return done < bytes ? take(state, text + done, bytes - done, -1) : TW_OK;
}
