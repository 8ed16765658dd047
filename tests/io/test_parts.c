// Parts of a result: joined, each keeps its transcript with the rows and slots that it was run by. What no batch leaves
// is refused.
#include <CUnit/Basic.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/parts.h"
#include "tests/common/samples.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { ROWS = 5, PARTS = 3 };

// Row 2 was run twice.
static const struct {
  const char *token;
  int count, rows[3];
} written[PARTS] = {{"cc000000000000000000000000000000", 2, {0, 2}},
                    {"bb000000000000000000000000000000", 3, {1, 2, 4}},
                    {"aa000000000000000000000000000000", 1, {3}}};

static tw_result_share made[PARTS];
static tw_parts parts;
static tw_id input_id;
static tw_digest plan;

// The sample as a part of one input and plan.
static void make(int i) {
  do samples_fresh(0);
  while (sample_result_share.batches.count || (i && !sample_result_share.guard != !made[0].guard));
  tw_result_share *r = &sample_result_share;
  r->count = written[i].count;
  if (i) {
    r->input_id = input_id;
    r->plan = plan;
    r->model_id = made[0].model_id;
    memcpy(r->rows_table, made[0].rows_table, sizeof *r->rows_table * (size_t)r->row_count);
  }
  input_id = r->input_id;
  plan = r->plan;
  CU_ASSERT_EQUAL_FATAL(tw_alloc(sizeof(int) * 3, (void **)&r->input_rows), TW_OK);
  memcpy(r->input_rows, written[i].rows, sizeof(int) * 3);
  r->steps_timed = true;
  // so that sums fit into 63 bits
  tw_result_counters *c = &r->counters;
  uint64_t *const large[] = {&c->open_flushes_demand,
                             &c->open_flushes_budget,
                             &c->flushes_overlapped,
                             &c->open_comm_ns,
                             &c->gate_ns,
                             &c->open_wire_bytes_sent,
                             &c->open_payload_bytes,
                             &c->products_prepared_beside,
                             &c->key_bytes,
                             &c->key_wait_ns};
  for (size_t k = 0; k < sizeof large / sizeof *large; k++) *large[k] >>= 4;
}

static void write_part(int i) {
  tw_id token;
  tw_result_claim *place;
  tw_result_share *r = &sample_result_share;
  memcpy(token.hex, written[i].token, sizeof token.hex);
  CU_ASSERT_EQUAL_FATAL(tw_parts_claim(&parts, &token, r, &place), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_fill(place, r), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_claim_commit(place), TW_OK);
}

static void write_all(int untimed) {
  for (int i = 0; i < PARTS; i++) {
    tw_path path;
    make(i);
    sample_result_share.steps_timed = i != untimed;
    write_part(i);
    snprintf(path.text, sizeof path.text, "%.3000s/%s.h5", parts.folder.text, written[i].token);
    CU_ASSERT_EQUAL_FATAL(tw_result_share_read(path.text, 0, &made[i]), TW_OK);
  }
  CU_ASSERT_EQUAL_FATAL(tw_parts_read(&parts, &input_id, &plan, ROWS), TW_OK);
  CU_ASSERT_EQUAL_FATAL(parts.count, PARTS);
}

static void forget(void) {
  for (int i = 0; i < PARTS; i++) tw_result_share_free(&made[i]);
  tw_parts_drop(&parts);
}

static void expect_batches(const tw_result_share *whole) {
  const tw_batch_list *b = &whole->batches;
  CU_ASSERT_EQUAL_FATAL(b->count, PARTS);
  CU_ASSERT_EQUAL_FATAL(b->row_count, 6);
  for (int i = 0, at = 0; i < PARTS; i++) {
    CU_ASSERT_STRING_EQUAL(b->transcripts[i], made[i].transcript);
    for (int k = 0; k < made[i].count; k++, at++) {
      CU_ASSERT_EQUAL(b->rows[at].batch, i);
      CU_ASSERT_EQUAL(b->rows[at].row, written[i].rows[k]);
      CU_ASSERT_EQUAL(b->rows[at].slot, made[i].slots[k]);
    }
  }
  CU_ASSERT_EQUAL(whole->slots[2], made[0].slots[1]);
  CU_ASSERT_EQUAL(whole->slots[4], made[1].slots[2]);
  CU_ASSERT_TRUE(tw_result_has_transcript(whole));
}

static void joined(void) {
  tw_result_share whole, again;
  write_all(-1);
  CU_ASSERT_EQUAL_FATAL(tw_parts_join(&parts, ROWS, &whole), TW_OK);
  expect_batches(&whole);
  CU_ASSERT_TRUE(whole.steps_timed);
  CU_ASSERT_EQUAL(whole.counters.key_wait_ns,
                  made[0].counters.key_wait_ns + made[1].counters.key_wait_ns + made[2].counters.key_wait_ns);
  const char *path = in_folder("whole.h5");
  CU_ASSERT_EQUAL_FATAL(tw_result_share_write(path, &whole), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_read(path, 0, &again), TW_OK);
  expect_batches(&again);
  CU_ASSERT_STRING_EQUAL(again.transcript, whole.transcript);
  tw_result_share_free(&again);
  tw_result_share_free(&whole);
  unlink(path);
  forget();
}

// Times of some batches are no times of the whole.
static void one_untimed(void) {
  tw_result_share whole;
  write_all(1);
  CU_ASSERT_EQUAL_FATAL(tw_parts_join(&parts, ROWS, &whole), TW_OK);
  CU_ASSERT_FALSE(whole.steps_timed);
  for (int i = 0; i < whole.row_count; i++) CU_ASSERT_EQUAL(whole.rows_table[i].seconds, 0);
  CU_ASSERT_EQUAL(whole.counters.key_wait_ns, 0);
  tw_result_share_free(&whole);
  forget();
}

// The claimed room is enough for all batches.
static void room(void) {
  tw_result_share whole;
  tw_result_claim *place;
  write_all(-1);
  CU_ASSERT_EQUAL_FATAL(tw_parts_join(&parts, ROWS, &whole), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_claim(in_folder("room.h5"), &whole, false, &place), TW_OK);
  CU_ASSERT_EQUAL(tw_result_share_fill(place, &whole), TW_OK);
  CU_ASSERT_EQUAL(tw_result_claim_commit(place), TW_OK);
  tw_result_share_free(&whole);
  unlink(in_folder("room.h5"));
  forget();
}

static void refused(void) {
  make(0);
  sample_result_share.input_rows[1] = 0;  // twice, where rows ascend
  write_part(0);
  CU_ASSERT_EQUAL(tw_parts_read(&parts, &input_id, &plan, ROWS), TW_ERR_FORMAT);
  tw_parts_drop(&parts);
}

static int begin(void) {
  if (scratch_open() != 0) return 1;
  char name[300];
  snprintf(name, sizeof name, "%s", in_folder("n"));
  parts = tw_parts_of(name, 0);
  return tw_parts_make(&parts) != TW_OK;
}

static int end(void) {
  tw_parts_free(&parts);
  samples_free();
  return scratch_close();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("parts", begin, end);
  if (!suite) return 2;
  CU_add_test(suite, "joined", joined);
  CU_add_test(suite, "one untimed", one_untimed);
  CU_add_test(suite, "room", room);
  CU_add_test(suite, "refused", refused);
  return suite_end();
}
