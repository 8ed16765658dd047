// The recorder of spans: order, origin, bounded memory, several threads.
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/trace.h"
#include "tests/common/suite.h"

static void test_origin(void) {
  tw_trace *t;
  tw_span *spans;
  int count;
  uint64_t dropped;
  CU_ASSERT_EQUAL_FATAL(tw_trace_create(8, &t), TW_OK);
  tw_trace_add(t, (tw_span){TW_TRACE_OPEN, 1, 5, 180, 300});
  tw_trace_add(t, (tw_span){TW_TRACE_KEYS, 0, -1, 40, 100});  // ends before
  tw_trace_add(t, (tw_span){TW_TRACE_KEYS, 0, -1, 50, 101});  // begins before
  tw_trace_origin(t, 100);
  tw_trace_add(t, (tw_span){TW_TRACE_COMPUTE, 0, 3, 150, 200});
  CU_ASSERT_EQUAL_FATAL(tw_trace_collect(t, &spans, &count, &dropped), TW_OK);
  CU_ASSERT_EQUAL_FATAL(count, 3);
  CU_ASSERT_EQUAL(dropped, 0);
  static const tw_span wanted[] = {
      {TW_TRACE_KEYS, 0, -1, 0, 1}, {TW_TRACE_COMPUTE, 0, 3, 50, 100}, {TW_TRACE_OPEN, 1, 5, 80, 200}};
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(memcmp(&spans[i], &wanted[i], sizeof *spans), 0);
  tw_free(spans);
  tw_trace_clear(t);
  CU_ASSERT_EQUAL_FATAL(tw_trace_collect(t, &spans, &count, &dropped), TW_OK);
  CU_ASSERT_EQUAL(count, 0);
  tw_free(spans);
  tw_trace_destroy(t);
}

enum { THREADS = 4, EACH = 1000, ROOM = 3500 };

static void *add_many(void *trace) {
  for (uint64_t i = 1; i <= EACH; i++) tw_trace_add(trace, (tw_span){TW_TRACE_KEYS, 0, 7, i, i + 1});
  return NULL;
}

static void test_bounded(void) {
  tw_trace *t;
  tw_span *spans;
  pthread_t thread[THREADS];
  int count;
  uint64_t dropped;
  CU_ASSERT_EQUAL_FATAL(tw_trace_create(ROOM, &t), TW_OK);
  for (int i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, add_many, t), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  CU_ASSERT_EQUAL_FATAL(tw_trace_collect(t, &spans, &count, &dropped), TW_OK);
  CU_ASSERT_EQUAL(count, ROOM);
  CU_ASSERT_EQUAL(dropped, THREADS * EACH - ROOM);
  bool whole = true;
  for (int i = 0; i < count; i++)
    whole = whole && spans[i].step == 7 && spans[i].end_ns == spans[i].begin_ns + 1 &&
            (i == 0 || spans[i].begin_ns >= spans[i - 1].begin_ns);
  CU_ASSERT_TRUE(whole);
  tw_free(spans);
  tw_trace_destroy(t);
}

SUITE_MAIN("trace", {"from the origin on, in order", test_origin}, {"bounded, several threads", test_bounded})
