// What every CUnit executable ends with. A run in which nothing was tested has failed: a suite that could not be set
// up, a test that did not run, no test at all, no assertion.
#ifndef TW_TEST_SUITE_H
#define TW_TEST_SUITE_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdio.h>

#include "tests/common/randoms.h"

typedef struct {
  const char *name;
  void (*test)(void);
} suite_test;

// Runs what was registered; the exit code of main.
static inline int suite_end(void) {
  unsigned tests = 0;
  CU_pTestRegistry registry = CU_get_registry();
  for (CU_pSuite suite = registry->pSuite; suite; suite = suite->pNext) tests += suite->uiNumberOfTests;
  randoms_by_pages();
  CU_basic_run_tests();
  unsigned ran = CU_get_number_of_tests_run(), failed = CU_get_number_of_failures();
  unsigned suites = CU_get_number_of_suites_failed(), asserts = CU_get_number_of_asserts();
  CU_cleanup_registry();
  if (suites) fprintf(stderr, "%u suites failed to set up or tear down\n", suites);
  if (tests == 0 || ran != tests || asserts == 0)
    fprintf(stderr, "%u of %u tests ran, with %u assertions\n", ran, tests, asserts);
  return failed || suites || tests == 0 || ran != tests || asserts == 0;
}

static inline int suite_run(const char *name, const suite_test *tests, size_t count) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite(name, NULL, NULL);
  for (size_t i = 0; i < count; i++)
    if (!suite || !CU_add_test(suite, tests[i].name, tests[i].test)) return 2;
  return suite_end();
}

#define SUITE_MAIN(name, ...)                                      \
  int main(void) {                                                 \
    static const suite_test tests[] = {__VA_ARGS__};               \
    return suite_run(name, tests, sizeof tests / sizeof tests[0]); \
  }

#endif
