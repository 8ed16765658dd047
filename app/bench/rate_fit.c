#include "app/bench/rate_fit.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

// What is sought at a time: costs of gates that multiply matrices together with those of their multiply-adds, of each
// other gate alone.
enum { MOST_TOGETHER = 4, MOST = MOST_TOGETHER * TW_COSTS + TW_RING_BYTES, SWEEPS = 20000 };

// Normal equations.
typedef struct {
  double a[MOST][MOST], b[MOST], x[MOST];
  int count;
  double seconds;  // of all operations
} equations;

// An operation's terms, in units in which what is sought is about as large.
static const double unit[TW_COSTS] = {1e-6, 1e-9, 1e-9, 1e-10, 1e-9, 1e-10, 1e-9}, products_unit = 1e-11;

static int ring_byte(int ring) {
  int bytes = (ring + 7) / 8;
  return bytes < 1 ? 0 : bytes > TW_RING_BYTES ? TW_RING_BYTES - 1 : bytes - 1;
}

// gate: the gate's place among those that are sought.
static int terms_of(const tw_timed_op *op, int gate, int index[TW_COSTS + 1], double factor[TW_COSTS + 1]) {
  int count = 0;
  for (int i = 0; i < TW_COSTS; i++) {
    if (op->work.cost[i] <= 0) continue;
    index[count] = TW_RING_BYTES + gate * TW_COSTS + i;
    factor[count++] = unit[i] * op->work.cost[i];
  }
  if (op->work.products > 0) {
    index[count] = ring_byte(op->work.ring);
    factor[count++] = products_unit * op->work.products;
  }
  return count;
}

// Between the squares of errors in seconds, which would leave short operations to chance, and those in parts.
static void add(equations *e, const tw_timed_op *op, int gate) {
  int index[TW_COSTS + 1];
  double factor[TW_COSTS + 1], weight = 1 / sqrt(op->seconds + 1e-6);
  int terms = terms_of(op, gate, index, factor);
  for (int i = 0; i < terms; i++) {
    e->b[index[i]] += weight * factor[i] * op->seconds;
    for (int j = 0; j < terms; j++) e->a[index[i]][index[j]] += weight * factor[i] * factor[j];
  }
  e->seconds += op->seconds;
}

// Coordinate by coordinate, each as good as the others allow and not below zero.
static void solve(equations *e) {
  for (int sweep = 0; sweep < SWEEPS; sweep++)
    for (int i = 0; i < e->count; i++) {
      double left = e->b[i];
      if (e->a[i][i] <= 0) continue;
      for (int j = 0; j < e->count; j++)
        if (j != i) left -= e->a[i][j] * e->x[j];
      e->x[i] = fmax(0, left / e->a[i][i]);
    }
}

static int find_gate(const tw_rates *rates, const char *name) {
  for (int i = 0; i < rates->gate_count; i++)
    if (strcmp(rates->gates[i].gate, name) == 0) return i;
  return -1;
}

static bool multiplies(const tw_timed_op *ops, int count, const char *gate) {
  for (int i = 0; i < count; i++)
    if (ops[i].work.products > 0 && strcmp(ops[i].gate, gate) == 0) return true;
  return false;
}

// Rings in which nothing was multiplied: as the next larger one, else as the next smaller. A wider ring is never
// quicker.
static void fill_rings(double multiply_add[TW_RING_BYTES]) {
  for (int i = TW_RING_BYTES - 2; i >= 0; i--)
    if (multiply_add[i] <= 0) multiply_add[i] = multiply_add[i + 1];
  for (int i = 1; i < TW_RING_BYTES; i++) multiply_add[i] = fmax(multiply_add[i], multiply_add[i - 1]);
}

// The gates `which` (NULL: all that multiply nothing, as one) to out[which_count]: solved, then made so much longer or
// shorter that all their operations together take what they took.
static void fit(const tw_timed_op *ops, int count, const char *const *which, int which_count, equations *e,
                tw_gate_rate *const *out, double *multiply_add) {
  double fitted = 0;
  memset(e, 0, sizeof *e);
  e->count = TW_RING_BYTES + which_count * TW_COSTS;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < count; i++) {
      int gate = which ? -1 : 0, index[TW_COSTS + 1];
      double factor[TW_COSTS + 1];
      for (int j = 0; which && j < which_count; j++)
        if (strcmp(which[j], ops[i].gate) == 0) gate = j;
      if (gate < 0 || (!which && ops[i].work.products > 0)) continue;
      if (pass == 0) add(e, &ops[i], gate);
      int terms = pass ? terms_of(&ops[i], gate, index, factor) : 0;
      for (int j = 0; j < terms; j++) fitted += factor[j] * e->x[index[j]];
    }
    if (pass == 0) solve(e);
  }
  double scale = fitted > 0 ? e->seconds / fitted : 1;
  for (int gate = 0; gate < which_count; gate++)
    for (int i = 0; i < TW_COSTS; i++)
      out[gate]->seconds[i] = scale * unit[i] * e->x[TW_RING_BYTES + gate * TW_COSTS + i];
  for (int i = 0; multiply_add && i < TW_RING_BYTES; i++) multiply_add[i] = scale * products_unit * e->x[i];
}

static tw_status name_gates(const tw_timed_op *ops, int count, tw_rates *rates) {
  rates->gate_count = 0;
  for (int i = 0; i < count; i++) {
    if (find_gate(rates, ops[i].gate) >= 0) continue;
    if (rates->gate_count == TW_MOST_GATE_RATES)
      return tw_fail(TW_ERR_INTERNAL, "more than %d kinds of gates", TW_MOST_GATE_RATES);
    snprintf(rates->gates[rates->gate_count++].gate, sizeof rates->gates[0].gate, "%s", ops[i].gate);
  }
  return TW_OK;
}

tw_status tw_fit_rates(const tw_timed_op *ops, int count, tw_rates *rates) {
  equations *e;
  const char *product_names[MOST_TOGETHER];
  tw_gate_rate *product_rates[MOST_TOGETHER], *other = &rates->other;
  int product_count = 0;
  TW_TRY(name_gates(ops, count, rates));
  TW_TRY(tw_alloc(sizeof *e, (void **)&e));
  for (int i = 0; i < rates->gate_count; i++) {
    tw_gate_rate *rate = &rates->gates[i];
    const char *name = rate->gate;
    if (product_count < MOST_TOGETHER && multiplies(ops, count, name)) {
      product_names[product_count] = name;
      product_rates[product_count++] = rate;
    } else {
      fit(ops, count, &name, 1, e, &rate, NULL);
    }
  }
  fit(ops, count, product_names, product_count, e, product_rates, rates->multiply_add);
  fit(ops, count, NULL, 1, e, &other, NULL);
  fill_rings(rates->multiply_add);
  tw_free(e);
  return TW_OK;
}
