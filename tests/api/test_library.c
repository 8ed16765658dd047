// The library by its header, in one process: arguments that are refused, inputs from ids and from rows, a link that
// both ends agree on. The whole way to a result is cli_library's.
#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/twain.h"
#include "io/client.h"
#include "io/model_id.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

enum { TOKENS = 5 };
static const char *name;  // of a client's files
static twain_plan *plan;
static twain_model *model;

static bool says(const char *text) {
  bool found = strstr(twain_message(), text) != NULL;
  if (!found) fprintf(stderr, "the message is: %s\n", twain_message());
  return found;
}

// This test's own twain writes what the library then reads.
static tw_status write_files(void) {
  tw_model whole;
  tw_client client;
  tw_plan p;
  tw_id id;
  tw_id_random(&id);
  TW_TRY(tw_import_synthetic("1x24x3x40", &whole, &client));
  TW_TRY(
      tw_plan_make(&whole.config, &(tw_plan_request){.seq = TOKENS, .output = TW_OUTPUT_CLS, .guard = true}, NULL, &p));
  TW_TRY(tw_plan_write(in_folder("n.plan.json"), &p));
  TW_TRY(tw_client_write(in_folder("n.client.h5"), &client));
  TW_TRY(tw_model_id_write(in_folder("n.model.json"), &id, &whole.config));
  tw_plan_free(&p);
  tw_client_free(&client);
  tw_model_free(&whole);
  return TW_OK;
}

static int set_up(void) {
  static char path[4096];
  if (scratch_open() != 0 || write_files() != TW_OK) return 1;
  snprintf(path, sizeof path, "%s", in_folder("n"));
  name = path;
  return twain_begin(TWAIN_ABI) != TWAIN_OK || twain_plan_open(name, &plan) != TWAIN_OK ||
         twain_model_open(name, &model) != TWAIN_OK;
}

static int tear_down(void) {
  twain_plan_close(plan);
  twain_model_close(model);
  return scratch_close();
}

static void versions(void) {
  CU_ASSERT_EQUAL(twain_abi(), TWAIN_ABI);
  CU_ASSERT_EQUAL(twain_begin(TWAIN_ABI + 1), TWAIN_ERR_USAGE);
  CU_ASSERT(says("compile it again"));
  CU_ASSERT_STRING_EQUAL(twain_version(), TWAIN_VERSION);
}

static void plan_and_model(void) {
  twain_plan *none = plan;
  CU_ASSERT_EQUAL(twain_plan_tokens(plan), TOKENS);
  CU_ASSERT_EQUAL(twain_plan_width(plan), 24);
  CU_ASSERT_EQUAL(twain_plan_rows(plan), 1);
  CU_ASSERT_EQUAL(twain_plan_columns(plan), 24);
  CU_ASSERT_EQUAL(twain_plan_open(in_folder("other"), &none), TWAIN_ERR_IO);
  CU_ASSERT_PTR_NULL(none);
  CU_ASSERT(says("other.plan.json"));
  CU_ASSERT_EQUAL(twain_plan_open(in_folder("n.plan.json"), &none), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_plan_open(NULL, &none), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_plan_open(name, NULL), TWAIN_ERR_USAGE);
  twain_plan_close(NULL);
  twain_model_close(NULL);
}

static void inputs_from_text(void) {
  const char *texts[] = {"one", NULL, "one word and many more words than there is room for"};
  twain_input *input = NULL;
  CU_ASSERT_EQUAL(twain_encode_text(model, plan, texts, 1, 0, &input), TWAIN_OK);
  CU_ASSERT(twain_input_length(input, 0) >= 3);
  CU_ASSERT_EQUAL(twain_input_length(input, 1), -1);
  twain_input_free(input);
  CU_ASSERT_EQUAL(twain_encode_text(model, plan, texts, 2, 0, &input), TWAIN_ERR_USAGE);
  CU_ASSERT_PTR_NULL(input);
  CU_ASSERT_EQUAL(twain_encode_text(model, plan, texts, 0, 0, &input), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_encode_text(NULL, plan, texts, 1, 0, &input), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_encode_text(model, NULL, texts, 1, 0, &input), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_encode_text(model, plan, texts + 2, 1, 0, &input), TWAIN_ERR_RANGE);
  CU_ASSERT_EQUAL(twain_encode_text(model, plan, texts + 2, 1, 1, &input), TWAIN_OK);
  CU_ASSERT_EQUAL(twain_input_length(input, 0), TOKENS);
  twain_input_free(input);
}

static void inputs_from_ids(void) {
  const int ids[] = {1, 2, 3}, wrong[] = {1, -7, 2}, *list[] = {ids, ids}, *bad[] = {wrong};
  twain_input *input = NULL;
  CU_ASSERT_EQUAL(twain_encode_ids(model, plan, list, (int[]){3, 1}, 2, &input), TWAIN_OK);
  CU_ASSERT_EQUAL(twain_input_length(input, 0), 3);
  CU_ASSERT_EQUAL(twain_input_length(input, 1), 1);
  CU_ASSERT_EQUAL(twain_share(input, name, 0), TWAIN_OK);
  CU_ASSERT_EQUAL(twain_share(input, name, 0), TWAIN_ERR_IO);
  CU_ASSERT(says("exists already"));
  CU_ASSERT_EQUAL(twain_share(input, name, 1), TWAIN_OK);
  CU_ASSERT(exists(in_folder("n.input.p0.h5")) && exists(in_folder("n.input.p1.h5")));
  twain_input_free(input);
  CU_ASSERT_EQUAL(twain_encode_ids(model, plan, bad, (int[]){3}, 1, &input), TWAIN_ERR_RANGE);
  CU_ASSERT_PTR_NULL(input);
  CU_ASSERT_EQUAL(twain_encode_ids(model, plan, list, (int[]){TOKENS + 1}, 1, &input), TWAIN_ERR_RANGE);
  CU_ASSERT_EQUAL(twain_encode_ids(model, plan, list, NULL, 1, &input), TWAIN_ERR_USAGE);
}

// What is shared are the rows: both shares together give them back.
static void inputs_from_rows(void) {
  float rows[TOKENS][24];
  twain_input *input = NULL;
  tw_input_share share[2];
  for (int i = 0; i < TOKENS * 24; i++) rows[i / 24][i % 24] = (float)(i % 17 - 8) / 4;
  CU_ASSERT_EQUAL(twain_encode_rows(plan, rows[0], (int[]){4}, 1, &input), TWAIN_OK);
  CU_ASSERT_EQUAL_FATAL(twain_share(input, name, 1), TWAIN_OK);
  twain_input_free(input);
  for (int party = 0; party < 2; party++)
    CU_ASSERT_EQUAL_FATAL(
        tw_input_share_read(in_folder(party ? "n.input.p1.h5" : "n.input.p0.h5"), party, &share[party]), TW_OK);
  CU_ASSERT_EQUAL(share[0].lengths[0], 4);
  int wrong = 0;
  for (int i = 0; i < TOKENS * 24; i++) {
    uint64_t sum = (share[0].share[i] + share[1].share[i]) << (64 - TW_INPUT_RING);
    wrong += ldexp((double)((int64_t)sum >> (64 - TW_INPUT_RING)), -TW_INPUT_SCALE) != rows[i / 24][i % 24];
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (int party = 0; party < 2; party++) tw_input_share_free(&share[party]);
  CU_ASSERT_EQUAL(twain_encode_rows(plan, rows[0], (int[]){0}, 1, &input), TWAIN_ERR_RANGE);
  rows[2][3] = NAN;
  CU_ASSERT_EQUAL(twain_encode_rows(plan, rows[0], (int[]){4}, 1, &input), TWAIN_ERR_RANGE);
  CU_ASSERT(says("row 2, column 3"));
  rows[2][3] = 1e30f;  // a number, but past the plan's bound on its input
  CU_ASSERT_EQUAL(twain_encode_rows(plan, rows[0], (int[]){4}, 1, &input), TWAIN_OK);
  CU_ASSERT_EQUAL(twain_share(input, name, 1), TWAIN_ERR_RANGE);
  twain_input_free(input);
}

static ptrdiff_t nothing_sent(void *state, const void *data, size_t bytes) {
  (void)state, (void)data, (void)bytes;
  return -1;
}
static ptrdiff_t nothing_received(void *state, void *data, size_t bytes) {
  (void)state, (void)data, (void)bytes;
  return -1;
}

static void links_and_runs(void) {
  const twain_stream stream = {nothing_sent, nothing_received, NULL}, half = {nothing_sent, NULL, NULL};
  twain_run_options options = TWAIN_RUN_OPTIONS;
  twain_link *link = NULL;
  CU_ASSERT_EQUAL(twain_link_stream(&half, 0, 10, &link), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_link_stream(NULL, 0, 10, &link), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_link_stream(&stream, 2, 10, &link), TWAIN_ERR_USAGE);
  CU_ASSERT_EQUAL(twain_link_stream(&stream, 0, 0, &link), TWAIN_ERR_USAGE);
  CU_ASSERT_PTR_NULL(link);
  CU_ASSERT_EQUAL_FATAL(twain_link_stream(&stream, 1, 10, &link), TWAIN_OK);
  CU_ASSERT_EQUAL(twain_link_party(link), 1);
  options.size = 8;
  CU_ASSERT_EQUAL(twain_run(name, link, &options), TWAIN_ERR_USAGE);
  CU_ASSERT(says("TWAIN_RUN_OPTIONS"));
  CU_ASSERT_EQUAL(twain_run(name, NULL, NULL), TWAIN_ERR_USAGE);
  options.size = sizeof options;
  options.device = "auto";
  CU_ASSERT_EQUAL(twain_run(name, link, &options), TWAIN_ERR_USAGE);
  CU_ASSERT(says("compute on the cpu"));
  options.device = "cpu";
  options.ledger = in_folder("no_ledger");
  CU_ASSERT_EQUAL(twain_run(name, link, &options), TWAIN_ERR_IO);  // its own trouble, although nobody hears of it
  CU_ASSERT(says("no such ledger"));
  twain_link_close(link);
  twain_link_close(NULL);
}

static void results(void) {
  twain_result *result = NULL;
  CU_ASSERT_EQUAL(twain_reveal(name, &result), TWAIN_ERR_IO);
  CU_ASSERT(says("n.result.p0.h5"));
  CU_ASSERT_PTR_NULL(result);
  CU_ASSERT_EQUAL(twain_reveal(NULL, &result), TWAIN_ERR_USAGE);
  twain_result_free(NULL);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("library", set_up, tear_down);
  CU_ADD_TEST(suite, versions);
  CU_ADD_TEST(suite, plan_and_model);
  CU_ADD_TEST(suite, inputs_from_text);
  CU_ADD_TEST(suite, inputs_from_ids);
  CU_ADD_TEST(suite, inputs_from_rows);
  CU_ADD_TEST(suite, links_and_runs);
  CU_ADD_TEST(suite, results);
  return suite_end();
}
