#define _GNU_SOURCE
#include "app/show/record.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/print.h"
#include "app/version.h"
#include "base/median.h"
#include "base/text.h"
#include "build_id.h"
#include "kernels/isa.h"

enum { SCHEMA = 1 };

// In the order of CSV; docs/records.md explains them, and tests/cli/cli_records.sh compares both.
static const char *const fields[] = {
    // the program and its command
    "schema_version", "twain_version", "git_commit", "git_dirty", "command", "command_line", "date", "skipped",
    // the machine
    "host", "user", "job", "cpu", "isa", "cores", "core_count", "threads", "cores_shared", "placement",
    "parties_share_host", "device", "gpu", "gpu_driver", "cuda", "mpi", "hdf5", "host_memory_peak_bytes",
    "gpu_memory_peak_bytes", "gpu_memory_planned_bytes", "gpu_key_bytes", "masks_again",
    // the exchange
    "transport", "transport_why", "streams", "direction", "link_latency_ns", "link_rate_bits_per_second",
    "link_least_ns", "dealer_rate_bits_per_second", "split_batch", "prepare", "probe_latency_ns",
    "probe_bytes_per_second",
    // the work
    "name", "party", "model", "layers", "hidden", "heads", "intermediate", "tokens", "batch", "lengths", "result",
    "generated", "prefix_tokens", "earlier_tokens", "temperature", "rounding", "choices", "guard", "bounds_assumed",
    "keys", "test_keys", "run_id", "model_id", "key_id", "input_id", "plan_digest", "slots", "transcript",
    // costs, of one party and the whole batch
    "key_bytes", "sent_bytes", "sent_wire_bytes", "rounds", "key_read_bytes", "key_wait_ns", "open_flushes_demand",
    "open_flushes_budget", "flushes_overlapped", "products_prepared_beside", "open_comm_ns", "gate_ns", "trace_spans",
    // a plan's estimate
    "key_budget_bytes", "rates_device", "rates_source", "estimated_preparation_ns", "estimated_gates_ns",
    "estimated_messages_ns", "estimated_latency_ns", "estimated_bytes_ns", "estimated_keys_ns", "estimated_online_ns",
    "runner_up", "runner_up_ns",
    // times
    "repeats", "setup_ns", "preparation_ns", "preparation_min_ns", "preparation_median_ns", "preparation_max_ns",
    "online_ns", "online_min_ns", "online_median_ns", "online_max_ns", "serial_preparation_ns", "serial_online_ns",
    "serial_preparation_min_ns", "serial_preparation_median_ns", "serial_preparation_max_ns", "serial_online_min_ns",
    "serial_online_median_ns", "serial_online_max_ns", "serial_open_ns", "hidden_ratio", "first_token_ns",
    "pp_tokens_per_second", "next_token_ns", "tg_tokens_per_second", "time_ns", "time_min_ns", "time_median_ns",
    "time_max_ns",
    // the check
    "verified", "mismatches", "out_of_bound",
    // one part of the work
    "part", "kernel", "size", "m", "n", "k", "ring_bits", "opened", "opened_bytes", "line_bytes", "moved_bytes", "work",
    "work_unit", "limit_ns", "limited_by", "copy_bytes_per_second", "stream_bytes", "stream_bytes_per_second",
    // steps
    "step", "step_layer", "step_key_bytes", "step_sent_bytes", "step_rounds", "step_ns"};
// Objects, which CSV leaves out.
static const char *const nested[] = {"rings", "bounds", "measured_bounds", "saved", "forecast"};
enum { FIELDS = sizeof fields / sizeof *fields, NESTED = sizeof nested / sizeof *nested };

tw_status tw_format_of(bool json, bool csv, tw_format *out) {
  if (json && csv) return tw_fail(TW_ERR_USAGE, "--json and --csv are two forms of one record: choose one");
  *out = json ? TW_AS_JSON : csv ? TW_AS_CSV : TW_AS_TABLE;
  return TW_OK;
}

// ---- fields

void tw_record_json(json_t *record, const char *field, json_t *value) {
  assert(json_object_get(record, field));
  json_object_set_new(record, field, value ? value : json_null());
}

void tw_record_text(json_t *record, const char *field, const char *text) {
  char *plain = text && *text ? strdup(text) : NULL;
  if (plain) tw_text_make_plain(plain);
  tw_record_json(record, field, plain ? json_string(plain) : NULL);
  free(plain);
}

void tw_record_integer(json_t *record, const char *field, int64_t value) {
  tw_record_json(record, field, json_integer((json_int_t)value));
}

void tw_record_real(json_t *record, const char *field, double value) {
  tw_record_json(record, field, json_real(value));  // NULL for what is not finite
}

void tw_record_flag(json_t *record, const char *field, bool value) {
  tw_record_json(record, field, json_boolean(value));
}

static json_t *nanoseconds(double seconds) { return json_integer((json_int_t)llround(1e9 * seconds)); }

void tw_record_ns(json_t *record, const char *field, double seconds) {
  tw_record_json(record, field, nanoseconds(seconds));
}

tw_spread tw_spread_of(const double *seconds, int count) {
  double *sorted = malloc(sizeof *sorted * (size_t)count);
  tw_spread s = {seconds[0], seconds[0], seconds[0]};
  if (!sorted) return s;
  memcpy(sorted, seconds, sizeof *sorted * (size_t)count);
  s = (tw_spread){.median = tw_median(sorted, count)};
  s.least = sorted[0];
  s.most = sorted[count - 1];
  free(sorted);
  return s;
}

void tw_record_times(json_t *record, const char *prefix, const double *seconds, int count) {
  char field[64];
  tw_spread s = tw_spread_of(seconds, count);
  json_t *all = json_array();
  for (int i = 0; i < count; i++) json_array_append_new(all, nanoseconds(seconds[i]));
  snprintf(field, sizeof field, "%s_ns", prefix);
  tw_record_json(record, field, all);
  const struct {
    const char *suffix;
    double seconds;
  } of_all[] = {{"min", s.least}, {"median", s.median}, {"max", s.most}};
  for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++) {
    snprintf(field, sizeof field, "%s_%s_ns", prefix, of_all[i].suffix);
    tw_record_ns(record, field, of_all[i].seconds);
  }
}

// ---- the program and its process

// The words as a shell would want them.
static void append_word(char *text, size_t size, const char *word) {
  static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=,./:%@";
  bool quoted = !*word || word[strspn(word, harmless)];
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s%s%s%s", used ? " " : "", quoted ? "'" : "", word, quoted ? "'" : "");
}

static void read_command_line(char *text, size_t size) {
  char words[4096];
  text[0] = '\0';
  FILE *file = fopen("/proc/self/cmdline", "r");
  if (!file) return;
  size_t bytes = fread(words, 1, sizeof words - 1, file);
  fclose(file);
  words[bytes] = '\0';
  for (size_t at = 0; at < bytes; at += strlen(words + at) + 1) append_word(text, size, words + at);
}

static void add_mpi(json_t *record) {
  char text[256];
  tw_version_mpi(text, sizeof text);
  tw_record_text(record, "mpi", text);
}

json_t *tw_record_create(const char *command) {
  char line[4096];
  tw_environment e;
  json_t *r = json_object();
  for (int i = 0; i < FIELDS; i++) json_object_set_new(r, fields[i], json_null());
  for (int i = 0; i < NESTED; i++) json_object_set_new(r, nested[i], json_null());
  tw_environment_collect(&e);
  read_command_line(line, sizeof line);
  tw_record_integer(r, "schema_version", SCHEMA);
  tw_record_text(r, "twain_version", TWAIN_VERSION);
  tw_record_text(r, "git_commit", TWAIN_COMMIT);
  if (TWAIN_DIRTY >= 0) tw_record_flag(r, "git_dirty", TWAIN_DIRTY);
  tw_record_text(r, "command", command);
  tw_record_text(r, "command_line", line);
  tw_record_text(r, "date", e.started);
  tw_record_text(r, "host", e.host);
  tw_record_text(r, "user", e.user);
  tw_record_text(r, "job", e.job);
  tw_record_text(r, "cpu", e.cpu);
  tw_record_text(r, "isa", tw_isa_name(tw_isa_active()));
  tw_record_text(r, "hdf5", e.hdf5);
  add_mpi(r);
  return r;
}

// ---- groups

void tw_record_machine(json_t *r, const tw_machine *m) {
  int64_t host = tw_machine_memory_peak(), gpu = tw_machine_gpu_memory_peak();
  tw_record_text(r, "cores", m->cores);
  tw_record_integer(r, "core_count", m->core_count);
  tw_record_integer(r, "threads", m->threads);
  tw_record_text(r, "cores_shared", m->shared);
  tw_record_text(r, "gpu", m->gpu);
  tw_record_text(r, "gpu_driver", m->driver);
  tw_record_text(r, "cuda", m->cuda);
  if (host >= 0) tw_record_integer(r, "host_memory_peak_bytes", host);
  if (*m->gpu && gpu >= 0) tw_record_integer(r, "gpu_memory_peak_bytes", gpu);
}

void tw_record_environment(json_t *r, const tw_environment *e) {
  const struct {
    const char *field, *text;
  } texts[] = {{"date", e->started},
               {"host", e->host},
               {"user", e->user},
               {"job", e->job},
               {"cpu", e->cpu},
               {"isa", e->isa},
               {"mpi", e->mpi},
               {"hdf5", e->hdf5},
               {"transport_why", e->transport_why},
               {"placement", e->placement},
               {"transport", e->transport}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) tw_record_text(r, texts[i].field, texts[i].text);
  if (strncmp(e->software, "twain ", 6) == 0) tw_record_text(r, "twain_version", e->software + 6);
  bool on_cpu = strcmp(e->device, "cpu") == 0;
  tw_record_text(r, "device", on_cpu ? "cpu" : "cuda");
  if (!on_cpu) tw_record_text(r, "gpu", e->device);
  tw_record_flag(r, "parties_share_host", e->parties_share_host);
}

void tw_record_shape(json_t *r, const tw_model_config *c) {
  tw_record_text(r, "model", c->name);
  tw_record_integer(r, "layers", c->layers);
  tw_record_integer(r, "hidden", c->hidden);
  tw_record_integer(r, "heads", c->heads);
  tw_record_integer(r, "intermediate", c->intermediate);
}

void tw_record_plan(json_t *r, const tw_plan *plan) {
  tw_record_shape(r, &plan->shape.config);
  tw_record_integer(r, "tokens", plan->shape.seq);
  tw_record_text(r, "result", tw_output_name(plan->output));
  if (plan->shape.generated) tw_record_integer(r, "generated", plan->shape.generated);
  if (plan->prefix.rows) tw_record_integer(r, "prefix_tokens", plan->prefix.rows);
  if (plan->shape.earlier) tw_record_integer(r, "earlier_tokens", plan->shape.earlier);
  if (plan->shape.temperature > 0) tw_record_real(r, "temperature", plan->shape.temperature);
  tw_record_text(r, "rounding", tw_rounding_name(plan->rounding));
  char choices[TW_CHOICES_TEXT];
  tw_choices_text(&plan->choices, choices);
  tw_record_text(r, "choices", choices);
  tw_record_flag(r, "guard", plan->shape.guard);
  tw_record_text(r, "plan_digest", plan->digest.hex);
}

void tw_record_link(json_t *r, double latency_seconds, double bytes_per_second) {
  if (latency_seconds > 0 || bytes_per_second > 0) tw_record_ns(r, "link_latency_ns", latency_seconds);
  if (bytes_per_second > 0) tw_record_real(r, "link_rate_bits_per_second", 8 * bytes_per_second);
}

void tw_record_steps(json_t *r, const tw_costs *costs) {
  json_t *step = json_array(), *layer = json_array(), *keys = json_array(), *sent = json_array(),
         *rounds = json_array(), *times = costs->timed || costs->estimated ? json_array() : NULL;
  for (int i = 0; i < costs->count; i++) {
    const tw_cost_row *row = &costs->rows[i];
    json_array_append_new(step, json_string(row->step));
    json_array_append_new(layer, json_integer(row->layer));
    json_array_append_new(keys, json_integer((json_int_t)row->correction_bytes));
    json_array_append_new(sent, json_integer((json_int_t)row->sent_bytes));
    json_array_append_new(rounds, json_integer((json_int_t)row->rounds));
    if (times) json_array_append_new(times, nanoseconds(row->seconds));
  }
  tw_record_json(r, "step", step);
  tw_record_json(r, "step_layer", layer);
  tw_record_json(r, "step_key_bytes", keys);
  tw_record_json(r, "step_sent_bytes", sent);
  tw_record_json(r, "step_rounds", rounds);
  tw_record_json(r, "step_ns", times);
}

// ---- CSV: RFC 4180's quoting; elements of an array between semicolons

static void put_cell(FILE *file, const char *text) {
  if (!text[strcspn(text, ",\"\r\n")]) {
    fputs(text, file);
    return;
  }
  putc('"', file);
  for (; *text; text++) {
    if (*text == '"') putc('"', file);
    putc(*text, file);
  }
  putc('"', file);
}

static void put_value(FILE *file, const json_t *value) {
  size_t i;
  json_t *element;
  if (json_is_string(value)) fputs(json_string_value(value), file);
  if (json_is_integer(value)) fprintf(file, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_real(value)) fprintf(file, "%.17g", json_real_value(value));
  if (json_is_boolean(value)) fputs(json_is_true(value) ? "true" : "false", file);
  json_array_foreach((json_t *)value, i, element) {
    if (i > 0) putc(';', file);
    put_value(file, element);
  }
}

static tw_status put_field(FILE *out, const json_t *value) {
  char *text = NULL;
  size_t bytes;
  FILE *memory = open_memstream(&text, &bytes);
  if (!memory) return tw_fail(TW_ERR_MEMORY, "out of memory for CSV");
  put_value(memory, value);
  tw_status status = fclose(memory) == 0 ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for CSV");
  if (status == TW_OK) put_cell(out, text);
  free(text);
  return status;
}

static tw_status end_line(void) {
  putchar('\n');
  return fflush(stdout) == 0 ? TW_OK : tw_fail(TW_ERR_IO, "cannot write CSV to standard output");
}

tw_status tw_record_header(void) {
  for (int i = 0; i < FIELDS; i++) printf("%s%s", i ? "," : "", fields[i]);
  return end_line();
}

tw_status tw_record_row(json_t *record) {
  tw_status status = TW_OK;
  for (int i = 0; i < FIELDS && status == TW_OK; i++) {
    if (i > 0) putchar(',');
    status = put_field(stdout, json_object_get(record, fields[i]));
  }
  json_decref(record);
  return status == TW_OK ? end_line() : status;
}

tw_status tw_records_print(json_t *records, tw_format format) {
  size_t i;
  json_t *record;
  if (format == TW_AS_JSON) return tw_json_print(records);
  tw_status status = tw_record_header();
  json_array_foreach(records, i, record) if (status == TW_OK) status = tw_record_row(json_incref(record));
  json_decref(records);
  return status;
}

tw_status tw_record_print(json_t *record, tw_format format) {
  json_t *records = json_array();
  if (!records || json_array_append_new(records, record) != 0)
    return tw_fail(TW_ERR_MEMORY, "out of memory for a record");
  return tw_records_print(records, format);
}
