// Which slots two parties take: in key files larger than what they tell each other at a time, several runs at once, and
// beside a party that talks nonsense.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/channels.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/slots.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { MOST = 8 };

// One party of one run.
typedef struct {
  tw_channel *channel;
  const tw_ledger *ledger;
  tw_key_store keys;
  int count;
  tw_status status;
  char message[512];
  uint64_t slots[MOST];
  tw_seed seeds[MOST];
} side;

static tw_status take(side *s) {
  tw_slots slots = {
      .channel = s->channel, .keys = &s->keys, .ledger = s->ledger, .count = s->count, .first_slot = -1, .lock = -1};
  tw_terms none;
  memset(&none, 0, sizeof none);
  tw_status status = tw_slots_choose(&slots, s->slots);
  if (status == TW_OK) status = tw_agree(s->channel, tw_slots_burn(&slots, s->slots, "test", s->seeds), &none);
  tw_slots_release(&slots);
  return status;
}

static void *run_side(void *state) {
  side *s = state;
  s->status = take(s);
  snprintf(s->message, sizeof s->message, "%s", s->status == TW_OK ? "" : tw_error_message());
  return NULL;
}

static char key_paths[2][200];
static tw_id key_id;
static uint8_t (*dealt[2])[32];  // seeds

// Key files of `count` tiny slots.
static void deal(uint64_t count) {
  static tw_key_index_entry none;
  tw_keys_info info = {.count = count, .slot_bytes = 64, .index_count = 0, .index = &none};
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(&info, sizeof info, &info.plan);
  key_id = info.key_id;
  for (info.party = 0; info.party < 2; info.party++) {
    tw_keys_writer *w;
    uint8_t bytes[64];
    free(dealt[info.party]);
    dealt[info.party] = malloc(32 * count);
    randombytes_buf(dealt[info.party], 32 * count);
    snprintf(key_paths[info.party], sizeof key_paths[0], "%s", in_folder(info.party ? "keys.p1.h5" : "keys.p0.h5"));
    unlink(key_paths[info.party]);
    CU_ASSERT_EQUAL_FATAL(tw_keys_create(key_paths[info.party], &info, &w), TW_OK);
    for (uint64_t slot = 0; slot < count; slot++) {
      randombytes_buf(bytes, sizeof bytes);
      CU_ASSERT_EQUAL_FATAL(tw_keys_begin_slot(w, slot, dealt[info.party][slot]), TW_OK);
      CU_ASSERT_EQUAL_FATAL(tw_keys_append(w, bytes, sizeof bytes), TW_OK);
      CU_ASSERT_EQUAL_FATAL(tw_keys_end_slot(w), TW_OK);
    }
    CU_ASSERT_EQUAL_FATAL(tw_keys_commit(w), TW_OK);
  }
}

// Both parties of `runs` runs at once. HDF5 opens the files before any thread starts.
static void run_all(side (*sides)[2], int runs, const tw_ledger *const ledgers[2], int count, double timeout) {
  pthread_t threads[2 * MOST];
  for (int run = 0; run < runs; run++) {
    tw_channel *ends[2];
    CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(timeout, ends), TW_OK);
    for (int party = 0; party < 2; party++) {
      sides[run][party] = (side){.channel = ends[party], .ledger = ledgers[party], .count = count};
      CU_ASSERT_EQUAL_FATAL(tw_key_store_open(key_paths[party], party, &sides[run][party].keys), TW_OK);
    }
  }
  for (int i = 0; i < 2 * runs; i++) pthread_create(&threads[i], NULL, run_side, &sides[i / 2][i % 2]);
  for (int i = 0; i < 2 * runs; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 2 * runs; i++) {
    side *s = &sides[i / 2][i % 2];
    tw_key_store_close(&s->keys);
    tw_channel_destroy(s->channel);
  }
}

static tw_ledger new_ledger(const char *name) {
  tw_ledger ledger;
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder(name), &ledger), TW_OK);
  return ledger;
}

// A mark as another run left it, but for its durability.
static void touch(const tw_ledger *ledger, int party, uint64_t slot) {
  char path[4096];
  snprintf(path, sizeof path, "%s/p%d/%s/%llu", ledger->dir, party, key_id.hex, (unsigned long long)slot);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  CU_ASSERT_TRUE_FATAL(fd >= 0);
  close(fd);
}

// Party 0 alone.
static void look(const tw_ledger *ledger, int count, int64_t first, tw_status wanted, const char *says) {
  tw_key_store keys;
  CU_ASSERT_EQUAL_FATAL(tw_key_store_open(key_paths[0], 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_slots_look(&keys, ledger, 0, count, first), wanted);
  if (wanted != TW_OK) CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), says));
  tw_key_store_close(&keys);
}

// 65,536 slots are told at a time: free ones before and behind that border, at the very end, and one too few.
static void test_far_apart(void) {
  enum { COUNT = 65536 + 200 };
  tw_ledger ledger = new_ledger("far");
  side sides[1][2];
  static const uint64_t left[] = {77, 65535, 65536, 65600, COUNT - 1};
  uint64_t only_one = 500;  // free on party 1, used on party 0
  deal(COUNT);
  for (int party = 0; party < 2; party++)
    CU_ASSERT_EQUAL_FATAL(tw_ledger_mark(&ledger, party, &key_id, &(uint64_t){0}, 1, ""), TW_OK);
  for (uint64_t slot = 1, next = 0; slot < COUNT; slot++) {
    if (slot == left[next]) {
      next++;
      continue;
    }
    touch(&ledger, 0, slot);
    if (slot % 9 == 0 && slot != only_one) touch(&ledger, 1, slot);
  }
  look(&ledger, 5, -1, TW_OK, "");
  look(&ledger, 6, -1, TW_ERR_USED, "6 needed, 5 left of 65736");
  look(&ledger, 1, 77, TW_OK, "");
  look(&ledger, 1, 78, TW_ERR_USED, "78");
  look(&ledger, 2, COUNT - 1, TW_ERR_USED, "holds slots 0 to 65735");
  run_all(sides, 1, (const tw_ledger *[]){&ledger, &ledger}, 6, 20);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL(sides[0][party].status, TW_ERR_USED);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(sides[0][party].message, "6 needed, 5 free on both parties (of 65736: 5 free on party 0"));
  }
  run_all(sides, 1, (const tw_ledger *[]){&ledger, &ledger}, 5, 20);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL(sides[0][party].status, TW_OK);
    CU_ASSERT_EQUAL(memcmp(sides[0][party].slots, left, sizeof left), 0);
    for (int i = 0; i < 5; i++) CU_ASSERT_EQUAL(memcmp(sides[0][party].seeds[i].key, dealt[party][left[i]], 32), 0);
  }
  look(&ledger, 1, -1, TW_ERR_USED, "1 needed, 0 left of 65736");
  tw_ledger stranger = new_ledger("stranger");
  look(&stranger, 1, -1, TW_ERR_MISMATCH, stranger.id.hex);
  tw_keys *keys;
  uint64_t *live = malloc((COUNT + 63) / 64 * 8), sum = 0;
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(key_paths[0], 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, live), TW_OK);
  for (int i = 0; i < (COUNT + 63) / 64; i++) sum += live[i] != 0;
  CU_ASSERT_EQUAL(sum, 0);  // what the ledger marks is erased
  tw_keys_close(keys);
  free(live);
}

// Eight runs at once, each party with a ledger of its own: all get slots, none twice, none is left out.
static void test_at_once(void) {
  enum { RUNS = 8, EACH = 3 };
  tw_ledger ledgers[2] = {new_ledger("zero"), new_ledger("one")};
  side sides[RUNS][2];
  for (int round = 0; round < 5; round++) {
    int served[RUNS * EACH] = {0}, bad = 0;
    deal(RUNS * EACH);
    run_all(sides, RUNS, (const tw_ledger *[]){&ledgers[0], &ledgers[1]}, EACH, 20);
    for (int run = 0; run < RUNS; run++) {
      side *s = sides[run];
      bad += s[0].status != TW_OK || s[1].status != TW_OK || memcmp(s[0].slots, s[1].slots, 8 * EACH) != 0;
      for (int i = 0; i < EACH; i++) served[s[0].slots[i]]++;
      if (s[0].status != TW_OK) printf("\n  %s\n  %s\n", s[0].message, s[1].message);
    }
    for (int slot = 0; slot < RUNS * EACH; slot++) bad += served[slot] != 1;
    CU_ASSERT_EQUAL(bad, 0);
  }
}

// Copies of key files made before their first use, and one ledger that is not theirs: the honest one stops both
// parties.
static void test_one_honest_ledger(void) {
  tw_ledger right[2] = {new_ledger("right 0"), new_ledger("right 1")}, wrong = new_ledger("wrong");
  side sides[1][2];
  char command[1000];
  deal(6);
  for (int party = 0; party < 2; party++) {
    snprintf(command, sizeof command, "cp -p %s %s.copy", key_paths[party], key_paths[party]);
    CU_ASSERT_EQUAL(system(command), 0);
  }
  run_all(sides, 1, (const tw_ledger *[]){&right[0], &right[1]}, 2, 20);
  CU_ASSERT_TRUE(sides[0][0].status == TW_OK && sides[0][1].status == TW_OK);
  for (int honest = 0; honest < 2; honest++) {
    const tw_ledger *ledgers[2] = {honest ? &wrong : &right[0], honest ? &right[1] : &wrong};
    for (int party = 0; party < 2; party++) {
      snprintf(command, sizeof command, "cp -p %s.copy %s", key_paths[party], key_paths[party]);
      CU_ASSERT_EQUAL(system(command), 0);
    }
    run_all(sides, 1, ledgers, 2, 20);
    for (int party = 0; party < 2; party++) {
      CU_ASSERT_EQUAL(sides[0][party].status, TW_ERR_MISMATCH);
      CU_ASSERT_PTR_NOT_NULL(strstr(sides[0][party].message, wrong.id.hex));
    }
    uint64_t marked;
    CU_ASSERT_EQUAL(tw_ledger_marks(&wrong, 1 - honest, &key_id, 6, &marked), TW_OK);
    CU_ASSERT_EQUAL(marked, 0);
  }
}

// Somebody else holds party 1's lock, for longer than a party may be silent, and for ever.
static void *let_go(void *state) {
  struct timespec t = {2, 500000000};
  nanosleep(&t, NULL);
  tw_ledger_unlock(state);
  return NULL;
}

static void test_held(void) {
  tw_ledger ledger = new_ledger("held");
  side sides[1][2];
  pthread_t holder;
  int fd;
  char pid[48];
  const tw_ledger *ledgers[2] = {&ledger, &ledger};
  deal(6);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_lock(&ledger, 1, &key_id, 1, &fd), TW_OK);
  pthread_create(&holder, NULL, let_go, &fd);
  run_all(sides, 1, ledgers, 2, 1);
  pthread_join(holder, NULL);
  CU_ASSERT_TRUE(sides[0][0].status == TW_OK && sides[0][1].status == TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_lock(&ledger, 1, &key_id, 1, &fd), TW_OK);
  run_all(sides, 1, ledgers, 2, 1);
  snprintf(pid, sizeof pid, "process %ld on host ", (long)getpid());
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL(sides[0][party].status, TW_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sides[0][party].message, pid));
    CU_ASSERT_PTR_NOT_NULL(strstr(sides[0][party].message, "for another run to take its slots"));
  }
  tw_ledger_unlock(&fd);
}

// A party that sends something else than a ledger's id: it would stand in this party's ledger and messages.
static void *talk_nonsense(void *state) {
  tw_channel *channel = state;
  unsigned char mine[48], theirs[48];
  tw_terms none;
  memset(&none, 0, sizeof none);
  memset(mine, '\n', sizeof mine);
  if (tw_agree(channel, TW_OK, &none) != TW_OK) return "agree";
  return tw_channel_exchange(channel, mine, theirs, 48) == TW_OK ? NULL : "exchange";
}

static void test_nonsense(void) {
  tw_ledger ledger = new_ledger("nonsense");
  tw_channel *ends[2];
  pthread_t other;
  void *what;
  deal(4);
  CU_ASSERT_EQUAL_FATAL(tw_channel_loopback(20, ends), TW_OK);
  side s = {.channel = ends[0], .ledger = &ledger, .count = 2};
  CU_ASSERT_EQUAL_FATAL(tw_key_store_open(key_paths[0], 0, &s.keys), TW_OK);
  pthread_create(&other, NULL, talk_nonsense, ends[1]);
  CU_ASSERT_EQUAL(take(&s), TW_ERR_PEER);
  CU_ASSERT_TRUE(message_has("not 32 hexadecimal digits"));
  pthread_join(other, &what);
  CU_ASSERT_PTR_NULL(what);
  tw_key_store_close(&s.keys);
  for (int i = 0; i < 2; i++) tw_channel_destroy(ends[i]);
}

static int tear_down(void) {
  for (int party = 0; party < 2; party++) free(dealt[party]);
  return scratch_close();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("slots", scratch_open, tear_down);
  if (!suite) return 2;
  CU_add_test(suite, "free slots far apart", test_far_apart);
  CU_add_test(suite, "eight runs at once", test_at_once);
  CU_add_test(suite, "one honest ledger", test_one_honest_ledger);
  CU_add_test(suite, "a lock that is held", test_held);
  CU_add_test(suite, "a party that talks nonsense", test_nonsense);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
