// Text of others on its way to a terminal; the end of processes that are stuck.
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/watchdog.h"
#include "tests/common/suite.h"

static void expect_plain(const char *from, const char *to) {
  char text[256];
  snprintf(text, sizeof text, "%s", from);
  CU_ASSERT_EQUAL(tw_text_is_plain(from), strcmp(from, to) == 0);
  tw_text_make_plain(text);
  CU_ASSERT_STRING_EQUAL(text, to);
  CU_ASSERT_TRUE(tw_text_is_plain(text));
}

static void examples(void) {
  expect_plain("", "");
  expect_plain("party 1 on host-7: disk full", "party 1 on host-7: disk full");
  expect_plain("Zürich 東京 \xf0\x9f\x98\x80", "Zürich 東京 \xf0\x9f\x98\x80");
  expect_plain("disk full\n\033[2J\033[31mdone\033[0m", "disk full??[2J?[31mdone?[0m");
  expect_plain("\t\r\x7f", "???");
  expect_plain("\xff\xc3", "??");
  expect_plain(
      "a\xc2\x9b"
      "31mb",
      "a??31mb");  // CSI as one character
  expect_plain(
      "a\xe2\x80\xae"
      "b",
      "a???b");                         // right-to-left override
  expect_plain("\xe2\x80\xa8", "???");  // line separator
  expect_plain("\xed\xa0\x80", "???");  // a surrogate
  expect_plain("\xc0\x8a", "??");       // a newline, overlong
}

// Whatever the bytes: the length stays, and no byte of a control character remains.
static void random_bytes(void) {
  for (int i = 0; i < 20000; i++) {
    char text[64];
    randombytes_buf(text, sizeof text);
    for (size_t j = 0; j + 1 < sizeof text; j++)
      if (!text[j]) text[j] = 1;
    text[sizeof text - 1] = '\0';
    tw_text_make_plain(text);
    CU_ASSERT_EQUAL(strlen(text), sizeof text - 1);
    CU_ASSERT_TRUE(tw_text_is_plain(text));
    for (size_t j = 0; text[j]; j++) CU_ASSERT_FALSE((unsigned char)text[j] < 0x20 || text[j] == 0x7f);
  }
}

// ---- the watchdog, in a child process

static void end_child(const char *reason) { _exit(strcmp(reason, "stuck") == 0 ? 7 : 1); }

typedef enum { LIMIT, GUARD, RELEASED, BOTH } way;

static int child(way w, double *seconds) {
  uint64_t begin = tw_clock_ns();
  pid_t id = fork();
  if (id == 0) {
    if (tw_watchdog_start(end_child) != TW_OK) _exit(1);
    if (w == LIMIT || w == BOTH) tw_watchdog_limit(tw_clock_ns() + (w == BOTH ? 60u : 1u) * 200000000u, "stuck");
    if (w != LIMIT) tw_watchdog_guard(0.2, "stuck");
    if (w == RELEASED) tw_watchdog_release();
    usleep(w == RELEASED ? 600000 : 30000000);
    _exit(0);
  }
  int status = 0;
  waitpid(id, &status, 0);
  *seconds = 1e-9 * (double)(tw_clock_ns() - begin);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void watchdog(void) {
  double seconds;
  for (int w = LIMIT; w <= BOTH; w++) {
    CU_ASSERT_EQUAL(child((way)w, &seconds), w == RELEASED ? 0 : 7);
    CU_ASSERT_TRUE(seconds >= 0.2 && seconds < 10);
  }
}

SUITE_MAIN("text", {"examples", examples}, {"random bytes", random_bytes}, {"the watchdog", watchdog})
