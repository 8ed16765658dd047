#include "tests/common/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "jobs/models/import.h"
#include "jobs/parties/share.h"
#include "kernels/pack.h"

tw_read_by tiny_model_engine = TW_BY_DIGITS;

static void *room(size_t count, size_t size) {
  void *p = calloc(count + 1, size);
  if (!p) abort();
  return p;
}

void tiny_model_draw_input(tiny_model *t) {
  size_t n = (size_t)(t->w.batch * t->plan.shape.seq * t->model.config.hidden);
  for (size_t j = 0; j < n; j++) t->input[j] = (uint64_t)walk_random_range(-10000, 10000) & tw_mask(TW_INPUT_RING);
}

static tw_status prepare(tiny_model *t, const char *shape, int seq, tw_rounding rounding) {
  tw_client client;
  TW_TRY(tw_import_synthetic(shape, &t->model, &client));
  tw_client_free(&client);
  tw_plan_request request = {.seq = seq, .rounding = rounding, .guard = true, .choices.engine = tiny_model_engine};
  TW_TRY(tw_plan_make(&t->model.config, &request, NULL, &t->plan));
  return tw_fixed_tensors(&t->model, &t->weights);
}

bool tiny_model_open(tiny_model *t, const char *shape, int seq, int batch, tw_rounding rounding) {
  *t = (tiny_model){0};
  if (prepare(t, shape, seq, rounding) != TW_OK) {
    fprintf(stderr, "%s\n", tw_error_message());
    return false;
  }
  size_t count = (size_t)t->model.count;
  t->rows = room(count, sizeof *t->rows);
  t->cols = room(count, sizeof *t->cols);
  for (size_t i = 0; i < count; i++) {
    t->rows[i] = t->model.tensors[i].rows;
    t->cols[i] = t->model.tensors[i].cols;
  }
  t->input = room((size_t)(batch * seq * t->model.config.hidden), 8);
  t->w = (walk){.program = &t->plan.program,
                .batch = batch,
                .input = t->input,
                .weight_count = t->model.count,
                .weight_rows = t->rows,
                .weight_cols = t->cols,
                .weight_values = t->weights};
  tiny_model_draw_input(t);
  return true;
}

void tiny_model_close(tiny_model *t) {
  walk_free(&t->w);
  free(t->rows);
  free(t->cols);
  free(t->input);
  if (t->weights) tw_fixed_free(t->weights, t->model.count);
  tw_plan_free(&t->plan);
  tw_model_free(&t->model);
}
