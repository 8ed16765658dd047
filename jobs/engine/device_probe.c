#include "jobs/engine/device_probe.h"

#ifdef TWAIN_CUDA
#include "base/median.h"
#include "base/memory.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "kernels/digest.h"
#include "kernels/pack.h"

enum { PROBE_RING = 32 };

// Word j of a party's share and mask: ring elements, or words of one bit plane.
static uint64_t probe_share(int party, size_t j) { return tw_mix(2 * j + (uint64_t)party); }
static uint64_t probe_mask(int party, size_t j) { return tw_mix(~(2 * j + (uint64_t)party)); }

static uint64_t probe_opened(bool bits, size_t j) {
  uint64_t x[4] = {probe_share(0, j), probe_share(1, j), probe_mask(0, j), probe_mask(1, j)};
  return bits ? x[0] ^ x[1] ^ x[2] ^ x[3] : (x[0] + x[1] + x[2] + x[3]) & tw_mask(PROBE_RING);
}

typedef struct {
  tw_device_opener *opener;
  const tw_device_opener_options *o;
  bool bits;
  size_t n;                             // words of the arrays
  uint64_t *host, *share, *mask, *out;  // out: device
  void *graph, *timer[2], *fork, *join;
} probe;

static tw_status make_probe(probe *p) {
  void *memory;
  uint64_t **arrays[] = {&p->share, &p->mask, &p->out};
  TW_TRY(tw_alloc(8 * p->n, &memory));
  p->host = memory;
  for (int i = 0; i < 3; i++) {
    TW_TRY(tw_cuda_backend.alloc(8 * p->n, &memory));
    *arrays[i] = memory;
    for (size_t j = 0; j < p->n; j++)
      p->host[j] = i == 0 ? probe_share(p->o->channel->party, j) : probe_mask(p->o->channel->party, j);
    TW_TRY(tw_cuda_backend.upload(memory, p->host, 8 * p->n, p->o->streams[0]));
    TW_TRY(tw_device_wait(p->o->streams[0]));
  }
  for (int i = 0; i < 2; i++) TW_TRY(tw_device_timer_create(&p->timer[i]));
  TW_TRY(tw_device_event_create(&p->fork));
  return tw_device_event_create(&p->join);
}

static void free_probe(probe *p) {
  uint64_t *arrays[] = {p->share, p->mask, p->out};
  for (int i = 0; i < 3; i++)
    if (arrays[i]) tw_cuda_backend.release(arrays[i], 8 * p->n);
  tw_free(p->host);
  tw_device_graph_destroy(p->graph);
  for (int i = 0; i < 2; i++) tw_device_event_destroy(p->timer[i]);
  tw_device_event_destroy(p->fork);
  tw_device_event_destroy(p->join);
}

static tw_status record_probe(const probe *p, int count) {
  uint64_t message;
  tw_opener opener = tw_device_opener_table(p->opener);
  tw_open_request r = {.bits = p->bits,
                       .width = p->bits ? 1 : PROBE_RING,
                       .n = p->bits ? 64 * p->n : p->n,
                       .words = p->n,
                       .share = p->share,
                       .mask = p->mask,
                       .out = p->out};
  TW_TRY(tw_device_opener_record_begin(p->opener));
  for (int i = 0; i <= count; i++) {
    TW_TRY(opener.open(opener.state, 0, &r));
    TW_TRY(opener.start(opener.state, TW_FLUSH_DEMAND, &message));
    if (i == 0) TW_TRY(tw_device_timer_record(p->timer[0], p->o->streams[0]));  // the parties have met
  }
  TW_TRY(tw_device_timer_record(p->timer[1], p->o->streams[0]));
  return tw_device_opener_record_end(p->opener);
}

static tw_status capture_probe(probe *p, int count) {
  TW_TRY(tw_device_capture_begin(p->o->streams[0]));
  if (p->o->halves > 1) {
    TW_TRY(tw_device_event_record(p->fork, p->o->streams[0]));
    TW_TRY(tw_device_event_wait(p->fork, p->o->streams[1]));
  }
  tw_status recorded = record_probe(p, count);
  if (p->o->halves > 1 && recorded == TW_OK) {
    recorded = tw_device_event_record(p->join, p->o->streams[1]);
    if (recorded == TW_OK) recorded = tw_device_event_wait(p->join, p->o->streams[0]);
  }
  return tw_device_capture_end(p->o->streams[0], recorded, &p->graph);
}

static tw_status run_probe(const probe *p) {
  void *stream = p->o->streams[0];
  TW_TRY(tw_device_opener_run_begin(p->opener));
  tw_status status = tw_device_graph_launch(p->graph, stream);
  if (status == TW_OK) status = tw_device_wait_for(stream, p->o->channel->timeout_seconds);
  tw_status ended = tw_device_opener_run_end(p->opener, status != TW_OK);
  TW_TRY(status);
  return ended;
}

static tw_status check_probe(const probe *p) {
  TW_TRY(tw_cuda_backend.download(p->host, p->out, 8 * p->n, p->o->streams[0]));
  for (size_t j = 0; j < p->n; j++)
    if (p->host[j] != probe_opened(p->bits, j))
      return tw_fail(TW_ERR_PEER, "--transport %s delivers wrong bytes (word %zu of %zu); use another",
                     tw_transport_word(p->o->transport), j, p->n);
  return TW_OK;
}

static tw_status measure_probe(probe *p, int count, double *seconds) {
  enum { RUNS = 3 };
  double taken[RUNS];
  TW_TRY(make_probe(p));
  TW_TRY(capture_probe(p, count));
  TW_TRY(run_probe(p));  // warms up
  for (int i = 0; i < RUNS; i++) {
    TW_TRY(run_probe(p));
    TW_TRY(tw_device_timer_between(p->timer[0], p->timer[1], &taken[i]));
  }
  *seconds = tw_median(taken, RUNS) / count;
  return check_probe(p);
}

tw_status tw_device_opener_probe(tw_device_opener *o, size_t bytes, bool bits, int count, double *seconds) {
  probe p = {
      .opener = o, .o = tw_device_opener_get_options(o), .bits = bits, .n = bits ? bytes / 8 : 8 * bytes / PROBE_RING};
  tw_status status = measure_probe(&p, count, seconds);
  free_probe(&p);
  return status;
}
#endif
