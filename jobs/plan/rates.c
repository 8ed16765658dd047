#include "jobs/plan/rates.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/json_file.h"

static const char format_name[] = "twain rates";
enum { VERSION = 1 };

// Rates that come with the program: text of jobs/plan/rates/*.json, made by CMake.
typedef struct {
  const char *name, *text;
} shipped_rates;
#include "shipped_rates.h"
enum { SHIPPED = sizeof shipped / sizeof *shipped };

// Of which device an unknown one is thought to be half as fast.
static const char guessed_from[] = "h200";

const tw_gate_rate *tw_rate_of(const tw_rates *rates, const char *gate) {
  for (int i = 0; i < rates->gate_count; i++)
    if (strcmp(rates->gates[i].gate, gate) == 0) return &rates->gates[i];
  return &rates->other;
}

void tw_rates_names(char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < SHIPPED && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", shipped[i].name);
}

// ---- numbers of a file

typedef struct {
  const char *name;
  size_t offset;
  double unit;  // of a number in the file
} field;
#define NS(name, member) \
  { name, offsetof(tw_rates, member), 1e-9 }
static const field fields[] = {NS("round_ns", round),
                               NS("opened_byte_ns", opened_byte),
                               NS("relayed_byte_ns", relayed_byte),
                               NS("mask_byte_ns", mask_byte),
                               {"key_bytes_per_second", offsetof(tw_rates, key_rate), 1},
                               NS("weight_ns", weight)};
static const char *const cost_names[TW_COSTS] = {"gate_ns",       "key_byte_ns",  "opened_byte_ns", "memory_byte_ns",
                                                 "list_entry_ns", "list_byte_ns", "block_ns"};
enum { FIELDS = sizeof fields / sizeof *fields };

__attribute__((format(printf, 2, 3))) static tw_status wrong(const char *path, const char *format, ...) {
  char problem[256];
  va_list args;
  va_start(args, format);
  vsnprintf(problem, sizeof problem, format, args);
  va_end(args);
  return tw_fail(TW_ERR_FORMAT, "%s: %s; write it with `twain bench calibrate`", path, problem);
}

// Up to a second for the least of things, and no slower than a byte a second: sums of all stay numbers.
static tw_status read_number(const char *path, const char *of, const char *name, const json_t *value, double unit,
                             double *out) {
  double number = json_number_value(value), most = unit < 1 ? 1e9 : 1e18;
  if (!json_is_number(value) || !(number >= 0 && number <= most) || (unit == 1 && number > 0 && number < 1))
    return wrong(path, "%s%s%s is no number from 0 to %.0e%s", of, *of ? "." : "", name, most,
                 unit == 1 ? ", and between 0 and 1 there are none" : "");
  *out = unit * number;
  return TW_OK;
}

// What is misspelt would cost nothing without a word.
static tw_status check_names(const char *path, const char *of, const json_t *object, const char *const *known) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    int i = 0;
    while (known[i] && strcmp(known[i], name) != 0) i++;
    if (!known[i]) return wrong(path, "%s%s%.60s is not known here", of, *of ? "." : "", name);
  }
  return TW_OK;
}

static tw_status read_fields(const char *path, const json_t *root, tw_rates *out) {
  const char *known[FIELDS + 8] = {"format", "version", "device", "source", "multiply_add_ns", "gates", "other_gates"};
  for (int i = 0; i < FIELDS; i++) known[7 + i] = fields[i].name;
  TW_TRY(check_names(path, "", root, known));
  for (int i = 0; i < FIELDS; i++) {
    const json_t *value = json_object_get(root, fields[i].name);
    bool needed =
        fields[i].offset != offsetof(tw_rates, relayed_byte) && fields[i].offset != offsetof(tw_rates, weight);
    if (!value && !needed) continue;  // files of earlier builds have none
    TW_TRY(read_number(path, "", fields[i].name, value, fields[i].unit,
                       (double *)(void *)((char *)out + fields[i].offset)));
  }
  return TW_OK;
}

// What is not named costs nothing.
static tw_status read_gate(const char *path, const char *name, const json_t *object, tw_gate_rate *out) {
  const char *known[TW_COSTS + 1] = {NULL};
  if (!json_is_object(object)) return wrong(path, "%s is not an object", name);
  for (int i = 0; i < TW_COSTS; i++) known[i] = cost_names[i];
  TW_TRY(check_names(path, name, object, known));
  for (int i = 0; i < TW_COSTS; i++) {
    const json_t *value = json_object_get(object, cost_names[i]);
    if (value) TW_TRY(read_number(path, name, cost_names[i], value, 1e-9, &out->seconds[i]));
  }
  return TW_OK;
}

static tw_status read_text(const char *path, const json_t *root, const char *name, char *out, size_t size) {
  const char *text = json_string_value(json_object_get(root, name));
  bool one_line = text && *text;
  for (const char *c = text; one_line && *c; c++) one_line = (unsigned char)*c >= ' ' && *c != 127;
  if (!one_line || strlen(text) >= size) return wrong(path, "%s is no line of text of 1 to %zu bytes", name, size - 1);
  snprintf(out, size, "%s", text);
  return TW_OK;
}

static tw_status read_gates(const char *path, json_t *gates, tw_rates *out) {
  const char *name;
  json_t *entry;
  if (!json_is_object(gates)) return wrong(path, "gates is not an object");
  if (json_object_size(gates) > TW_MOST_GATE_RATES)
    return wrong(path, "gates has more than %d entries", TW_MOST_GATE_RATES);
  json_object_foreach(gates, name, entry) {
    tw_gate_rate *gate = &out->gates[out->gate_count++];
    if (strlen(name) >= sizeof gate->gate) return wrong(path, "gates: a name is too long");
    snprintf(gate->gate, sizeof gate->gate, "%s", name);
    char of[48];
    snprintf(of, sizeof of, "gates.%s", name);
    TW_TRY(read_gate(path, of, entry, gate));
  }
  return TW_OK;
}

static tw_status read_root(const char *path, const json_t *root, tw_rates *out) {
  const char *format = json_string_value(json_object_get(root, "format"));
  if (!format || strcmp(format, format_name) != 0) return wrong(path, "format is not \"%s\"", format_name);
  if (json_integer_value(json_object_get(root, "version")) != VERSION) return wrong(path, "version is not %d", VERSION);
  TW_TRY(read_text(path, root, "device", out->device, sizeof out->device));
  TW_TRY(read_text(path, root, "source", out->source, sizeof out->source));
  TW_TRY(read_fields(path, root, out));
  const json_t *products = json_object_get(root, "multiply_add_ns");
  if (json_array_size(products) != TW_RING_BYTES)
    return wrong(path, "multiply_add_ns is no list of %d numbers, one for each byte of a ring", TW_RING_BYTES);
  for (int i = 0; i < TW_RING_BYTES; i++) {
    char at[32];
    snprintf(at, sizeof at, "multiply_add_ns[%d]", i);
    TW_TRY(read_number(path, "", at, json_array_get(products, (size_t)i), 1e-9, &out->multiply_add[i]));
  }
  TW_TRY(read_gate(path, "other_gates", json_object_get(root, "other_gates"), &out->other));
  return read_gates(path, json_object_get(root, "gates"), out);
}

static tw_status parse(const char *path, json_t *root, const json_error_t *error, tw_rates *out) {
  memset(out, 0, sizeof *out);
  if (!root) return wrong(path, "line %d: %s", error->line, error->text);
  tw_status status = read_root(path, root, out);
  json_decref(root);
  return status;
}

// ---- which rates

// A device that nobody measured.
static void guess_at(const char *name, tw_rates *rates) {
  enum { SLOWER = 2 };
  snprintf(rates->device, sizeof rates->device, "%.80s (unknown)", name);
  snprintf(rates->source, sizeof rates->source,
           "a guess: half as fast as %s; `twain bench calibrate` measures a CPU, and a file can be edited",
           guessed_from);
  rates->round *= SLOWER;
  rates->opened_byte *= SLOWER;
  rates->relayed_byte *= SLOWER;
  rates->mask_byte *= SLOWER;
  rates->weight *= SLOWER;
  rates->key_rate /= SLOWER;
  for (int i = 0; i < TW_RING_BYTES; i++) rates->multiply_add[i] *= SLOWER;
  for (int i = 0; i <= rates->gate_count; i++) {
    tw_gate_rate *gate = i < rates->gate_count ? &rates->gates[i] : &rates->other;
    for (int j = 0; j < TW_COSTS; j++) gate->seconds[j] *= SLOWER;
  }
}

static tw_status find_shipped(const char *name, tw_rates *out) {
  json_error_t error;
  for (int i = 0; i < SHIPPED; i++)
    if (strcasecmp(shipped[i].name, name) == 0)
      return parse(name, json_loads(shipped[i].text, JSON_REJECT_DUPLICATES, &error), &error, out);
  return tw_fail(TW_ERR_INTERNAL, "no rates of %s came with the program", name);
}

static bool is_shipped(const char *name) {
  for (int i = 0; i < SHIPPED; i++)
    if (strcasecmp(shipped[i].name, name) == 0) return true;
  return false;
}

tw_status tw_rates_find(const char *name, tw_rates *out, bool *guess) {
  json_error_t error;
  size_t length = strlen(name);
  bool file = strchr(name, '/') || (length > 5 && strcmp(name + length - 5, ".json") == 0);
  *guess = false;
  if (file) {
    json_t *root = json_load_file(name, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_cannot_open_file)
      return tw_fail(TW_ERR_IO, "%s: cannot be read; write it with `twain bench calibrate`", name);
    return parse(name, root, &error, out);
  }
  if (is_shipped(name)) return find_shipped(name, out);
  // kinds of devices, as `twain run --device` has them: half an H200 is no guess at a CPU
  if (!*name || strcasecmp(name, "cpu") == 0 || strcasecmp(name, "cuda") == 0 || strcasecmp(name, "auto") == 0) {
    char names[128];
    tw_rates_names(names, sizeof names);
    return tw_fail(
        TW_ERR_USAGE,
        "--device '%s' of a plan: name what a party computes on (%s, or another name to be guessed at), or a "
        "file of `twain bench calibrate`",
        name, names);
  }
  TW_TRY(find_shipped(guessed_from, out));
  guess_at(name, out);
  *guess = true;
  return TW_OK;
}

// ---- writing

static json_t *gate_object(const tw_gate_rate *gate) {
  json_t *object = json_object();
  for (int i = 0; i < TW_COSTS; i++)
    if (gate->seconds[i] > 0) json_object_set_new(object, cost_names[i], json_real(1e9 * gate->seconds[i]));
  return object;
}

tw_status tw_rates_write(const char *path, const tw_rates *rates) {
  json_t *root = json_pack("{s:s, s:i, s:s, s:s}", "format", format_name, "version", VERSION, "device", rates->device,
                           "source", rates->source),
         *products = json_array(), *gates = json_object();
  for (int i = 0; i < FIELDS; i++)
    json_object_set_new(
        root, fields[i].name,
        json_real(*(const double *)(const void *)((const char *)rates + fields[i].offset) / fields[i].unit));
  for (int i = 0; i < TW_RING_BYTES; i++) json_array_append_new(products, json_real(1e9 * rates->multiply_add[i]));
  json_object_set_new(root, "multiply_add_ns", products);
  for (int i = 0; i < rates->gate_count; i++)
    json_object_set_new(gates, rates->gates[i].gate, gate_object(&rates->gates[i]));
  json_object_set_new(root, "gates", gates);
  json_object_set_new(root, "other_gates", gate_object(&rates->other));
  char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(4));
  json_decref(root);
  if (!text) return tw_fail(TW_ERR_MEMORY, "out of memory for the text of rates");
  tw_status status = tw_text_file_write(path, text, strlen(text));
  free(text);
  return status;
}
