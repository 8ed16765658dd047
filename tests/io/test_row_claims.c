// Rows of an input among processes: shared out by length, each done once, a dead process's rows for the others, whoever
// dies when.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/row_claims.h"
#include "tests/common/suite.h"

enum { ROWS = 40 };

static char folder[64];
static int lengths[ROWS];

static void fresh(void) {
  strcpy(folder, "/tmp/twain-rows-XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
  for (int i = 0; i < ROWS; i++) lengths[i] = 1 + (i * 37) % 128;
}

static void remove_all(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  CU_ASSERT_EQUAL(system(command), 0);
}

static tw_row_claims_options options(int index, int processes) {
  return (tw_row_claims_options){.folder = folder,
                                 .input_id = {"00112233445566778899aabbccddeeff"},
                                 .count = ROWS,
                                 .index = index,
                                 .processes = processes,
                                 .patience = 0.5};
}

static tw_row_claims *come(int index, int processes) {
  tw_row_claims *c = NULL;
  bool gone = true;
  tw_row_claims_options o = options(index, processes);
  CU_ASSERT_EQUAL_FATAL(tw_row_claims_open(&o, &gone, &c), TW_OK);
  CU_ASSERT_FALSE(gone);
  return c;
}

typedef struct {
  tw_rows_kind kind;
  int rows[ROWS], count, left;
  uint64_t slots[ROWS];
} turn;

static turn next(tw_row_claims *c, int most, bool asked) {
  turn t;
  CU_ASSERT_EQUAL_FATAL(tw_row_claims_next(c, most, asked, &t.kind, t.rows, t.slots, &t.count, &t.left), TW_OK);
  return t;
}

static void say_rows(tw_row_claims *c, const bool *done) {
  uint64_t slots[ROWS];
  for (int i = 0; i < ROWS; i++) slots[i] = 100 + (uint64_t)i;
  CU_ASSERT_EQUAL(tw_row_claims_begin(c, done, lengths, slots), TW_OK);
}

static int ask(tw_row_claims *c) {
  turn t = next(c, 0, false);
  return t.kind;
}

// Comes, and begins where nobody has. (Who is told to begin is asked no more.)
static tw_row_claims *begin(int index, int processes, const bool *done) {
  tw_row_claims *c = come(index, processes);
  int kind = ask(c);
  if (kind == TW_ROWS_BEGIN) say_rows(c, done);
  return c;
}

static void one_process(void) {
  bool done[ROWS] = {[3] = true, [17] = true};
  fresh();
  tw_row_claims *c = begin(0, 1, done);
  int had = 0;
  for (;;) {
    turn t = next(c, 7, false);
    if (t.kind != TW_ROWS_RUN) {
      CU_ASSERT_EQUAL(t.kind, TW_ROWS_JOIN);
      break;
    }
    CU_ASSERT_EQUAL(t.left, ROWS - 2 - had);
    for (int i = 0; i < t.count; i++) {
      CU_ASSERT_FALSE(done[t.rows[i]]);
      CU_ASSERT_EQUAL(t.slots[i], 100 + (uint64_t)t.rows[i]);
      done[t.rows[i]] = true;
    }
    had += t.count;
    CU_ASSERT_EQUAL(tw_row_claims_done(c, t.rows, t.count, true), TW_OK);
  }
  CU_ASSERT_EQUAL(had, ROWS - 2);
  CU_ASSERT_EQUAL(tw_row_claims_joined(c), TW_OK);
  CU_ASSERT_EQUAL(next(c, 7, false).kind, TW_ROWS_DONE);
  tw_row_claims_close(c);
  remove_all();
}

static void by_length(void) {
  bool none[ROWS] = {false};
  int sum[4] = {0}, all = 0;
  tw_row_claims *c[4];
  fresh();
  for (int k = 0; k < 4; k++) c[k] = begin(k, 4, none);
  for (int k = 0; k < 4; k++) {
    turn t = next(c[k], ROWS, false);
    CU_ASSERT_EQUAL(t.kind, TW_ROWS_RUN);
    for (int i = 0; i < t.count; i++) sum[k] += lengths[t.rows[i]];
    all += sum[k];
    CU_ASSERT_EQUAL(next(c[k], 3, false).kind, TW_ROWS_WAIT);  // the others live, and have theirs
  }
  for (int k = 0; k < 4; k++) CU_ASSERT(20 * sum[k] <= 21 * all / 4 + 20 && 20 * sum[k] >= 19 * all / 4 - 20);
  for (int k = 0; k < 4; k++) tw_row_claims_close(c[k]);
  remove_all();
}

// Each takes batches, and dies at a random moment; the parent is the last one.
static void work(int index, int processes, unsigned seed, const bool *none) {
  srand(seed);
  tw_row_claims *c = begin(index, processes, none);
  for (;;) {
    turn t = next(c, 3, false);
    if (rand() % 8 == 0) _exit(0);
    if (t.kind == TW_ROWS_RUN) {
      usleep((useconds_t)(rand() % 3000));
      if (rand() % 8 == 0) _exit(0);
      tw_row_claims_done(c, t.rows, t.count, true);
    } else {
      usleep(1000);
    }
    if (t.kind == TW_ROWS_JOIN || t.kind == TW_ROWS_DONE) _exit(0);
  }
}

static void the_dead(void) {
  bool none[ROWS] = {false};
  for (unsigned seed = 1; seed <= 5; seed++) {
    fresh();
    tw_row_claims *c = begin(0, 4, none);
    for (int k = 1; k < 4; k++)
      if (fork() == 0) work(k, 4, 10 * seed + (unsigned)k, none);
    int left = ROWS;
    for (turn t = {.kind = TW_ROWS_WAIT}; t.kind == TW_ROWS_WAIT || t.kind == TW_ROWS_RUN;) {
      t = next(c, 3, false);
      CU_ASSERT(t.left <= left);
      left = t.left;
      if (t.kind == TW_ROWS_RUN) CU_ASSERT_EQUAL(tw_row_claims_done(c, t.rows, t.count, true), TW_OK);
      usleep(2000);
    }
    CU_ASSERT_EQUAL(left, 0);
    while (wait(NULL) > 0) continue;
    tw_row_claims_close(c);
    remove_all();
  }
}

static void an_end(void) {
  bool none[ROWS] = {false};
  char text[80];
  fresh();
  tw_row_claims *a = begin(0, 2, none), *b = begin(1, 2, none);
  turn t = next(a, 5, false);
  CU_ASSERT_EQUAL(t.kind, TW_ROWS_RUN);
  CU_ASSERT_EQUAL(next(b, 5, true).kind, TW_ROWS_WAIT);  // a is at work
  CU_ASSERT_EQUAL(tw_row_claims_done(a, t.rows, t.count, true), TW_OK);
  CU_ASSERT_EQUAL(next(a, 5, false).kind, TW_ROWS_STOP);
  t = next(b, 5, false);
  CU_ASSERT_EQUAL(t.kind, TW_ROWS_STOP);
  CU_ASSERT_EQUAL(t.left, ROWS - 5);
  CU_ASSERT_EQUAL(tw_row_claims_missing(b, text, sizeof text), TW_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "-"));
  tw_row_claims_close(a);
  tw_row_claims_close(b);
  remove_all();
}

static void expect_refused(const tw_row_claims_options *o) {
  tw_row_claims *other = NULL;
  bool gone;
  CU_ASSERT_EQUAL(tw_row_claims_open(o, &gone, &other), TW_ERR_IO);
  CU_ASSERT_FALSE(gone);
  CU_ASSERT_PTR_NULL(other);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "another run of this NAME is at work"));
}

static void another_run(void) {
  bool none[ROWS] = {false};
  fresh();
  tw_row_claims *c = begin(0, 2, none);
  tw_row_claims_options same = options(0, 2), more = options(1, 3), input = options(1, 2);
  input.input_id.hex[0] = 'f';
  expect_refused(&same);
  expect_refused(&more);
  expect_refused(&input);
  tw_row_claims_close(c);
  c = begin(1, 3, none);  // what is left there is nobody's
  tw_row_claims_close(c);
  remove_all();
}

// One finds out what is done, without a lock: the others are told to wait at once, however long it takes, and one of
// them is told to begin when it dies.
static void the_beginning(void) {
  bool none[ROWS] = {false};
  int pipe_of[2];
  fresh();
  CU_ASSERT_EQUAL_FATAL(pipe(pipe_of), 0);
  pid_t first = fork();
  if (first == 0) {
    int kind = ask(come(2, 3));
    if (write(pipe_of[1], &kind, sizeof kind) < 0) _exit(1);
    for (;;) pause();
  }
  int told;
  CU_ASSERT_EQUAL_FATAL(read(pipe_of[0], &told, sizeof told), (ssize_t)sizeof told);
  CU_ASSERT_EQUAL(told, TW_ROWS_BEGIN);
  tw_row_claims *a = come(0, 3), *b = come(1, 3);
  turn t = next(a, 5, true);  // and an end that was asked for before is not forgotten
  CU_ASSERT_EQUAL(t.kind, TW_ROWS_WAIT);
  CU_ASSERT_EQUAL(t.left, ROWS);
  CU_ASSERT_EQUAL(next(b, 5, false).kind, TW_ROWS_WAIT);
  kill(first, SIGKILL);
  waitpid(first, NULL, 0);
  CU_ASSERT_EQUAL(next(b, 5, false).kind, TW_ROWS_BEGIN);
  CU_ASSERT_EQUAL(next(a, 5, false).kind, TW_ROWS_WAIT);
  CU_ASSERT_EQUAL(tw_row_claims_begin(a, none, lengths, (uint64_t[ROWS]){0}), TW_ERR_INTERNAL);
  say_rows(b, none);
  CU_ASSERT_EQUAL(next(a, 5, false).kind, TW_ROWS_STOP);
  tw_row_claims_close(a);
  tw_row_claims_close(b);
  close(pipe_of[0]);
  close(pipe_of[1]);
  remove_all();
}

// Where the result is there before anybody begins, all are done.
static void made_before(void) {
  fresh();
  tw_row_claims *a = come(0, 2), *b = come(1, 2);
  CU_ASSERT_EQUAL(ask(a), TW_ROWS_BEGIN);
  CU_ASSERT_EQUAL(tw_row_claims_joined(a), TW_OK);
  CU_ASSERT_EQUAL(ask(b), TW_ROWS_DONE);
  tw_row_claims_close(b);
  // who comes now, and a still there, looks again until it has gone
  tw_row_claims_options o = options(1, 2);
  bool gone = false;
  CU_ASSERT_EQUAL(tw_row_claims_open(&o, &gone, &b), TW_ERR_IO);
  CU_ASSERT_TRUE(gone);
  tw_row_claims_close(a);
  b = come(1, 2);
  CU_ASSERT_EQUAL(ask(b), TW_ROWS_BEGIN);
  tw_row_claims_close(b);
  remove_all();
}

// A folder that is not there, or goes while a process waits for its lock, is told as that.
static void a_folder_that_goes(void) {
  bool gone;
  fresh();
  remove_all();
  tw_row_claims *c = NULL;
  tw_row_claims_options o = options(0, 1);
  CU_ASSERT_EQUAL(tw_row_claims_open(&o, &gone, &c), TW_ERR_IO);
  CU_ASSERT_TRUE(gone);
  CU_ASSERT_PTR_NULL(c);
  fresh();
  char path[100];
  snprintf(path, sizeof path, "%s/rows", folder);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  CU_ASSERT_EQUAL(flock(fd, LOCK_EX), 0);
  pid_t remover = fork();
  if (remover == 0) {
    usleep(200000);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    _exit(system(command) != 0);  // its end, and ours, end the lock
  }
  close(fd);
  o = options(0, 1);
  CU_ASSERT_EQUAL(tw_row_claims_open(&o, &gone, &c), TW_ERR_IO);
  CU_ASSERT_TRUE(gone);
  waitpid(remover, NULL, 0);
}

SUITE_MAIN("row claims", {"the beginning", the_beginning}, {"made before", made_before},
           {"a folder that goes", a_folder_that_goes}, {"one process walks through all rows", one_process},
           {"four share by length", by_length}, {"the rows of the dead", the_dead},
           {"an end that was asked for", an_end}, {"another run", another_run})
