#include "app/show/costs.h"

#include <stdlib.h>
#include <string.h>

#include "app/show/print.h"
#include "base/memory.h"

tw_status tw_costs_of_plan(const tw_plan *plan, tw_costs *out) {
  const tw_program *p = &plan->program;
  tw_cost *steps, total;
  tw_cost_row *rows;
  TW_TRY(tw_alloc(((size_t)p->step_count + 1) * sizeof *steps, (void **)&steps));
  tw_status status = tw_alloc(((size_t)p->step_count + 1) * sizeof *rows, (void **)&rows);
  if (status == TW_OK) {
    tw_program_costs(p, steps, &total);
    int party = total.correction_bytes[1] > total.correction_bytes[0];
    for (int i = 0; i < p->step_count; i++) {
      rows[i] = (tw_cost_row){.layer = p->steps[i].layer,
                              .correction_bytes = steps[i].correction_bytes[party],
                              .sent_bytes = steps[i].sent_bytes,
                              .rounds = steps[i].rounds};
      memcpy(rows[i].step, p->steps[i].name, sizeof rows[i].step);
    }
    *out = (tw_costs){rows, p->step_count, total.correction_bytes[party], total.sent_bytes, total.rounds, false, false};
  }
  tw_free(steps);
  return status;
}

tw_costs tw_costs_of_result(const tw_result_share *r) {
  return (tw_costs){r->rows_table, r->row_count, r->correction_bytes, r->sent_bytes, r->rounds, r->steps_timed, false};
}

// ---- sums over layers, in the order of first appearance

static bool is_empty(const tw_cost_row *r) {
  return r->correction_bytes == 0 && r->sent_bytes == 0 && r->rounds == 0 && r->seconds == 0;
}

static void add(tw_cost_row *to, const tw_cost_row *from) {
  to->correction_bytes += from->correction_bytes;
  to->sent_bytes += from->sent_bytes;
  to->rounds += from->rounds;
  to->seconds += from->seconds;
}

static bool together(const tw_cost_row *a, const tw_cost_row *b, tw_costs_by by) {
  return (by == TW_BY_LAYER || strcmp(a->step, b->step) == 0) && (by == TW_BY_STEP || a->layer == b->layer);
}

// Rows to show; NULL without memory.
static tw_cost_row *merge(const tw_costs *costs, tw_costs_by by, int *count) {
  tw_cost_row *merged = calloc((size_t)costs->count + 1, sizeof *merged);
  *count = 0;
  for (int i = 0; merged && i < costs->count; i++) {
    const tw_cost_row *row = &costs->rows[i];
    int at = 0;
    if (is_empty(row)) continue;
    while (at < *count && !together(&merged[at], row, by)) at++;
    if (at == *count)
      merged[(*count)++] = *row;
    else
      add(&merged[at], row);
  }
  return merged;
}

static void name_row(const tw_cost_row *row, tw_costs_by by, char *text, size_t size) {
  const char *step = by == TW_BY_LAYER ? "" : row->step;
  if (by == TW_BY_STEP || (row->layer < 0 && *step))
    snprintf(text, size, "%s", step);
  else if (row->layer < 0)
    snprintf(text, size, "input, output");
  else
    snprintf(text, size, "%d%s%s", row->layer, *step ? " " : "", step);
}

static void print_row(tw_grid *grid, const char *name, const tw_cost_row *r, bool timed) {
  tw_grid_row(grid, "%s\t%s\t%s\t%llu%s%s", name, tw_text_bytes((double)r->correction_bytes),
              tw_text_bytes((double)r->sent_bytes), (unsigned long long)r->rounds, timed ? "\t" : "",
              timed ? tw_text_seconds(r->seconds) : "");
}

void tw_costs_print(const tw_costs *costs, tw_costs_by by) {
  static const char *const titles[] = {"step", "layer", "layer and step"};
  int count;
  tw_cost_row *rows = merge(costs, by, &count), total = {.layer = -1};
  tw_grid grid = {0};
  tw_grid_row(&grid, "%s\tkeys/party\tsent/party\trounds%s", titles[by],
              costs->timed       ? "\tcompute"
              : costs->estimated ? "\tonline"
                                 : "");
  bool timed = costs->timed || costs->estimated;
  tw_grid_rule(&grid);
  for (int i = 0; rows && i < count; i++) {
    char name[64];
    name_row(&rows[i], by, name, sizeof name);
    print_row(&grid, name, &rows[i], timed);
    add(&total, &rows[i]);
  }
  tw_grid_rule(&grid);
  bool shared = total.rounds != costs->rounds;
  total.correction_bytes = costs->correction_bytes;
  total.sent_bytes = costs->sent_bytes;
  total.rounds = costs->rounds;
  print_row(&grid, "total", &total, timed);
  tw_grid_print(&grid);
  if (shared) puts("(steps that share a round each count it; the total counts it once)");
  free(rows);
}
