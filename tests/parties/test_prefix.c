// A fixed prefix: its file, what a share holds of it, and that no two prefixes have masks in common. What runs make of
// it: tests/cli/cli_prefix.sh.
#include <CUnit/Basic.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/new_files.h"
#include "io/tensors.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/prefix.h"
#include "jobs/parties/model_masks.h"
#include "jobs/parties/share_model.h"
#include "jobs/plan/plan.h"
#include "kernels/prg.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/common/walk.h"

enum { LAYERS = 2, HIDDEN = 16, HEADS = 4, KV_HEADS = 2, WIDTH = KV_HEADS * HIDDEN / HEADS, VOCAB = 40, SEQ = 5 };

static void draw(tw_model *model) {
  for (int i = 0; i < model->count; i++) {
    const tw_model_tensor *t = &model->tensors[i];
    bool gamma = tw_model_tensor_entry(&model->config, i)->kind == TW_GAMMA;
    for (size_t j = 0; j < t->rows * t->cols; j++)
      t->values[j] = (float)(gamma ? 1 : 0) + (float)walk_random_range(-1000, 1000) / 3000;
  }
}

static void make_model(tw_model *model) {
  tw_model_config c = {.name = "d",
                       .architecture = "llama",
                       .activation = "silu",
                       .layers = LAYERS,
                       .hidden = HIDDEN,
                       .heads = HEADS,
                       .kv_heads = KV_HEADS,
                       .head_dim = HIDDEN / HEADS,
                       .intermediate = 24,
                       .max_positions = 32,
                       .vocab = VOCAB,
                       .type_vocab = 1,
                       .norm_epsilon = 1e-5,
                       .pre_norm = true,
                       .causal = true,
                       .rotary = {.kind = TW_ROTARY_PLAIN, .theta = 100}};
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, model), TW_OK);
  tw_digest_of("d", 1, &model->source);
  draw(model);
}

static void make_plan(const tw_model *model, const tw_prefix *prefix, tw_plan *plan) {
  tw_plan_request request = {.seq = SEQ, .guard = true};
  if (prefix) request.prefix = tw_prefix_facts_of(prefix);
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&model->config, &request, NULL, plan), TW_OK);
}

// ---- the file

static void test_file(void) {
  static const int ids[] = {3, 7, 7, 39};
  tw_prefix prefix, again, other;
  const char *path = in_folder("n.prefix.json");
  CU_ASSERT_EQUAL_FATAL(tw_prefix_make(ids, 4, &prefix), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_prefix_make(ids, 4, &other), TW_OK);
  tw_prefix_facts facts = tw_prefix_facts_of(&prefix), salted = tw_prefix_facts_of(&other);
  CU_ASSERT_EQUAL(facts.rows, 4);
  CU_ASSERT_STRING_NOT_EQUAL(facts.digest.hex, salted.digest.hex);
  CU_ASSERT_EQUAL_FATAL(tw_prefix_write(path, &prefix), TW_OK);
  CU_ASSERT_EQUAL(tw_prefix_write(path, &prefix), TW_ERR_IO);
  CU_ASSERT_EQUAL_FATAL(tw_prefix_read_for(path, &facts, &again), TW_OK);
  CU_ASSERT_EQUAL(again.count, 4);
  CU_ASSERT_EQUAL(memcmp(again.ids, ids, sizeof ids), 0);
  CU_ASSERT_EQUAL(memcmp(again.salt, prefix.salt, sizeof again.salt), 0);
  tw_prefix_free(&again);
  CU_ASSERT_EQUAL(tw_prefix_read_for(path, &salted, &again), TW_ERR_MISMATCH);
  prefix.ids[3] = 38;
  tw_prefix_facts changed = tw_prefix_facts_of(&prefix);
  CU_ASSERT_STRING_NOT_EQUAL(facts.digest.hex, changed.digest.hex);
  tw_prefix_free(&prefix);
  tw_prefix_free(&other);
  unlink(path);
}

// ---- what is shared

typedef struct {
  tw_model_share share[2];
  tw_model_dealer dealer;
} shared;

// As the owner does it, with files of their own.
static void share(const tw_model *model, const tw_prefix *prefix, const tw_plan *plan, const char *name, shared *s) {
  char path[256];
  tw_id id;
  snprintf(path, sizeof path, "%s", in_folder(name));
  CU_ASSERT_EQUAL_FATAL(tw_model_write(tw_path_of(path, "model.h5").text, model), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plan_write(tw_path_of(path, "plan.json").text, plan), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_prefix_write(tw_path_of(path, "prefix.json").text, prefix), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_files(path, false, NULL, &id), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_model_dealer_read(tw_path_of(path, "model.dealer.h5").text, &s->dealer), TW_OK);
  for (int party = 0; party < 2; party++) {
    const char *file = tw_path_of(path, party ? "model.p1.h5" : "model.p0.h5").text;
    CU_ASSERT_EQUAL_FATAL(tw_model_share_read(file, party, &s->share[party]), TW_OK);
    CU_ASSERT_EQUAL(memcmp(s->share[party].prefix_seed, s->dealer.prefix_seed[party], 32), 0);
  }
}

static void shared_free(shared *s) {
  tw_model_dealer_free(&s->dealer);
  for (int party = 0; party < 2; party++) tw_model_share_free(&s->share[party]);
}

// What both parties hold of a cached tensor, less the dealer's masks, is the float model's rounded once.
static size_t wrong_elements(const shared *s, const tw_model_masks *masks, int number, const double *wanted,
                             int scale) {
  size_t n = s->share[0].rows[number] * s->share[0].cols[number], wrong = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t mask[2];
    for (int party = 0; party < 2; party++) {
      tw_seed seed;
      memcpy(seed.key, s->share[party].prefix_seed, 32);
      tw_prg_ring(&seed, (uint32_t)number, 0, 64, i, 1, &mask[party]);
      wrong += mask[party] != masks->mask[party][number][i];
    }
    int64_t value = (int64_t)(s->share[0].masked[number][i] - mask[0] - mask[1]);
    wrong += s->share[0].masked[number][i] != s->share[1].masked[number][i] ||
             fabs(ldexp((double)value, -scale) - wanted[i]) > ldexp(0.51, -scale);
  }
  return wrong;
}

static void check_values(const tw_model *model, const tw_prefix *prefix, const tw_plan *plan, const shared *s) {
  size_t rows = (size_t)prefix->count, n = rows * WIDTH;
  double *x = calloc(rows * HIDDEN + 2 * LAYERS * n, sizeof *x), *keys = x + rows * HIDDEN, *values = keys + LAYERS * n;
  tw_model_masks masks;
  CU_ASSERT_EQUAL_FATAL(tw_float_embed(model, prefix->ids, prefix->count, 0, x), TW_OK);
  tw_float_prefix kept = {.keys = keys, .values = values};
  CU_ASSERT_EQUAL_FATAL(tw_decoder_forward_behind(model, &kept, x, prefix->count, prefix->count, 0, x, NULL), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_model_masks_draw(&s->dealer, &plan->program, &tw_cpu_backend, NULL, &masks), TW_OK);
  CU_ASSERT_EQUAL(masks.count, tw_model_tensor_count(&model->config) + 2 * LAYERS);
  for (int i = 0; i < LAYERS; i++) {
    int number = tw_cached_tensor(&model->config, i, TW_CACHED_KEYS);
    CU_ASSERT_EQUAL(s->share[0].rows[number], rows);
    CU_ASSERT_EQUAL(s->share[0].cols[number], WIDTH);
    CU_ASSERT_EQUAL(wrong_elements(s, &masks, number, keys + (size_t)i * n, plan->rings[i].query_scale), 0);
    CU_ASSERT_EQUAL(wrong_elements(s, &masks, number + 1, values + (size_t)i * n, TW_SCALE), 0);
  }
  tw_model_masks_free(&masks);
  free(x);
}

// Two prefixes of one model, and one of them twice: eight seeds of theirs and eight of the weights', all different.
static void test_shares(void) {
  enum { SHARES = 3 };
  static const int ids[SHARES][3] = {{3, 9, 12}, {3, 9, 13}, {3, 9, 12}};
  tw_model model;
  tw_plan plan[SHARES];
  tw_prefix prefix[SHARES];
  shared s[SHARES];
  uint8_t seeds[4 * SHARES][32];
  make_model(&model);
  for (int i = 0; i < SHARES; i++) {
    char name[] = {(char)('a' + i), 0};
    CU_ASSERT_EQUAL_FATAL(tw_prefix_make(ids[i], 3, &prefix[i]), TW_OK);
    make_plan(&model, &prefix[i], &plan[i]);
    share(&model, &prefix[i], &plan[i], name, &s[i]);
    check_values(&model, &prefix[i], &plan[i], &s[i]);
    memcpy(seeds[4 * i], s[i].dealer.mask_seed, 64);
    memcpy(seeds[4 * i + 2], s[i].dealer.prefix_seed, 64);
  }
  for (int i = 0; i < 4 * SHARES; i++)
    for (int j = 0; j < i; j++) CU_ASSERT_NOT_EQUAL(memcmp(seeds[i], seeds[j], 32), 0);
  for (int i = 0; i < SHARES; i++)
    for (int j = 0; j < SHARES; j++)
      CU_ASSERT_EQUAL(tw_plan_allows_prefix(&plan[i], &s[j].share[0].prefix), i == j ? TW_OK : TW_ERR_MISMATCH);
  tw_plan without;
  make_plan(&model, NULL, &without);
  CU_ASSERT_EQUAL(tw_plan_allows_prefix(&without, &s[0].dealer.prefix), TW_OK);
  CU_ASSERT_EQUAL(tw_plan_allows_prefix(&plan[0], &(tw_prefix_facts){.rows = 0}), TW_ERR_MISMATCH);
  plan[0].rings[1].query_scale--;  // the same prefix for keys at another scale
  CU_ASSERT_EQUAL(tw_plan_allows_prefix(&plan[0], &s[0].dealer.prefix), TW_ERR_MISMATCH);
  plan[1].bounds[1].value = 1e-3;
  uint64_t **cached;
  CU_ASSERT_EQUAL(tw_cached_integers(&model, &prefix[1], plan[1].bounds, plan[1].rings, &cached), TW_ERR_RANGE);
  tw_plan_free(&without);
  for (int i = 0; i < SHARES; i++) {
    shared_free(&s[i]);
    tw_plan_free(&plan[i]);
    tw_prefix_free(&prefix[i]);
  }
  tw_model_free(&model);
}

// ---- the float model behind a prefix is that of the whole text

static void test_float(void) {
  static int ids[] = {5, 1, 30, 22, 8, 9, 17};
  enum { ALL = 7, BEFORE = 3, LIVE = ALL - BEFORE };
  int lengths[] = {LIVE};
  tw_model model;
  tw_prefix prefix;
  tw_bounds bounds[LAYERS], whole[LAYERS];
  double x[ALL * HIDDEN], y[ALL * HIDDEN];
  make_model(&model);
  CU_ASSERT_EQUAL_FATAL(tw_prefix_make(ids, BEFORE, &prefix), TW_OK);
  tw_input input = {.count = 1, .seq = LIVE, .lengths = lengths, .tokens = ids + BEFORE};
  tw_bounds_reset(bounds, LAYERS);
  tw_bounds_reset(whole, LAYERS);
  CU_ASSERT_EQUAL_FATAL(tw_float_sequence(&model, &prefix, &input, 0, 1, x, bounds), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_float_embed(&model, ids, ALL, 1, y), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_float_forward(&model, y, ALL, ALL, 1, y, whole), TW_OK);
  for (int i = 0; i < LIVE * HIDDEN; i++) CU_ASSERT_EQUAL(x[i], y[BEFORE * HIDDEN + i]);
  for (int i = 0; i < LAYERS; i++) {  // of the prefix only keys and values are looked at
    CU_ASSERT_TRUE(bounds[i].key == whole[i].key && bounds[i].value == whole[i].value);
    CU_ASSERT_TRUE(bounds[i].input <= whole[i].input && bounds[i].variance_sum_min >= whole[i].variance_sum_min);
  }
  double largest = 0;
  for (int i = 0; i < LIVE * HIDDEN; i++) largest = fmax(largest, fabs(x[i]));
  CU_ASSERT_TRUE(bounds[LAYERS - 1].residual >= largest && bounds[0].input > 0);
  tw_prefix_free(&prefix);
  tw_model_free(&model);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("a fixed prefix", scratch_open, scratch_close);
  if (!suite) return 2;
  CU_add_test(suite, "its file", test_file);
  CU_add_test(suite, "shares of two prefixes", test_shares);
  CU_add_test(suite, "the float model behind it", test_float);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
