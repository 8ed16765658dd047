// What every CUnit executable of the gates ends with.
#ifndef TW_TEST_SUITE_H
#define TW_TEST_SUITE_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

typedef struct {
  const char *name;
  void (*test)(void);
} suite_test;

static inline int suite_run(const char *name, const suite_test *tests, size_t count) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite(name, NULL, NULL);
  for (size_t i = 0; i < count; i++)
    if (!suite || !CU_add_test(suite, tests[i].name, tests[i].test)) return 2;
  CU_basic_run_tests();
  unsigned failures = CU_get_number_of_failures();
  CU_cleanup_registry();
  return failures ? 1 : 0;
}

#define SUITE_MAIN(name, ...)                                      \
  int main(void) {                                                 \
    static const suite_test tests[] = {__VA_ARGS__};               \
    return suite_run(name, tests, sizeof tests / sizeof tests[0]); \
  }

#endif
