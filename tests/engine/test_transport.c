// Which ways are tried, in which order, and what runs beside openings by itself: a table of where the parties compute.
#include "jobs/engine/transport.h"
#include "tests/common/suite.h"

#define AUTO TW_TRANSPORT_AUTO
#define PEER TW_TRANSPORT_PEER
#define NCCL TW_TRANSPORT_NCCL
#define WINDOW TW_TRANSPORT_HOST_WINDOW
#define RELAY TW_TRANSPORT_HOST_RELAY
#define GPU_RELAY TW_TRANSPORT_GPU_RELAY

typedef struct {
  tw_pair pair;
  tw_transport wanted, ways[3];  // AUTO: no further
  bool waits, idle;
} expectation;

static const expectation table[] = {
    // cores: by the channel
    {{.one_host = true, .nccl = true}, AUTO, {AUTO}, false, false},
    {{.one_host = false}, AUTO, {AUTO}, true, true},
    {{.one_host = true, .link = true}, AUTO, {AUTO}, true, true},
    // GPUs of one host
    {{.gpus = true, .one_host = true, .nccl = true}, AUTO, {PEER, NCCL, WINDOW}, false, true},
    {{.gpus = true, .one_host = true}, AUTO, {PEER, WINDOW}, false, true},
    {{.gpus = true, .one_host = true, .nccl = true, .apart = true}, AUTO, {WINDOW, NCCL}, true, true},
    {{.gpus = true, .one_host = true, .nccl = true, .apart = true}, NCCL, {NCCL}, false, false},
    {{.gpus = true, .one_host = true, .apart = true}, AUTO, {WINDOW}, true, true},
    {{.gpus = true, .one_host = true, .nccl = true, .unseen = true}, AUTO, {PEER, WINDOW, NCCL}, false, true},
    {{.gpus = true, .one_host = true, .unseen = true}, AUTO, {PEER, WINDOW}, false, true},
    {{.gpus = true, .one_host = true, .nccl = true}, WINDOW, {WINDOW}, true, true},
    {{.gpus = true, .one_host = true, .nccl = true}, NCCL, {NCCL}, false, true},
    {{.gpus = true, .one_host = true, .nccl = true}, RELAY, {RELAY}, true, true},
    {{.gpus = true, .one_host = true, .nccl = true, .link = true}, AUTO, {RELAY}, true, true},
    {{.gpus = true, .one_host = true, .link = true}, WINDOW, {RELAY}, true, true},
    // one GPU
    {{.gpus = true, .one_host = true, .one_gpu = true, .link = true}, AUTO, {RELAY}, true, true},
    {{.gpus = true, .one_host = true, .one_gpu = true}, RELAY, {RELAY}, true, true},
    {{.gpus = true, .one_host = true, .one_gpu = true, .nccl = true}, AUTO, {WINDOW}, false, true},
    {{.gpus = true, .one_host = true, .one_gpu = true}, PEER, {PEER}, false, true},
    // between hosts
    {{.gpus = true, .nccl = true}, AUTO, {NCCL, WINDOW}, false, false},
    {{.gpus = true}, AUTO, {WINDOW}, true, true},
    {{.gpus = true, .nccl = true}, GPU_RELAY, {GPU_RELAY}, true, true},
};

static void test_table(void) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const expectation *e = &table[i];
    tw_ways w = tw_ways_between(&e->pair, e->wanted);
    int count = 0;
    while (count < 3 && e->ways[count] != AUTO) count++;
    CU_ASSERT_EQUAL(w.count, count);
    for (int j = 0; j < count && j < w.count; j++) CU_ASSERT_EQUAL(w.way[j], e->ways[j]);
    CU_ASSERT_EQUAL(tw_ways_wait(&e->pair, &w), e->waits);
    CU_ASSERT_EQUAL(tw_ways_leave_idle(&e->pair, &w), e->idle);
  }
}

static void test_words(void) {
  for (int t = 0; t < TW_TRANSPORTS; t++) CU_ASSERT_PTR_NOT_NULL_FATAL(tw_transport_words[t]);
  CU_ASSERT_PTR_NULL(tw_transport_words[TW_TRANSPORTS]);
  CU_ASSERT_STRING_EQUAL(tw_transport_word(RELAY), "host-relay");
  CU_ASSERT_STRING_EQUAL(tw_transport_word(TW_TRANSPORTS), "?");
}

SUITE_MAIN("transport", {"ways and what runs beside", test_table}, {"words", test_words})
