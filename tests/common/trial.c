#include "tests/common/trial.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/pack.h"

const size_t trial_sizes[] = {1, 63, 64, 65, 127, 129, 1000};

static void *room(size_t count, size_t size) {
  void *p = calloc(count + 1, size);
  if (!p) abort();
  return p;
}

int trial_start(trial *t, int ring, size_t n, int batch) {
  size_t sequences = (size_t)batch;
  *t = (trial){.ring = ring, .n = n, .input = room(n * sequences, 8), .slots = room(sequences, 8)};
  for (size_t j = 0; j < n * sequences; j++) t->input[j] = walk_random() & tw_mask(ring);
  for (size_t b = 0; b < sequences; b++) t->slots[b] = walk_random();
  for (int party = 0; party < 2; party++) {
    t->seeds[party] = room(sequences, sizeof(tw_seed));
    for (size_t b = 0; b < sequences; b++) tw_seed_random(&t->seeds[party][b]);
  }
  tw_builder_start(&t->b, &t->program);
  t->w = (walk){.batch = batch, .input = t->input, .slots = t->slots, .seeds = {t->seeds[0], t->seeds[1]}};
  return tw_build_input(&t->b, ring, 0, n);
}

void trial_fill(trial *t, size_t first, size_t n, int64_t low, int64_t high) {
  for (size_t b = 0; b < (size_t)t->w.batch; b++)
    for (size_t j = first; j < first + n; j++)
      t->input[b * t->n + j] = (uint64_t)walk_random_range(low, high) & tw_mask(t->ring);
}

void trial_count(trial *t, int64_t low, int64_t high) {
  int64_t next = low;
  for (size_t j = 0; j < (size_t)t->w.batch * t->n; j++) {
    t->input[j] = (uint64_t)next & tw_mask(t->ring);
    next = next == high ? low : next + 1;
  }
}

int trial_slice(trial *t, int x, size_t first, size_t n) {
  return tw_view(&t->b, x, (tw_view_map){{1, 1, 1, n}, {0, 0, 0, 1}, first});
}

int trial_bits(trial *t, int x, int planes, size_t n) {
  static const int64_t zero = 0;
  trial_fill(t, 0, (size_t)planes * n, -127, 127);
  int wire = tw_open(&t->b, tw_reduce(&t->b, trial_slice(t, x, 0, (size_t)planes * n), 8));
  return tw_bits_reshape(&t->b, tw_at_least(&t->b, tw_compare_wire(&t->b, wire), &zero, 1), planes, n);
}

void trial_run(trial *t, int output) {
  tw_build_output(&t->b, output);
  tw_status status = tw_builder_finish(&t->b);
  if (status == TW_OK) {
    t->w.program = &t->program;
    status = walk_run(&t->w);
  }
  if (status != TW_OK) fprintf(stderr, "%s\n", tw_error_message());
  CU_ASSERT_EQUAL_FATAL(status, TW_OK);
  CU_ASSERT_EQUAL(t->w.mismatches, 0);
}

void trial_refused(trial *t, int output, const char *text) {
  tw_build_output(&t->b, output);
  CU_ASSERT_NOT_EQUAL(tw_builder_finish(&t->b), TW_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), text));
}

void trial_end(trial *t) {
  walk_free(&t->w);
  tw_program_free(&t->program);
  free(t->input);
  free(t->slots);
  free(t->seeds[0]);
  free(t->seeds[1]);
}

int64_t trial_x(const trial *t, int b, size_t j) { return tw_signed(t->input[(size_t)b * t->n + j], t->ring); }

int64_t trial_y(const trial *t, int b, size_t j) {
  return walk_signed(&t->w, (size_t)b * t->program.tensors[t->program.outputs[0]].n + j);
}

int trial_bit(const trial *t, int b, int plane, size_t j) {
  const tw_tensor *out = &t->program.tensors[t->program.outputs[0]];
  size_t words = tw_words(out->n);
  return (int)(t->w.output[((size_t)b * (size_t)out->planes + (size_t)plane) * words + j / 64] >> (j % 64) & 1);
}

uint64_t trial_mask(const trial *t, int wire, int party, int b, size_t j) {
  uint64_t mask = 0;
  for (int i = 0; i < t->program.op_count; i++) {
    const tw_op *op = &t->program.ops[i];
    if (op->opens && op->out[0] == wire)
      tw_prg_ring(&t->seeds[party][b], op->mask_use, t->slots[b], t->program.tensors[wire].ring, j, 1, &mask);
  }
  return mask;
}
