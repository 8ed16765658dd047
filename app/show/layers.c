#include "app/show/layers.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "jobs/plan/plan_fields.h"

static bool same_rings(const tw_plan *plan, int i, int j) {
  return memcmp(&plan->rings[i], &plan->rings[j], sizeof(tw_rings)) == 0;
}
static bool same_bounds(const tw_plan *plan, int i, int j) {
  return memcmp(&plan->bounds[i], &plan->bounds[j], sizeof(tw_bounds)) == 0;
}

static int name_layers(char *text, size_t size, int first, int last) {
  return first == last ? snprintf(text, size, "%d", first) : snprintf(text, size, "%d-%d", first, last);
}

void tw_layers_print_rings(const tw_plan *plan) {
  tw_grid grid = {0};
  char row[512];
  int used = snprintf(row, sizeof row, "ring bits, layer");
  for (int k = 0; k < TW_RING_FIELDS; k++)
    used += snprintf(row + used, sizeof row - (size_t)used, "\t%s", tw_ring_fields[k].name);
  tw_grid_row(&grid, "%s", row);
  tw_grid_rule(&grid);
  for (int first = 0, last; first < plan->shape.config.layers; first = last + 1) {
    for (last = first; last + 1 < plan->shape.config.layers && same_rings(plan, first, last + 1);) last++;
    used = name_layers(row, sizeof row, first, last);
    for (int k = 0; k < TW_RING_FIELDS; k++)
      used += snprintf(row + used, sizeof row - (size_t)used, "\t%d", *tw_ring_at(&plan->rings[first], k));
    tw_grid_row(&grid, "%s", row);
  }
  tw_grid_print(&grid);
}

void tw_layers_print_bounds(const tw_plan *plan, const tw_model_bounds *measured) {
  tw_grid grid = {0};
  char row[1024];
  int layers = plan->shape.config.layers,
      used = snprintf(row, sizeof row, "%s, layer", measured ? "measured/bound" : "bound");
  for (int k = 0; k < TW_BOUND_FIELDS; k++)
    if (tw_field_applies(&tw_bound_fields[k], &plan->shape.config))
      used += snprintf(row + used, sizeof row - (size_t)used, "\t%s", tw_bound_fields[k].name);
  tw_grid_row(&grid, "%s", row);
  tw_grid_rule(&grid);
  for (int first = 0, last; first < layers; first = last + 1) {
    for (last = first; last + 1 < layers && !measured && same_bounds(plan, first, last + 1);) last++;
    used = name_layers(row, sizeof row, first, last);
    for (int k = 0; k < TW_BOUND_FIELDS; k++) {
      char seen[32] = "";
      if (!tw_field_applies(&tw_bound_fields[k], &plan->shape.config)) continue;
      if (measured) snprintf(seen, sizeof seen, "%.3g/", *tw_bound_at(&measured->layers[first], k));
      used += snprintf(row + used, sizeof row - (size_t)used, "\t%s%.4g", seen, *tw_bound_at(&plan->bounds[first], k));
    }
    tw_grid_row(&grid, "%s", row);
  }
  tw_grid_print(&grid);
}

void tw_layers_print_head(const tw_plan *plan, const tw_model_bounds *measured) {
  const struct {
    const char *name;
    double bound, measured;
    int ring;
  } parts[] = {{"dense", plan->head_bounds.dense, measured ? measured->head.dense : 0, plan->head_rings.dense},
               {"out", plan->head_bounds.outputs, measured ? measured->head.outputs : 0, plan->head_rings.outputs}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (parts[i].ring == 0) continue;
    printf("head %s: bound %.4g, ring %d bits", parts[i].name, parts[i].bound, parts[i].ring);
    if (measured) printf(", measured %.3g", parts[i].measured);
    putchar('\n');
  }
}
