#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "jobs/models/bert.h"
#include "jobs/models/decoder.h"
#include "jobs/models/embed.h"
#include "jobs/models/fold.h"
#include "jobs/models/generate.h"
#include "jobs/models/noise.h"
#include "jobs/models/prefix.h"
#include "jobs/plan/plan_parts.h"

static const char *const rounding_names[] = {"dithered", "faithful", "faithful-output"};

const char *tw_rounding_name(tw_rounding r) { return rounding_names[r]; }

tw_status tw_rounding_parse(const char *text, tw_rounding *out) {
  for (int i = 0; i < 3; i++)
    if (strcmp(text, rounding_names[i]) == 0) {
      *out = (tw_rounding)i;
      return TW_OK;
    }
  return tw_fail(TW_ERR_USAGE, "unknown rounding '%s'; use dithered, faithful or faithful-output", text);
}

size_t tw_plan_input_elements(const tw_plan *plan) { return plan->program.tensors[plan->program.inputs[0]].n; }

int tw_plan_number_bits(const tw_plan *plan) {
  const tw_model_config *c = &plan->shape.config;
  return tw_config_parties_embed(c) ? tw_word_number_bits(c) : 0;
}

void tw_plan_output_shape(const tw_plan *plan, int *rows, int *cols) {
  const tw_model_config *c = &plan->shape.config;
  *rows = plan->output == TW_OUTPUT_TEXT      ? plan->shape.generated
          : tw_config_by_row(c, plan->output) ? plan->shape.seq
                                              : 1;
  *cols = tw_config_output_cols(c, plan->output);
}

static int add_spec(tw_plan_function *to, const tw_spec *spec, bool by_key) {
  if (!tw_spec_has_tables(spec)) return 0;
  *to = (tw_plan_function){.spec = spec, .by_key = by_key && tw_spec_by_key(spec)};
  return 1;
}

int tw_plan_functions(const tw_plan *plan, tw_plan_function functions[TW_PLAN_FUNCTIONS]) {
  const tw_layer_shape *s = &plan->shape;
  const tw_spec *head = NULL;
  int count = 0;
  if (tw_output_of_head(plan->output)) head = tw_spec_by_name(s->config.head.activation);
  bool reciprocal = s->by_key & TW_RECIPROCALS_BY_KEY, activation = s->by_key & TW_ACTIVATIONS_BY_KEY;
  count += add_spec(&functions[count], s->activation, activation);
  count += add_spec(&functions[count], &tw_spec_exp, s->by_key & TW_EXP_BY_KEY);
  if (reciprocal) functions[count++] = (tw_plan_function){.segments = &s->reciprocal_by_key, .by_key = true};
  if (!reciprocal) count += add_spec(&functions[count], &s->reciprocal, false);
  if (!reciprocal && s->reciprocal.beyond) count += add_spec(&functions[count], s->reciprocal.beyond, false);
  if (s->root_by_key.name) functions[count++] = (tw_plan_function){.segments = &s->root_by_key, .by_key = true};
  if (!s->root_by_key.name) count += add_spec(&functions[count], &tw_spec_rsqrt, false);
  if (head && (head != s->activation || activation)) count += add_spec(&functions[count], head, false);
  return count;
}

static tw_status fit_function(const tw_plan_function *f, tw_table out[2]) {
  if (f->segments) return tw_segments_fit(f->segments, out);
  return f->by_key ? tw_spec_fit_by_key(f->spec, out) : tw_spec_fit(f->spec, out);
}

static void describe_table(const tw_plan_function *f, int i, tw_plan_entry *out) {
  if (f->by_key) {
    tw_key_table_name(f->segments ? f->segments->name : f->spec->name, i, out->name);
    out->n = f->segments ? f->segments->segments.entries : (size_t)1 << (f->spec->width + f->spec->sub_bits);
    return;
  }
  snprintf(out->name, sizeof out->name, "%s.%s", f->spec->name, i ? "slope" : "base");
  out->ring = f->spec->ring;
  out->n = (size_t)1 << (f->spec->width + f->spec->sub_bits);
}

static bool turns(const tw_plan *plan) { return plan->shape.config.rotary.kind != TW_ROTARY_NONE; }

// Tokens of a sequence that are no prefix's.
static size_t turned_rows(const tw_plan *plan) { return (size_t)(plan->shape.earlier + tw_shape_rows(&plan->shape)); }

static bool samples(const tw_plan *plan) { return plan->shape.temperature > 0; }

int tw_plan_table_count(const tw_plan *plan) {
  tw_plan_function functions[TW_PLAN_FUNCTIONS];
  return 2 * (tw_plan_functions(plan, functions) + turns(plan) + samples(plan));
}

tw_plan_entry tw_plan_table(const tw_plan *plan, int i) {
  tw_plan_function functions[TW_PLAN_FUNCTIONS];
  const tw_model_config *c = &plan->shape.config;
  tw_plan_entry entry = {.ring = 64, .n = turned_rows(plan) * (size_t)tw_config_head_dim(c) / 2};
  int count = tw_plan_functions(plan, functions);
  if (i < 2 * count) {
    describe_table(&functions[i / 2], i % 2, &entry);
  } else if (i < 2 * (count + turns(plan))) {
    snprintf(entry.name, sizeof entry.name, "%s", i % 2 ? tw_rotary_sine : tw_rotary_cosine);
  } else {
    snprintf(entry.name, sizeof entry.name, "%s", i % 2 ? tw_noise_slope : tw_noise_base);
    entry.n = TW_NOISE_ENTRIES;
  }
  return entry;
}

static tw_status fit_tables(tw_plan *plan) {
  tw_plan_function functions[TW_PLAN_FUNCTIONS];
  int count = tw_plan_functions(plan, functions);
  plan->table_count = tw_plan_table_count(plan);
  plan->tables = calloc((size_t)plan->table_count, sizeof(tw_table));
  if (!plan->tables) return tw_fail(TW_ERR_MEMORY, "out of memory for a plan's tables");
  for (int i = 0; i < count; i++) TW_TRY(fit_function(&functions[i], plan->tables + 2 * i));
  const tw_model_config *c = &plan->shape.config;
  int rows = (int)turned_rows(plan);
  if (turns(plan)) TW_TRY(tw_rotary_tables(c, plan->shape.prefix, rows, plan->tables + 2 * count));
  return samples(plan) ? tw_noise_tables(plan->shape.temperature, plan->tables + 2 * (count + turns(plan))) : TW_OK;
}

static int build_output(tw_builder *b, const tw_plan *plan, int x) {
  size_t seq = (size_t)plan->shape.seq, hidden = (size_t)plan->shape.config.hidden;
  bool exact = plan->rounding == TW_FAITHFUL_OUTPUT, decoder = tw_decoder_layout_of(&plan->shape.config) != NULL;
  if (decoder)
    x = tw_build_decoder_output(b, &plan->shape, &plan->head_rings, plan->output, exact, x);
  else if (tw_output_of_head(plan->output))
    x = tw_build_head(b, &plan->shape, &plan->head_rings, exact, x);
  tw_step_begin(b, -1, "output");
  if (!decoder && !tw_output_of_head(plan->output))
    x = tw_build_pooled(b, plan->output, x, (tw_tokens){seq, seq, 0, plan->shape.config.causal}, hidden);
  // opened afresh in its final ring: a party gives the client this mask and nothing wider
  int ring = tw_look(b, x).ring;
  if (tw_look(b, x).kind == TW_WIRE) x = tw_as_share(b, x);
  return tw_open(b, tw_reduce(b, x, ring < TW_OUTPUT_RING ? ring : TW_OUTPUT_RING));
}

// What the client does with the result belongs to what all parties agree on.
static void cover_scaling(tw_plan *plan) {
  char text[sizeof plan->digest + 16];
  if (!tw_config_scales(&plan->shape.config, plan->output)) return;
  int length = snprintf(text, sizeof text, "%s, length 1", plan->digest.hex);
  tw_digest_of(text, (size_t)length, &plan->digest);
}

static void cover_prefix(tw_plan *plan) {
  char text[2 * sizeof plan->digest + 16];
  if (!plan->prefix.rows) return;
  int length = snprintf(text, sizeof text, "%s, prefix %s", plan->digest.hex, plan->prefix.digest.hex);
  tw_digest_of(text, (size_t)length, &plan->digest);
}

// The first layer's rows: from the numbers of words, or as the client embedded them.
static int build_input(tw_builder *b, const tw_plan *plan) {
  const tw_model_config *c = &plan->shape.config;
  int ring = plan->rings[0].input;
  if (tw_config_parties_embed(c)) return tw_build_embedding(b, &plan->shape, ring);
  size_t n = (size_t)plan->shape.seq * (size_t)c->hidden;
  return tw_open(b, tw_reduce(b, tw_build_input(b, TW_INPUT_RING, TW_INPUT_SCALE, n), ring));
}

static int build_rows(tw_builder *b, const tw_plan *plan, int x) {
  bool exact = plan->rounding == TW_FAITHFUL_OUTPUT && !tw_output_of_head(plan->output);
  return build_output(b, plan, plan->architecture->emit(b, &plan->shape, plan->rings, exact, x));
}

// Builds plan->program from shape, rings and tables.
tw_status tw_plan_build(tw_plan *plan) {
  tw_builder b;
  plan->program.tables = plan->tables;
  plan->program.table_count = plan->table_count;
  tw_builder_start(&b, &plan->program);
  b.faithful = plan->rounding == TW_FAITHFUL;
  b.guard = plan->shape.guard;
  b.choices = plan->choices;
  int x = build_input(&b, plan);
  if (plan->shape.generated)
    tw_build_generated(&b, &plan->shape, plan->rings, &plan->head_rings, x);
  else
    tw_build_output(&b, build_rows(&b, plan, x));
  tw_guard_finish(&b);
  TW_TRY(tw_builder_finish(&b));
  tw_program_digest(&plan->program, &plan->digest);
  cover_scaling(plan);
  cover_prefix(plan);
  return TW_OK;
}

static tw_status check_choices(const tw_choices *c) {
  for (int i = 0; i < TW_MOST_LEVELS; i++)
    if (c->maximum[i] != 0 && (c->maximum[i] < 2 || c->maximum[i] > TW_LARGEST_GROUP))
      return tw_fail(TW_ERR_USAGE, "groups of %d members for a row maximum; a group has 2 to %d", c->maximum[i],
                     TW_LARGEST_GROUP);
  return TW_OK;
}

static tw_status check_prefix(const tw_model_config *config, int rows, int longest) {
  if (!tw_decoder_layout_of(config))
    return tw_fail(TW_ERR_USAGE, "%s is no decoder: its first tokens see the others, and are no constants of the model",
                   config->name);
  if (rows >= 1 && rows < longest) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "a prefix of %d tokens: this model takes %d tokens in all", rows, longest);
}

// A gate's wider pieces of silu save no key here.
static void shape_by_key(tw_layer_shape *s, tw_read_by engine, bool decoder) {
  s->by_key = engine;
  if (engine & TW_ACTIVATIONS_BY_KEY && s->activation == &tw_spec_silu_gate) s->activation = &tw_spec_silu;
  if (engine & TW_RECIPROCALS_BY_KEY) {
    s->reciprocal_by_key = tw_segments_reciprocal(tw_shape_keys(s));
    s->reciprocal.out_scale = s->reciprocal_by_key.scale;
  }
  if (engine & TW_ROOTS_BY_KEY && !decoder)
    s->root_by_key = tw_segments_root((size_t)s->config.hidden, TW_BERT_LOWEST, TW_BERT_HIGHEST, TW_SCALE);
}

static tw_status check_earlier(const tw_plan_request *request, int longest) {
  if (request->earlier < 0 || (request->earlier > 0 && !request->generated))
    return tw_fail(TW_ERR_USAGE, "a conversation of %d tokens: turns write text; say how much (--generate)",
                   request->earlier);
  if (request->earlier < longest) return TW_OK;
  return tw_fail(TW_ERR_USAGE,
                 "turns behind up to %d tokens: this model takes %d tokens in all; choose a shorter --conversation",
                 request->earlier, longest);
}

tw_status tw_plan_shape(tw_plan *plan, const tw_model_config *config, const tw_plan_request *request) {
  memset(plan, 0, sizeof *plan);
  int seq = request->seq;
  TW_TRY(check_choices(&request->choices));
  if ((request->generated > 0) != (request->output == TW_OUTPUT_TEXT) || request->generated < 0)
    return tw_fail(TW_ERR_USAGE, "a text of %d words; say how many to write (--generate)", request->generated);
  int longest = config->max_positions < TW_MOST_TOKENS ? config->max_positions : TW_MOST_TOKENS;
  if (request->prefix.rows) TW_TRY(check_prefix(config, request->prefix.rows, longest));
  longest -= request->prefix.rows;
  TW_TRY(check_earlier(request, longest));
  longest -= request->earlier;
  if (seq < 1 || seq > longest)
    return tw_fail(TW_ERR_USAGE, "sequence length %d: this model takes 1 to %d tokens%s; choose another --seq", seq,
                   longest,
                   request->earlier       ? " behind those of earlier turns (--conversation)"
                   : request->prefix.rows ? " behind the prefix"
                                          : "");
  TW_TRY(tw_config_allows_output(config, request->output));
  double temperature = request->temperature;
  if (!(temperature >= 0 && temperature <= TW_MOST_TEMPERATURE))
    return tw_fail(TW_ERR_USAGE, "temperature %g: 0 to %d are possible", temperature, TW_MOST_TEMPERATURE);
  if (temperature > 0 && !tw_output_of_tokens(request->output))
    return tw_fail(TW_ERR_USAGE, "a temperature goes with --result next-token and --generate");
  if (request->generated && request->generated - 1 > longest - seq)
    return tw_fail(TW_ERR_USAGE,
                   "%d words behind %d tokens: this model takes %d tokens; plan a shorter --seq or fewer words",
                   request->generated, seq, longest);
  plan->architecture = tw_architecture_by_name(config->architecture);
  if (!plan->architecture) return tw_fail(TW_ERR_FORMAT, "architecture '%s' is unknown", config->architecture);
  if (request->choices.centred && !tw_model_centres(config))
    return tw_fail(TW_ERR_USAGE, "rows of %s that norms read keep their means; plan with --norm-means 1", config->name);
  plan->shape.config = *config;
  plan->shape.centred = request->choices.centred;
  plan->shape.seq = seq;
  plan->shape.prefix = request->prefix.rows;
  plan->prefix = request->prefix;
  plan->shape.guard = request->guard;
  plan->shape.temperature = temperature;
  plan->shape.generated = request->generated;
  plan->shape.earlier = request->earlier;
  const tw_decoder_layout *decoder = tw_decoder_layout_of(config);
  plan->shape.last_row = decoder && tw_output_of_last_row(request->output);
  plan->shape.activation = tw_spec_by_name(config->activation);
  if (decoder && decoder->gated && plan->shape.activation == &tw_spec_silu) plan->shape.activation = &tw_spec_silu_gate;
  if (!plan->shape.activation) return tw_fail(TW_ERR_FORMAT, "activation '%s' has no spec", config->activation);
  plan->shape.reciprocal = tw_spec_reciprocal(tw_shape_keys(&plan->shape));
  shape_by_key(&plan->shape, request->choices.engine, decoder != NULL);
  plan->rounding = request->rounding;
  plan->output = request->output;
  plan->choices = request->choices;
  plan->bounds = calloc((size_t)config->layers, sizeof(tw_bounds));
  plan->rings = calloc((size_t)config->layers, sizeof(tw_rings));
  return plan->bounds && plan->rings ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for a plan");
}

// The head's first: the layers' output has to be as wide as it needs.
static tw_status choose_rings(tw_plan *plan) {
  const tw_bounds *last = &plan->bounds[plan->shape.config.layers - 1];
  if (tw_output_of_head(plan->output) || tw_decoder_layout_of(&plan->shape.config))
    TW_TRY(tw_head_choose_rings(&plan->shape, &plan->head_bounds,
                                plan->architecture->largest_output(&plan->shape, last), &plan->head_rings));
  plan->shape.last_ring = plan->head_rings.rows;
  TW_TRY(plan->architecture->rings(&plan->shape, plan->bounds, plan->rings));
  int *squares = &plan->head_rings.norm.squares;
  if (tw_decoder_layout_of(&plan->shape.config))
    *squares = tw_decoder_squares(*squares, &plan->rings[plan->shape.config.layers - 1]);
  return TW_OK;
}

tw_status tw_plan_complete(tw_plan *plan) {
  TW_TRY(choose_rings(plan));
  return tw_plan_build(plan);
}

tw_status tw_plan_make(const tw_model_config *config, const tw_plan_request *request, const tw_model_bounds *bounds,
                       tw_plan *out) {
  tw_status status = tw_plan_shape(out, config, request);
  for (int layer = 0; status == TW_OK && layer < config->layers; layer++)
    out->bounds[layer] = bounds ? bounds->layers[layer] : out->architecture->default_bounds();
  out->head_bounds = bounds ? bounds->head : tw_head_default_bounds();
  if (status == TW_OK) status = choose_rings(out);
  for (int layer = 0; status == TW_OK && layer < config->layers; layer++)
    out->architecture->raise_bounds(&out->shape, &out->rings[layer], &out->bounds[layer]);
  if (status == TW_OK) tw_head_raise_bounds(&out->shape, &out->head_rings, &out->head_bounds);
  if (status == TW_OK) status = fit_tables(out);
  if (status == TW_OK) status = tw_plan_complete(out);
  if (status != TW_OK) tw_plan_free(out);
  return status;
}

tw_status tw_plan_variant(const tw_plan *like, const tw_plan_request *request, tw_plan *out) {
  const tw_model_config *config = &like->shape.config;
  TW_TRY(tw_plan_shape(out, config, request));
  memcpy(out->bounds, like->bounds, sizeof *out->bounds * (size_t)config->layers);
  out->head_bounds = like->head_bounds;
  out->tables = like->tables;
  out->table_count = like->table_count;
  tw_status status = tw_plan_complete(out);
  out->tables = NULL;  // they stay the other's
  return status;
}

tw_status tw_plan_allows_norms(const tw_plan *plan, double weight, double bias, bool centred) {
  if (plan->choices.centred && !centred)
    return tw_fail(
        TW_ERR_MISMATCH,
        "the plan's norms take no mean, but the weights of the shared model are not centred: an earlier twain "
        "shared it; share the model again (`twain share`), or plan with --norm-means 1");
  for (int i = 0; i < plan->shape.config.layers; i++) {
    const tw_bounds *b = &plan->bounds[i];
    if (weight > b->norm_weight || bias > b->norm_bias)
      return tw_fail(
          TW_ERR_MISMATCH,
          "the model's gamma and beta reach %g and %g, the plan's layer %d allows %g and %g: it was made for "
          "another version of the model; plan again with this one (`twain plan`)",
          weight, bias, i, b->norm_weight, b->norm_bias);
  }
  return TW_OK;
}

tw_status tw_plan_allows_prefix(const tw_plan *plan, const tw_prefix_facts *shared) {
  if (!plan->prefix.rows) return TW_OK;
  tw_prefix_facts wanted = tw_cached_facts(&plan->prefix, plan->rings, plan->shape.config.layers);
  if (!shared->rows)
    return tw_fail(TW_ERR_MISMATCH,
                   "the plan has a prefix of %d tokens, the model was shared without one: share it again with plan and "
                   "prefix beside it (`twain share`)",
                   plan->prefix.rows);
  if (shared->rows == wanted.rows && strcmp(shared->digest.hex, wanted.digest.hex) == 0) return TW_OK;
  return tw_fail(
      TW_ERR_MISMATCH,
      "the model was shared with another prefix (%d tokens) than the plan's (%d), or for a plan that has its "
      "keys at other scales: share it again with plan and prefix beside it (`twain share`)",
      shared->rows, plan->prefix.rows);
}

void tw_plan_free(tw_plan *plan) {
  tw_program_free(&plan->program);
  if (plan->tables) tw_tables_free(plan->tables, plan->table_count);
  free(plan->tables);
  free(plan->bounds);
  free(plan->rings);
  memset(plan, 0, sizeof *plan);
}
