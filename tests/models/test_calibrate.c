// Bounds measured on texts: the largest of the texts' own, whatever the padding; a text that is too long is cut.
#include <CUnit/Basic.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/models/calibrate.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan_fields.h"
#include "tests/common/suite.h"

enum { LAYERS = 2, TEXTS = 3 };
static const char *const texts[TEXTS] = {"one", "two words", "quite a few more words than before"};
static tw_model model;
static tw_client client;
static tw_head_bounds head;  // of a model without one: stays 0

static void test_maximum(void) {
  tw_bounds all[LAYERS], each[TEXTS][LAYERS];
  CU_ASSERT_EQUAL_FATAL(
      tw_calibrate(&model, &client, &(tw_calibration){texts, TEXTS, 24, NULL, NULL, NULL}, all, &head), TW_OK);
  for (int t = 0; t < TEXTS; t++)
    CU_ASSERT_EQUAL_FATAL(
        tw_calibrate(&model, &client, &(tw_calibration){&texts[t], 1, 10 + t, NULL, NULL, NULL}, each[t], &head),
        TW_OK);
  for (int layer = 0; layer < LAYERS; layer++)
    for (int k = 0; k < TW_BOUND_FIELDS; k++) {
      bool smallest = strcmp(tw_bound_fields[k].name, "variance_sum_min") == 0;
      double wanted = *tw_bound_at(&each[0][layer], k);
      for (int t = 1; t < TEXTS; t++) {
        double value = *tw_bound_at(&each[t][layer], k);
        if (smallest ? value < wanted : value > wanted) wanted = value;
      }
      CU_ASSERT_EQUAL(*tw_bound_at(&all[layer], k), wanted);
      CU_ASSERT_EQUAL(wanted > 0, tw_field_applies(&tw_bound_fields[k], &model.config));
    }
}

// A text that is cut is the beginning of itself.
static void test_too_long(void) {
  static const char *const cut[] = {"quite a few"};
  tw_bounds bounds[LAYERS], same[LAYERS];
  CU_ASSERT_EQUAL(tw_calibrate(&model, &client, &(tw_calibration){&texts[2], 1, 5, NULL, NULL, NULL}, bounds, &head),
                  TW_OK);
  CU_ASSERT_EQUAL(tw_calibrate(&model, &client, &(tw_calibration){cut, 1, 5, NULL, NULL, NULL}, same, &head), TW_OK);
  CU_ASSERT_EQUAL(memcmp(bounds, same, sizeof same), 0);
  CU_ASSERT(head.dense == 0 && head.outputs == 0);
}

static void test_other_client(void) {
  tw_bounds bounds[LAYERS];
  client.config.hidden++;
  CU_ASSERT_EQUAL(tw_calibrate(&model, &client, &(tw_calibration){texts, TEXTS, 24, NULL, NULL, NULL}, bounds, &head),
                  TW_ERR_MISMATCH);
  client.config.hidden--;
}

int main(void) {
  if (sodium_init() < 0 || tw_import_synthetic("2x32x2x64", &model, &client) != TW_OK) return 2;
  static const suite_test tests[] = {{"the largest of all texts", test_maximum},
                                     {"a text that is too long", test_too_long},
                                     {"a client of another model", test_other_client}};
  int result = suite_run("calibrate", tests, sizeof tests / sizeof *tests);
  tw_model_free(&model);
  tw_client_free(&client);
  return result;
}
