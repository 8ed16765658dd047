#include "app/run_report.h"

#include <stdio.h>

#include "app/print.h"

static void print_times(const tw_result_share *r) {
  tw_grid grid = {0};
  tw_grid_row(&grid, "time\t\tonce a");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "set-up\t%s\tmodel", tw_text_seconds(r->setup_seconds));
  tw_grid_row(&grid, "preparation\t%s\tinference", tw_text_seconds(r->preparation_seconds));
  tw_grid_row(&grid, "online\t%s\tinference", tw_text_seconds(r->online_seconds));
  tw_grid_row(&grid, "  of it communication\t%s\t", tw_text_seconds(r->comm_seconds));
  tw_grid_print(&grid);
}

void tw_run_report_print(const tw_result_share *r, bool verbose) {
  const tw_environment *e = &r->environment;
  tw_costs costs = tw_costs_of_result(r);
  if (verbose) {
    tw_costs_print(&costs, TW_BY_LAYER_AND_GATE);
  } else {
    tw_costs_print(&costs, TW_BY_GATE);
    putchar('\n');
    tw_costs_print(&costs, TW_BY_LAYER);
  }
  putchar('\n');
  print_times(r);
  printf("\n%d sequence%s in one run; keys: %s a rank and sequence; sent: %s a rank and sequence; rounds: %llu\n",
         r->count, r->count == 1 ? "" : "s", tw_text_bytes((double)r->correction_bytes / r->count),
         tw_text_bytes((double)r->sent_bytes / r->count), (unsigned long long)r->rounds);
  printf("rank %d on %s, user %s, %s (%s; %s), device %s, opens by %s, %s, %s, HDF5 %s%s%s, started %s\n", r->rank,
         e->host, e->user, e->cpu, e->isa, e->placement, e->device, e->transport, e->software, e->mpi, e->hdf5,
         *e->job ? ", job " : "", e->job, e->started);
  if (r->test_keys) puts("TEST keys: nothing was private in this run");
  if (e->ranks_share_host) puts("both ranks on one host: a test set-up, which protects nothing");
}

static json_t *environment_json(const tw_environment *e) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "host", e->host, "user",
                   e->user, "cpu", e->cpu, "isa", e->isa, "device", e->device, "transport", e->transport, "placement",
                   e->placement, "software", e->software, "mpi", e->mpi, "hdf5", e->hdf5, "job", e->job, "started",
                   e->started, "ranks_share_host", e->ranks_share_host);
}

json_t *tw_run_report_json(const tw_result_share *r) {
  tw_costs costs = tw_costs_of_result(r);
  json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:b}", "run_id", r->run_id.hex, "model_id",
                           r->model_id.hex, "key_id", r->key_id.hex, "input_id", r->input_id.hex, "plan", r->plan.hex,
                           "rank", r->rank, "sequences", r->count, "output", r->output, "test_keys", r->test_keys);
  json_object_set_new(json, "correction_bytes_per_rank", json_integer((json_int_t)r->correction_bytes));
  json_object_set_new(json, "sent_bytes_per_rank", json_integer((json_int_t)r->sent_bytes));
  json_object_set_new(json, "rounds", json_integer((json_int_t)r->rounds));
  json_object_set_new(json, "setup_seconds", json_real(r->setup_seconds));
  json_object_set_new(json, "preparation_seconds", json_real(r->preparation_seconds));
  json_object_set_new(json, "online_seconds", json_real(r->online_seconds));
  json_object_set_new(json, "communication_seconds", json_real(r->comm_seconds));
  json_object_set_new(json, "transcript", json_string(r->transcript));
  json_object_set_new(json, "environment", environment_json(&r->environment));
  json_object_set_new(json, "gates", tw_costs_json(&costs, TW_BY_GATE));
  json_object_set_new(json, "layers", tw_costs_json(&costs, TW_BY_LAYER));
  json_object_set_new(json, "layers_and_gates", tw_costs_json(&costs, TW_BY_LAYER_AND_GATE));
  return json;
}
