// Whole inferences over lists of shapes, links, batches and lengths: a row of CSV for every point, as soon as it is
// measured and checked, so that a sweep which is interrupted keeps its rows.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench_point.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/two_ranks.h"
#include "base/memory.h"
#include "jobs/models/import.h"

typedef struct {
  tw_bench_settings one;  // of a point, but for what the lists give
  const char *shapes, *latencies, *rates, *batches, *lengths;
} settings;

// ---- lists

enum { MOST_ELEMENTS = 64, ELEMENT_ROOM = 64 };

typedef struct {
  int count;
  char text[MOST_ELEMENTS][ELEMENT_ROOM];
  int64_t integer[MOST_ELEMENTS];
  double real[MOST_ELEMENTS];
} list;

typedef struct {
  list shapes, latencies, rates, batches, lengths;
} lists;

// A word that names no shape is a mistake in the command; a shape that twain does not take is a point to skip.
static tw_status check_shape(const char *text) {
  tw_model_config config;
  tw_status status = tw_shape_config(text, &config);
  return status == TW_ERR_USAGE ? status : TW_OK;
}

static tw_status parse_element(const tw_option *option, list *l) {
  const char *text = l->text[l->count];
  if (option->kind == TW_OPTION_TEXT) return check_shape(text);
  if (option->kind == TW_OPTION_INTEGER) return tw_option_parse(option, text, &l->integer[l->count]);
  l->real[l->count] = 0;
  return strcmp(text, "none") == 0 ? TW_OK : tw_option_parse(option, text, &l->real[l->count]);
}

static tw_status parse(const tw_option *option, const char *text, list *l) {
  for (l->count = 0; text; l->count++) {
    size_t length = strcspn(text, ",");
    if (l->count == MOST_ELEMENTS || length == 0 || length >= ELEMENT_ROOM)
      return tw_fail(TW_ERR_USAGE, "--%s: a list of 1 to %d values with commas between them is needed", option->name,
                     MOST_ELEMENTS);
    memcpy(l->text[l->count], text, length);
    l->text[l->count][length] = '\0';
    TW_TRY(parse_element(option, l));
    text = text[length] ? text + length + 1 : NULL;
  }
  return TW_OK;
}

static tw_status parse_lists(const settings *s, lists *l) {
  TW_TRY(parse(&tw_option_shape, s->shapes, &l->shapes));
  TW_TRY(parse(&tw_option_link_latency, s->latencies, &l->latencies));
  TW_TRY(parse(&tw_option_link_rate, s->rates, &l->rates));
  TW_TRY(parse(&tw_bench_batch, s->batches, &l->batches));
  return parse(&tw_option_seq, s->lengths, &l->lengths);
}

// ---- points

static int count_points(const lists *l) {
  return l->shapes.count * l->latencies.count * l->rates.count * l->batches.count * l->lengths.count;
}

static int take(int *rest, const list *l) {
  int index = *rest % l->count;
  *rest /= l->count;
  return index;
}

// Lengths change fastest, shapes slowest.
static tw_bench_settings point_at(const settings *s, const lists *l, int index) {
  tw_bench_settings p = s->one;
  p.seq = l->lengths.integer[take(&index, &l->lengths)];
  p.batch = l->batches.integer[take(&index, &l->batches)];
  p.party.link.bytes_per_second = l->rates.real[take(&index, &l->rates)];
  p.party.link.latency_seconds = l->latencies.real[take(&index, &l->latencies)];
  p.model = l->shapes.text[take(&index, &l->shapes)];
  return p;
}

typedef struct {
  int measured, skipped, wrong;
} tally;

static tw_status skip(const tw_bench_settings *s, const tw_bench_parties *parties) {
  char link[64], why[512];
  snprintf(why, sizeof why, "%s", tw_error_message());
  tw_hardware_link_text(&s->party, link, sizeof link);
  tw_say("skipped: %s, %d tokens, batch %d, link %s: %s", s->model, (int)s->seq, (int)s->batch, link, why);
  json_t *r = tw_bench_settings_record(s, parties, "bench sweep");
  tw_record_text(r, "skipped", why);
  return tw_record_row(r);
}

static tw_status measure(const tw_bench_settings *s, const tw_bench_parties *parties, tw_bench_point *p, tally *t) {
  bool first = parties->channel->party == 0;
  tw_status status = tw_bench_point_measure(parties, s, true, p);
  if (status == TW_OK) {
    t->measured++;
    t->wrong += p->verdict.mismatches > 0;
    if (first) status = tw_record_row(tw_bench_point_record(p, "bench sweep"));
  } else if (p->refused) {
    t->skipped++;
    status = first ? skip(s, parties) : TW_OK;
  }
  tw_bench_point_destroy(p);
  return status;
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  const settings *s = call->settings;
  tw_bench_parties parties;
  tally t = {0, 0, 0};
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_bench_point) + sizeof(lists), &memory));
  tw_bench_point *point = memory;
  lists *l = (lists *)(void *)(point + 1);
  tw_status status = parse_lists(s, l);
  if (status == TW_OK) status = tw_bench_meet(channel, &s->one, &parties);
  if (status == TW_OK && channel->party == 0) status = tw_record_header();
  for (int i = 0; status == TW_OK && i < count_points(l); i++) {
    tw_bench_settings one = point_at(s, l, i);
    status = measure(&one, &parties, point, &t);
  }
  tw_free(memory);
  TW_TRY(status);
  if (t.wrong) return tw_fail(TW_ERR_CHECK, "outputs of %d points differ from the emulator's", t.wrong);
  if (!t.measured) return tw_fail(TW_ERR_CHECK, "none of %d points could be measured", t.skipped);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  void *memory;
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  tw_key_location keys;
  TW_TRY(tw_hardware_check(&s->one.party));
  TW_TRY(tw_bench_keys_parse(s->one.keys, &keys));
  TW_TRY(tw_alloc(sizeof(lists), &memory));
  tw_status status = parse_lists(s, memory);  // before a launcher's ranks meet
  tw_free(memory);
  TW_TRY(status);
  return tw_two_ranks(call, &(tw_limits){s->one.party.silence_limit, 0}, 1, body);
}

static const tw_option options[] = {
    {.group = "every combination of these lists, whose values stand between commas",
     .name = "shape",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, shapes),
     .value = "LIST",
     .fallback = "bert-base",
     .help = "models of these shapes with random weights, as in `bench model`"},
    {.name = "seq",
     .letter = 's',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, lengths),
     .value = "LIST",
     .fallback = "128",
     .help = "tokens of a sequence"},
    {.name = "batch",
     .letter = 'b',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, batches),
     .value = "LIST",
     .fallback = "1",
     .help = "sequences at once"},
    {.name = "link-latency",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, latencies),
     .value = "LIST",
     .fallback = "none",
     .help = "one-way latencies of an emulated link, as in `bench model`, or none"},
    {.name = "link-rate",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, rates),
     .value = "LIST",
     .fallback = "none",
     .help = "its bandwidths each way, as in `bench model`, or none: no limit"},
    {.group = "the same for all", .common = &tw_bench_layers, .field = offsetof(settings, one.layers)},
    {.common = &tw_bench_repeat,
     .field = offsetof(settings, one.repeat),
     .help = "inferences of each point, after one to warm up; all times are kept"},
    {.common = &tw_bench_guard, .field = offsetof(settings, one.guard)},
    {.common = &tw_option_maximum_groups, .field = offsetof(settings, one.choices.maximum)},
    {.common = &tw_option_node_arity, .field = offsetof(settings, one.choices.arity)},
    {.common = &tw_option_window_levels, .field = offsetof(settings, one.choices.levels)},
    {.common = &tw_option_norm_means, .field = offsetof(settings, one.choices.means)},
    {.common = &tw_option_norm_levels, .field = offsetof(settings, one.choices.norms)},
    {.common = &tw_option_group_rounds, .field = offsetof(settings, one.choices.groups)},
    {.common = &tw_option_engine, .field = offsetof(settings, one.choices.engine)},
    {.common = &tw_bench_keys, .field = offsetof(settings, one.keys)},
    {.common = &tw_option_device, .field = offsetof(settings, one.party.device)},
    {.common = &tw_option_affinity, .field = offsetof(settings, one.party.affinity)},
    {.common = &tw_option_transport, .field = offsetof(settings, one.party.transport)},
    {.common = &tw_option_split_batch, .field = offsetof(settings, one.party.split_batch)},
    {.common = &tw_option_prepare, .field = offsetof(settings, one.party.prepare)},
    {.common = &tw_option_silence_limit, .field = offsetof(settings, one.party.silence_limit), .fallback = "600"},
};

const tw_command tw_bench_sweep = {
    .name = "bench sweep",
    .arguments = "",
    .summary = "whole inferences over lists of shapes, lengths, batches and links, by two parties",
    .about =
        "Prints CSV (docs/records.md): a row for every point, as soon as it is measured and its output is compared "
        "with the emulator's. What does not fit memory, or is refused, is skipped with the reason in its row.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .launched = true,
    .run = run};
