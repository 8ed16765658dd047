// What a plan is foretold to take, and what it chooses by that: sums that follow from the program alone, keys that a
// gate waits for, budgets, the forms' table, and files of rates.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/models/architecture.h"
#include "jobs/models/fold.h"
#include "jobs/models/import.h"
#include "jobs/plan/choose.h"
#include "tests/common/suite.h"

static char folder[] = "/tmp/twain-rates-XXXXXX", path[64];

static bool close_to(double a, double b) { return fabs(a - b) <= 1e-9 * fabs(b) + 1e-15; }

static void make_plan(const char *shape, int seq, tw_choices choices, tw_plan *plan) {
  tw_model_config config;
  tw_plan_request request = {.seq = seq, .choices = choices};
  CU_ASSERT_EQUAL_FATAL(tw_shape_config(shape, &config), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, NULL, plan), TW_OK);
}

// With one rate at a time an estimate is that rate times a sum of the plan.
static void test_sums(void) {
  tw_plan plan;
  tw_estimate e;
  make_plan("bert-tiny", 32, (tw_choices){.wide_nodes = true}, &plan);
  uint64_t keys =
      plan.program.slot_bytes[0] > plan.program.slot_bytes[1] ? plan.program.slot_bytes[0] : plan.program.slot_bytes[1];
  tw_rates rates = {.round = 3e-6};
  tw_place place = {.rates = &rates, .link = {2e-3, 4e8}};
  double *steps = calloc((size_t)plan.program.step_count, sizeof *steps), sum = 0;
  tw_estimate_program(&plan.program, &place, NULL, NULL, steps, &e);
  CU_ASSERT_EQUAL(e.rounds, (uint64_t)plan.program.levels);
  CU_ASSERT_EQUAL(e.key_bytes, keys);
  CU_ASSERT(close_to(e.latency, 2e-3 * plan.program.levels));
  CU_ASSERT(close_to(e.messages, 3e-6 * plan.program.levels));
  CU_ASSERT(close_to(e.bytes, (double)e.sent_bytes / 4e8));
  CU_ASSERT_EQUAL(e.gates, 0);
  rates.relayed_byte = 2e-9;  // the link is slower, and then it is not
  tw_estimate_program(&plan.program, &place, NULL, NULL, steps, &e);
  CU_ASSERT(close_to(e.messages, 3e-6 * plan.program.levels));
  rates.relayed_byte = 5e-9;
  tw_estimate_program(&plan.program, &place, NULL, NULL, steps, &e);
  CU_ASSERT(close_to(e.messages, 3e-6 * plan.program.levels + 2.5e-9 * (double)e.sent_bytes));
  rates.relayed_byte = 0;
  rates.other.seconds[TW_COST_ONCE] = 1e-6;
  rates.other.seconds[TW_COST_KEYS] = 1e-9;
  for (int i = 0; i < TW_RING_BYTES; i++) rates.multiply_add[i] = 1e-10;
  tw_estimate_program(&plan.program, &place, NULL, NULL, steps, &e);
  CU_ASSERT(e.gates > 1e-6 * plan.program.op_count + 1e-9 * (double)keys);  // and products
  CU_ASSERT(e.preparation > 0);
  // weights take their time, however few rows they are multiplied with, online and before
  double gates = e.gates, before = e.preparation, read = 0;
  for (int i = 0; i < plan.program.op_count; i++) read += tw_weights_read(&plan.program, &plan.program.ops[i]);
  rates.weight = 1e-3;
  tw_estimate_program(&plan.program, &place, NULL, NULL, NULL, &e);
  CU_ASSERT(read > 1e5 && e.gates > gates + 0.99e-3 * read && e.gates < gates + 1e-3 * read);
  CU_ASSERT(e.preparation > before + 0.99e-3 * read && e.preparation < before + 1e-3 * read);
  rates.weight = 1e-16;  // less than the products take
  tw_estimate_program(&plan.program, &place, NULL, NULL, steps, &e);
  CU_ASSERT(close_to(e.gates, gates) && close_to(e.preparation, before));
  for (int i = 0; i < plan.program.step_count; i++) sum += steps[i];
  CU_ASSERT(close_to(sum, tw_estimate_online(&e)));
  free(steps);
  tw_plan_free(&plan);
}

// A dealer who sends no faster than gates take keys is waited for; of both ways the slower one counts.
static void test_waiting_for_keys(void) {
  tw_plan plan;
  tw_estimate e;
  make_plan("bert-tiny", 32, (tw_choices){0}, &plan);
  tw_rates rates = {.round = 1e-6};
  tw_place place = {.rates = &rates, .dealer_rate = 1e6};
  tw_estimate_program(&plan.program, &place, NULL, NULL, NULL, &e);
  double all = (double)e.key_bytes / 1e6;
  CU_ASSERT(e.keys > 0.99 * all - e.messages && tw_estimate_online(&e) < all + 2 * e.messages);
  rates.key_rate = 5e5;
  tw_estimate_program(&plan.program, &place, NULL, NULL, NULL, &e);
  CU_ASSERT(e.keys > 1.9 * all);
  place.link.latency_seconds = 10;  // while messages are under way keys come
  tw_estimate_program(&plan.program, &place, NULL, NULL, NULL, &e);
  CU_ASSERT(e.keys < 0.2 * all);
  tw_plan_free(&plan);
}

static bool engine_made;  // functions are read from digits, whatever it costs
static tw_found found_at(const char *shape, double latency, const tw_rates *rates, uint64_t budget, tw_choices *out) {
  tw_found found = {0};
  tw_model_config config;
  tw_plan_request request = {.seq = 64};
  tw_made made = {.form = {[TW_FORM_ENGINE] = engine_made}};
  tw_place place = {.rates = rates, .link = {latency, 0}};
  CU_ASSERT_EQUAL_FATAL(tw_shape_config(shape, &config), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_choices_find(&config, &request, &made, &place, budget, out, &found), TW_OK);
  return found;
}

// A slow line asks for few rounds, no line for few keys; a budget is kept.
static void test_choices(void) {
  static const tw_rates rates = {.round = 1e-9, .other = {.seconds = {[TW_COST_KEYS] = 1e-9}}};
  tw_choices fast, slow, tight;
  engine_made = true;
  tw_found near = found_at("minilm", 0, &rates, 0, &fast), far = found_at("minilm", 0.1, &rates, 0, &slow);
  CU_ASSERT(far.best.estimate.rounds < near.best.estimate.rounds);
  CU_ASSERT(far.best.estimate.key_bytes > near.best.estimate.key_bytes);
  CU_ASSERT(slow.wide_nodes && slow.flat_windows && slow.centred && !fast.wide_nodes);
  for (int i = 0; i < TW_FORM_ARGMAX; i++) {
    if (tw_forms[i].unsaid) {  // made already, or of texts alone
      CU_ASSERT(!far.other[i].there);
      continue;
    }
    CU_ASSERT(far.other[i].there && !tw_forms[i].same(&far.other[i].choices, &slow));
    CU_ASSERT(tw_estimate_seconds(&far.other[i].estimate) >= tw_estimate_seconds(&far.best.estimate));
  }
  CU_ASSERT(far.runner_up.there &&
            tw_estimate_seconds(&far.runner_up.estimate) >= tw_estimate_seconds(&far.best.estimate));
  uint64_t budget = (near.best.estimate.key_bytes + far.best.estimate.key_bytes) / 2;
  tw_found within = found_at("minilm", 0.1, &rates, budget, &tight);
  CU_ASSERT(within.best.estimate.key_bytes <= budget && within.best.estimate.rounds < near.best.estimate.rounds);
  engine_made = false;
}

static uint64_t key_bytes_of(const tw_plan *plan) {
  uint64_t bytes = 0;
  for (int i = 0; i < plan->program.correction_count; i++) bytes += plan->program.corrections[i].bytes[1];
  return bytes;
}

// A budget is one of the whole plan, by its own bounds; and what these do not allow is not chosen.
static void test_choose(void) {
  static const tw_rates rates = {.round = 1e-6};
  static const tw_place far = {.rates = &rates, .link = {0.1, 0}};
  tw_model_config config;
  tw_bounds layers[6];
  tw_plan any, plan;
  tw_plan_request request = {.seq = 64}, asked = request;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("minilm", &config), TW_OK);
  for (int i = 0; i < config.layers; i++) layers[i] = tw_architecture_by_name(config.architecture)->default_bounds();
  const tw_model_bounds bounds = {layers, tw_head_default_bounds()};
  for (int i = 0; i < 3; i++) {
    tw_choose_by by = {.place = i == 1 ? &far : &tw_place_one_host};
    if (i == 2) layers[0].up = 30;  // other keys than the default bounds'
    by.made.form[TW_FORM_ENGINE] = i != 1;
    CU_ASSERT_EQUAL_FATAL(tw_plan_choose(&config, &request, &by, &bounds, NULL, &any), TW_OK);
    by.key_budget = key_bytes_of(&any) - 1;
    request = asked;
    CU_ASSERT_EQUAL_FATAL(tw_plan_choose(&config, &request, &by, &bounds, NULL, &plan), TW_OK);
    CU_ASSERT(key_bytes_of(&plan) <= by.key_budget && key_bytes_of(&plan) > by.key_budget / 10 * 9);
    by.key_budget = 1000;
    request = asked;
    tw_plan_free(&any);
    tw_plan_free(&plan);
    CU_ASSERT_EQUAL(tw_plan_choose(&config, &request, &by, &bounds, NULL, &plan), TW_ERR_RANGE);
    request = asked;
  }
  // gamma that fits digits, and no key of a norm
  for (int i = 0; i < config.layers; i++) layers[i].norm_weight = 1000;
  tw_choose_by by = {.place = &far};
  CU_ASSERT_EQUAL_FATAL(tw_plan_choose(&config, &request, &by, &bounds, NULL, &plan), TW_OK);
  CU_ASSERT(plan.choices.engine != TW_BY_DIGITS && !(plan.choices.engine & TW_ROOTS_BY_KEY));
  tw_plan_free(&plan);
  by.made.form[TW_FORM_ENGINE] = true;
  request = asked;
  request.choices.engine = TW_ROWS_BY_KEY;
  CU_ASSERT_EQUAL(tw_plan_choose(&config, &request, &by, &bounds, NULL, &plan), TW_ERR_RANGE);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "--engine digit"));
}

// Which functions are read from keys follows from rounds, nodes and bytes: none where nodes are dear, those of rows on
// a line, all on a slow one; and within a budget what saves most for its bytes.
static void test_engines(void) {
  static const tw_rates rates = {.round = 1e-6, .other = {.seconds = {[TW_COST_BLOCKS] = 1e-8}}};
  static const tw_rates dear = {.round = 1e-6, .other = {.seconds = {[TW_COST_BLOCKS] = 1e-5}}};
  static const tw_rates free_nodes = {.round = 1e-6, .other = {.seconds = {[TW_COST_KEYS] = 1e-12}}};
  tw_choices choices;
  found_at("minilm", 1e-3, &dear, 0, &choices);
  CU_ASSERT_EQUAL(choices.engine, TW_BY_DIGITS);
  tw_found found = found_at("minilm", 5e-3, &rates, 0, &choices);
  CU_ASSERT_EQUAL(choices.engine, TW_ROWS_BY_KEY);
  CU_ASSERT(found.other[TW_FORM_ENGINE].there && found.other[TW_FORM_ENGINE].choices.engine != TW_ROWS_BY_KEY);
  found = found_at("minilm", 1, &rates, 0, &choices);
  CU_ASSERT_EQUAL(choices.engine, TW_ALL_BY_KEY);
  uint64_t all = found.best.estimate.key_bytes;
  found = found_at("minilm", 1, &free_nodes, all / 2, &choices);
  CU_ASSERT(choices.engine != TW_ALL_BY_KEY && (choices.engine & TW_ROWS_BY_KEY) == TW_ROWS_BY_KEY);
  CU_ASSERT(found.best.estimate.key_bytes <= all / 2);
}

// A row of a norm: 929 steps of 1/sqrt, and as many nodes above them.
static void test_nodes(void) {
  tw_plan plan;
  double nodes = 0, digits = 0;
  make_plan("bert-tiny", 32, (tw_choices){0}, &plan);
  for (int i = 0; i < plan.program.op_count; i++)
    digits += tw_work_of(&plan.program, &plan.program.ops[i]).cost[TW_COST_BLOCKS];
  tw_plan_free(&plan);
  make_plan("bert-tiny", 32, (tw_choices){.engine = TW_ROOTS_BY_KEY}, &plan);
  for (int i = 0; i < plan.program.op_count; i++)
    nodes += tw_work_of(&plan.program, &plan.program.ops[i]).cost[TW_COST_BLOCKS];
  CU_ASSERT(digits == 0 && nodes == 2.0 * 2 * 32 * 2 * 929);
  tw_plan_free(&plan);
}

// A model of many layers is priced by two: what comes out is the whole plan's.
static void test_layers(void) {
  static const tw_rates rates = {.round = 1e-6, .other = {.seconds = {[TW_COST_ONCE] = 1e-6}}};
  tw_choices chosen;
  tw_plan plan;
  tw_estimate whole;
  tw_found found = found_at("minilm", 1e-3, &rates, 0, &chosen);
  make_plan("minilm", 64, chosen, &plan);
  tw_estimate_program(&plan.program, &(tw_place){.rates = &rates, .link = {1e-3, 0}}, NULL, NULL, NULL, &whole);
  CU_ASSERT_EQUAL(found.best.estimate.key_bytes, whole.key_bytes);
  CU_ASSERT_EQUAL(found.best.estimate.sent_bytes, whole.sent_bytes);
  CU_ASSERT_EQUAL(found.best.estimate.rounds, whole.rounds);
  CU_ASSERT(fabs(tw_estimate_online(&found.best.estimate) / tw_estimate_online(&whole) - 1) < 1e-3);
  tw_plan_free(&plan);
}

// A text is its first token, and then the second again and again: all but what grows with the tokens before.
static void test_texts(void) {
  static const tw_rates rates = {.round = 1e-6, .other = {.seconds = {[TW_COST_ONCE] = 1e-6}}};
  tw_place place = {.rates = &rates, .link = {1e-3, 0}};
  tw_model_config config;
  tw_plan_request request = {.seq = 12, .output = TW_OUTPUT_TEXT, .generated = 5};
  tw_found found;
  tw_plan plan;
  tw_estimate whole;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("gpt2", &config), TW_OK);
  config.layers = 3;
  CU_ASSERT_EQUAL_FATAL(tw_choices_find(&config, &request, &(tw_made){0}, &place, 0, &request.choices, &found), TW_OK);
  CU_ASSERT(request.choices.flat_norms && request.choices.early_groups);  // a slow line: fewest rounds
  CU_ASSERT(request.choices.lookup_beside);
  CU_ASSERT_EQUAL_FATAL(tw_plan_make(&config, &request, NULL, &plan), TW_OK);
  tw_estimate_program(&plan.program, &place, NULL, NULL, NULL, &whole);
  CU_ASSERT_EQUAL(found.best.estimate.rounds, whole.rounds);
  CU_ASSERT(fabs((double)found.best.estimate.key_bytes / (double)whole.key_bytes - 1) < 0.01);
  CU_ASSERT(fabs(tw_estimate_online(&found.best.estimate) / tw_estimate_online(&whole) - 1) < 0.01);
  tw_plan_free(&plan);
}

// Where the next word's lookup stands: by hand, with rounds by hand, and on one host behind unless it is said.
static void test_lookups(void) {
  static const tw_rates rates = {.round = 1e-6, .other = {.seconds = {[TW_COST_ONCE] = 1e-6}}};
  tw_place place = {.rates = &rates, .link = {1e-3, 0}};
  static const struct {
    bool one_host, made, beside;
    int rounds, words;
    bool wanted;
  } cases[] = {{false, true, false, 0, 3, false},  {false, true, true, 0, 3, true},
               {false, false, false, 14, 3, true}, {false, true, false, 14, 3, false},
               {true, false, false, 0, 3, false},  {true, true, true, 0, 3, true},
               {true, true, true, 15, 3, true},    {false, false, false, 0, 1, false}};
  tw_model_config config;
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("gpt2", &config), TW_OK);
  config.layers = 1;
  config.vocab = config.head.outputs = 3000;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tw_made made = {.lookup = cases[i].made};
    for (int form = 0; form < TW_FORMS; form++) made.form[form] = form != TW_FORM_ARGMAX || cases[i].rounds;
    tw_plan_request request = {.seq = 4, .output = TW_OUTPUT_TEXT, .generated = cases[i].words};
    tw_choices found;
    request.choices = (tw_choices){.lookup_beside = cases[i].beside, .argmax_rounds = cases[i].rounds};
    CU_ASSERT_EQUAL_FATAL(
        tw_choices_find(&config, &request, &made, cases[i].one_host ? &tw_place_one_host : &place, 0, &found, NULL),
        TW_OK);
    CU_ASSERT_EQUAL(found.lookup_beside, cases[i].wanted);
    if (cases[i].rounds) CU_ASSERT_EQUAL(found.argmax_rounds, cases[i].rounds);
  }
}

// Each row's first way is what a plan has where nothing is chosen, and its ways differ in that row alone.
static void test_forms(void) {
  tw_model_config config;
  tw_plan_request request = {.seq = 100, .output = TW_OUTPUT_TEXT, .generated = 4};
  tw_choices none = {0}, ways[TW_MOST_WAYS];
  CU_ASSERT_EQUAL_FATAL(tw_shape_config("minilm", &config), TW_OK);
  for (int i = 0; i < TW_FORMS; i++) {
    int count = tw_forms[i].ways(&config, &request, &none, ways);
    CU_ASSERT(count >= 2 && count <= TW_MOST_WAYS);
    CU_ASSERT(tw_forms[i].same(&ways[0], &none));
    for (int j = 1; j < count; j++) {
      CU_ASSERT(!tw_forms[i].same(&ways[j], &none));
      for (int k = 0; k < TW_FORMS; k++) CU_ASSERT(k == i || tw_forms[k].same(&ways[j], &none));
    }
  }
}

// ---- files

static void test_files(void) {
  tw_rates rates, again;
  bool guess;
  char names[128];
  tw_rates_names(names, sizeof names);
  CU_ASSERT(strstr(names, "epyc") && strstr(names, "h200"));
  CU_ASSERT_EQUAL(tw_rates_find("epyc", &rates, &guess), TW_OK);
  CU_ASSERT(!guess && rates.gate_count > 10 && rates.key_rate > 1e8);
  CU_ASSERT_EQUAL(tw_rates_write(path, &rates), TW_OK);
  CU_ASSERT_EQUAL(tw_rates_find(path, &again, &guess), TW_OK);
  CU_ASSERT_EQUAL(again.gate_count, rates.gate_count);
  CU_ASSERT(rates.weight > 0 && fabs(again.weight - rates.weight) <= 1e-3 * rates.weight);
  for (int i = 0; i < rates.gate_count; i++)
    for (int j = 0; j < TW_COSTS; j++)
      CU_ASSERT(fabs(tw_rate_of(&again, rates.gates[i].gate)->seconds[j] - rates.gates[i].seconds[j]) <=
                1e-3 * rates.gates[i].seconds[j]);
  CU_ASSERT_EQUAL(tw_rates_find("h200", &rates, &guess), TW_OK);
  CU_ASSERT(!guess && rates.relayed_byte > 0 && tw_rate_of(&rates, "segments by key")->seconds[TW_COST_BLOCKS] > 0);
  CU_ASSERT_EQUAL(tw_rates_find("some-other-card", &again, &guess), TW_OK);
  CU_ASSERT(guess && strstr(again.source, "guess") && close_to(again.round, 2 * rates.round));
}

static void put(const char *text) {
  FILE *file = fopen(path, "w");
  CU_ASSERT_FATAL(file != NULL);
  fputs(text, file);
  fclose(file);
}

#define HEAD "{\"format\": \"twain rates\", \"version\": 1, \"device\": \"d\", \"source\": \"s\", "
#define NUMBERS "\"round_ns\": 1, \"opened_byte_ns\": 1, \"mask_byte_ns\": 1, \"key_bytes_per_second\": 1, "
#define PRODUCTS "\"multiply_add_ns\": [1, 1, 1, 1, 1, 1, 1, 1], "
static void test_bad_files(void) {
  static const struct {
    const char *text, *said;
  } bad[] = {{"", "line"},
             {"{}", "format"},
             {"{\"format\": \"twain rates\", \"version\": 2}", "version"},
             {"{\"format\": \"twain rates\", \"version\": 1}", "device"},
             {HEAD "\"round_ns\": -1}", "round_ns"},
             {HEAD "\"round_ns\": \"1\"}", "round_ns"},
             {HEAD NUMBERS PRODUCTS "\"weight_ns\": -1, \"other_gates\": {}, \"gates\": {}}", "weight_ns"},
             {HEAD NUMBERS "\"multiply_add_ns\": [1]}", "multiply_add_ns"},
             {HEAD NUMBERS PRODUCTS "\"gates\": {}}", "other_gates"},
             {HEAD NUMBERS PRODUCTS "\"other_gates\": {\"gate_ns\": -3}, \"gates\": {}}", "gate_ns"},
             {HEAD NUMBERS PRODUCTS "\"other_gates\": {}, \"gates\": {\"and\": 3}}", "and"},
             {HEAD NUMBERS PRODUCTS "\"other_gates\": {\"gates_ns\": 3}, \"gates\": {}}", "other_gates.gates_ns"},
             {HEAD NUMBERS PRODUCTS "\"other_gates\": {}, \"gates\": []}", "gates"},
             {HEAD NUMBERS PRODUCTS "\"other_gates\": {}, \"gates\": {}, \"gate\": {}}", "gate is"},
             {HEAD NUMBERS PRODUCTS "\"weight_ns\": 1e300, \"other_gates\": {}, \"gates\": {}}", "weight_ns"},
             {HEAD NUMBERS NUMBERS PRODUCTS "\"other_gates\": {}, \"gates\": {}}", "duplicate"}};
  tw_rates rates;
  bool guess;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put(bad[i].text);
    CU_ASSERT_EQUAL(tw_rates_find(path, &rates, &guess), TW_ERR_FORMAT);
    CU_ASSERT(strstr(tw_error_message(), path) && strstr(tw_error_message(), bad[i].said) &&
              strstr(tw_error_message(), "bench calibrate"));
  }
  put(HEAD NUMBERS PRODUCTS "\"other_gates\": {}, \"gates\": {}}");
  CU_ASSERT_EQUAL(tw_rates_find(path, &rates, &guess), TW_OK);
  unlink(path);
  CU_ASSERT_EQUAL(tw_rates_find(path, &rates, &guess), TW_ERR_IO);
}

int main(void) {
  if (sodium_init() < 0 || !mkdtemp(folder)) return 2;
  snprintf(path, sizeof path, "%s/r.json", folder);
  static const suite_test tests[] = {{"sums of a plan", test_sums},
                                     {"keys that are waited for", test_waiting_for_keys},
                                     {"choices by link and budget", test_choices},
                                     {"plans within a budget and their bounds", test_choose},
                                     {"engines", test_engines},
                                     {"nodes of keys", test_nodes},
                                     {"texts", test_texts},
                                     {"lookups", test_lookups},
                                     {"layers", test_layers},
                                     {"forms", test_forms},
                                     {"files of rates", test_files},
                                     {"files that are none", test_bad_files}};
  int result = suite_run("estimate", tests, sizeof tests / sizeof *tests);
  rmdir(folder);
  return result;
}
