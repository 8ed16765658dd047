#include "jobs/models/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json_tokenizer.h"

struct tw_words {
  const tw_client *client;
  tw_json_tokenizer *json;  // NULL: word pieces, or none
};

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory"); }

tw_status tw_words_new(const tw_client *client, tw_words **out) {
  *out = NULL;
  tw_words *w = calloc(1, sizeof *w);
  if (!w) return out_of_memory();
  w->client = client;
  tw_status status = TW_OK;
  if (client->rules.tokenizer) {
    json_t *root = json_loads(client->rules.tokenizer, 0, NULL);
    status = root ? tw_json_tokenizer_new(root, client->config.name, &w->json)
                  : tw_fail(TW_ERR_FORMAT, "model %s: its tokenizer is no JSON", client->config.name);
    json_decref(root);
  }
  if (status == TW_OK)
    *out = w;
  else
    tw_words_free(w);
  return status;
}

void tw_words_free(tw_words *words) {
  if (!words) return;
  tw_json_tokenizer_free(words->json);
  free(words);
}

static tw_status quote(const char *text, size_t bytes, char **out) {
  json_t *value = json_stringn(text, bytes);
  *out = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
  json_decref(value);
  return *out ? TW_OK : out_of_memory();
}

static bool goes_on(const char *before, size_t bytes, const char *with, size_t all) {
  return all > bytes && memcmp(with, before, bytes) == 0;
}

// What decoding strips off a text's beginning it does not strip off its middle: so the tokens before come along. A few
// are enough.
static tw_status added_texts(const tw_words *w, const int *ids, int n, int more, char **out) {
  char *before = NULL, *with = NULL;
  size_t bytes = 0, all = 0;
  tw_status status = tw_json_tokenizer_decode(w->json, ids, n, false, &before, &bytes);
  if (status == TW_OK) status = tw_json_tokenizer_decode(w->json, ids, n + more, false, &with, &all);
  if (status == TW_OK && !goes_on(before, bytes, with, all)) {  // the token may complete a letter
    while (bytes >= 3 && memcmp(before + bytes - 3, "\xef\xbf\xbd", 3) == 0) bytes -= 3;
  }
  if (status == TW_OK && !goes_on(before, bytes, with, all)) {  // or the decoder changes what stands before: alone
    bytes = 0;
    free(with);
    with = NULL;
    status = tw_json_tokenizer_decode(w->json, ids + n, more, false, &with, &all);
  }
  if (status == TW_OK) status = quote(with + bytes, all - bytes, out);
  free(before);
  free(with);
  return status;
}

static tw_status added_text(const tw_words *w, const int *ids, int count, int id, char **out) {
  enum { BEFORE = 8 };
  int list[BEFORE + 1], n = count < BEFORE ? count : BEFORE;
  if (n) memcpy(list, ids + count - n, (size_t)n * sizeof *list);
  list[n] = id;
  return added_texts(w, list, n, 1, out);
}

tw_status tw_words_text(const tw_words *w, const int *ids, int count, int id, char **text) {
  const tw_client *c = w->client;
  char number[24];
  *text = NULL;
  if (w->json && tw_json_tokenizer_piece(w->json, id)) return added_text(w, ids, count, id, text);
  if (c->vocabulary && id >= 0 && id < c->config.vocab)
    return quote(c->vocabulary[id], strlen(c->vocabulary[id]), text);
  snprintf(number, sizeof number, "#%d", id);
  *text = malloc(sizeof number);
  if (!*text) return out_of_memory();
  memcpy(*text, number, sizeof number);
  return TW_OK;
}

// ln of the sum of exp.
static double log_sum(const double *logits, int count) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < count; i++) top = fmax(top, logits[i]);
  for (int i = 0; i < count; i++) sum += exp(logits[i] - top);
  return top + log(sum);
}

double tw_words_log_probability(const double *logits, int count, int id) { return logits[id] - log_sum(logits, count); }

void tw_words_likeliest(const double *logits, int count, int most, tw_word *out) {
  double all = log_sum(logits, count);
  for (int i = 0; i < count; i++) {  // into a short list that stays in order
    double p = exp(logits[i] - all);
    int at = i < most ? i : most - 1;
    if (i >= most && out[at].probability >= p) continue;
    for (; at > 0 && out[at - 1].probability < p; at--) out[at] = out[at - 1];
    out[at] = (tw_word){i, p};
  }
}

// "#3 #17", or the vocabulary's words one behind the other.
static tw_status listed(const tw_words *w, const int *ids, int count, char **text) {
  const tw_client *c = w->client;
  size_t bytes;
  FILE *stream = open_memstream(text, &bytes);
  if (!stream) return out_of_memory();
  for (int i = 0; i < count; i++)
    if (c->vocabulary && ids[i] >= 0 && ids[i] < c->config.vocab)
      fprintf(stream, "%s%s", i ? " " : "", c->vocabulary[ids[i]]);
    else
      fprintf(stream, "%s#%d", i ? " " : "", ids[i]);
  return fclose(stream) == 0 ? TW_OK : out_of_memory();
}

tw_status tw_words_texts(const tw_words *w, const int *ids, int count, int more, char **text) {
  bool known = w->json != NULL;
  *text = NULL;
  for (int i = 0; i < count + more && known; i++) known = tw_json_tokenizer_piece(w->json, ids[i]) != NULL;
  return known ? added_texts(w, ids, count, more, text) : listed(w, ids + count, more, text);
}
