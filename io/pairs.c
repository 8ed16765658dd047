#include "io/pairs.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/format.h"
#include "io/json_read.h"

enum { MOST_PAIRS = 4096, MOST_NUMBER = 1 << 20, MOST_STREAMS = 16 };
static const char format_name[] = "twain pairs";

// key: the entry that is meant; NULL: the pair as a whole.
__attribute__((format(printf, 4, 5))) static tw_status wrong(const tw_site_pairs *p, int i, const char *key,
                                                             const char *format, ...) {
  char text[512];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  return tw_fail(TW_ERR_FORMAT, "%s: pairs[%d]: %s%.80s%s%s", p->file, i, key ? "\"" : "", key ? key : "",
                 key ? "\" " : "", text);
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 64 hexadecimal digits; blanks between them are as `twain site show` prints them.
static bool parse_pin(const char *text, uint8_t pin[TW_PIN_BYTES]) {
  int digits = 0;
  for (; *text; text++) {
    if (*text == ' ') continue;
    int value = digit(*text);
    if (value < 0 || digits == 2 * TW_PIN_BYTES) return false;
    pin[digits / 2] = (uint8_t)(digits % 2 ? pin[digits / 2] | value : value << 4);
    digits++;
  }
  return digits == 2 * TW_PIN_BYTES;
}

// The pair that has this pin already; -1: none.
static int find(const tw_site_pairs *p, const uint8_t *pin) {
  for (int i = 0; i < p->count; i++)
    for (int party = 0; party < 2; party++)
      if (memcmp(p->pair[i].pin[party], pin, TW_PIN_BYTES) == 0) return i;
  return -1;
}

static tw_status take_pin(const tw_site_pairs *p, const char *key, const json_t *value, uint8_t pin[TW_PIN_BYTES]) {
  if (!json_is_string(value) || !parse_pin(json_string_value(value), pin))
    return wrong(p, p->count, key, "is no pin: `twain site show FILE` prints it, 64 hexadecimal digits");
  int other = find(p, pin);
  if (other < 0) return TW_OK;
  return wrong(p, p->count, key, "is a pin that stands in pairs[%d], too: each pair has sites of its own", other);
}

// What a pair may say beside its pins.
static const struct {
  const char *name;
  json_int_t least, most, fallback;
} numbers[] = {{"most_sequences", 1, MOST_NUMBER, 16},
               {"most_runs", 1, MOST_NUMBER, 2},
               {"most_streams", 1, MOST_STREAMS, 4},
               {"most_inferences", 0, INT64_MAX, 0}};
enum { SEQUENCES, RUNS, STREAMS, INFERENCES, NUMBERS };

static tw_status take_entry(const tw_site_pairs *p, const char *key, const json_t *value, json_int_t out[NUMBERS]) {
  if (strcmp(key, "note") == 0) return TW_OK;
  for (int i = 0; i < NUMBERS; i++) {
    if (strcmp(key, numbers[i].name) != 0) continue;
    out[i] = json_integer_value(value);
    if (json_is_integer(value) && out[i] >= numbers[i].least && out[i] <= numbers[i].most) return TW_OK;
    return wrong(p, p->count, key, "must be a whole number from %lld to %lld", (long long)numbers[i].least,
                 (long long)numbers[i].most);
  }
  return wrong(p, p->count, key,
               "is none of party_0, party_1, most_sequences, most_runs, most_streams, most_inferences and note");
}

static tw_status read_pair(tw_site_pairs *p, const json_t *entry) {
  static const char *const names[2] = {"party_0", "party_1"};
  tw_site_pair *pair = &p->pair[p->count];
  json_int_t number[NUMBERS];
  const char *key;
  json_t *value;
  if (!json_is_object(entry)) return wrong(p, p->count, NULL, "is no object");
  for (int i = 0; i < NUMBERS; i++) number[i] = numbers[i].fallback;
  json_object_foreach((json_t *)entry, key, value) {
    int party = strcmp(key, names[0]) == 0 ? 0 : strcmp(key, names[1]) == 0 ? 1 : -1;
    if (party < 0)
      TW_TRY(take_entry(p, key, value, number));
    else
      TW_TRY(take_pin(p, key, value, pair->pin[party]));
  }
  for (int party = 0; party < 2; party++)
    if (!json_object_get(entry, names[party])) return wrong(p, p->count, names[party], "is missing");
  if (memcmp(pair->pin[0], pair->pin[1], TW_PIN_BYTES) == 0)
    return wrong(p, p->count, NULL, "one pin for both parties: each is a site of its own");
  pair->most_sequences = (uint32_t)number[SEQUENCES];
  pair->most_runs = (uint32_t)number[RUNS];
  pair->most_streams = (uint32_t)number[STREAMS];
  pair->most_inferences = (uint64_t)number[INFERENCES];
  p->count++;
  return TW_OK;
}

// A limit that stands beside the pairs would limit nothing.
static tw_status refuse_others(const json_t *root, const tw_site_pairs *p) {
  static const char *const known[] = {"format", "version", "pairs"};
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)root, key, value) {
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) found |= strcmp(key, known[i]) == 0;
    if (!found)
      return tw_fail(TW_ERR_FORMAT,
                     "%s: \"%s\" is none of format, version and pairs; limits stand in the entry of their pair",
                     p->file, key);
  }
  return TW_OK;
}

static tw_status read_all(const json_t *root, tw_site_pairs *p) {
  const char *format = json_string_value(json_object_get(root, "format"));
  const json_t *list = json_object_get(root, "pairs");
  if (!format || strcmp(format, format_name) != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: is no list of pairs: \"format\" must be \"%s\"", p->file, format_name);
  if (json_integer_value(json_object_get(root, "version")) != TW_FORMAT_VERSION)
    return tw_fail(TW_ERR_FORMAT, "%s: \"version\" must be %d", p->file, TW_FORMAT_VERSION);
  if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > MOST_PAIRS)
    return tw_fail(TW_ERR_FORMAT, "%s: \"pairs\" must be a list of 1 to %d pairs", p->file, MOST_PAIRS);
  TW_TRY(refuse_others(root, p));
  TW_TRY(tw_alloc(json_array_size(list) * sizeof *p->pair, (void **)&p->pair));
  for (size_t i = 0; i < json_array_size(list); i++) TW_TRY(read_pair(p, json_array_get(list, i)));
  return TW_OK;
}

tw_status tw_site_pairs_read(const char *path, tw_site_pairs *out) {
  json_t *root = NULL;
  *out = (tw_site_pairs){.file = strdup(path)};
  if (!out->file) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  struct stat info;
  if (stat(path, &info) == 0) TW_TRY(tw_trust_file_check(path, info.st_mode));
  TW_TRY(tw_json_read(path, true, &root));
  tw_status status = read_all(root, out);
  json_decref(root);
  return status;
}

void tw_site_pairs_free(tw_site_pairs *p) {
  free(p->file);
  tw_free(p->pair);
  *p = (tw_site_pairs){.file = NULL};
}
