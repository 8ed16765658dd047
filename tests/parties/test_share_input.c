// What a client shares of token ids: word numbers by XOR, for a plan whose parties embed, and nothing for any other.
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "jobs/models/embed.h"
#include "jobs/parties/share_input.h"
#include "kernels/pack.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { SEQ = 40, COUNT = 3, VOCAB = 700, HIDDEN = 8 };

static tw_plan plan;
static tw_input input;
static int lengths[COUNT] = {40, 1, 17}, tokens[COUNT * SEQ];
static float values[COUNT * SEQ * HIDDEN];

static bool says(const char *text) { return strstr(tw_error_message(), text) != NULL; }

// A program that only takes its input.
static void make_plan(bool client_embeds) {
  tw_builder b;
  tw_bounds *bounds = plan.bounds;
  tw_program_free(&plan.program);
  plan = (tw_plan){.shape = {.config = {.name = "d",
                                        .architecture = "llama",
                                        .layers = 1,
                                        .hidden = HIDDEN,
                                        .heads = 1,
                                        .max_positions = SEQ,
                                        .vocab = VOCAB,
                                        .client_embeds = client_embeds},
                             .seq = SEQ},
                   .bounds = bounds};
  tw_builder_start(&b, &plan.program);
  int x = client_embeds ? tw_build_input(&b, TW_INPUT_RING, TW_INPUT_SCALE, SEQ * HIDDEN)
                        : tw_build_numbers(&b, tw_word_number_bits(&plan.shape.config), SEQ);
  tw_build_output(&b, tw_open(&b, x));
  CU_ASSERT_EQUAL_FATAL(tw_builder_finish(&b), TW_OK);
  tw_digest_of(&client_embeds, sizeof client_embeds, &plan.digest);
}

static void fresh(bool client_embeds) {
  static tw_bounds bounds = {.residual = 100};
  plan.bounds = &bounds;
  make_plan(client_embeds);
  for (int i = 0; i < COUNT * SEQ; i++) tokens[i] = (int)(walk_random() % VOCAB);
  for (int i = 0; i < COUNT * SEQ * HIDDEN; i++) values[i] = (float)walk_random_range(-9000, 9000) / 100;
  input = (tw_input){.count = COUNT, .seq = SEQ, .lengths = lengths, .tokens = tokens};
  if (client_embeds) input.hidden = HIDDEN, input.values = values;
  tw_id_random(&input.input_id);
}

static tw_status share(tw_input_share out[2]) {
  tw_id model;
  tw_id_random(&model);
  return tw_share_input(&input, &plan, &model, out);
}

static void numbers(void) {
  tw_input_share s[2];
  uint64_t integers[COUNT * SEQ], seen = 0;
  int told = 0;
  fresh(false);
  int bits = tw_word_number_bits(&plan.shape.config);
  CU_ASSERT(1 << bits >= VOCAB && bits <= 11);
  CU_ASSERT_EQUAL(tw_plan_number_bits(&plan), bits);
  CU_ASSERT_EQUAL(tw_plan_input_elements(&plan), SEQ);
  CU_ASSERT_EQUAL_FATAL(share(s), TW_OK);
  tw_input_integers(&plan, &input, integers);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL(s[party].party, party);
    CU_ASSERT_EQUAL(s[party].hidden, 0);
    CU_ASSERT_EQUAL(s[party].number_bits, bits);
    CU_ASSERT_EQUAL(tw_input_share_elements(&s[party]), COUNT * SEQ);
    CU_ASSERT_EQUAL(memcmp(s[party].lengths, lengths, sizeof lengths), 0);
    CU_ASSERT_STRING_EQUAL(s[party].plan.hex, plan.digest.hex);
  }
  for (int i = 0; i < COUNT * SEQ; i++) {
    CU_ASSERT_EQUAL(s[0].share[i] ^ s[1].share[i], (uint64_t)tokens[i]);
    CU_ASSERT_EQUAL(integers[i], (uint64_t)tokens[i]);
    CU_ASSERT_EQUAL(s[0].share[i] >> bits | s[1].share[i] >> bits, 0);
    seen |= s[0].share[i];
    told += s[1].share[i] == (uint64_t)tokens[i];
  }
  CU_ASSERT_EQUAL(seen, tw_mask(bits));  // each bit stays zero with probability 2^-120
  CU_ASSERT(told < 10);                  // by chance one in 2^bits
  for (int party = 0; party < 2; party++) tw_input_share_free(&s[party]);
}

static void rows(void) {
  tw_input_share s[2];
  int wrong = 0;
  fresh(true);
  CU_ASSERT_EQUAL(tw_plan_number_bits(&plan), 0);
  CU_ASSERT_EQUAL_FATAL(share(s), TW_OK);
  CU_ASSERT_EQUAL(s[0].number_bits, 0);
  CU_ASSERT_EQUAL(tw_input_share_elements(&s[0]), COUNT * SEQ * HIDDEN);
  for (int i = 0; i < COUNT * SEQ * HIDDEN; i++) {
    int64_t sum = tw_signed((s[0].share[i] + s[1].share[i]) & tw_mask(TW_INPUT_RING), TW_INPUT_RING);
    wrong += (double)sum / 4096 - (double)values[i] > 0x1p-13 || (double)values[i] - (double)sum / 4096 > 0x1p-13;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  for (int party = 0; party < 2; party++) tw_input_share_free(&s[party]);
}

static void wrong_ids(void) {
  tw_input_share s[2];
  const int bad[] = {VOCAB, -1, 1 << 30, (1 << 10) - 1};
  for (int i = 0; i < 4; i++) {
    fresh(false);
    tokens[SEQ + 5] = bad[i];
    CU_ASSERT_EQUAL(share(s), TW_ERR_RANGE);
    CU_ASSERT(says("sequence 1, token 5") && says("0 .. 699"));
    CU_ASSERT_PTR_NULL(s[0].share);
  }
}

static void wrong_kind(void) {
  tw_input_share s[2];
  fresh(false);
  input.hidden = HIDDEN, input.values = values;
  CU_ASSERT_EQUAL(share(s), TW_ERR_MISMATCH);
  CU_ASSERT(says("parties embed tokens themselves"));
  fresh(true);
  input.hidden = 0, input.values = NULL;
  CU_ASSERT_EQUAL(share(s), TW_ERR_MISMATCH);
  CU_ASSERT(says("token ids alone"));
  fresh(false);
  input.seq = SEQ - 1;
  CU_ASSERT_EQUAL(share(s), TW_ERR_MISMATCH);
  fresh(true);
  values[SEQ * HIDDEN + 3] = 101;
  CU_ASSERT_EQUAL(share(s), TW_ERR_RANGE);
  tw_program_free(&plan.program);
}

SUITE_MAIN("shares of an input", {"word numbers", numbers}, {"rows", rows}, {"ids that no word has", wrong_ids},
           {"input of another kind", wrong_kind})
