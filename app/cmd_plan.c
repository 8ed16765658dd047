#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/choices.h"
#include "app/commands.h"
#include "app/common_options.h"
#include "app/encoding.h"
#include "app/fit.h"
#include "app/prefixes.h"
#include "app/show/costs.h"
#include "app/show/estimate.h"
#include "app/show/forecast.h"
#include "app/show/layers.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "app/texts.h"
#include "app/void_files.h"
#include "app/where.h"
#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/new_files.h"
#include "jobs/models/architecture.h"
#include "jobs/models/calibrate.h"
#include "jobs/models/embed.h"
#include "jobs/models/import.h"
#include "jobs/models/noise.h"
#include "jobs/plan/plan_fields.h"

typedef struct {
  const char *shape, *result, *rounding, *calibrate, *prefix;
  tw_where_words place;
  tw_choice_words choices;
  tw_fit_words fit;
  int64_t seq, layers, generate, conversation;
  double margin, temperature;
  bool no_guard, json, csv, verbose, force;
} settings;

static const tw_option options[] = {
    {.group = "what is computed",
     .name = "seq",
     .letter = 's',
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, seq),
     .value = "S",
     .help =
         "tokens of a sequence; shorter ones are padded (not given: 128, or all positions of a model that has fewer)",
     .low = 1,
     .high = TW_MOST_TOKENS},
    {.common = &tw_option_lengths, .field = offsetof(settings, fit.lengths)},
    {.common = &tw_option_fit, .field = offsetof(settings, fit.fit)},
    {.common = &tw_option_fit_column, .field = offsetof(settings, fit.text_column)},
    {.common = &tw_option_chunk, .field = offsetof(settings, fit.chunk)},
    {.common = &tw_option_overlap, .field = offsetof(settings, fit.overlap)},
    {.common = &tw_option_result, .field = offsetof(settings, result)},
    {.common = &tw_option_generate, .field = offsetof(settings, generate)},
    {.name = "conversation",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, conversation),
     .value = "N",
     .help = "with --generate: each run is a turn of a conversation, behind up to N tokens of its earlier turns "
             "(`encode --after`, `run --after`), which are not computed again",
     .low = 1,
     .high = TW_MOST_TOKENS},
    {.name = "temperature",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, temperature),
     .value = "T",
     .fallback = "0",
     .help =
         "with --result next-token and --generate: draw tokens with probabilities softmax(logits / T); 0: the largest "
         "logit's",
     .low = 0,
     .high = TW_MOST_TEMPERATURE},
    {.name = "rounding",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, rounding),
     .value = "MODE",
     .words = "dithered faithful faithful-output",
     .fallback = "dithered",
     .help = "dithered, faithful (all truncations round down; more keys) or faithful-output (only the last)"},
    {.name = "prefix",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, prefix),
     .value = "FILE",
     .help =
         "tokens that all inputs of a decoder begin with; --seq counts those behind them. FILE's text is taken byte "
         "for byte, with a newline at its end; nothing is put before it: a token like <s> is written so. A FILE "
         "that ends in .json is a list of token ids"},
    {.group = "bounds of values",
     .name = "calibrate",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, calibrate),
     .value = "FILE",
     .help = "measure bounds on the texts of FILE, one a line"},
    {.name = "margin",
     .kind = TW_OPTION_REAL,
     .field = offsetof(settings, margin),
     .value = "X",
     .help = "with --calibrate: widen measured bounds by this factor (not given: 2)",
     .low = 1,
     .high = 1e6},
    {.name = "no-guard",
     .field = offsetof(settings, no_guard),
     .help = "do not count values out of bound: fewer keys, and a result that may be wrong without a word; a plan by "
             "--shape never counts"},
    {.group = "keys against rounds", .common = &tw_option_maximum_groups, .field = offsetof(settings, choices.maximum)},
    {.common = &tw_option_node_arity, .field = offsetof(settings, choices.arity)},
    {.common = &tw_option_window_levels, .field = offsetof(settings, choices.levels)},
    {.common = &tw_option_norm_means, .field = offsetof(settings, choices.means)},
    {.common = &tw_option_norm_levels, .field = offsetof(settings, choices.norms)},
    {.common = &tw_option_group_rounds, .field = offsetof(settings, choices.groups)},
    {.common = &tw_option_engine, .field = offsetof(settings, choices.engine)},
    {.common = &tw_option_argmax_rounds, .field = offsetof(settings, choices.argmax)},
    {.common = &tw_option_word_lookup, .field = offsetof(settings, choices.lookup)},
    {.group = "without a model", .common = &tw_option_shape, .field = offsetof(settings, shape)},
    {.name = "layers",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, layers),
     .value = "N",
     .help = "with --shape: another number of layers",
     .low = 1,
     .high = 1024},
    {.group = "where it will run",
     .common = &tw_option_link_latency,
     .field = offsetof(settings, place.link.latency_seconds),
     .low = 1e-9},  // 0 is what is not given
    {.common = &tw_option_link_rate, .field = offsetof(settings, place.link.bytes_per_second)},
    {.common = &tw_option_dealer_link_rate, .field = offsetof(settings, place.dealer_rate)},
    {.common = &tw_option_plan_device, .field = offsetof(settings, place.device)},
    {.common = &tw_option_key_budget, .field = offsetof(settings, place.key_budget)},
    {.group = "what is told and kept", .common = &tw_option_verbose, .field = offsetof(settings, verbose)},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// One entry a layer, tw_free'd, and the head's.
typedef struct {
  tw_bounds *layers;
  tw_head_bounds head;
} bounds;

// What was chosen, and by what; and what a run will need at the place that was said, or at one to guess.
typedef struct {
  tw_where where, guess;
  tw_forecast_view forecasts[TW_FORECASTS];
  tw_found found;
  tw_estimate_view view;
} choice;

static double margin_of(const settings *s) { return s->margin > 0 ? s->margin : 2; }

// Of an uncalibrated plan, everything but what the model's own weights tell.
static const char assumed[] = "bounds are ASSUMED, not measured";

// ---- reports

static void print_plan(const tw_plan *plan, const bounds *measured, const tw_costs *costs, const settings *s,
                       const choice *by) {
  const tw_model_config *c = &plan->shape.config;
  char drawn[48] = "", behind[80] = "";
  if (plan->shape.temperature > 0) snprintf(drawn, sizeof drawn, " at temperature %g", plan->shape.temperature);
  if (plan->prefix.rows) snprintf(behind, sizeof behind, " behind a prefix of %d", plan->prefix.rows);
  if (plan->shape.earlier)
    snprintf(behind + strlen(behind), sizeof behind - strlen(behind), "%s up to %d of earlier turns",
             plan->prefix.rows ? " and" : " behind", plan->shape.earlier);
  printf("%s: %d layers, %d wide, %d heads, %d in the feed-forward part; %d tokens%s%s, output %s%s, rounding %s\n\n",
         c->name, c->layers, c->hidden, c->heads, c->intermediate, plan->shape.seq, behind,
         tw_shape_keys(&plan->shape) == c->max_positions ? " (all that the model has positions for)" : "",
         tw_output_name(plan->output), drawn, tw_rounding_name(plan->rounding));
  tw_model_bounds seen = {0};
  if (measured) seen = (tw_model_bounds){measured->layers, measured->head};
  tw_layers_print_bounds(plan, measured ? &seen : NULL);
  if (measured)
    printf("(measured on %s, widened by %g; what its ring holds anyway is allowed)\n", s->calibrate, margin_of(s));
  else
    printf("(%s%s; `twain plan NAME --calibrate FILE` measures them on texts like those to come)\n", assumed,
           s->shape ? "" : ", but for norm_weight and norm_bias, which hold this model's own");
  puts(plan->shape.guard ? "(values out of these bounds are counted: `twain reveal` does not trust such a result)\n"
       : s->shape ? "(values out of these bounds are not counted in a plan by --shape; `twain plan NAME` counts them)\n"
                  : "(values out of these bounds are NOT counted: a result may be wrong without a word)\n");
  tw_layers_print_rings(plan);
  tw_layers_print_head(plan, measured ? &seen : NULL);
  putchar('\n');
  tw_costs_print(costs, s->verbose ? TW_BY_LAYER_AND_GATE : TW_BY_STEP);
  char choices[TW_CHOICES_TEXT];
  tw_choices_text(&plan->choices, choices);
  printf("\nchosen: %s\n", choices);
  printf("keys: %s a party and inference; sent: %s a party; rounds: %llu\n",
         tw_text_bytes((double)costs->correction_bytes), tw_text_bytes((double)costs->sent_bytes),
         (unsigned long long)costs->rounds);
  const tw_link_profile *link = &by->where.place.link;
  printf("messages take at least %s over a link of %g us one way and %g Gbit/s\ndigest: %s\n",
         tw_text_seconds(tw_estimate_least(&by->view.whole)), 1e6 * link->latency_seconds,
         8e-9 * link->bytes_per_second, plan->digest.hex);
  if (by->where.said) tw_estimate_print(&by->view);
  tw_forecast_print(by->forecasts, TW_FORECASTS, &by->guess.place, by->where.said ? NULL : TW_GUESS_OF_PLAN);
}

static json_t *layer_objects(const tw_plan *plan, const tw_bounds *bounds) {
  json_t *list = json_array();
  for (int i = 0; i < plan->shape.config.layers; i++) {
    json_t *object = json_object();
    for (int k = 0; bounds && k < TW_BOUND_FIELDS; k++)
      if (tw_field_applies(&tw_bound_fields[k], &plan->shape.config))
        json_object_set_new(object, tw_bound_fields[k].name, json_real(*tw_bound_at(&bounds[i], k)));
    for (int k = 0; !bounds && k < TW_RING_FIELDS; k++)
      json_object_set_new(object, tw_ring_fields[k].name, json_integer(*tw_ring_at(&plan->rings[i], k)));
    json_array_append_new(list, object);
  }
  return list;
}

static tw_status print_record(const tw_plan *plan, const bounds *measured, const tw_costs *costs, const choice *by,
                              tw_format format) {
  json_t *r = tw_record_create("plan");
  tw_record_plan(r, plan);
  tw_record_integer(r, "batch", 1);
  tw_record_integer(r, "key_bytes", (int64_t)costs->correction_bytes);
  tw_record_integer(r, "sent_bytes", (int64_t)costs->sent_bytes);
  tw_record_integer(r, "rounds", (int64_t)costs->rounds);
  tw_record_link(r, by->where.place.link.latency_seconds, by->where.place.link.bytes_per_second);
  tw_estimate_record(r, &by->view);
  tw_record_json(r, "forecast", tw_forecast_records(by->forecasts, TW_FORECASTS, &by->guess.place));
  tw_record_flag(r, "bounds_assumed", !measured);
  tw_record_json(r, "rings", layer_objects(plan, NULL));
  tw_record_json(r, "bounds", layer_objects(plan, plan->bounds));
  if (measured) tw_record_json(r, "measured_bounds", layer_objects(plan, measured->layers));
  tw_record_steps(r, costs);
  return tw_record_print(r, format);
}

// ---- making the plan

static tw_status calibrate(const char *name, const settings *s, const tw_model *model, const tw_prefix *prefix,
                           bool quiet, bounds *measured) {
  tw_client client;
  tw_progress progress;
  char **lines;
  int count;
  TW_TRY(tw_lines_read(s->calibrate, &lines, &count));
  tw_status status = tw_client_read(tw_path_of(name, "client.h5").text, &client);
  if (status == TW_OK) {
    tw_progress_start(&progress, "measuring bounds", quiet);
    tw_calibration sample = {(const char *const *)lines, count, (int)s->seq, prefix, tw_progress_show, &progress};
    status = tw_calibrate(model, &client, &sample, measured->layers, &measured->head);
    if (status != TW_OK) tw_fail_in(status, "%s", s->calibrate);
    tw_progress_end(&progress);
    tw_client_free(&client);
  }
  tw_lines_free(lines, count);
  return status;
}

// Assumed bounds of every layer, with those of the model's own weights where these are larger.
static tw_status assume(const tw_model *model, const tw_model_config *config, bounds *out) {
  tw_bounds common = tw_architecture_by_name(config->architecture)->default_bounds();
  TW_TRY(tw_alloc((size_t)config->layers * sizeof *out->layers, (void **)&out->layers));
  if (model) tw_bounds_of_weights(model, out->layers);
  for (int i = 0; i < config->layers; i++) {
    tw_bounds own = out->layers[i];
    out->layers[i] = common;
    out->layers[i].norm_weight = fmax(common.norm_weight, own.norm_weight);
    out->layers[i].norm_bias = fmax(common.norm_bias, own.norm_bias);
  }
  out->head = tw_head_default_bounds();
  if (model && tw_decoder_layout_of(config)) {
    out->layers[0].input = fmax(common.input, tw_bound_of_words(model));
    tw_norm_bounds own = tw_bounds_of_top(model);
    out->head.norm.norm_weight = fmax(out->head.norm.norm_weight, own.norm_weight);
    out->head.norm.norm_bias = fmax(out->head.norm.norm_bias, own.norm_bias);
  }
  return TW_OK;
}

static tw_status measure(const char *name, const settings *s, const tw_model *model, const tw_prefix *prefix,
                         bool quiet, bounds *measured, bounds *out) {
  TW_TRY(tw_alloc((size_t)model->config.layers * sizeof *out->layers, (void **)&measured->layers));
  TW_TRY(calibrate(name, s, model, prefix, quiet, measured));
  const tw_architecture *a = tw_architecture_by_name(model->config.architecture);
  for (int i = 0; i < model->config.layers; i++) out->layers[i] = a->widened(&measured->layers[i], margin_of(s));
  out->head = tw_head_widened(&measured->head, margin_of(s));
  return TW_OK;
}

// What is not given: 128 tokens, where the model has so many positions behind the prefix.
static void choose_length(settings *s, const tw_model_config *config, const tw_prefix *prefix) {
  enum { USUAL = 128 };
  int most = config->max_positions - (prefix ? prefix->count : 0);
  if (s->seq < 0) s->seq = most < USUAL && most > 0 ? most : USUAL;
}

static tw_status check_prefix(const tw_model_config *config, const tw_prefix *prefix) {
  for (int i = 0; prefix && i < prefix->count; i++)
    if (prefix->ids[i] >= config->vocab)
      return tw_fail(TW_ERR_RANGE, "token %d of the prefix has id %d, the model's words are 0 .. %d", i + 1,
                     prefix->ids[i], config->vocab - 1);
  return TW_OK;
}

// The model's shape and bounds; with calibration also *measured.
static tw_status look_at_model(const char *name, settings *s, const tw_prefix *prefix, bool quiet,
                               tw_model_config *config, bounds *measured, bounds *out) {
  tw_model model;
  if (s->shape) {
    TW_TRY(tw_shape_config(s->shape, config));
    if (s->layers > 0) config->layers = (int)s->layers;
    choose_length(s, config, NULL);
    return assume(NULL, config, out);
  }
  tw_path path = tw_path_of(name, "model.h5");
  TW_TRY(s->calibrate ? tw_model_read(path.text, &model) : tw_model_read_part(path.text, tw_bounds_look_at, &model));
  *config = model.config;
  choose_length(s, config, prefix);
  tw_status status = check_prefix(config, prefix);
  if (status == TW_OK) status = assume(&model, config, out);
  if (status == TW_OK && s->calibrate) status = measure(name, s, &model, prefix, quiet, measured, out);
  tw_model_free(&model);
  return status;
}

// To those of the largest: a share says one of all its norms.
static void align_norms(const tw_model_config *config, bounds *all) {
  tw_bounds *layers = all->layers;
  double weight = 0, bias = 0;
  if (tw_decoder_layout_of(config)) weight = all->head.norm.norm_weight, bias = all->head.norm.norm_bias;
  for (int i = 0; i < config->layers; i++) {
    weight = fmax(weight, layers[i].norm_weight);
    bias = fmax(bias, layers[i].norm_bias);
  }
  for (int i = 0; i < config->layers; i++) layers[i].norm_weight = weight, layers[i].norm_bias = bias;
  all->head.norm.norm_weight = weight;
  all->head.norm.norm_bias = bias;
}

static tw_status make_plan(const tw_model_config *config, const settings *s, const tw_prefix *prefix, bounds *all,
                           choice *by, tw_plan *plan) {
  tw_rounding rounding;
  tw_output output = config->output;
  align_norms(config, all);
  TW_TRY(tw_rounding_parse(s->rounding, &rounding));
  TW_TRY(tw_output_of(s->result, s->generate, &output));
  bool guard = !s->no_guard && !s->shape;  // a shape's costs are compared with others' that do not count
  tw_plan_request request = {
      .seq = (int)s->seq, .rounding = rounding, .output = output, .guard = guard, .temperature = s->temperature};
  if (s->generate > 0) request.generated = (int)s->generate;
  if (s->conversation > 0) request.earlier = (int)s->conversation;
  if (prefix) request.prefix = tw_prefix_facts_of(prefix);
  tw_choose_by choose = {.place = &by->where.place, .key_budget = (uint64_t)s->place.key_budget};
  TW_TRY(tw_where_find(&s->place, &by->where));
  by->view = (tw_estimate_view){.place = choose.place, .key_budget = choose.key_budget};
  if (by->where.said) by->view.found = &by->found;
  TW_TRY(tw_choices_said(&s->choices, config, !by->where.said, &request, &choose.made));
  const tw_model_bounds bounds = {all->layers, all->head};
  return tw_plan_choose(config, &request, &choose, &bounds, by->where.said ? &by->found : NULL, plan);
}

// A folder's own pooling is not left without a word.
static void tell_output(const tw_plan *plan) {
  const tw_model_config *c = &plan->shape.config;
  if (plan->output != c->output && c->output != TW_OUTPUT_TOKENS)
    printf("note: the model's folder gives %s; this plan gives %s, as asked\n", tw_output_name(c->output),
           tw_output_name(plan->output));
  if (tw_config_scales(c, plan->output))
    puts("note: `twain reveal` scales each output to length 1, as the folder says");
}

static tw_status put_plan(const tw_plan *plan, const tw_prefix *prefix, tw_new_files *places) {
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_plan_write(places->path[0].text, plan);
  places->written[0] = status == TW_OK;
  if (status == TW_OK && prefix) status = tw_prefix_write(places->path[1].text, prefix);
  return tw_new_files_end(places, status);
}

// Another plan in the place of one that files were made for.
static tw_status write_plan(const tw_plan *plan, const tw_prefix *prefix, const char *name, tw_new_files *places,
                            bool quiet) {
  static const char *const made[] = {"keys.p0.h5",   "keys.p1.h5",   "input.p0.h5", "input.p1.h5",
                                     "result.p0.h5", "result.p1.h5", "cache.p0.h5", "cache.p1.h5"};
  tw_digest before;
  bool other = tw_path_exists(&places->path[0]) && (tw_plan_read_digest(places->path[0].text, &before) != TW_OK ||
                                                    strcmp(before.hex, plan->digest.hex) != 0);
  TW_TRY(put_plan(plan, prefix, places));
  if (other && !quiet)
    tw_say_void(name, made, sizeof made / sizeof *made,
                "of the plan before: `deal`, `share --input` and `run` come again");
  return TW_OK;
}

// The plan's own, and where it was asked for of every step.
static tw_status estimate(const tw_plan *plan, choice *by, tw_costs *costs) {
  double *seconds;
  tw_cost_row *rows = (tw_cost_row *)costs->rows;
  TW_TRY(tw_alloc(sizeof *seconds * (size_t)(plan->program.step_count + 1), (void **)&seconds));
  tw_estimate_program(&plan->program, &by->where.place, NULL, NULL, seconds, &by->view.whole);
  for (int i = 0; by->where.said && i < costs->count; i++) rows[i].seconds = seconds[i];
  costs->estimated = by->where.said;
  tw_free(seconds);
  return TW_OK;
}

static tw_status show_plan(const tw_plan *plan, const bounds *measured, const settings *s, choice *by, bool quiet) {
  tw_costs costs;
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  TW_TRY(tw_costs_of_plan(plan, &costs));
  tw_status status = estimate(plan, by, &costs);
  if (status == TW_OK) status = tw_where_or_guess(&by->where, &by->guess);
  if (status == TW_OK) status = tw_forecast_views_make(plan, &by->guess.place, by->forecasts);
  if (status == TW_OK && format != TW_AS_TABLE)
    status = print_record(plan, measured, &costs, by, format);
  else if (status == TW_OK && !quiet)
    print_plan(plan, measured, &costs, s, by);
  if (format == TW_AS_TABLE && !quiet) tell_output(plan);
  tw_free((void *)costs.rows);
  return status;
}

static tw_status check_request(const tw_call *call) {
  const settings *s = call->settings;
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  if (call->count == 0 && !s->shape)
    return tw_fail(TW_ERR_USAGE, "NAME or --shape SHAPE is needed; usage: twain plan %s", call->command->arguments);
  if (call->count && s->shape)
    return tw_fail(TW_ERR_USAGE,
                   "NAME has its shape from NAME.model.h5: leave --shape out, or NAME (then nothing is "
                   "written)");
  if (!s->calibrate && s->margin > 0) return tw_fail(TW_ERR_USAGE, "--margin widens what --calibrate FILE measures");
  if (s->calibrate && s->shape) return tw_fail(TW_ERR_USAGE, "--calibrate measures NAME.model.h5; leave --shape out");
  if (s->layers > 0 && !s->shape) return tw_fail(TW_ERR_USAGE, "--layers goes with --shape; NAME.model.h5 has its own");
  if (s->prefix && s->shape) return tw_fail(TW_ERR_USAGE, "--prefix is tokens of NAME's model; leave --shape out");
  if (call->count) TW_TRY(tw_name_check(call->arguments[0]));
  return tw_fit_check(&s->fit, s->shape != NULL);
}

static void tell_written(const tw_new_files *places, const tw_prefix *prefix) {
  printf("written: %s\n", places->path[0].text);
  if (!prefix) return;
  printf("prefix of %d tokens:", prefix->count);
  for (int i = 0; i < prefix->count; i++) printf(" %d", prefix->ids[i]);
  printf(
      "\nwritten: %s, for the clients; not for parties or dealer. Next: `twain share`, also where the model was "
      "shared before\n",
      places->path[1].text);
}

static tw_status run(const tw_call *call) {
  settings *s = call->settings;
  static const char *const suffix[] = {"plan.json", "prefix.json"};
  const char *name = call->count ? call->arguments[0] : NULL;
  tw_new_files places;
  tw_model_config config;
  bounds measured = {0}, all = {0};
  choice by;
  tw_plan plan;
  tw_sample sample;
  tw_prefix given = {.count = 0};
  const tw_prefix *prefix = s->prefix ? &given : NULL;
  TW_TRY(check_request(call));
  if (name) TW_TRY(tw_new_files_check(&places, name, suffix, prefix ? 2 : 1, s->force));
  if (prefix) TW_TRY(tw_prefix_given(name, s->prefix, &given));
  tw_status status = tw_sample_read(&s->fit, name, s->seq, &sample);
  if (sample.count && s->seq < 0) s->seq = sample.longest;
  if (status == TW_OK) status = look_at_model(name, s, prefix, call->quiet, &config, &measured, &all);
  if (status == TW_OK && (status = make_plan(&config, s, prefix, &all, &by, &plan)) == TW_OK) {
    status = tw_fit_lengths(&s->fit, &sample, &plan);
    if (status == TW_OK && name) status = write_plan(&plan, prefix, name, &places, call->quiet || s->json || s->csv);
    if (status == TW_OK) status = show_plan(&plan, measured.layers ? &measured : NULL, s, &by, call->quiet);
    if (status == TW_OK && !s->json && !s->csv && !call->quiet) status = tw_fit_print(&sample, &plan);
    if (status == TW_OK && name && !s->json && !s->csv && !call->quiet) tell_written(&places, prefix);
    tw_plan_free(&plan);
  }
  tw_sample_free(&sample);
  tw_prefix_free(&given);
  tw_free(measured.layers);
  tw_free(all.layers);
  return status;
}

const tw_command tw_command_plan = {
    .name = "plan",
    .arguments = "NAME | --shape SHAPE [--seq S]",
    .summary = "choose rings; tell keys, bytes and rounds",
    .about =
        "Reads NAME.model.h5 (for --calibrate and a --prefix of text also NAME.client.h5); writes NAME.plan.json, "
        "which "
        "is public, and with --prefix NAME.prefix.json, for clients. Without NAME nothing is written: `twain plan "
        "--shape bert-base --seq 128`.\n"
        "A plan whose bounds fit no ring is refused with the tensor's name.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 0,
    .most = 1,
    .run = run};
