#include "io/pairs.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/format.h"
#include "io/json_read.h"

enum { MOST_PAIRS = 4096, MOST_NUMBER = 1 << 20, MOST_STREAMS = 16 };
static const char format_name[] = "twain pairs";

static tw_status wrong(const tw_site_pairs *p, int i, const char *what) {
  return tw_fail(TW_ERR_FORMAT, "%s: pairs[%d]: %s", p->file, i, what);
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

static bool is_known(const tw_site_pairs *p, const uint8_t *pin) {
  for (int i = 0; i < p->count; i++)
    for (int party = 0; party < 2; party++)
      if (memcmp(p->pair[i].pin[party], pin, TW_PIN_BYTES) == 0) return true;
  return false;
}

static bool take_number(const json_t *value, json_int_t least, uint64_t *out) {
  json_int_t n = json_integer_value(value);
  if (!json_is_integer(value) || n < least || n > (least ? MOST_NUMBER : INT64_MAX)) return false;
  *out = (uint64_t)n;
  return true;
}

static tw_status read_pair(tw_site_pairs *p, const json_t *entry) {
  static const char *const names[2] = {"party_0", "party_1"};
  uint64_t sequences = 16, runs = 2, streams = 4;
  tw_site_pair *pair = &p->pair[p->count];
  const char *key;
  json_t *value;
  int pins = 0;
  if (!json_is_object(entry)) return wrong(p, p->count, "is no object");
  json_object_foreach((json_t *)entry, key, value) {
    for (int party = 0; party < 2; party++) {
      if (strcmp(key, names[party]) != 0) continue;
      if (!json_is_string(value) || !parse_pin(json_string_value(value), pair->pin[party]))
        return wrong(p, p->count,
                     party ? "party_1 is no pin (see `twain site show`)" : "party_0 is no pin (see `twain site show`)");
      if (is_known(p, pair->pin[party])) return wrong(p, p->count, "a pin stands in another pair, too");
      pins++;
    }
    bool number = true;
    if (strcmp(key, "most_sequences") == 0)
      number = take_number(value, 1, &sequences);
    else if (strcmp(key, "most_runs") == 0)
      number = take_number(value, 1, &runs);
    else if (strcmp(key, "most_streams") == 0)
      number = take_number(value, 1, &streams) && streams <= MOST_STREAMS;
    else if (strcmp(key, "most_inferences") == 0)
      number = take_number(value, 0, &pair->most_inferences);
    else if (strcmp(key, names[0]) != 0 && strcmp(key, names[1]) != 0 && strcmp(key, "note") != 0)
      return wrong(p, p->count,
                   "has an entry that is none of party_0, party_1, most_sequences, most_runs, "
                   "most_streams, most_inferences and note");
    if (!number)
      return wrong(p, p->count,
                   "a number is needed for most_sequences, most_runs (1 or more), most_streams (1 to 16) and "
                   "most_inferences");
  }
  if (pins != 2) return wrong(p, p->count, "both party_0 and party_1 are needed");
  if (memcmp(pair->pin[0], pair->pin[1], TW_PIN_BYTES) == 0)
    return wrong(p, p->count, "one pin for both parties: each is a site of its own");
  pair->most_sequences = (uint32_t)sequences;
  pair->most_runs = (uint32_t)runs;
  pair->most_streams = (uint32_t)streams;
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
