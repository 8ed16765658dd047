// The collector when the parties disagree, a message is damaged or the other party leaves: both parties stop, nothing
// is combined, and nothing is sent a second time.
#include <time.h>

#include "tests/comm/opens_pair.h"
#include "tests/common/suite.h"

static void both_refuse(party parties[2], const char *needle) {
  pair_run(parties, one_flush, one_flush);
  for (int r = 0; r < 2; r++) {
    party *p = &parties[r];
    CU_ASSERT_EQUAL(p->status, TW_ERR_PEER);
    CU_ASSERT_PTR_NOT_NULL(strstr(p->message, needle));
    CU_ASSERT_PTR_NOT_NULL(strstr(p->message, "message 0"));
    if (!strstr(p->message, needle)) fprintf(stderr, "expected '%s' in '%s'\n", needle, p->message);
    for (int i = 0; i < p->count; i++) CU_ASSERT(untouched(&p->items[i], r));
    CU_ASSERT_EQUAL(queue_item(p->opens, &p->items[0], r), TW_ERR_PEER);  // no second try
    uint64_t message;
    CU_ASSERT_EQUAL(tw_opens_start(p->opens, &message), TW_ERR_PEER);
  }
  pair_close(parties);
}

static void layouts_that_differ(void) {
  enum { COUNT = 6 };
  item items[COUNT + 1];
  for (int i = 0; i <= COUNT; i++) items[i] = make_item(i % 2, 11 + i, 100);
  static const char *const needles[] = {"use id of the first", "slot of the first", "layout", "layout", "layout",
                                        "payload length",      "number of opens",   "layout", "layout"};
  for (int way = 0; way < 9; way++) {
    item other[COUNT + 1];
    memcpy(other, items, sizeof items);
    if (way == 0) other[0].use++;
    if (way == 1) other[0].slot ^= 1ull << 40;
    if (way == 2) other[2].use ^= 1u << randombytes_uniform(32);
    if (way == 3) other[3].slot ^= 1ull << randombytes_uniform(64);
    if (way == 4) other[3].n = 99;  // same number of words
    if (way == 5) other[4].n = 10;
    if (way == 7) other[1].width++, other[3].width--;  // same payload
    if (way == 8) {
      other[2] = items[4];
      other[4] = items[2];
    }
    party parties[2];
    pair_open(parties, items, COUNT);
    int which = (int)randombytes_uniform(2);
    parties[which].items = other;
    if (way == 6) parties[which].count++;
    both_refuse(parties, needles[way]);
  }
  free_items(items, COUNT + 1);
}

static tw_status flush_twice(party *p) {
  TW_TRY(queue_item(p->opens, &p->items[0], p->party));
  TW_TRY(tw_opens_flush(p->opens));
  TW_TRY(queue_item(p->opens, &p->items[1], p->party));
  return tw_opens_flush(p->opens);
}

static void replayed_message(void) {
  item items[2] = {make_item(0, 21, 50), make_item(0, 21, 50)};
  items[1].use = items[0].use;  // only the sequence number tells these two apart
  items[1].slot = items[0].slot;
  party parties[2];
  pair_open(parties, items, 2);
  pair_run(parties, flush_twice, flush_twice);
  both_ok(parties);
  tw_channel *ends[2] = {parties[0].channel.inner, parties[1].channel.inner};
  tw_opens *fresh;
  CU_ASSERT_EQUAL_FATAL(tw_opens_create(&parties[0].channel.outer, &fresh), TW_OK);
  tw_opens_destroy(parties[0].opens);
  parties[0].opens = fresh;  // starts again at 0 while party 1 is at 2
  pair_run(parties, flush_twice, flush_twice);
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_PTR_EQUAL(parties[r].channel.inner, ends[r]);
    CU_ASSERT_EQUAL(parties[r].status, TW_ERR_PEER);
    CU_ASSERT_PTR_NOT_NULL(strstr(parties[r].message, "sequence number"));
  }
  pair_close(parties);
  free_items(items, 2);
}

static void damaged_messages(void) {
  for (int round = 0; round < 200; round++) {
    item items[3] = {make_item(0, 23, 77), make_item(1, 5, 70), make_item(0, 64, 3)};
    party parties[2];
    pair_open(parties, items, 3);
    size_t payload = (77 * 23 + 63) / 64 * 8 + 5 * 2 * 8 + 3 * 8;
    int in_header = round % 2;
    size_t bit = in_header ? randombytes_uniform(HEADER * 8) : HEADER * 8 + randombytes_uniform((uint32_t)payload * 8);
    int victim = (int)randombytes_uniform(2);
    parties[victim].channel.flip = (long)bit;
    pair_run(parties, one_flush, one_flush);
    CU_ASSERT_EQUAL(parties[victim].status, TW_ERR_PEER);
    CU_ASSERT_PTR_NOT_NULL(strstr(parties[victim].message, in_header ? "intact header" : "CRC32C"));
    for (int i = 0; i < 3; i++) CU_ASSERT(untouched(&items[i], victim));
    CU_ASSERT_EQUAL(parties[1 - victim].status, TW_OK);  // its own copy arrived whole
    pair_close(parties);
    free_items(items, 3);
  }
}

static tw_status leave(party *p) {
  TW_TRY(queue_item(p->opens, &p->items[0], p->party));
  struct timespec t = {0, 50000000};
  nanosleep(&t, NULL);
  tw_channel_destroy(p->channel.inner);
  p->channel.inner = NULL;
  return TW_OK;
}

static void peer_leaves(void) {
  item items[1] = {make_item(0, 48, 500)};
  party parties[2];
  pair_open(parties, items, 1);
  pair_run(parties, leave, one_flush);
  CU_ASSERT_EQUAL(parties[1].status, TW_ERR_PEER);
  CU_ASSERT_PTR_NOT_NULL(strstr(parties[1].message, "closed"));
  CU_ASSERT_PTR_NOT_NULL(strstr(parties[1].message, "message 0"));
  CU_ASSERT(untouched(&items[0], 1));
  pair_close(parties);
  free_items(items, 1);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("opens_faults", NULL, NULL);
  CU_ADD_TEST(suite, layouts_that_differ);
  CU_ADD_TEST(suite, replayed_message);
  CU_ADD_TEST(suite, damaged_messages);
  CU_ADD_TEST(suite, peer_leaves);
  return suite_end();
}
