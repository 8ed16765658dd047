// A conversation by the emulator: what each turn writes behind the rows that earlier turns left is what the float model
// writes behind all tokens so far.
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/models/conversation.h"
#include "jobs/models/decoder_float.h"
#include "jobs/parties/emulate.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { LAYERS = 2, HIDDEN = 16, HEADS = 4, VOCAB = 40, SEQ = 6, WORDS = 3, EARLIER = 20, COUNT = 2, TURNS = 3 };

// A table of words has a matrix's bias, of zeros.
static void draw(tw_model *model) {
  for (int i = 0; i < model->count; i++) {
    const tw_model_tensor *t = &model->tensors[i];
    bool gamma = tw_model_tensor_entry(&model->config, i)->kind == TW_GAMMA;
    bool zero = strcmp(t->name, "word.bias") == 0;
    for (size_t j = 0; j < t->rows * t->cols && !zero; j++)
      t->values[j] = (float)(gamma ? 1 : 0) + (float)walk_random_range(-1000, 1000) / 1500;
  }
}

static void make_model(const char *architecture, bool turned, tw_model *model) {
  tw_model_config c = {.name = "c",
                       .layers = LAYERS,
                       .hidden = HIDDEN,
                       .heads = HEADS,
                       .head_dim = HIDDEN / HEADS,
                       .kv_heads = turned ? 2 : HEADS,
                       .intermediate = 24,
                       .max_positions = 60,
                       .vocab = VOCAB,
                       .type_vocab = 1,
                       .norm_epsilon = 1e-5,
                       .pre_norm = true,
                       .causal = true,
                       .head = {.kind = TW_HEAD_WORDS, .outputs = VOCAB, .rows = TW_OUTPUT_TOKENS}};
  snprintf(c.architecture, sizeof c.architecture, "%s", architecture);
  snprintf(c.activation, sizeof c.activation, "%s", turned ? "silu" : "gelu");
  if (turned) c.rotary = (tw_rotary){.kind = TW_ROTARY_PLAIN, .theta = 100};
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, model), TW_OK);
  tw_digest_of("c", 1, &model->source);
  draw(model);
}

// All tokens of a sequence so far.
typedef struct {
  int ids[100], count;
} text;

// How far a word's logit is below the largest of the float model behind the tokens before it.
static double gap(const tw_model *model, const text *t, int place) {
  double *x = calloc((size_t)place * HIDDEN, sizeof *x), logits[VOCAB], best = -1e9;
  CU_ASSERT_EQUAL_FATAL(tw_float_embed(model, t->ids, place, 0, x), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_float_forward(model, x, place, place, 0, x, NULL), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_float_output(model, TW_OUTPUT_LOGITS, x, place, 0, logits, NULL), TW_OK);
  for (int i = 0; i < VOCAB; i++) best = logits[i] > best ? logits[i] : best;
  free(x);
  return best - logits[t->ids[place]];
}

static void converse(const char *architecture, tw_rounding rounding, bool guard, tw_read_by engine) {
  static const int lengths[TURNS][COUNT] = {{4, 6}, {2, 3}, {3, 1}};
  tw_model model;
  tw_plan plan;
  tw_emulation turns[TURNS] = {{.output = NULL}};
  text texts[COUNT] = {{.count = 0}};
  make_model(architecture, strcmp(architecture, "llama") == 0, &model);
  tw_plan_request request = {.seq = SEQ,
                             .rounding = rounding,
                             .output = TW_OUTPUT_TEXT,
                             .generated = WORDS,
                             .earlier = EARLIER,
                             .guard = guard,
                             .choices = {.engine = engine}};
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&model.config, &request, NULL, &plan), TW_OK);
  for (int turn = 0; turn < TURNS; turn++) {
    int ids[COUNT * SEQ] = {0}, own[COUNT];
    uint64_t slots[COUNT];
    for (int s = 0; s < COUNT; s++) {
      text *t = &texts[s];
      for (own[s] = 0; own[s] < lengths[turn][s]; own[s]++) {  // a later turn begins with the last word
        bool again = turn > 0 && own[s] == 0;
        int id = again ? t->ids[t->count - 1] : (int)walk_random_range(0, VOCAB - 1);
        ids[s * SEQ + own[s]] = id;
        if (!again) t->ids[t->count++] = id;
      }
      slots[s] = (uint64_t)(turn * COUNT + s);
    }
    tw_input input = {.count = COUNT, .seq = SEQ, .lengths = own, .tokens = ids};
    CU_ASSERT_EQUAL_FATAL(
        tw_emulate_turn(&plan, &model, NULL, &input, turn ? &turns[turn - 1] : NULL, slots, 5, &turns[turn]), TW_OK);
    CU_ASSERT_EQUAL(turns[turn].out_of_bound, 0);
    for (int s = 0; s < COUNT; s++) {
      for (int i = 0; i < WORDS; i++) {
        texts[s].ids[texts[s].count] = (int)turns[turn].output[s * WORDS + i];
        CU_ASSERT(gap(&model, &texts[s], texts[s].count) < 0.05);
        texts[s].count++;
      }
      CU_ASSERT_EQUAL(turns[turn].guard[s], 0);
      if (turns[turn].rows) CU_ASSERT_EQUAL(turns[turn].rows[s], texts[s].count - 1);
    }
    CU_ASSERT_EQUAL(turns[turn].rows != NULL, texts[0].count <= EARLIER + 1 && texts[1].count <= EARLIER + 1);
  }
  for (int turn = 0; turn < TURNS; turn++) tw_emulation_free(&turns[turn]);
  tw_plan_free(&plan);
  tw_model_free(&model);
}

static void test_positions(void) { converse("gpt2", TW_DITHERED, true, TW_BY_DIGITS); }
static void test_turned(void) { converse("llama", TW_DITHERED, true, TW_BY_DIGITS); }
static void test_unguarded(void) { converse("llama", TW_DITHERED, false, TW_BY_DIGITS); }
static void test_faithful(void) { converse("gpt2", TW_FAITHFUL, true, TW_BY_DIGITS); }
static void test_by_key(void) {
  converse("llama", TW_DITHERED, true, TW_ROWS_BY_KEY);
  converse("gpt2", TW_DITHERED, true, TW_ALL_BY_KEY);
}

SUITE_MAIN("conversation", {"positions from a table", test_positions}, {"positions that turn", test_turned},
           {"without a guard", test_unguarded}, {"rounded down", test_faithful}, {"functions by keys", test_by_key})
