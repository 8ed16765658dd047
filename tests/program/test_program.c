// One role for every use id: the check that ends the making of a program passes every plan and finds what breaks R1.
// Programs of several inputs and outputs.
#include <CUnit/Basic.h>
#include <sodium.h>
#include <string.h>

#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "kernels/digit.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/trial.h"

static tw_plan random_plan(void) {
  tw_model_config config;
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("2x16x2x24", &config), TW_OK);
  tw_plan_request request = {.seq = 2 + (int)randombytes_uniform(9),
                             .rounding = (tw_rounding)randombytes_uniform(3),
                             .output = (tw_output)randombytes_uniform(3),
                             .guard = randombytes_uniform(2),
                             .choices = {.wide_nodes = randombytes_uniform(2),
                                         .flat_windows = randombytes_uniform(2),
                                         .centred = randombytes_uniform(2),
                                         .flat_norms = randombytes_uniform(2),
                                         .early_groups = randombytes_uniform(2),
                                         .maximum = {2 + (int)randombytes_uniform(8), 3}}};
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, NULL, &plan), TW_OK);
  return plan;
}

static tw_op *random_op(tw_program *p, bool opens) {
  for (;;) {
    tw_op *op = &p->ops[randombytes_uniform((uint32_t)p->op_count)];
    if (opens ? op->opens : op->correction_count > 0) return op;
  }
}

static tw_correction *random_correction(tw_program *p) {
  return &p->corrections[randombytes_uniform((uint32_t)p->correction_count)];
}

static void plans_pass(void) {
  for (int i = 0; i < 20; i++) {
    tw_plan plan = random_plan();
    CU_ASSERT_EQUAL(tw_program_check_uses(&plan.program), TW_OK);
    tw_plan_free(&plan);
  }
}

enum { TWO_MASKS, TWO_PADS, MASK_AND_PAD, UNKNOWN, UNUSED, TWO_OWNERS, NO_OWNER, ONE_PLACE, SLOT_TOO_LONG, FAULTS };

// False when by chance nothing was changed.
static bool spoil(tw_program *p, int fault) {
  tw_op *op = random_op(p, false), *other = random_op(p, false), *open = random_op(p, true),
        *second = random_op(p, true);
  tw_correction *c = random_correction(p), *d = random_correction(p);
  switch (fault) {
    case TWO_MASKS:
      return open != second && ((open->mask_use = second->mask_use), true);
    case TWO_PADS:
      return c != d && ((c->use = d->use), true);
    case MASK_AND_PAD:
      return (open->mask_use = c->use), true;
    case UNKNOWN:
      return (c->use = p->use_count), true;
    case UNUSED:
      return p->use_count++, true;
    case TWO_OWNERS:
      return op->correction != other->correction && ((op->correction = other->correction), true);
    case NO_OWNER:
      return op->correction_count--, true;
    case ONE_PLACE:
      return c->bytes[1] && (c->offset[1] += 64);
    case SLOT_TOO_LONG:
      return p->slot_bytes[0] += 64;
    default:
      return false;
  }
}

static void faults_are_found(void) {
  for (int fault = 0; fault < FAULTS; fault++)
    for (int i = 0; i < 10;) {
      tw_plan plan = random_plan();
      if (spoil(&plan.program, fault)) {
        i++;
        CU_ASSERT_EQUAL(tw_program_check_uses(&plan.program), TW_ERR_INTERNAL);
      }
      tw_plan_free(&plan);
    }
}

// ---- several inputs and outputs ----

enum { FIRST = 70, SECOND = 5, BATCH = 3, NARROW = 24, WIDE = 40 };

// Inputs x [FIRST] and y [SECOND]; outputs, in this order: bits [x >= 0], the sum of x's first SECOND elements and y,
// and that sum's own sum, a product's round later.
static void build_two(tw_program *p, bool swapped) {
  tw_builder b;
  tw_builder_start(&b, p);
  int x = tw_build_input(&b, NARROW, 0, FIRST), y = tw_build_input(&b, WIDE, 0, SECOND);
  int64_t zero = 0;
  int wire = tw_open(&b, x);
  int bits = tw_open(&b, tw_at_least(&b, tw_compare_wire(&b, wire), &zero, 1));
  int head = tw_view(&b, tw_extend(&b, wire, WIDE), (tw_view_map){{1, 1, 1, SECOND}, {0, 0, 0, 1}, 0});
  int sum = tw_open(&b, tw_combine(&b, 1, head, 1, y, false));
  int product = tw_open(&b, tw_multiply(&b, sum, sum, WIDE, TW_EACH));
  tw_build_output(&b, swapped ? sum : bits);
  tw_build_output(&b, swapped ? bits : sum);
  tw_build_output(&b, product);
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
}

static int64_t in_ring(int64_t x, int ring) { return tw_signed((uint64_t)x & tw_mask(ring), ring); }

static size_t wrong_results(const walk *w) {
  const uint64_t *x = w->input, *y = x + BATCH * FIRST, *bits = w->output;
  const uint64_t *sums = bits + BATCH * tw_words(FIRST), *products = sums + BATCH * SECOND;
  size_t wrong = 0;
  for (size_t b = 0; b < BATCH; b++) {
    for (size_t j = 0; j < FIRST; j++) {
      bool set = bits[b * tw_words(FIRST) + j / 64] >> (j % 64) & 1;
      wrong += set != (tw_signed(x[b * FIRST + j], NARROW) >= 0);
    }
    for (size_t j = 0; j < SECOND; j++) {
      int64_t sum = in_ring(tw_signed(x[b * FIRST + j], NARROW) + (int64_t)y[b * SECOND + j], WIDE);
      wrong += tw_signed(sums[b * SECOND + j], WIDE) != sum;
      wrong += tw_signed(products[b * SECOND + j], WIDE) != in_ring(sum * sum, WIDE);
    }
  }
  return wrong;
}

static void several_ends(void) {
  for (int keep = 0; keep < 2; keep++) {
    tw_program p = {0};
    uint64_t input[BATCH * (FIRST + SECOND)];
    build_two(&p, false);
    CU_ASSERT_EQUAL(p.input_count, 2);
    CU_ASSERT_EQUAL(p.output_count, 3);
    for (size_t j = 0; j < BATCH * FIRST; j++)
      input[j] = (uint64_t)walk_random_range(-4000000, 4000000) & tw_mask(NARROW);
    for (size_t j = BATCH * FIRST; j < sizeof input / 8; j++)
      input[j] = (uint64_t)walk_random_range(-9000, 9000) & tw_mask(WIDE);
    walk w = {.program = &p, .batch = BATCH, .input = input, .keep_masks = keep};
    CU_ASSERT_EQUAL_FATAL(walk_run(&w), TW_OK);
    CU_ASSERT_EQUAL(w.mismatches, 0);
    CU_ASSERT_EQUAL(wrong_results(&w), 0);
    walk_free(&w);
    tw_program_free(&p);
  }
}

// Which results a program has, and in which order, is part of what all parties agree on.
static void ends_are_in_the_digest(void) {
  tw_program p[3] = {{0}};
  tw_digest digest[3];
  for (int i = 0; i < 3; i++) {
    build_two(&p[i], i == 1);
    if (i == 2) p[i].output_count--;
    tw_program_digest(&p[i], &digest[i]);
  }
  for (int i = 0; i < 3; i++) {
    CU_ASSERT_NOT_EQUAL(strcmp(digest[i].hex, digest[(i + 1) % 3].hex), 0);
    tw_program_free(&p[i]);
  }
}

static void ends_refused(void) {
  trial t;
  int x = trial_start(&t, 20, 4, 1);
  trial_refused(&t, x, "not opened");
  trial_end(&t);
  x = tw_open(&t.b, trial_start(&t, 20, 4, 1));
  for (int i = 0; i < TW_MOST_INPUTS; i++) tw_build_input(&t.b, 20, 0, 4);
  trial_refused(&t, x, "more than 8 inputs");
  trial_end(&t);
}

SUITE_MAIN("program", {"plans pass", plans_pass}, {"faults are found", faults_are_found},
           {"several ends", several_ends}, {"ends are in the digest", ends_are_in_the_digest},
           {"ends refused", ends_refused})
