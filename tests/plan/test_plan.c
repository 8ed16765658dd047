// Plans and their files: round trips, files that were changed, the cost bars of BERT-base, bounds that fit no ring.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/models/bert.h"
#include "jobs/models/import.h"
#include "jobs/plan/plan.h"
#include "tests/common/suite.h"

static char folder[] = "/tmp/twain-plan-XXXXXX", path[64];

static bool guard;
static tw_read_by engine;

static double uniform(double low, double high) { return low + (high - low) * (double)randombytes_random() / 0x1p32; }

static tw_status make(const char *shape, int seq, tw_rounding rounding, tw_output output, const tw_bounds *bounds,
                      tw_plan *plan) {
  tw_model_config config;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config(shape, &config), TW_OK);
  if (output == TW_OUTPUT_LOGITS) config.head = (tw_head){TW_HEAD_SEQUENCE, 3, "tanh", TW_OUTPUT_CLS};
  tw_model_bounds all = {bounds, {.dense = uniform(3, 500), .outputs = uniform(3, 500)}};
  tw_plan_request request = {
      .seq = seq, .rounding = rounding, .output = output, .guard = guard, .choices.engine = engine};
  return tw_plan_make(&config, &request, bounds ? &all : NULL, plan);
}

// Bounds of a well-behaved model, different in every layer.
static tw_bounds random_bounds(void) {
  return (tw_bounds){.input = uniform(5, 500),
                     .query = uniform(5, 100),
                     .key = uniform(5, 100),
                     .value = uniform(0.1, 100),
                     .logit = uniform(5, 255),
                     .attention = uniform(5, 100),
                     .up = uniform(3, 500),
                     .feed_forward = uniform(5, 100),
                     .residual = uniform(10, 500),
                     .variance_sum_min = uniform(0.07, 1),
                     .variance_sum_max = uniform(1e3, 3e7),
                     .norm_weight = uniform(0.5, 30),
                     .norm_bias = uniform(0.1, 30)};
}

static void check_same(const tw_plan *a, const tw_plan *b) {
  size_t layers = (size_t)a->shape.config.layers;
  CU_ASSERT_STRING_EQUAL(a->digest.hex, b->digest.hex);
  CU_ASSERT_EQUAL_FATAL(a->shape.config.layers, b->shape.config.layers);
  CU_ASSERT_EQUAL(a->shape.config.norm_epsilon, b->shape.config.norm_epsilon);
  CU_ASSERT_EQUAL(a->shape.seq, b->shape.seq);
  CU_ASSERT_EQUAL(a->rounding, b->rounding);
  CU_ASSERT_EQUAL(a->output, b->output);
  CU_ASSERT_EQUAL(memcmp(a->bounds, b->bounds, layers * sizeof *a->bounds), 0);
  CU_ASSERT_EQUAL(memcmp(a->rings, b->rings, layers * sizeof *a->rings), 0);
  if (a->output == TW_OUTPUT_LOGITS)
    CU_ASSERT_EQUAL(memcmp(&a->head_bounds, &b->head_bounds, sizeof a->head_bounds), 0);
  CU_ASSERT_EQUAL(memcmp(&a->head_rings, &b->head_rings, sizeof a->head_rings), 0);
  CU_ASSERT_EQUAL(memcmp(&a->shape.config.head, &b->shape.config.head, sizeof a->shape.config.head), 0);
  CU_ASSERT_EQUAL_FATAL(a->table_count, b->table_count);
  for (int i = 0; i < a->table_count; i++) {
    CU_ASSERT_STRING_EQUAL(a->tables[i].name, b->tables[i].name);
    CU_ASSERT_EQUAL_FATAL(a->tables[i].n, b->tables[i].n);
    CU_ASSERT_EQUAL(memcmp(a->tables[i].values, b->tables[i].values, 8 * a->tables[i].n), 0);
  }
  CU_ASSERT_EQUAL(a->program.slot_bytes[0], b->program.slot_bytes[0]);
  CU_ASSERT_EQUAL(a->program.slot_bytes[1], b->program.slot_bytes[1]);
  CU_ASSERT_EQUAL(a->program.levels, b->program.levels);
}

// The opened tensor whose mask a wire has, but for its ring and a factor.
static int opened_as(const tw_program *p, int tensor) {
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].out[0] == tensor && strcmp(p->ops[i].gate->name, "scaled") == 0) return opened_as(p, p->ops[i].in[0]);
  return tensor;
}

// Of one mask digits are dealt or a key (docs/security.md, "One engine a mask"), and one key. Returns the keys.
static int check_masks(const tw_program *p) {
  enum { NONE, DIGITS, KEY };
  uint8_t *dealt = calloc((size_t)p->tensor_count, 1);
  int keys = 0, both = 0;
  for (int i = 0; i < p->op_count; i++) {
    const char *gate = p->ops[i].gate->name;
    bool key = strstr(gate, "by key") != NULL;
    if (!key && strcmp(gate, "digits") != 0) continue;
    uint8_t *mask = &dealt[opened_as(p, p->ops[i].in[0])];
    both += key ? *mask != NONE : *mask == KEY;
    *mask = key ? KEY : DIGITS;
    keys += key;
  }
  CU_ASSERT_EQUAL(both, 0);
  free(dealt);
  return keys;
}

// Keys of a layer: two norms, and one of any other function.
static int keys_by(tw_read_by by) { return __builtin_popcount(by) + !!(by & TW_ROOTS_BY_KEY); }

static void test_round_trip(void) {
  for (int i = 0; i <= TW_ALL_BY_KEY; i++, guard = (i ^ i >> 1) & 1, engine = (tw_read_by)i)
    for (int rounding = TW_DITHERED; rounding <= TW_FAITHFUL_OUTPUT; rounding++)
      for (int output = TW_OUTPUT_TOKENS; output <= TW_OUTPUT_LOGITS; output++) {
        tw_bounds bounds[3] = {random_bounds(), random_bounds(), random_bounds()};
        tw_plan plan, again;
        CU_ASSERT_EQUAL_FATAL(make("3x32x2x64", 5 + (int)randombytes_uniform(20), (tw_rounding)rounding,
                                   (tw_output)output, bounds, &plan),
                              TW_OK);
        CU_ASSERT_EQUAL_FATAL(tw_plan_write(path, &plan), TW_OK);
        CU_ASSERT_EQUAL(tw_plan_write(path, &plan), TW_ERR_IO);  // never over a file that is there
        CU_ASSERT_EQUAL_FATAL(tw_plan_read(path, &again), TW_OK);
        check_same(&plan, &again);
        CU_ASSERT_EQUAL(plan.choices.engine, again.choices.engine);
        CU_ASSERT_EQUAL(check_masks(&plan.program), 3 * keys_by(engine));
        tw_plan_free(&plan);
        tw_plan_free(&again);
        unlink(path);
      }
  engine = TW_BY_DIGITS;
}

// ---- changed files

static json_t *fresh_plan(void) {
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(make("2x32x2x64", 8, TW_DITHERED, TW_OUTPUT_POOLED, NULL, &plan), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plan_write(path, &plan), TW_OK);
  tw_plan_free(&plan);
  json_t *json = json_load_file(path, 0, NULL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(json);
  unlink(path);
  return json;
}

// Consumes json. text: part of the message.
static void refuses(json_t *json, tw_status status, const char *text) {
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(json_dump_file(json, path, 0), 0);
  json_decref(json);
  tw_status got = tw_plan_read(path, &plan);
  CU_ASSERT_EQUAL(got, status);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), path));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), text));
  if (got != status || !strstr(tw_error_message(), text))
    printf("\n  %d, not %d: %s\n", got, status, tw_error_message());
  if (got == TW_OK) tw_plan_free(&plan);
  unlink(path);
}

static json_t *layer_part(json_t *plan, const char *part) {
  return json_object_get(json_array_get(json_object_get(plan, "layers"), 1), part);
}

// Layer 1's bounds or rings with another value.
static void refuses_in_layer(const char *part, const char *key, json_t *value, tw_status status) {
  json_t *plan = fresh_plan();
  char text[64];
  snprintf(text, sizeof text, "layers[1].%s.%s", part, key);
  if (value)
    json_object_set_new(layer_part(plan, part), key, value);
  else
    json_object_del(layer_part(plan, part), key);
  refuses(plan, status, text);
}

static void test_changed_layers(void) {
  json_t *plan = fresh_plan();
  json_int_t ring = json_integer_value(json_object_get(layer_part(plan, "rings"), "up"));
  json_decref(plan);
  refuses_in_layer("rings", "up", json_integer(ring + 1), TW_ERR_MISMATCH);
  refuses_in_layer("rings", "norm2", json_integer(65), TW_ERR_FORMAT);
  refuses_in_layer("rings", "v", json_string("36"), TW_ERR_FORMAT);
  refuses_in_layer("rings", "qk", NULL, TW_ERR_FORMAT);
  refuses_in_layer("bounds", "logit", json_real(-1), TW_ERR_FORMAT);
  refuses_in_layer("bounds", "up", json_integer(0), TW_ERR_FORMAT);
  refuses_in_layer("bounds", "value", json_null(), TW_ERR_FORMAT);
  refuses_in_layer("bounds", "variance_sum_min", NULL, TW_ERR_FORMAT);
  plan = fresh_plan();
  json_object_set_new(layer_part(plan, "bounds"), "up", json_real(5000));  // other rings than the file's
  refuses(plan, TW_ERR_MISMATCH, "layers[1].rings.");
  plan = fresh_plan();
  json_object_set_new(layer_part(plan, "bounds"), "logit", json_real(1e12));  // no ring at all
  refuses(plan, TW_ERR_RANGE, "logits");
  plan = fresh_plan();
  json_array_remove(json_object_get(plan, "layers"), 0);
  refuses(plan, TW_ERR_FORMAT, "layers has 1");
}

static void test_changed_tables(void) {
  for (int table = 0; table < 8; table++) {
    json_t *plan = fresh_plan(), *entry = json_array_get(json_object_get(plan, "tables"), (size_t)table);
    json_t *values = json_object_get(entry, "values");
    size_t at = randombytes_uniform((uint32_t)json_array_size(values));
    json_int_t value = json_integer_value(json_array_get(values, at));
    json_array_set_new(values, at, json_integer(value > 0 ? value - 1 : value + 1));
    const char *digest = json_string_value(json_object_get(plan, "digest"));
    char wanted[65];
    snprintf(wanted, sizeof wanted, "%s", digest);
    refuses(plan, TW_ERR_MISMATCH, wanted);
  }
  json_t *plan = fresh_plan(), *entry = json_array_get(json_object_get(plan, "tables"), 0);
  json_array_set_new(json_object_get(entry, "values"), 7,
                     json_integer((json_int_t)1 << 40));  // gelu's ring has 24 bits
  refuses(plan, TW_ERR_FORMAT, "table gelu.base, value 7");
  plan = fresh_plan();
  entry = json_array_get(json_object_get(plan, "tables"), 3);
  json_array_remove(json_object_get(entry, "values"), 0);
  refuses(plan, TW_ERR_FORMAT, "table exp.slope has");
  plan = fresh_plan();
  json_array_remove(json_object_get(plan, "tables"), 2);
  refuses(plan, TW_ERR_FORMAT, "tables has 7");
}

// Beside digits in the digest and in the file; a name that is none, and tables that another engine reads, are refused.
static void test_engines(void) {
  tw_plan plan[3];
  json_t *json;
  static const tw_read_by engines[] = {TW_BY_DIGITS, TW_ROWS_BY_KEY, TW_ALL_BY_KEY};
  for (int i = 0; i < 3; i++) {
    engine = engines[i];
    CU_ASSERT_EQUAL_FATAL(make("2x32x2x64", 8, TW_DITHERED, TW_OUTPUT_POOLED, NULL, &plan[i]), TW_OK);
    json = fresh_plan();
    const char *said = json_string_value(json_object_get(json_object_get(json, "choices"), "engine"));
    CU_ASSERT(i == TW_BY_DIGITS ? said == NULL : said && strcmp(said, tw_read_by_name(engine)) == 0);
    json_decref(json);
    for (int j = 0; j < i; j++) CU_ASSERT_STRING_NOT_EQUAL(plan[i].digest.hex, plan[j].digest.hex);
  }
  CU_ASSERT(plan[1].program.levels < plan[0].program.levels && plan[2].program.levels < plan[1].program.levels);
  json = fresh_plan();
  json_object_set_new(json_object_get(json, "choices"), "engine", json_string("auto"));
  refuses(json, TW_ERR_FORMAT, "choices.engine 'auto' is unknown");
  json = fresh_plan();
  json_object_set_new(json_object_get(json, "choices"), "engine", json_string("pfss-rows"));
  refuses(json, TW_ERR_FORMAT, "gelu");
  json = fresh_plan();
  json_object_del(json_object_get(json, "choices"), "engine");
  refuses(json, TW_ERR_FORMAT, "tables");
  for (int i = 0; i < 3; i++) tw_plan_free(&plan[i]);
  engine = TW_BY_DIGITS;
}

static void replace(const char *key, json_t *value, tw_status status, const char *text) {
  json_t *plan = fresh_plan();
  json_object_set_new(plan, key, value);
  refuses(plan, status, text);
}

static void test_changed_heads(void) {
  char digest[65];
  memset(digest, 'a', sizeof digest - 1);
  digest[64] = '\0';
  replace("digest", json_string(digest), TW_ERR_MISMATCH, digest);
  replace("format", json_string("twain-keys"), TW_ERR_FORMAT, "twain-keys");
  replace("version", json_integer(1), TW_ERR_FORMAT, "version 1 of twain-plan, which an earlier twain wrote");
  replace("version", json_integer(3), TW_ERR_FORMAT, "later twain");
  replace("seq", json_integer(7), TW_ERR_MISMATCH, "digest");
  replace("seq", json_integer(30), TW_ERR_MISMATCH, "rings");
  replace("seq", json_integer(0), TW_ERR_FORMAT, "seq");
  replace("seq", json_integer(513), TW_ERR_FORMAT, "513");
  replace("output", json_string("cls"), TW_ERR_MISMATCH, "digest");
  replace("output", json_string("all"), TW_ERR_FORMAT, "output 'all'");
  replace("rounding", json_string("faithful"), TW_ERR_MISMATCH, "digest");
  replace("rounding", json_null(), TW_ERR_FORMAT, "rounding");
  replace("model", json_array(), TW_ERR_FORMAT, "model");
  replace("streams", json_array(), TW_ERR_MISMATCH, "streams");
  json_t *plan = fresh_plan();
  json_object_set_new(json_object_get(plan, "costs"), "rounds", json_integer(1));
  refuses(plan, TW_ERR_MISMATCH, "costs");
  plan = fresh_plan();
  json_object_set_new(json_object_get(plan, "model"), "heads", json_integer(3));
  refuses(plan, TW_ERR_FORMAT, "heads");
  plan = fresh_plan();
  json_object_set_new(json_object_get(plan, "model"), "hidden", json_integer((json_int_t)1 << 40));
  refuses(plan, TW_ERR_FORMAT, "model.hidden");
}

// A byte anywhere is changed or the end is cut off: refused, or it did not matter.
static void test_damage(void) {
  tw_plan plan, again;
  CU_ASSERT_EQUAL_FATAL(make("1x8x1x8", 2, TW_DITHERED, TW_OUTPUT_CLS, NULL, &plan), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plan_write(path, &plan), TW_OK);
  FILE *file = fopen(path, "rb");
  static char text[1 << 22];
  size_t bytes = fread(text, 1, sizeof text, file);
  fclose(file);
  CU_ASSERT_FATAL(bytes > 1000 && bytes < sizeof text);
  for (int i = 0; i < 60; i++) {
    size_t at = randombytes_uniform((uint32_t)bytes), length = i % 4 ? bytes : at;
    char kept = text[at];
    text[at] = i % 4 == 1 ? (char)('0' + randombytes_uniform(10)) : (char)randombytes_random();
    file = fopen(path, "wb");
    fwrite(text, 1, length, file);
    fclose(file);
    text[at] = kept;
    if (tw_plan_read(path, &again) != TW_OK) continue;
    CU_ASSERT_STRING_EQUAL(again.digest.hex, plan.digest.hex);
    tw_plan_free(&again);
  }
  unlink(path);
  CU_ASSERT_EQUAL(tw_plan_read(path, &again), TW_ERR_IO);
  tw_plan_free(&plan);
}

// ---- planning

static void test_bert_base_bars(void) {
  tw_plan plan;
  CU_ASSERT_EQUAL_FATAL(make("bert-base", 128, TW_DITHERED, TW_OUTPUT_TOKENS, NULL, &plan), TW_OK);
  tw_cost total, *steps = calloc((size_t)plan.program.step_count + 1, sizeof *steps);
  tw_program_costs(&plan.program, steps, &total);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT(total.correction_bytes[party] <= 470000000);
    CU_ASSERT(total.correction_bytes[party] >= 200000000);  // a bar that is met by leaving things out is not met
    CU_ASSERT_EQUAL(total.correction_bytes[party], plan.program.slot_bytes[party]);
  }
  CU_ASSERT(total.sent_bytes <= 260000000);
  CU_ASSERT(total.rounds <= 560);
  free(steps);
  tw_plan_free(&plan);
}

static void refuses_bound(double *bound, double value, tw_bounds *bounds, const char *tensor) {
  tw_plan plan;
  double kept = *bound;
  *bound = value;
  CU_ASSERT_EQUAL(make("2x32x2x64", 8, TW_DITHERED, TW_OUTPUT_TOKENS, bounds, &plan), TW_ERR_RANGE);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), tensor));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "layer 1"));
  if (!strstr(tw_error_message(), tensor)) printf("\n  not '%s': %s\n", tensor, tw_error_message());
  *bound = kept;
}

static void test_impossible_bounds(void) {
  tw_bounds bounds[2] = {random_bounds(), random_bounds()};
  refuses_bound(&bounds[1].logit, 1e9, bounds, "tensor logits");
  refuses_bound(&bounds[1].value, 1e9, bounds, "tensor value");
  refuses_bound(&bounds[1].query, 1e9, bounds, "tensor query or key");
  refuses_bound(&bounds[1].input, 1e12, bounds, "tensor layer input");
  refuses_bound(&bounds[1].up, 1e9, bounds, "tensor ffn-up");
  refuses_bound(&bounds[1].residual, 1e9, bounds, "tensor residual");
  refuses_bound(&bounds[1].attention, 1e9, bounds, "tensor attention");
  refuses_bound(&bounds[1].feed_forward, 1e9, bounds, "tensor feed-forward");
  refuses_bound(&bounds[1].norm_weight, 1e9, bounds, "tensor norm weight");
  refuses_bound(&bounds[1].norm_bias, 1e9, bounds, "tensor norm output");
  refuses_bound(&bounds[1].variance_sum_max, 0x1p25, bounds, "norm variance");
  refuses_bound(&bounds[1].variance_sum_min, 1e-6, bounds, "norm variance");
}

// Does a product use a mask that this gate makes, itself or by way of gates that make masks of masks?
static bool reaches_product(const tw_program *p, int op) {
  if (!p->ops[op].gate->mask) return false;
  for (int i = op + 1; i < p->op_count; i++) {
    const tw_op *user = &p->ops[i];
    bool reads = false;
    for (int j = 0; j < user->in_count; j++)
      for (int k = 0; k < p->ops[op].out_count; k++) reads |= user->in[j] == p->ops[op].out[k];
    if (reads && (user->gate->prepare || (!user->opens && reaches_product(p, i)))) return true;
  }
  return false;
}

// On the CPU nothing else is prepared: openings of bits, above all, have their masks drawn online alone.
static void test_masks_of_products(void) {
  tw_plan plan = {0};
  int products = 0, drawn = 0, not_drawn = 0, wrong = 0;
  CU_ASSERT_EQUAL_FATAL(make("bert-tiny", 16, TW_DITHERED, TW_OUTPUT_TOKENS, NULL, &plan), TW_OK);
  const tw_program *p = &plan.program;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    bool product = op->gate->prepare != NULL;
    wrong += op->for_product != (product || reaches_product(p, i));
    products += product;
    drawn += op->opens && op->for_product;
    not_drawn += op->opens && !op->for_product;
    if (op->opens && p->tensors[op->out[0]].kind == TW_BITWIRE) wrong += op->for_product;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(products, 2 * 4);
  CU_ASSERT(drawn >= products && not_drawn > drawn);
  tw_plan_free(&plan);
}

// Gates of a wave run in any order: none reads a mask that another of its wave, or of a later one, makes.
static void test_waves(void) {
  tw_plan plan = {0};
  CU_ASSERT_EQUAL_FATAL(make("bert-tiny", 16, TW_DITHERED, TW_OUTPUT_TOKENS, NULL, &plan), TW_OK);
  const tw_program *p = &plan.program;
  int *maker = calloc((size_t)p->tensor_count, sizeof *maker), wrong = 0, follow = 0, last = 0;
  for (int i = 0; i < p->tensor_count; i++) maker[i] = -1;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    bool wire = op->out_count && p->tensors[op->out[0]].kind == TW_WIRE, follows = op->gate->mask && !op->opens && wire;
    if (op->opens) wrong += op->wave != 0;
    for (int j = 0; j < op->in_count && (follows || op->gate->prepare); j++)
      wrong += maker[op->in[j]] >= 0 && p->ops[maker[op->in[j]]].wave >= op->wave;
    for (int j = 0; j < op->out_count; j++) maker[op->out[j]] = follows ? i : -1;
    wrong += op->wave > p->waves;
    last += op->wave == p->waves;
    follow += follows;
  }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(last, 2 * 4);
  CU_ASSERT(follow > 50);
  free(maker);
  tw_plan_free(&plan);
}

static void test_margin(void) {
  tw_bounds measured = random_bounds(), wide = tw_bert_widened(&measured, 3);
  CU_ASSERT(wide.logit >= 3 * measured.logit && wide.value >= 3 * measured.value && wide.up >= 3 * measured.up);
  CU_ASSERT(wide.variance_sum_max >= 3 * measured.variance_sum_max &&
            wide.variance_sum_min <= measured.variance_sum_min / 3);
}

// A stream's ring is that of its largest rows, which come late; small ones before them are squared all the same.
static void test_small_rows(void) {
  static const char *const shapes[] = {"smollm2-135m", "gpt2"};
  for (int i = 0; i < 4; i++) {
    tw_model_config config;
    CU_ASSERT_EQUAL_FATAL(tw_shape_config(shapes[i / 2], &config), TW_OK);
    config.layers = 2;
    const tw_architecture *family = tw_architecture_by_name(config.architecture);
    tw_bounds bounds[2] = {family->default_bounds(), family->default_bounds()};
    tw_model_bounds all = {bounds, tw_head_default_bounds()};
    bounds[0].variance_sum_max = all.head.norm.variance_sum_max = uniform(1, 4);
    tw_plan plan, again;
    tw_plan_request request = {.seq = 3, .output = TW_OUTPUT_LOGITS, .guard = i % 2};
    CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, &all, &plan), TW_OK);
    for (int layer = 0; layer < 2; layer++)
      CU_ASSERT(plan.rings[layer].squares >= plan.rings[layer].out - TW_SCALE + 2);
    CU_ASSERT(plan.rings[0].squares < plan.rings[1].squares);
    CU_ASSERT_EQUAL_FATAL(tw_plan_write(path, &plan), TW_OK);
    CU_ASSERT_EQUAL_FATAL(tw_plan_read(path, &again), TW_OK);
    CU_ASSERT_STRING_EQUAL(plan.digest.hex, again.digest.hex);
    CU_ASSERT_EQUAL(memcmp(plan.rings, again.rings, 2 * sizeof *plan.rings), 0);
    CU_ASSERT_EQUAL(plan.head_rings.norm.squares, again.head_rings.norm.squares);
    tw_plan_free(&plan);
    tw_plan_free(&again);
    unlink(path);
  }
}

int main(void) {
  if (sodium_init() < 0 || !mkdtemp(folder)) return 2;
  snprintf(path, sizeof path, "%s/p.plan.json", folder);
  static const suite_test tests[] = {{"round trip of every rounding and output", test_round_trip},
                                     {"changed bounds and rings", test_changed_layers},
                                     {"changed tables", test_changed_tables},
                                     {"engines", test_engines},
                                     {"changed heads, costs and streams", test_changed_heads},
                                     {"damaged files", test_damage},
                                     {"cost bars of BERT-base", test_bert_base_bars},
                                     {"bounds that fit no ring", test_impossible_bounds},
                                     {"masks of products", test_masks_of_products},
                                     {"waves of masks", test_waves},
                                     {"margin", test_margin},
                                     {"small rows in a wide stream", test_small_rows}};
  int result = suite_run("plan", tests, sizeof tests / sizeof *tests);
  rmdir(folder);
  return result;
}
