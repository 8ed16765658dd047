// Openings of growing size, from a share and a mask to the opened value: latency and bandwidth of a transport.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench/bench.h"
#include "app/common_options.h"
#include "app/show/print.h"
#include "app/two_ranks.h"
#include "base/clock.h"
#include "base/memory.h"
#include "comm/opens.h"
#include "jobs/engine/device_opener.h"
#include "kernels/device.h"
#include "kernels/digest.h"
#include "kernels/pack.h"

enum { LARGEST = 64 << 20, RING = 32 };
static const size_t sizes[] = {64, 1024, 4096, 16384, 65536, 262144, 1 << 20, 4 << 20, 16 << 20, LARGEST};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef struct {
  const tw_bench_settings *s;
  tw_channel *channel;
  tw_hardware hardware;
  char transport[64], why[160];
  double seconds[2][SIZES];  // ring, bits
} bench;

static int repeats_of(size_t bytes) { return bytes <= 65536 ? 100 : bytes <= 4 << 20 ? 20 : 5; }

// ---- host ----

static uint64_t share_of(int party, size_t j) { return tw_mix(2 * j + (uint64_t)party); }

static uint64_t opened(bool bits, size_t j) {
  return bits ? share_of(0, j) ^ share_of(1, j) : (share_of(0, j) + share_of(1, j)) & tw_mask(RING);
}

static tw_status open_host_size(bench *b, tw_opens *opens, uint64_t *data, size_t bytes, bool bits, double *seconds) {
  size_t n = bits ? bytes / 8 : 8 * bytes / RING;
  int repeats = repeats_of(bytes);
  double spent = 0;
  for (int i = 0; i <= repeats; i++) {
    for (size_t j = 0; j < n; j++) data[j] = share_of(b->channel->party, j);
    uint8_t here = 1, there;
    TW_TRY(tw_channel_exchange(b->channel, &here, &there, 1));
    double start = tw_seconds();
    TW_TRY(bits ? tw_opens_bits(opens, 1, 0, 1, 64 * n, data) : tw_opens_ring(opens, 1, 0, RING, n, data));
    TW_TRY(tw_opens_flush(opens));
    if (i > 0) spent += tw_seconds() - start;
  }
  // A party that is late by less than the latency waits that much less, the other more: their mean is the open's time.
  double theirs = 0;
  TW_TRY(tw_channel_exchange(b->channel, &spent, &theirs, sizeof spent));
  *seconds = (spent + theirs) / 2 / repeats;
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
    status = open_host_size(b, opens, data, sizes[i / 2], i % 2, &b->seconds[i % 2][i / 2]);
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
  for (int i = 0; i < 2 * SIZES && status == TW_OK; i++)
    status = tw_device_opener_probe(opener, sizes[i / 2], i % 2, repeats_of(sizes[i / 2]), &b->seconds[i % 2][i / 2]);
  tw_device_opener_destroy(opener, status != TW_OK);
  tw_device_stream_destroy(o.streams[0]);
  return status;
}
#endif

static tw_status print(const bench *b) {
  if (b->s->json) {
    json_t *list = json_array();
    for (int i = 0; i < SIZES; i++)
      json_array_append_new(list, json_pack("{s:I, s:f, s:f}", "bytes", (json_int_t)sizes[i], "ring_seconds",
                                            b->seconds[0][i], "bits_seconds", b->seconds[1][i]));
    return tw_json_print(json_pack("{s:s, s:s, s:o}", "transport", b->transport, "why", b->why, "opens", list));
  }
  tw_grid grid = {0};
  tw_grid_row(&grid, "bytes each way\tring of 32 bits, us\tGB/s each way\tbits, us\tGB/s each way");
  tw_grid_rule(&grid);
  for (int i = 0; i < SIZES; i++) {
    double bytes = (double)sizes[i], ring = b->seconds[0][i], bits = b->seconds[1][i];
    tw_grid_row(&grid, "%zu\t%.2f\t%.2f\t%.2f\t%.2f", sizes[i], 1e6 * ring, 1e-9 * bytes / ring, 1e6 * bits,
                1e-9 * bytes / bits);
  }
  tw_grid_print(&grid);
  printf("%s (%s); from share and mask to opened value, one open after the other; every value checked\n", b->transport,
         b->why);
  return TW_OK;
}

static tw_status body(const tw_call *call, tw_channel *channel) {
  bench b = {.s = call->settings, .channel = channel};
  TW_TRY(tw_hardware_meet(channel, &b.hardware));
  TW_TRY(tw_hardware_choose(&b.s->party, &b.hardware));
  char placement[256];
  TW_TRY(tw_hardware_take(channel, &b.hardware));
  TW_TRY(tw_hardware_link(&b.hardware, &b.s->party));
  b.channel = b.hardware.channel;
  TW_TRY(tw_hardware_place(channel, &b.hardware, &b.s->party, placement, sizeof placement));
#ifdef TWAIN_CUDA
  if (b.hardware.device == TW_DEVICE_CUDA) {
    tw_status status = measure_device(&b);
    tw_hardware_release(&b.hardware);
    TW_TRY(status);
    return channel->party == 0 ? print(&b) : TW_OK;
  }
#endif
  tw_status status = measure_host(&b);
  tw_hardware_release(&b.hardware);
  TW_TRY(status);
  return channel->party == 0 ? print(&b) : TW_OK;
}

static tw_status run(const tw_call *call) {
  const tw_bench_settings *s = call->settings;
  return tw_two_ranks(call, &(tw_limits){s->party.silence_limit, 0}, body);
}

typedef tw_bench_settings settings;
static const tw_option options[] = {
    {.group = "where a party computes", .common = &tw_option_device, .field = offsetof(settings, party.device)},
    {.common = &tw_option_affinity, .field = offsetof(settings, party.affinity)},
    {.group = "between the parties", .common = &tw_option_transport, .field = offsetof(settings, party.transport)},
    {.common = &tw_option_link_latency, .field = offsetof(settings, party.link.latency_seconds)},
    {.common = &tw_option_link_rate, .field = offsetof(settings, party.link.bytes_per_second)},
    {.common = &tw_option_silence_limit, .field = offsetof(settings, party.silence_limit)},
    {.group = "what is told", .common = &tw_option_json, .field = offsetof(settings, json)},
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
