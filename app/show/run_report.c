#include "app/show/run_report.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "app/show/record.h"
#include "io/new_files.h"
#include "jobs/plan/lengths.h"

static void print_times(const tw_result_share *r) {
  tw_grid grid = {0};
  tw_grid_row(&grid, "time\t\tonce a");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "set-up\t%s\tmodel", tw_text_seconds(r->setup_seconds));
  tw_grid_row(&grid, "preparation\t%s\tinference", tw_text_seconds(r->preparation_seconds));
  tw_grid_row(&grid, "online\t%s\tinference", tw_text_seconds(r->online_seconds));
  tw_grid_row(&grid, "  messages under way, summed\t%s\t", tw_text_seconds(r->comm_seconds));
  tw_grid_print(&grid);
}

// ---- counters

typedef struct {
  const char *what;
  char value[2][40];
} counter_line;

static unsigned long long ull(uint64_t x) { return (unsigned long long)x; }

enum { COUNTER_LINES = 9 };

static void fill_counters(const tw_result_share *r, int column, counter_line lines[COUNTER_LINES]) {
  const tw_result_counters *c = &r->counters;
  enum { SIZE = sizeof lines->value[0] };
  snprintf(lines[0].value[column], SIZE, "%llu", ull(c->open_flushes_demand));
  snprintf(lines[1].value[column], SIZE, "%llu", ull(c->open_flushes_budget));
  snprintf(lines[2].value[column], SIZE, "%llu", ull(c->flushes_overlapped));
  snprintf(lines[3].value[column], SIZE, "%llu", ull(c->products_prepared_beside));
  snprintf(lines[4].value[column], SIZE, "%s", tw_text_bytes((double)c->open_payload_bytes));
  snprintf(lines[5].value[column], SIZE, "%s", tw_text_bytes((double)c->open_wire_bytes_sent));
  snprintf(lines[6].value[column], SIZE, "%s", tw_text_bytes((double)c->key_bytes));
  snprintf(lines[7].value[column], SIZE, "%s",
           r->steps_timed ? tw_text_seconds(1e-9 * (double)c->key_wait_ns) : "not measured");
  if (c->probe_bytes_per_second > 0)
    snprintf(lines[8].value[column], SIZE, "%.1f us, %.1f GB/s", 1e6 * c->probe_latency_seconds,
             1e-9 * c->probe_bytes_per_second);
  else
    snprintf(lines[8].value[column], SIZE, "not measured");
}

void tw_run_report_counters(const tw_result_share *r, const tw_result_share *other) {
  counter_line lines[COUNTER_LINES] = {{"messages because a gate waited", {{0}}},
                                       {"messages because enough was queued", {{0}}},
                                       {"levels computed while openings were under way", {{0}}},
                                       {"weight products prepared beside", {{0}}},
                                       {"openings sent", {{0}}},
                                       {"  with headers", {{0}}},
                                       {"keys read", {{0}}},
                                       {"gates waited for keys", {{0}}},
                                       {"link: an open of 4 KiB; each way at 1 MiB", {{0}}}};
  tw_grid grid = {0};
  fill_counters(r, 0, lines);
  if (other) fill_counters(other, 1, lines);
  if (other)
    tw_grid_row(&grid, "openings and keys\tparty %d\tparty %d", r->party, other->party);
  else
    tw_grid_row(&grid, "openings and keys\tparty %d", r->party);
  tw_grid_rule(&grid);
  for (int i = 0; i < COUNTER_LINES; i++)
    tw_grid_row(&grid, "%s\t%s%s%s", lines[i].what, lines[i].value[0], other ? "\t" : "", lines[i].value[1]);
  tw_grid_print(&grid);
}

void tw_run_report_print(const tw_result_share *r, bool verbose) {
  const tw_environment *e = &r->environment;
  tw_costs costs = tw_costs_of_result(r);
  if (verbose) {
    tw_costs_print(&costs, TW_BY_LAYER_AND_GATE);
  } else {
    tw_costs_print(&costs, TW_BY_STEP);
    putchar('\n');
    tw_costs_print(&costs, TW_BY_LAYER);
  }
  if (!r->steps_timed) puts("(steps were not timed; on a GPU `twain run --verbose` times them, which slows it)");
  putchar('\n');
  print_times(r);
  char batches[32] = "one run";
  if (r->batches.count) snprintf(batches, sizeof batches, "%d batches", r->batches.count);
  printf("\n%d sequence%s in %s; keys: %s a party and sequence; sent: %s a party and sequence; rounds: %llu\n",
         r->count, r->count == 1 ? "" : "s", batches, tw_text_bytes((double)r->correction_bytes / r->count),
         tw_text_bytes((double)r->sent_bytes / r->count), (unsigned long long)r->rounds);
  printf("party %d on %s, user %s, %s (%s), device %s, opens by %s (%s), %s, %s, HDF5 %s%s%s, started %s\n", r->party,
         e->host, e->user, e->cpu, e->isa, e->device, e->transport, e->transport_why, e->software, e->mpi, e->hdf5,
         *e->job ? ", job " : "", e->job, e->started);
  printf("party %d: %s\n", r->party, e->placement);
  if (r->test_keys) puts("TEST keys: nothing was private in this run");
  if (e->parties_share_host) puts("both parties on one host: a test set-up, which protects nothing");
}

static void record_counters(json_t *r, const tw_result_share *result) {
  const tw_result_counters *c = &result->counters;
  const struct {
    const char *field;
    uint64_t value;
  } counters[] = {{"open_flushes_demand", c->open_flushes_demand},
                  {"open_flushes_budget", c->open_flushes_budget},
                  {"flushes_overlapped", c->flushes_overlapped},
                  {"open_comm_ns", c->open_comm_ns},
                  {"gate_ns", c->gate_ns},
                  {"sent_wire_bytes", c->open_wire_bytes_sent},
                  {"sent_bytes", c->open_payload_bytes},
                  {"key_read_bytes", c->key_bytes},
                  {"products_prepared_beside", c->products_prepared_beside}};
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
    tw_record_integer(r, counters[i].field, (int64_t)counters[i].value);
  if (result->steps_timed) tw_record_integer(r, "key_wait_ns", (int64_t)c->key_wait_ns);
  if (c->probe_bytes_per_second > 0) {
    tw_record_ns(r, "probe_latency_ns", c->probe_latency_seconds);
    tw_record_real(r, "probe_bytes_per_second", c->probe_bytes_per_second);
  }
}

static void record_ids(json_t *r, const tw_result_share *result) {
  json_t *lengths = json_array(), *slots = json_array();
  for (int i = 0; i < result->count; i++) {
    json_array_append_new(lengths, json_integer(result->lengths[i]));
    json_array_append_new(slots, json_integer((json_int_t)result->slots[i]));
  }
  tw_record_json(r, "lengths", lengths);
  tw_record_json(r, "slots", slots);
  tw_record_text(r, "run_id", result->run_id.hex);
  tw_record_text(r, "model_id", result->model_id.hex);
  tw_record_text(r, "key_id", result->key_id.hex);
  tw_record_text(r, "input_id", result->input_id.hex);
  tw_record_text(r, "plan_digest", result->plan.hex);
  tw_record_text(r, "transcript", result->transcript);
}

// The one of a plan's lengths that has this digest; 0: none has.
static int length_of(const char *path, const tw_digest *digest) {
  tw_plan_length lengths[TW_MOST_LENGTHS];
  int count;
  if (tw_plan_read_lengths(path, lengths, &count) != TW_OK) return 0;
  for (int i = 0; i < count; i++)
    if (strcmp(lengths[i].digest.hex, digest->hex) == 0) return lengths[i].seq;
  return 0;
}

bool tw_run_report_plan(const char *name, const tw_result_share *result, tw_plan *out) {
  tw_digest digest;
  tw_path path = tw_path_of(name, "plan.json");
  if (!tw_path_exists(&path) || tw_plan_read_digest(path.text, &digest) != TW_OK) return false;
  if (strcmp(digest.hex, result->plan.hex) == 0) return tw_plan_read(path.text, out) == TW_OK;
  int seq = length_of(path.text, &result->plan);
  if (!seq || tw_plan_read(path.text, out) != TW_OK) return false;
  if (tw_plan_take_length(out, seq) == TW_OK) return true;
  tw_plan_free(out);
  return false;
}

json_t *tw_run_report_record(const char *command, const char *name, const tw_result_share *result,
                             const tw_plan *plan) {
  tw_costs costs = tw_costs_of_result(result);
  json_t *r = tw_record_create(command);
  tw_record_environment(r, &result->environment);
  if (plan) tw_record_plan(r, plan);
  record_ids(r, result);
  tw_record_text(r, "name", name);
  tw_record_integer(r, "party", result->party);
  tw_record_integer(r, "batch", result->count);
  tw_record_text(r, "result", result->output);
  tw_record_flag(r, "guard", result->guard);
  tw_record_flag(r, "test_keys", result->test_keys);
  tw_record_text(r, "keys", "file");
  tw_record_integer(r, "key_bytes", (int64_t)result->correction_bytes);
  tw_record_integer(r, "rounds", (int64_t)result->rounds);
  tw_record_integer(r, "trace_spans", result->span_count);
  tw_record_integer(r, "repeats", 1);
  tw_record_ns(r, "setup_ns", result->setup_seconds);
  tw_record_times(r, "preparation", &result->preparation_seconds, 1);
  tw_record_times(r, "online", &result->online_seconds, 1);
  record_counters(r, result);
  tw_record_steps(r, &costs);
  return r;
}
