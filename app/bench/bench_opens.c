// Openings of growing size, from a share and a mask to the opened value: latency and bandwidth of a transport.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "comm/opens.h"
#include "jobs/engine/device_probe.h"
#include "jobs/parties/machine.h"
#include "kernels/device.h"
#include "kernels/digest.h"
#include "kernels/pack.h"

enum { LARGEST = 64 << 20, RING = 32 };
static const size_t sizes[] = {64, 1024, 4096, 16384, 65536, 262144, 1 << 20, 4 << 20, 16 << 20, LARGEST};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST_REPEATS = 100, PROBES = 5 };

typedef struct {
  int count;
  double seconds[MOST_REPEATS];  // of one open; on a GPU the mean of a probe's opens in a row
} times;

typedef struct {
  const tw_bench_settings *s;
  tw_channel *channel;
  tw_hardware hardware;
  tw_machine machine;
  char transport[64], why[160], placement[256];
  times times[2][SIZES];  // ring, bits
} bench;

static int repeats_of(size_t bytes) { return bytes <= 65536 ? MOST_REPEATS : bytes <= 4 << 20 ? 20 : 5; }

// ---- host ----

static uint64_t share_of(int party, size_t j) { return tw_mix(2 * j + (uint64_t)party); }

static uint64_t opened(bool bits, size_t j) {
  return bits ? share_of(0, j) ^ share_of(1, j) : (share_of(0, j) + share_of(1, j)) & tw_mask(RING);
}

static tw_status open_once(bench *b, tw_opens *opens, uint64_t *data, size_t n, bool bits, double *seconds) {
  for (size_t j = 0; j < n; j++) data[j] = share_of(b->channel->party, j);
  uint8_t here = 1, there;
  TW_TRY(tw_channel_exchange(b->channel, &here, &there, 1));
  double start = tw_seconds();
  TW_TRY(bits ? tw_opens_bits(opens, 1, 0, 1, 64 * n, data) : tw_opens_ring(opens, 1, 0, RING, n, data));
  TW_TRY(tw_opens_flush(opens));
  *seconds = tw_seconds() - start;
  return TW_OK;
}

static tw_status open_host_size(bench *b, tw_opens *opens, uint64_t *data, size_t bytes, bool bits, times *out) {
  size_t n = bits ? bytes / 8 : 8 * bytes / RING;
  times mine = {.count = repeats_of(bytes)}, theirs;
  TW_TRY(open_once(b, opens, data, n, bits, &mine.seconds[0]));  // to warm up
  for (int i = 0; i < mine.count; i++) TW_TRY(open_once(b, opens, data, n, bits, &mine.seconds[i]));
  // A party that is late by less than the latency waits that much less, the other more: their mean is the open's time.
  TW_TRY(tw_channel_exchange(b->channel, &mine, &theirs, sizeof mine));
  *out = mine;
  for (int i = 0; i < mine.count; i++) out->seconds[i] = (mine.seconds[i] + theirs.seconds[i]) / 2;
  for (size_t j = 0; j < n; j++)
    if (data[j] != opened(bits, j))
      return tw_fail(TW_ERR_CHECK, "an open of %zu bytes gave a wrong value at %zu", bytes, j);
  return TW_OK;
}

static tw_status measure_host(bench *b) {
  tw_opens *opens = NULL;
  void *data = NULL;
  snprintf(b->transport, sizeof b->transport, "%s", b->channel->name);
  snprintf(b->why, sizeof b->why, "on the CPU");
  tw_status status = tw_opens_create(b->channel, &opens);
  if (status == TW_OK) status = tw_alloc(8 * (size_t)LARGEST / (RING / 8), &data);
  for (int i = 0; i < 2 * SIZES && status == TW_OK; i++)
    status = open_host_size(b, opens, data, sizes[i / 2], i % 2, &b->times[i % 2][i / 2]);
  tw_free(data);
  tw_opens_destroy(opens);
  return status;
}

// ---- GPU ----

#ifdef TWAIN_CUDA
static tw_status measure_device(bench *b) {
  tw_device_opener *opener = NULL;
  tw_device_opener_options o = {.channel = b->channel, .message_words = LARGEST / 8, .opens = 1, .halves = 1};
  TW_TRY(tw_device_stream_create(&o.streams[0]));
  tw_status status = tw_device_opener_choose(&o, &b->hardware.ways, &opener, b->why, sizeof b->why);
  if (status == TW_OK) snprintf(b->transport, sizeof b->transport, "%s", tw_device_opener_name(opener));
  for (int i = 0; i < 2 * SIZES && status == TW_OK; i++) {
    times *t = &b->times[i % 2][i / 2];
    for (t->count = 0; t->count < PROBES && status == TW_OK; t->count++)
      status = tw_device_opener_probe(opener, sizes[i / 2], i % 2, repeats_of(sizes[i / 2]), &t->seconds[t->count]);
  }
  tw_device_opener_destroy(opener, status != TW_OK);
  tw_device_stream_destroy(o.streams[0]);
  return status;
}
#endif

static tw_spread spread_of(const times *t) { return tw_spread_of(t->seconds, t->count); }

static json_t *record_of(const bench *b, int i, bool bits) {
  json_t *r = tw_record_create("bench opens");
  tw_record_machine(r, &b->machine);
  tw_record_text(r, "device", b->hardware.device == TW_DEVICE_CUDA ? "cuda" : "cpu");
  tw_record_text(r, "placement", b->placement);
  tw_record_flag(r, "parties_share_host", b->hardware.pair.one_host);
  tw_record_text(r, "transport", b->transport);
  tw_record_text(r, "transport_why", b->why);
  tw_record_text(r, "opened", bits ? "bits" : "ring");
  tw_record_integer(r, "opened_bytes", (int64_t)sizes[i]);
  if (!bits) tw_record_integer(r, "ring_bits", RING);
  tw_record_integer(r, "repeats", b->times[bits][i].count);
  tw_record_times(r, "time", b->times[bits][i].seconds, b->times[bits][i].count);
  tw_record_flag(r, "verified", true);  // a wrong value is a failure
  return r;
}

static json_t *records_of(const bench *b) {
  json_t *list = json_array();
  for (int i = 0; i < 2 * SIZES; i++) json_array_append_new(list, record_of(b, i / 2, i % 2));
  return list;
}

static tw_status print(const bench *b) {
  tw_format format;
  TW_TRY(tw_format_of(b->s->json, b->s->csv, &format));
  if (format != TW_AS_TABLE) return tw_records_print(records_of(b), format);
  tw_grid grid = {0};
  tw_grid_row(&grid,
              "bytes each way\tring of 32 bits, us: least\tmedian\tmost\tGB/s each way\tbits, us: "
              "least\tmedian\tmost\tGB/s each way");
  tw_grid_rule(&grid);
  for (int i = 0; i < SIZES; i++) {
    double bytes = (double)sizes[i];
    tw_spread ring = spread_of(&b->times[0][i]), bits = spread_of(&b->times[1][i]);
    tw_grid_row(&grid, "%zu\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f", sizes[i], 1e6 * ring.least,
                1e6 * ring.median, 1e6 * ring.most, 1e-9 * bytes / ring.median, 1e6 * bits.least, 1e6 * bits.median,
                1e6 * bits.most, 1e-9 * bytes / bits.median);
  }
  tw_grid_print(&grid);
  printf("%s (%s); from share and mask to opened value, one open after the other; every value checked\n", b->transport,
         b->why);
  return TW_OK;
}

static tw_status measure(bench *b) {
#ifdef TWAIN_CUDA
  if (b->hardware.device == TW_DEVICE_CUDA) return measure_device(b);
#endif
  return measure_host(b);
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  bench *b = calloc(1, sizeof *b);
  if (!b) return tw_fail(TW_ERR_MEMORY, "out of memory for a benchmark");
  b->s = call->settings;
  tw_status status = tw_hardware_meet(channel, &b->hardware);
  if (status == TW_OK) status = tw_hardware_choose(&b->s->party, &b->hardware);
  if (status == TW_OK) status = tw_hardware_take(channel, &b->hardware);
  if (status == TW_OK) status = tw_hardware_link(&b->hardware, &b->s->party);
  b->channel = b->hardware.channel;
  if (status == TW_OK)
    status = tw_hardware_place(channel, &b->hardware, &b->s->party, b->placement, sizeof b->placement);
  if (status == TW_OK) status = tw_machine_look(channel, &b->hardware, 1, &b->machine);
  if (status == TW_OK && (channel->party == 0 || !b->hardware.pair.one_host)) tw_machine_warn(&tw_speaker, &b->machine);
  if (status == TW_OK) status = measure(b);
  if (status == TW_OK && channel->party == 0) status = print(b);
  tw_hardware_release(&b->hardware);
  free(b);
  return status;
}

static tw_status run(const tw_call *call) {
  tw_bench_settings *s = call->settings;
  TW_TRY(tw_two_sites_check(&s->site));
  return tw_two_parties(call, &s->site, &(tw_limits){s->party.silence_limit, 0}, &(tw_party_work){.both = body});
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
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
    {.common = &tw_option_link_latency, .field = offsetof(settings, party.link.latency_seconds)},
    {.common = &tw_option_link_rate, .field = offsetof(settings, party.link.bytes_per_second)},
    {.common = &tw_option_silence_limit, .field = offsetof(settings, party.silence_limit)},
    {.group = "what is told", .common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_opens = {
    .name = "bench opens",
    .arguments = "",
    .summary = "single openings of growing size, from shares to opened values, by two parties",
    .about = "One opening after the other by one transport; every value is checked.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .launched = true,
    .run = run};
