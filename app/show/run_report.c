#include "app/show/run_report.h"

#include <stdio.h>

#include "app/show/print.h"

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
  snprintf(lines[7].value[column], SIZE, "%s", tw_text_seconds(1e-9 * (double)c->key_wait_ns));
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
  putchar('\n');
  print_times(r);
  printf("\n%d sequence%s in one run; keys: %s a party and sequence; sent: %s a party and sequence; rounds: %llu\n",
         r->count, r->count == 1 ? "" : "s", tw_text_bytes((double)r->correction_bytes / r->count),
         tw_text_bytes((double)r->sent_bytes / r->count), (unsigned long long)r->rounds);
  printf("party %d on %s, user %s, %s (%s), device %s, opens by %s (%s), %s, %s, HDF5 %s%s%s, started %s\n", r->party,
         e->host, e->user, e->cpu, e->isa, e->device, e->transport, e->transport_why, e->software, e->mpi, e->hdf5,
         *e->job ? ", job " : "", e->job, e->started);
  printf("party %d: %s\n", r->party, e->placement);
  if (r->test_keys) puts("TEST keys: nothing was private in this run");
  if (e->parties_share_host) puts("both parties on one host: a test set-up, which protects nothing");
}

static json_t *environment_json(const tw_environment *e) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "host", e->host, "user",
                   e->user, "cpu", e->cpu, "isa", e->isa, "device", e->device, "transport", e->transport,
                   "transport_why", e->transport_why, "placement", e->placement, "software", e->software, "mpi", e->mpi,
                   "hdf5", e->hdf5, "job", e->job, "started", e->started, "parties_share_host", e->parties_share_host);
}

static json_t *counters_json(const tw_result_counters *c) {
  json_t *json = json_pack(
      "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "open_flushes_demand", (json_int_t)c->open_flushes_demand,
      "open_flushes_budget", (json_int_t)c->open_flushes_budget, "flushes_overlapped",
      (json_int_t)c->flushes_overlapped, "open_comm_ns", (json_int_t)c->open_comm_ns, "gate_ns", (json_int_t)c->gate_ns,
      "open_wire_bytes_sent", (json_int_t)c->open_wire_bytes_sent, "open_payload_bytes",
      (json_int_t)c->open_payload_bytes, "key_bytes", (json_int_t)c->key_bytes, "key_wait_ns",
      (json_int_t)c->key_wait_ns, "products_prepared_beside", (json_int_t)c->products_prepared_beside);
  if (c->probe_bytes_per_second > 0) {
    json_object_set_new(json, "probe_latency_seconds", json_real(c->probe_latency_seconds));
    json_object_set_new(json, "probe_bytes_per_second", json_real(c->probe_bytes_per_second));
  }
  return json;
}

json_t *tw_run_report_json(const tw_result_share *r) {
  tw_costs costs = tw_costs_of_result(r);
  json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:b}", "run_id", r->run_id.hex, "model_id",
                           r->model_id.hex, "key_id", r->key_id.hex, "input_id", r->input_id.hex, "plan", r->plan.hex,
                           "party", r->party, "sequences", r->count, "output", r->output, "test_keys", r->test_keys);
  json_object_set_new(json, "correction_bytes_per_party", json_integer((json_int_t)r->correction_bytes));
  json_object_set_new(json, "sent_bytes_per_party", json_integer((json_int_t)r->sent_bytes));
  json_object_set_new(json, "rounds", json_integer((json_int_t)r->rounds));
  json_object_set_new(json, "setup_seconds", json_real(r->setup_seconds));
  json_object_set_new(json, "preparation_seconds", json_real(r->preparation_seconds));
  json_object_set_new(json, "online_seconds", json_real(r->online_seconds));
  json_object_set_new(json, "communication_seconds", json_real(r->comm_seconds));
  json_object_set_new(json, "transcript", json_string(r->transcript));
  json_object_set_new(json, "counters", counters_json(&r->counters));
  json_object_set_new(json, "trace_spans", json_integer(r->span_count));
  json_object_set_new(json, "environment", environment_json(&r->environment));
  json_object_set_new(json, "steps", tw_costs_json(&costs, TW_BY_STEP));
  json_object_set_new(json, "layers", tw_costs_json(&costs, TW_BY_LAYER));
  json_object_set_new(json, "layers_and_steps", tw_costs_json(&costs, TW_BY_LAYER_AND_GATE));
  return json;
}
