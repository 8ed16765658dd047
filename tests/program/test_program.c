// One role for every use id: the check that ends the making of a program passes every plan and finds what breaks R1.
#include <CUnit/Basic.h>
#include <sodium.h>

#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "tests/common/suite.h"

static tw_plan random_plan(void) {
  tw_model_config config;
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("2x16x2x24", &config), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, 2 + (int)randombytes_uniform(9), (tw_rounding)randombytes_uniform(3),
                                     (tw_output)randombytes_uniform(3), randombytes_uniform(2), NULL, &plan),
                        TW_OK);
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

SUITE_MAIN("program", {"plans pass", plans_pass}, {"faults are found", faults_are_found})
