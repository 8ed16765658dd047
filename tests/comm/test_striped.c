// Messages in parts, over channels that only copy: all parts move at once, and what goes wrong in one of them.
#include <CUnit/Basic.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "comm/channels.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { PARTS = 4, BYTES = 1 << 20 };

typedef struct fake fake;

typedef struct {
  fake *parts;
  atomic_int begun, under_way;
  atomic_bool interrupted;
} scene;

// One part's channel. What it sends comes back to it.
struct fake {
  tw_channel channel;
  scene *scene;
  bool awaits_all;    // starts no sooner than all parts have
  bool fails, hangs;  // at the start; until it is interrupted
  bool was_alone;
  int closed;
  atomic_int started;
  size_t bytes;  // of the last that was
};

static bool all_begin(scene *s) {
  uint64_t until_ns = tw_clock_ns() + 5000000000u;
  while (atomic_load(&s->begun) < PARTS)
    if (tw_clock_ns() > until_ns) return false;
  return true;
}

static tw_status fake_start(tw_channel *c, tw_exchange *x) {
  fake *f = c->state;
  atomic_fetch_add(&f->scene->begun, 1);
  if (f->fails || (f->awaits_all && !all_begin(f->scene))) {
    f->was_alone = !f->fails;
    return tw_fail(TW_ERR_MEMORY, "part 0 cannot start");
  }
  atomic_fetch_add(&f->scene->under_way, 1);
  f->bytes = x->bytes;
  atomic_fetch_add(&f->started, 1);
  memcpy(x->recv, x->send, x->bytes);
  return TW_OK;
}

static tw_status fake_wait(tw_channel *c, tw_exchange *x) {
  fake *f = c->state;
  (void)x;
  while (f->hangs && !atomic_load(&f->scene->interrupted)) sched_yield();
  atomic_fetch_sub(&f->scene->under_way, 1);
  return f->hangs ? tw_fail(TW_ERR_IO, "part %d was interrupted", (int)(f - f->scene->parts)) : TW_OK;
}

static bool fake_arrived(tw_channel *c, tw_exchange *x) {
  (void)c;
  (void)x;
  return true;
}
static void fake_close(tw_channel *c) { ((fake *)c->state)->closed++; }
static void interrupt(void *state) { atomic_store(&((scene *)state)->interrupted, true); }

static tw_channel *open_striped(scene *s, fake parts[PARTS]) {
  tw_channel *channels[PARTS], *c;
  s->parts = parts;
  for (int i = 0; i < PARTS; i++) {
    parts[i].scene = s;
    parts[i].channel = (tw_channel){.timeout_seconds = 10,
                                    .start = fake_start,
                                    .wait = fake_wait,
                                    .arrived = fake_arrived,
                                    .close = fake_close,
                                    .state = &parts[i]};
    channels[i] = &parts[i].channel;
  }
  CU_ASSERT_EQUAL_FATAL(tw_channel_striped(channels, PARTS, interrupt, s, &c), TW_OK);
  return c;
}

static void close_striped(tw_channel *c, fake parts[PARTS]) {
  tw_channel_destroy(c);
  for (int i = 0; i < PARTS; i++) CU_ASSERT_EQUAL(parts[i].closed, 1);
}

// To start a part is to send it: the caller's must not keep the others waiting.
static void all_at_once(void) {
  scene s = {0};
  fake parts[PARTS] = {{.awaits_all = true}};
  uint8_t *out = malloc(BYTES), *in = calloc(1, BYTES);
  for (int i = 0; i < BYTES; i++) out[i] = (uint8_t)(i >> 8) ^ (uint8_t)i;
  tw_channel *c = open_striped(&s, parts);
  for (int round = 0; round < 100; round++) {
    size_t bytes = (size_t)(BYTES - 97 * round);
    memset(in, 0, BYTES);
    atomic_store(&s.begun, 0);
    CU_ASSERT_EQUAL(tw_channel_exchange(c, out, in, bytes), TW_OK);
    CU_ASSERT_EQUAL(memcmp(in, out, bytes), 0);
  }
  CU_ASSERT_FALSE(parts[0].was_alone);
  close_striped(c, parts);
  free(out);
  free(in);
}

// Exchanges that name a stream go by it whole, and are under way together.
static void each_by_its_own(void) {
  enum { COUNT = 9, EACH = BYTES / COUNT };
  scene s = {0};
  fake parts[PARTS] = {{.closed = 0}};
  uint8_t *out = malloc(BYTES), *in = calloc(1, BYTES);
  for (int i = 0; i < BYTES; i++) out[i] = (uint8_t)(i >> 8) ^ (uint8_t)i;
  tw_channel *c = open_striped(&s, parts);
  tw_exchange x[COUNT];
  for (int k = 0; k < COUNT; k++) {
    x[k] = (tw_exchange){.send = out + k * EACH, .recv = in + k * EACH, .bytes = (size_t)(EACH - k), .stream = k + 1};
    CU_ASSERT_EQUAL(c->start(c, &x[k]), TW_OK);
  }
  for (int k = 0; k < COUNT; k++) {
    CU_ASSERT_EQUAL(c->wait(c, &x[k]), TW_OK);
    CU_ASSERT_EQUAL(memcmp(in + k * EACH, out + k * EACH, (size_t)(EACH - k)), 0);
  }
  for (int i = 0; i < PARTS; i++) {
    CU_ASSERT_EQUAL(atomic_load(&parts[i].started), COUNT / PARTS + (i < COUNT % PARTS));
    CU_ASSERT_EQUAL(parts[i].bytes, (size_t)(EACH - (i < COUNT % PARTS ? COUNT - 1 : COUNT - 1 - PARTS + i)));
  }
  close_striped(c, parts);
  free(out);
  free(in);
}

// The others have begun by then. They are stopped, and have let go of the memory, before the caller hears of it.
static void one_cannot_start(void) {
  scene s = {0};
  fake parts[PARTS] = {{.fails = true}, {.hangs = true}, {.hangs = true}, {.hangs = true}};
  uint8_t *out = calloc(1, BYTES), *in = calloc(1, BYTES);
  tw_channel *c = open_striped(&s, parts);
  tw_exchange x = {out, in, BYTES, NULL, 0};
  CU_ASSERT_EQUAL(c->start(c, &x), TW_ERR_MEMORY);
  CU_ASSERT(message_has("part 0 cannot start"));
  CU_ASSERT_EQUAL(atomic_load(&s.under_way), 0);
  CU_ASSERT_EQUAL(atomic_load(&s.begun), PARTS);
  CU_ASSERT_PTR_NULL(x.handle);
  CU_ASSERT_EQUAL(c->start(c, &x), TW_ERR_PEER);
  CU_ASSERT(message_has("an earlier one"));
  close_striped(c, parts);
  free(out);
  free(in);
}

// A message that nobody waits for any more is no reason to wait at the end.
static void closed_on_the_way(void) {
  scene s = {0};
  fake parts[PARTS] = {[1] = {.hangs = true}, [3] = {.hangs = true}};
  uint8_t *out = calloc(1, BYTES), *in = calloc(1, BYTES);
  tw_channel *c = open_striped(&s, parts);
  tw_exchange x = {out, in, BYTES, NULL, 0};
  CU_ASSERT_EQUAL(c->start(c, &x), TW_OK);
  close_striped(c, parts);
  CU_ASSERT(atomic_load(&s.interrupted));
  free(out);
  free(in);
}

SUITE_MAIN("striped", {"all at once", all_at_once}, {"each by its own stream", each_by_its_own},
           {"one cannot start", one_cannot_start}, {"closed on the way", closed_on_the_way})
