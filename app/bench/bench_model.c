#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench_point.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "base/memory.h"

typedef tw_bench_point point;

static void time_row(tw_grid *grid, const char *what, const double *seconds, int count) {
  tw_spread t = tw_spread_of(seconds, count);
  tw_grid_row(grid, "%s, median of %d\t%.2f ms", what, count, 1e3 * t.median);
  tw_grid_row(grid, "  shortest, longest\t%.2f ms, %.2f ms", 1e3 * t.least, 1e3 * t.most);
}

// As llama-bench names them: pp is the prompt, tg what is written, d the tokens before.
static void text_rows(tw_grid *grid, const point *b) {
  int prompt = (int)b->s->seq, next = (int)b->s->generate - 1;
  double batch = (double)b->s->batch;
  tw_bench_text t = tw_bench_text_times(b);
  if (next < 0) return;
  tw_grid_row(grid, "pp%d, until the first token\t%.2f ms, %.1f tokens a second", prompt, 1e3 * t.first,
              batch * prompt / t.first);
  if (next > 0)
    tw_grid_row(grid, "tg%d @ d%d, from token to token\t%.2f ms, %.2f tokens a second", next, prompt, 1e3 * t.next,
                batch / t.next);
}

static void round_rows(tw_grid *grid, const point *b, double online) {
  const tw_open_counters *c = &b->stats.counters;
  tw_grid_row(grid, "rounds\t%llu, %.1f us each", (unsigned long long)c->rounds, 1e6 * online / (double)c->rounds);
  if (c->chains)
    tw_grid_row(grid, "chains of rows\t%llu, with %llu of the rounds", (unsigned long long)c->chains,
                (unsigned long long)c->chain_rounds);
}

static void print_table(const point *b) {
  int repeat = (int)b->s->repeat;
  double online = tw_spread_of(b->times.online, repeat).median,
         preparation = tw_spread_of(b->times.preparation, repeat).median;
  const tw_plan *plan = tw_bench_job_plan(b->job);
  uint64_t keys = plan->program.slot_bytes[0] * (uint64_t)b->s->batch;
  tw_grid grid = {0};
  tw_grid_row(&grid, "%s, %d tokens, batch %d\t%s", b->s->model, (int)b->s->seq, (int)b->s->batch, "");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "device\t%s", tw_engine_device_name(b->engine));
  tw_grid_row(&grid, "placement\t%s", b->parties->placement);
  tw_grid_row(&grid, "transport\t%s (%s)", tw_engine_transport_name(b->engine), tw_engine_transport_why(b->engine));
  tw_grid_row(&grid, "set-up, once a model\t%.2f ms", 1e3 * b->setup);
  time_row(&grid, "preparation, once an inference", b->times.preparation, repeat);
  time_row(&grid, "online", b->times.online, repeat);
  if (b->s->compare_overlap) {
    tw_grid_row(&grid, "without overlap\tpreparation %.2f ms, online %.2f ms, of it opens %.2f ms",
                1e3 * tw_spread_of(b->serial.preparation, repeat).median,
                1e3 * tw_spread_of(b->serial.online, repeat).median, 1e3 * b->serial_open);
    tw_grid_row(&grid, "opens' time hidden\t%.0f %%", 100 * tw_bench_hidden(b));
  }
  tw_grid_row(&grid, "sequences a second, online\t%.2f", (double)b->s->batch / online);
  tw_grid_row(&grid, "sequences a second, with preparation\t%.2f", (double)b->s->batch / (online + preparation));
  text_rows(&grid, b);
  tw_grid_row(&grid, "keys a party\t%.1f MB, %.2f GB/s while online", 1e-6 * (double)keys,
              1e-9 * (double)keys / online);
  tw_grid_row(&grid, "keys come from\t%s", b->s->keys);
  if (b->stats.device_bytes > 0)
    tw_grid_row(&grid, "GPU memory\t%.2f GB taken, %.2f GB planned; %.1f MB for keys on their way",
                1e-9 * (double)b->gpu_peak, 1e-9 * (double)b->stats.device_bytes,
                1e-6 * (double)b->stats.device_key_bytes);
  if (tw_bench_point_timed(b))
    tw_grid_row(&grid, "gates waited for keys\t%.2f ms", 1e-6 * (double)b->stats.key_wait_ns);
  tw_grid_row(&grid, "sent a party\t%.1f MB, %.2f GB/s while online",
              1e-6 * (double)b->stats.counters.open_payload_bytes,
              1e-9 * (double)b->stats.counters.open_payload_bytes / online);
  round_rows(&grid, b, online);
  tw_grid_row(&grid, "messages\t%llu on demand, %llu once enough was queued",
              (unsigned long long)b->stats.counters.open_flushes_demand,
              (unsigned long long)b->stats.counters.open_flushes_budget);
  tw_grid_row(&grid, "levels evaluated while an open was in flight\t%llu",
              (unsigned long long)b->stats.counters.flushes_overlapped);
  if (b->stats.products_prepared_beside)
    tw_grid_row(&grid, "weight products prepared beside\t%llu", (unsigned long long)b->stats.products_prepared_beside);
  if (b->stats.probe_bandwidth > 0)
    tw_grid_row(&grid, "transport, measured at start\t%.1f us an open of 4 KiB, %.1f GB/s each way at 1 MiB",
                1e6 * b->stats.probe_latency_s, 1e-9 * b->stats.probe_bandwidth);
  if (b->stats.masks_again) tw_grid_row(&grid, "masks\tdrawn again online: kept, they do not fit");
  tw_grid_row(&grid, "output against the emulator\t%s",
              b->s->unchecked              ? "not compared"
              : b->verdict.mismatches == 0 ? "equal, bit for bit"
                                           : "DIFFERS");
  if (b->verdict.out_of_bound)
    tw_grid_row(&grid, "values out of bound\t%llu, first in %s", (unsigned long long)b->verdict.out_of_bound,
                b->verdict.first_out_of_bound);
  tw_grid_print(&grid);
}

// Times of the last repetition, summed over layers.
static void print_gates(const point *b) {
  const tw_program *p = &tw_bench_job_plan(b->job)->program;
  const double *seconds = tw_engine_step_seconds(b->engine);
  tw_grid grid = {0};
  tw_grid_row(&grid, "step\tms");
  tw_grid_rule(&grid);
  for (int i = 0; i < p->step_count; i++) {
    double sum = 0;
    bool first = true;
    for (int j = 0; j < p->step_count; j++) {
      if (strcmp(p->steps[j].name, p->steps[i].name) != 0) continue;
      if (j < i) first = false;
      sum += seconds[j];
    }
    if (first) tw_grid_row(&grid, "%s\t%.3f", p->steps[i].name, 1e3 * sum);
  }
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "opens\t%.3f", 1e-6 * (double)b->stats.counters.open_comm_ns);
  tw_grid_print(&grid);
}

static tw_status print(const point *p) {
  tw_format format;
  TW_TRY(tw_format_of(p->s->json, p->s->csv, &format));
  if (format != TW_AS_TABLE) return tw_record_print(tw_bench_point_record(p, "bench model"), format);
  print_table(p);
  if (p->s->verbose) print_gates(p);
  return TW_OK;
}

static tw_status measure(const tw_bench_settings *s, tw_bench_parties *parties, point *p) {
  tw_status status = tw_bench_point_measure(parties, s, false, p);
  if (status == TW_OK && parties->channel->party == 0) status = print(p);
  const tw_bench_job_verdict *v = &p->verdict;
  if (status == TW_OK && v->mismatches)
    status = tw_fail(TW_ERR_CHECK, "%llu output elements differ from the emulator's; values out of bound: %llu%s%s",
                     (unsigned long long)v->mismatches, (unsigned long long)v->out_of_bound,
                     v->out_of_bound ? ", first in " : "", v->first_out_of_bound);
  tw_bench_point_destroy(p);
  return status;
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  tw_bench_parties parties = {.channel = channel};
  point *p = malloc(sizeof *p);
  if (!p) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  tw_status status = tw_bench_meet(channel, call->settings, &parties);
  if (status == TW_OK) status = measure(call->settings, &parties, p);
  free(p);
  return status;
}

static tw_status run(const tw_call *call) {
  tw_bench_settings *s = call->settings;
  tw_seeds_may_be_unlocked();  // nothing here is a secret
  TW_TRY(tw_hardware_check(&s->party));
  TW_TRY(tw_two_sites_check(&s->site));
  return tw_two_parties(call, &s->site, &(tw_limits){s->party.silence_limit, 0}, &(tw_party_work){.both = body});
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
    {.group = "what is run", .common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_bench_layers, .field = offsetof(settings, layers)},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.common = &tw_option_result, .field = offsetof(settings, result)},
    {.common = &tw_option_generate, .field = offsetof(settings, generate)},
    {.common = &tw_bench_batch, .field = offsetof(settings, batch)},
    {.common = &tw_bench_repeat,
     .field = offsetof(settings, repeat),
     .help = "inferences, after one to warm up; the median counts"},
    {.common = &tw_bench_guard, .field = offsetof(settings, guard)},
    {.common = &tw_option_maximum_groups, .field = offsetof(settings, choices.maximum)},
    {.common = &tw_option_node_arity, .field = offsetof(settings, choices.arity)},
    {.common = &tw_option_window_levels, .field = offsetof(settings, choices.levels)},
    {.common = &tw_option_norm_means, .field = offsetof(settings, choices.means)},
    {.common = &tw_option_norm_levels, .field = offsetof(settings, choices.norms)},
    {.common = &tw_option_group_rounds, .field = offsetof(settings, choices.groups)},
    {.common = &tw_option_argmax_rounds, .field = offsetof(settings, choices.argmax)},
    {.common = &tw_option_word_lookup, .field = offsetof(settings, choices.lookup)},
    {.common = &tw_option_engine, .field = offsetof(settings, choices.engine)},
    {.common = &tw_bench_keys, .field = offsetof(settings, keys)},
    {.name = "key-ring",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, key_ring),
     .value = "BYTES",
     .fallback = "1073741824",
     .help = "GPU memory through which a batch's keys pass, where they are more; its largest gates may need more, too",
     .low = 1,
     .high = 1e12},
    {.name = "gpu-memory",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, gpu_memory),
     .value = "BYTES",
     .fallback = "0",
     .help = "most that a party may take of its GPU, where two share one (0: what is free); masks that do not fit are "
             "drawn again online",
     .low = 0,
     .high = 1e12},
    {.name = "chains",
     .field = offsetof(settings, chains),
     .help = "an experiment: each row of a norm or a softmax goes through all its rounds by itself. On GPUs that reach "
             "each other one kernel does it. On a CPU it is slow"},
    {.name = "unchecked",
     .field = offsetof(settings, unchecked),
     .help = "do not compare with the emulator, which takes minutes for a large model"},
    {.group = "where a party computes", .common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_affinity, .field = offsetof(settings, party.affinity)},
    {.group = "a party of its own", .common = &tw_option_party, .field = offsetof(settings, site.party)},
    {.common = &tw_option_listen, .field = offsetof(settings, site.ways.listen)},
    {.common = &tw_option_connect, .field = offsetof(settings, site.ways.connect)},
    {.common = &tw_option_relay, .field = offsetof(settings, site.ways.relay)},
    {.common = &tw_option_proxy, .field = offsetof(settings, site.ways.proxy)},
    {.common = &tw_option_proxy_command, .field = offsetof(settings, site.ways.command)},
    {.common = &tw_option_site, .field = offsetof(settings, site.site)},
    {.common = &tw_option_peer, .field = offsetof(settings, site.peer)},
    {.common = &tw_option_streams, .field = offsetof(settings, site.streams)},
    {.common = &tw_option_wait_limit, .field = offsetof(settings, site.wait)},
    {.group = "between the parties", .common = &tw_option_transport, .field = offsetof(settings, party.transport)},
    {.common = &tw_option_split_batch, .field = offsetof(settings, party.split_batch)},
    {.common = &tw_option_prepare, .field = offsetof(settings, party.prepare)},
    {.common = &tw_option_link_latency, .field = offsetof(settings, party.link.latency_seconds)},
    {.common = &tw_option_link_rate, .field = offsetof(settings, party.link.bytes_per_second)},
    {.common = &tw_option_silence_limit,
     .field = offsetof(settings, party.silence_limit),
     .fallback = "600"},  // party 1 hears nothing while party 0 runs the emulator
    {.name = "coalesce",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(settings, coalesce),
     .value = "BYTES",
     .fallback = "0",
     .help = "with halves of a batch: openings wait until so many bytes of them share a message (0: each half sends "
             "its openings at once)",
     .low = 0,
     .high = 1e12},
    {.group = "what is told",
     .name = "compare-overlap",
     .field = offsetof(settings, compare_overlap),
     .help = "first without --split-batch and --prepare during, then with: how much of the openings' time is hidden"},
    {.common = &tw_option_verbose,
     .field = offsetof(settings, verbose),
     .help = "time of each gate (slows a GPU a little)"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_model = {.name = "bench model",
                                   .arguments = "",
                                   .summary = "whole inferences with generated weights and TEST keys, by two parties",
                                   .about = "The last output is compared with the emulator's, bit for bit.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof *options,
                                   .settings_size = sizeof(settings),
                                   .launched = true,
                                   .run = run};
