// The tests' own frame: an executable whose suite could not be set up, or in which nothing was tested, must not pass.
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/common/suite.h"

static int no(void) { return 1; }
static void nothing(void) {}
static void right(void) { CU_ASSERT_TRUE(1); }
static void wrong(void) { CU_ASSERT_TRUE(0); }

typedef struct {
  CU_InitializeFunc set_up;
  CU_CleanupFunc tear_down;
  void (*tests[2])(void);
} made_up;

static int run(const made_up *m) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("made up", m->set_up, m->tear_down);
  for (int i = 0; i < 2; i++)
    if (m->tests[i] && !CU_add_test(suite, i ? "second" : "first", m->tests[i])) return 2;
  return suite_end();
}

static const made_up cases[] = {{NULL, NULL, {right, nothing}}, {NULL, NULL, {right, wrong}},
                                {no, NULL, {right, right}},     {NULL, no, {right, right}},
                                {NULL, NULL, {NULL, NULL}},     {NULL, NULL, {nothing, nothing}}};
static const char *self;

// As an executable of its own, whose words nobody hears; -1 when it did not end by itself.
static int exit_code(int number) {
  char command[4200];
  snprintf(command, sizeof command, "'%s' %d >/dev/null 2>&1", self, number);
  int status = system(command);
  return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void verdicts(void) {
  CU_ASSERT_EQUAL(exit_code(0), 0);
  for (int i = 1; i < (int)(sizeof cases / sizeof *cases); i++) CU_ASSERT_EQUAL(exit_code(i), 1);
}

int main(int argc, char **argv) {
  static const suite_test tests[] = {{"nothing tested is a failure", verdicts}};
  self = argv[0];
  if (argc == 2) return run(&cases[atoi(argv[1])]);
  return suite_run("suites", tests, sizeof tests / sizeof *tests);
}
