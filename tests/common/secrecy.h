// What every test of constant time ends with (tests/*/secret_*.c): careful code on every instruction set that valgrind
// knows, then code that is careless on purpose, which valgrind must report.
#ifndef TW_TEST_SECRECY_H
#define TW_TEST_SECRECY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

#include "kernels/isa.h"

typedef struct {
  int (*careful)(void);  // how many have failed, each said by secrecy_failed
  const char *marked;    // what must still carry marks
  // Whether what they compute is right; both leave a report.
  bool (*branching)(void), (*indexing)(void);
} secrecy_test;

// Of what should have been secret and carried no marks: there the test would see nothing.
static atomic_int secrecy_lost_marks;

static inline int secrecy_failed(const char *what) {
  fprintf(stderr, "%s (%s): failed\n", what, tw_isa_name(tw_isa_active()));
  return 1;
}

// In a child process, whose exit code valgrind turns into 1 when it has something to report.
static inline bool secrecy_is_reported(bool (*careless)(void)) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) exit(careless() ? 0 : 2);
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

// The exit code of main.
static inline int secrecy_run(const secrecy_test *t) {
  if (!RUNNING_ON_VALGRIND) {
    fprintf(stderr, "this test says nothing without valgrind --error-exitcode=1\n");
    return 2;
  }
  int failures = 0;
  for (int isa = TW_ISA_PORTABLE; isa <= TW_ISA_AVX2; isa++) {
    tw_isa_limit((tw_isa)isa);
    if ((int)tw_isa_active() == isa) failures += t->careful();
  }
  if (secrecy_lost_marks > 0) failures += secrecy_failed(t->marked);
  fprintf(stderr, "two reports are wanted now: a branch and an address that depend on a share\n");
  if (!secrecy_is_reported(t->branching)) failures += secrecy_failed("a branch on a share is reported");
  if (!secrecy_is_reported(t->indexing)) failures += secrecy_failed("an address from a share is reported");
  return failures ? 1 : 0;
}

#endif
