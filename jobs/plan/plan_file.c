// NAME.plan.json: the plan as a public file. Whoever reads it builds the program again from bounds and tables (never
// fitting a table anew: libm differs between hosts) and refuses a file that says something else than the program.
#define _GNU_SOURCE
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "io/format.h"
#include "io/hf_config.h"
#include "io/host.h"
#include "io/json_file.h"
#include "io/new_files.h"
#include "jobs/plan/lengths.h"
#include "jobs/plan/plan_fields.h"
#include "jobs/plan/plan_json.h"
#include "jobs/plan/plan_parts.h"
#include "kernels/pack.h"

static const char format_name[] = "twain-plan";

// ---- writing

static bool has_head(const tw_plan *plan) {
  return tw_output_of_head(plan->output) || tw_decoder_layout_of(&plan->shape.config);
}

// Null where the output is neither the head's nor a decoder's, whose norm stands here.
static json_t *head_json(const tw_plan *plan) {
  if (!has_head(plan)) return json_null();
  const tw_head_bounds *b = &plan->head_bounds;
  const tw_head_rings *r = &plan->head_rings;
  json_t *bounds = json_pack("{s:f, s:f}", "dense", b->dense, "outputs", b->outputs);
  json_t *rings = json_pack("{s:i, s:i, s:i}", "rows", r->rows, "dense", r->dense, "outputs", r->outputs);
  if (tw_decoder_layout_of(&plan->shape.config)) {
    json_object_set_new(
        bounds, "norm",
        json_pack("{s:f, s:f, s:f, s:f}", "variance_sum_min", b->norm.variance_sum_min, "variance_sum_max",
                  b->norm.variance_sum_max, "norm_weight", b->norm.norm_weight, "norm_bias", b->norm.norm_bias));
    json_object_set_new(rings, "norm",
                        json_pack("{s:i, s:i, s:i, s:i}", "product", r->norm.product, "squares", r->norm.squares,
                                  "exponents", r->norm.exponents, "highest", r->norm.highest));
  }
  return json_pack("{s:o, s:o}", "bounds", bounds, "rings", rings);
}

static json_t *layers_json(const tw_plan *plan) {
  json_t *layers = json_array();
  for (int i = 0; i < plan->shape.config.layers; i++) {
    json_t *bounds = json_object(), *rings = json_object();
    for (int k = 0; k < TW_BOUND_FIELDS; k++)
      if (tw_field_applies(&tw_bound_fields[k], &plan->shape.config))
        json_object_set_new(bounds, tw_bound_fields[k].name, json_real(*tw_bound_at(&plan->bounds[i], k)));
    for (int k = 0; k < TW_RING_FIELDS; k++)
      json_object_set_new(rings, tw_ring_fields[k].name, json_integer(*tw_ring_at(&plan->rings[i], k)));
    json_array_append_new(layers, json_pack("{s:o, s:o}", "bounds", bounds, "rings", rings));
  }
  return layers;
}

static json_t *tables_json(const tw_plan *plan) {
  json_t *tables = json_array();
  for (int i = 0; i < plan->table_count; i++) {
    const tw_table *t = &plan->tables[i];
    int ring = tw_plan_table(plan, i).ring;
    json_t *values = json_array();
    for (size_t j = 0; j < t->n; j++) {
      int unused = 64 - ring;
      json_array_append_new(values, json_integer((int64_t)(t->values[j] << unused) >> unused));
    }
    json_array_append_new(tables, json_pack("{s:s, s:i, s:o}", "name", t->name, "ring", ring, "values", values));
  }
  return tables;
}

static json_t *costs_json(const tw_program *p) {
  tw_cost total, *costs = calloc((size_t)p->step_count + 1, sizeof *costs);
  if (!costs) return NULL;
  json_t *steps = json_array();
  tw_program_costs(p, costs, &total);
  for (int i = 0; i < p->step_count; i++)
    json_array_append_new(steps,
                          json_pack("[i, s, I, I, I, I]", p->steps[i].layer, p->steps[i].name,
                                    (json_int_t)costs[i].correction_bytes[0], (json_int_t)costs[i].correction_bytes[1],
                                    (json_int_t)costs[i].sent_bytes, (json_int_t)costs[i].rounds));
  free(costs);
  return json_pack("{s:[I, I], s:I, s:I, s:o}", "correction_bytes", (json_int_t)total.correction_bytes[0],
                   (json_int_t)total.correction_bytes[1], "sent_bytes", (json_int_t)total.sent_bytes, "rounds",
                   (json_int_t)total.rounds, "steps", steps);
}

static json_t *stream(uint32_t use, const tw_step *step, const char *role, const char *kind, int width, size_t n) {
  return json_pack("[I, i, s, s, s, i, I]", (json_int_t)use, step->layer, step->name, role, kind, width, (json_int_t)n);
}

static const char *const dealt_names[] = {"ring", "bits", "common"};  // by tw_dealt_kind

static json_t *streams_json(const tw_program *p) {
  json_t *streams = json_array();
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    const tw_step *step = &p->steps[op->step];
    if (op->opens) {
      const tw_tensor *t = &p->tensors[op->out[0]];
      bool bits = t->kind == TW_BITWIRE;
      json_array_append_new(
          streams, stream(op->mask_use, step, "mask", bits ? "bits" : "ring", bits ? t->planes : t->ring, t->n));
    }
    if (op->draws)
      json_array_append_new(streams, stream(op->mask_use, step, "noise", "ring", 64, p->tensors[op->out[0]].n));
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      json_array_append_new(streams, stream(c->use, step, "pad", dealt_names[c->kind], c->width, c->n));
    }
  }
  return streams;
}

static json_t *choices_json(const tw_choices *c) {
  json_t *groups = json_array();
  for (int i = 0; i < TW_MOST_LEVELS && c->maximum[i]; i++) json_array_append_new(groups, json_integer(c->maximum[i]));
  json_t *choices = json_pack("{s:b, s:b, s:b, s:b, s:b, s:o, s:i}", "wide_nodes", c->wide_nodes, "flat_windows",
                              c->flat_windows, "centred", c->centred, "flat_norms", c->flat_norms, "early_groups",
                              c->early_groups, "maximum", groups, "argmax_rounds", c->argmax_rounds);
  if (c->lookup_beside) json_object_set_new(choices, "lookup_beside", json_true());
  if (c->engine != TW_BY_DIGITS) json_object_set_new(choices, "engine", json_string(tw_read_by_name(c->engine)));
  return choices;
}

static json_t *lengths_json(const tw_plan *plan) {
  if (!plan->length_count) return NULL;
  json_t *lengths = json_array();
  for (int i = 0; i < plan->length_count; i++) {
    const tw_plan_length *l = &plan->lengths[i];
    json_array_append_new(
        lengths, json_pack("{s:i, s:I, s:s}", "seq", l->seq, "texts", (json_int_t)l->texts, "digest", l->digest.hex));
  }
  return lengths;
}

static json_t *plan_json(const tw_plan *plan) {
  char created[32];
  tw_host_time(created, sizeof created);
  json_t *prefix = plan->prefix.rows
                       ? json_pack("{s:i, s:s}", "tokens", plan->prefix.rows, "digest", plan->prefix.digest.hex)
                       : NULL;
  json_t *earlier = plan->shape.earlier ? json_integer(plan->shape.earlier) : NULL;
  return json_pack(
      "{s:s, s:i, s:s, s:s, s:s, s:o, s:i, s:o*, s:o*, s:s, s:f, s:i, s:o*, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}",
      "format", format_name, "version", TW_FORMAT_VERSION, "software", "twain " TWAIN_VERSION, "created", created,
      "digest", plan->digest.hex, "model", tw_plan_model_json(&plan->shape.config), "seq", plan->shape.seq, "lengths",
      lengths_json(plan), "prefix", prefix, "output", tw_output_name(plan->output), "temperature",
      plan->shape.temperature, "generated", plan->shape.generated, "conversation", earlier, "rounding",
      tw_rounding_name(plan->rounding), "guard", plan->shape.guard, "choices", choices_json(&plan->choices), "layers",
      layers_json(plan), "head", head_json(plan), "costs", costs_json(&plan->program), "tables", tables_json(plan),
      "streams", streams_json(&plan->program));
}

// One line a key, and in arrays one line an element: readable, and small.
static tw_status print_plan(FILE *text, json_t *plan) {
  const char *key, *comma = "{\n";
  json_t *value, *item;
  size_t i, flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
  int failed = 0;
  json_object_foreach(plan, key, value) {
    fprintf(text, "%s\"%s\": ", comma, key);
    comma = ",\n";
    if (!json_is_array(value)) {
      failed |= json_dumpf(value, text, flags);
      continue;
    }
    fputs("[", text);
    json_array_foreach(value, i, item) {
      fputs(i ? ",\n" : "\n", text);
      failed |= json_dumpf(item, text, flags);
    }
    fputs("]", text);
  }
  fputs("}\n", text);
  return failed || ferror(text) ? tw_fail(TW_ERR_MEMORY, "out of memory for the text of a plan") : TW_OK;
}

static tw_status plan_text(const tw_plan *plan, char **text, size_t *bytes) {
  json_t *json = plan_json(plan);
  FILE *stream = open_memstream(text, bytes);
  tw_status status =
      json && stream ? print_plan(stream, json) : tw_fail(TW_ERR_MEMORY, "out of memory for the text of a plan");
  if (stream) fclose(stream);
  json_decref(json);
  return status;
}

tw_status tw_plan_write(const char *path, const tw_plan *plan) {
  char *text = NULL;
  size_t bytes = 0;
  tw_status status = plan_text(plan, &text, &bytes);
  if (status == TW_OK) status = tw_text_file_write(path, text, bytes);
  free(text);
  return status;
}

// ---- reading

static tw_status read_choices(const char *path, const json_t *root, tw_choices *c) {
  json_t *choices, *groups;
  TW_TRY(tw_plan_member(path, root, "", "choices", JSON_OBJECT, &choices));
  TW_TRY(tw_plan_bool(path, choices, "choices", "wide_nodes", &c->wide_nodes));
  TW_TRY(tw_plan_bool(path, choices, "choices", "flat_windows", &c->flat_windows));
  TW_TRY(tw_plan_bool(path, choices, "choices", "centred", &c->centred));
  if (json_object_get(choices, "flat_norms"))  // plans of 0.2 have neither
    TW_TRY(tw_plan_bool(path, choices, "choices", "flat_norms", &c->flat_norms));
  if (json_object_get(choices, "early_groups"))
    TW_TRY(tw_plan_bool(path, choices, "choices", "early_groups", &c->early_groups));
  TW_TRY(tw_plan_int(path, choices, "choices", "argmax_rounds", 0, TW_ARGMAX_MOST_ROUNDS, &c->argmax_rounds));
  if (json_object_get(choices, "lookup_beside"))  // others do not say so
    TW_TRY(tw_plan_bool(path, choices, "choices", "lookup_beside", &c->lookup_beside));
  if (json_object_get(choices, "engine")) {  // plans by digits do not say so
    char engine[40];
    TW_TRY(tw_plan_text(path, choices, "choices", "engine", engine, sizeof engine));
    if (tw_read_by_parse(engine, &c->engine) != TW_OK || strcmp(engine, tw_read_by_name(c->engine)) != 0)
      return tw_plan_wrong(path, "choices.engine '%s' is unknown", engine);
  }
  TW_TRY(tw_plan_member(path, choices, "choices", "maximum", JSON_ARRAY, &groups));
  size_t n = json_array_size(groups);
  if (n > TW_MOST_LEVELS) return tw_plan_wrong(path, "choices.maximum has %zu entries; at most %d", n, TW_MOST_LEVELS);
  for (size_t i = 0; i < n; i++) {
    json_int_t group = json_integer_value(json_array_get(groups, i));
    if (group < 2 || group > TW_LARGEST_GROUP)
      return tw_plan_wrong(path, "choices.maximum[%zu] is no integer from 2 to %d", i, TW_LARGEST_GROUP);
    c->maximum[i] = (int)group;
  }
  return TW_OK;
}

// Nothing where there is none.
static tw_status read_prefix(const char *path, const json_t *root, tw_prefix_facts *out) {
  json_t *prefix;
  if (!json_object_get(root, "prefix")) return TW_OK;
  TW_TRY(tw_plan_member(path, root, "", "prefix", JSON_OBJECT, &prefix));
  TW_TRY(tw_plan_int(path, prefix, "prefix", "tokens", 1, TW_MOST_TOKENS, &out->rows));
  TW_TRY(tw_plan_text(path, prefix, "prefix", "digest", out->digest.hex, sizeof out->digest.hex));
  if (tw_is_hex(out->digest.hex, sizeof out->digest.hex - 1)) return TW_OK;
  return tw_plan_wrong(path, "prefix.digest is not 64 hexadecimal digits");
}

static tw_status read_shape(const char *path, const json_t *root, tw_plan *plan) {
  tw_model_config config;
  tw_plan_request r = {0};
  char rounding[32], output[32];
  TW_TRY(tw_plan_read_model(path, root, &config));
  TW_TRY(tw_plan_int(path, root, "", "seq", 1, 1 << 20, &r.seq));
  TW_TRY(read_prefix(path, root, &r.prefix));
  TW_TRY(tw_plan_text(path, root, "", "rounding", rounding, sizeof rounding));
  TW_TRY(tw_plan_text(path, root, "", "output", output, sizeof output));
  TW_TRY(tw_plan_number(path, root, "", "temperature", &r.temperature));
  TW_TRY(tw_plan_bool(path, root, "", "guard", &r.guard));
  TW_TRY(tw_plan_int(path, root, "", "generated", 0, TW_MOST_TOKENS, &r.generated));
  if (json_object_get(root, "conversation"))
    TW_TRY(tw_plan_int(path, root, "", "conversation", 1, TW_MOST_TOKENS, &r.earlier));
  TW_TRY(read_choices(path, root, &r.choices));
  if (tw_rounding_parse(rounding, &r.rounding) != TW_OK)
    return tw_plan_wrong(path, "rounding '%s' is unknown", rounding);
  if (tw_output_parse(output, &r.output) != TW_OK) return tw_plan_wrong(path, "output '%s' is unknown", output);
  if (tw_plan_shape(plan, &config, &r) != TW_OK) return tw_fail_in(TW_ERR_FORMAT, "%s", path);
  return TW_OK;
}

static tw_status read_bounds(const char *path, const json_t *root, tw_plan *plan) {
  json_t *layers, *bounds;
  TW_TRY(tw_plan_member(path, root, "", "layers", JSON_ARRAY, &layers));
  if (json_array_size(layers) != (size_t)plan->shape.config.layers)
    return tw_plan_wrong(path, "layers has %zu entries, model.layers is %d", json_array_size(layers),
                         plan->shape.config.layers);
  for (int i = 0; i < plan->shape.config.layers; i++) {
    char of[48];
    snprintf(of, sizeof of, "layers[%d]", i);
    TW_TRY(tw_plan_member(path, json_array_get(layers, (size_t)i), of, "bounds", JSON_OBJECT, &bounds));
    snprintf(of, sizeof of, "layers[%d].bounds", i);
    for (int k = 0; k < TW_BOUND_FIELDS; k++)
      if (tw_field_applies(&tw_bound_fields[k], &plan->shape.config))
        TW_TRY(tw_plan_positive(path, bounds, of, tw_bound_fields[k].name, tw_bound_at(&plan->bounds[i], k)));
  }
  return TW_OK;
}

static tw_status read_norm_bounds(const char *path, const json_t *bounds, tw_norm_bounds *b) {
  static const char of[] = "head.bounds.norm";
  json_t *norm;
  TW_TRY(tw_plan_member(path, bounds, "head.bounds", "norm", JSON_OBJECT, &norm));
  TW_TRY(tw_plan_positive(path, norm, of, "variance_sum_min", &b->variance_sum_min));
  TW_TRY(tw_plan_positive(path, norm, of, "variance_sum_max", &b->variance_sum_max));
  TW_TRY(tw_plan_positive(path, norm, of, "norm_weight", &b->norm_weight));
  return tw_plan_positive(path, norm, of, "norm_bias", &b->norm_bias);
}

static tw_status read_head_bounds(const char *path, const json_t *root, tw_plan *plan) {
  json_t *head, *bounds;
  if (!has_head(plan)) return TW_OK;
  TW_TRY(tw_plan_member(path, root, "", "head", JSON_OBJECT, &head));
  TW_TRY(tw_plan_member(path, head, "head", "bounds", JSON_OBJECT, &bounds));
  if (tw_decoder_layout_of(&plan->shape.config)) TW_TRY(read_norm_bounds(path, bounds, &plan->head_bounds.norm));
  TW_TRY(tw_plan_positive(path, bounds, "head.bounds", "dense", &plan->head_bounds.dense));
  return tw_plan_positive(path, bounds, "head.bounds", "outputs", &plan->head_bounds.outputs);
}

static tw_status read_values(const char *path, const json_t *values, const tw_plan_entry *wanted, tw_table *table) {
  if (json_array_size(values) != wanted->n)
    return tw_plan_wrong(path, "table %s has %zu values, not %zu", table->name, json_array_size(values), wanted->n);
  table->n = wanted->n;
  table->values = calloc(wanted->n, sizeof(uint64_t));
  if (!table->values) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  int unused = 64 - wanted->ring;
  for (size_t j = 0; j < wanted->n; j++) {
    const json_t *value = json_array_get(values, j);
    json_int_t v = json_integer_value(value);
    if (!json_is_integer(value) || (int64_t)((uint64_t)v << unused) >> unused != v)
      return tw_plan_wrong(path, "table %s, value %zu is not a whole number of %d bits", table->name, j, wanted->ring);
    table->values[j] = (uint64_t)v & tw_mask(wanted->ring);
  }
  return TW_OK;
}

static tw_status read_tables(const char *path, const json_t *root, tw_plan *plan) {
  json_t *tables, *values;
  int count = tw_plan_table_count(plan);
  TW_TRY(tw_plan_member(path, root, "", "tables", JSON_ARRAY, &tables));
  if (json_array_size(tables) != (size_t)count)
    return tw_plan_wrong(path, "tables has %zu entries, not %d", json_array_size(tables), count);
  plan->tables = calloc((size_t)count, sizeof(tw_table));
  if (!plan->tables) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  plan->table_count = count;
  for (int i = 0; i < count; i++) {
    tw_table *table = &plan->tables[i];
    tw_plan_entry wanted = tw_plan_table(plan, i);
    const json_t *entry = json_array_get(tables, (size_t)i);
    char of[32];
    int ring;
    snprintf(of, sizeof of, "tables[%d]", i);
    TW_TRY(tw_plan_text(path, entry, of, "name", table->name, sizeof table->name));
    if (strcmp(table->name, wanted.name) != 0)
      return tw_plan_wrong(path, "%s.name is %s, not %s", of, table->name, wanted.name);
    TW_TRY(tw_plan_int(path, entry, of, "ring", wanted.ring, wanted.ring, &ring));
    TW_TRY(tw_plan_member(path, entry, of, "values", JSON_ARRAY, &values));
    TW_TRY(read_values(path, values, &wanted, table));
  }
  return TW_OK;
}

// What the file says beside what its bounds and tables give.
static tw_status compare_rings(const char *path, const json_t *root, const tw_plan *plan) {
  json_t *rings;
  for (int i = 0; i < plan->shape.config.layers; i++) {
    char of[48];
    snprintf(of, sizeof of, "layers[%d]", i);
    TW_TRY(tw_plan_member(path, json_array_get(json_object_get(root, "layers"), (size_t)i), of, "rings", JSON_OBJECT,
                          &rings));
    snprintf(of, sizeof of, "layers[%d].rings", i);
    for (int k = 0; k < TW_RING_FIELDS; k++) {
      int ring = 0, wanted = *tw_ring_at(&plan->rings[i], k);
      TW_TRY(tw_plan_int(path, rings, of, tw_ring_fields[k].name, 1, 64, &ring));
      if (ring != wanted)
        return tw_fail(TW_ERR_MISMATCH,
                       "%s: %s.%s is %d, but the layer's bounds give %d; make the plan again (`twain plan`)", path, of,
                       tw_ring_fields[k].name, ring, wanted);
    }
  }
  return TW_OK;
}

static tw_status compare_digest(const char *path, const json_t *root, const tw_plan *plan) {
  char digest[80];
  TW_TRY(tw_plan_text(path, root, "", "digest", digest, sizeof digest));
  if (strcmp(digest, plan->digest.hex) == 0) return TW_OK;
  return tw_fail(
      TW_ERR_MISMATCH,
      "%s: its digest is %s, but what it describes has digest %s: it was changed, or made by another version of twain; "
      "make the plan again (`twain plan`) or fetch a fresh copy",
      path, digest, plan->digest.hex);
}

static tw_status compare_part(const char *path, const json_t *root, const char *key, json_t *wanted) {
  bool same = wanted && json_equal(json_object_get(root, key), wanted);
  json_decref(wanted);
  if (same) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "%s: %s differs from what its bounds and tables give; make the plan again (`twain plan`)", path, key);
}

static tw_status read_lengths(const char *path, const json_t *root, tw_plan *plan) {
  json_t *lengths;
  if (!json_object_get(root, "lengths")) return TW_OK;
  TW_TRY(tw_plan_member(path, root, "", "lengths", JSON_ARRAY, &lengths));
  size_t count = json_array_size(lengths);
  if (count < 2 || count > TW_MOST_LENGTHS)
    return tw_plan_wrong(path, "lengths has %zu entries; 2 to %d are possible", count, TW_MOST_LENGTHS);
  for (size_t i = 0; i < count; i++) {
    tw_plan_length *l = &plan->lengths[i];
    const json_t *entry = json_array_get(lengths, i);
    json_int_t texts = json_integer_value(json_object_get(entry, "texts"));
    int least = i ? plan->lengths[i - 1].seq + 1 : 1;
    char of[32];
    snprintf(of, sizeof of, "lengths[%zu]", i);
    TW_TRY(tw_plan_int(path, entry, of, "seq", least, plan->shape.seq, &l->seq));
    TW_TRY(tw_plan_text(path, entry, of, "digest", l->digest.hex, sizeof l->digest.hex));
    if (!tw_is_hex(l->digest.hex, sizeof l->digest.hex - 1))
      return tw_plan_wrong(path, "%s.digest is not 64 hexadecimal digits", of);
    if (texts < 0 || texts > 1 << 30) return tw_plan_wrong(path, "%s.texts is %lld", of, (long long)texts);
    l->texts = texts;
  }
  if (plan->lengths[count - 1].seq != plan->shape.seq)
    return tw_plan_wrong(path, "the last of its lengths is %d, not seq", plan->lengths[count - 1].seq);
  plan->length_count = (int)count;
  return TW_OK;
}

static tw_status read_plan(const char *path, const json_t *root, tw_plan *plan) {
  TW_TRY(read_shape(path, root, plan));
  TW_TRY(read_bounds(path, root, plan));
  TW_TRY(read_head_bounds(path, root, plan));
  TW_TRY(read_tables(path, root, plan));
  tw_status status = tw_plan_complete(plan);
  if (status != TW_OK) return tw_fail_in(status, "%s", path);
  TW_TRY(compare_rings(path, root, plan));
  TW_TRY(compare_digest(path, root, plan));
  TW_TRY(read_lengths(path, root, plan));
  TW_TRY(compare_part(path, root, "head", head_json(plan)));
  TW_TRY(compare_part(path, root, "costs", costs_json(&plan->program)));
  return compare_part(path, root, "streams", streams_json(&plan->program));
}

tw_status tw_plan_read_lengths(const char *path, tw_plan_length lengths[TW_MOST_LENGTHS], int *count) {
  json_t *root;
  tw_plan plan = {.length_count = 0};
  TW_TRY(tw_json_file_read(path, format_name, TW_FORMAT_VERSION, "twain plan", NULL, &root));
  tw_status status = tw_plan_int(path, root, "", "seq", 1, TW_MOST_TOKENS, &plan.shape.seq);
  if (status == TW_OK) status = read_lengths(path, root, &plan);
  json_decref(root);
  *count = plan.length_count;
  memcpy(lengths, plan.lengths, sizeof plan.lengths);
  return status;
}

tw_status tw_plan_read_digest(const char *path, tw_digest *digest) {
  json_t *root;
  TW_TRY(tw_json_file_read(path, format_name, TW_FORMAT_VERSION, "twain plan", NULL, &root));
  tw_status status = tw_plan_text(path, root, "", "digest", digest->hex, sizeof digest->hex);
  json_decref(root);
  return status;
}

tw_status tw_plan_read(const char *path, tw_plan *plan) {
  json_t *root;
  memset(plan, 0, sizeof *plan);
  TW_TRY(tw_json_file_read(path, format_name, TW_FORMAT_VERSION, "twain plan", NULL, &root));
  tw_status status = read_plan(path, root, plan);
  json_decref(root);
  if (status != TW_OK) tw_plan_free(plan);
  return status;
}

tw_status tw_plan_read_of(const char *model, const char *name, tw_plan *plan) {
  char message[1024];
  tw_path path = tw_path_of(model ? model : name, "plan.json");
  tw_status status = tw_plan_read(path.text, plan);
  int seq = tw_length_of_name(name);
  if (status == TW_OK && model && seq && plan->length_count) {
    status = tw_plan_take_length(plan, seq);
    if (status == TW_OK) return TW_OK;
    tw_plan_free(plan);
    return tw_fail_in(status, "%s", path.text);
  }
  if (status == TW_OK || model || tw_path_exists(&path)) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  return tw_fail(status, "%s; or say --model NAME, where model and plan have another NAME than this", message);
}
