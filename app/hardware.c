#include "app/hardware.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/placement.h"
#include "comm/channel_link.h"
#include "kernels/device.h"

static int word_index(const char *word, const char *const *words, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(word, words[i]) == 0) return i;
  return -1;
}

static int rank_on_host(void) {
  MPI_Comm host;
  int rank = 0;
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) != MPI_SUCCESS) return 0;
  MPI_Comm_rank(host, &rank);
  MPI_Comm_free(&host);
  return rank;
}

static tw_status parse_device(const char *word, tw_device_kind *kind) {
  static const char *const devices[] = {"auto", "cpu", "cuda"};
  int d = word_index(word, devices, 3);
  if (d < 0) return tw_fail(TW_ERR_USAGE, "unknown device '%s'; use auto, cpu or cuda", word);
  *kind = (tw_device_kind)d;
  return TW_OK;
}

tw_status tw_hardware_choose(const char *device, const char *transport, tw_hardware *out) {
  tw_device_kind wanted = TW_DEVICE_AUTO;
  out->local_rank = rank_on_host();
  TW_TRY(parse_device(device, &wanted));
  out->transport = tw_transport_of(transport);
  if (out->transport == TW_TRANSPORTS)
    return tw_fail(TW_ERR_USAGE, "unknown transport '%s'; use auto, peer, nccl, mpi, mpi-p2p or mpi-cuda", transport);
  return tw_device_choose(wanted, out->local_rank, &out->device, &out->gpu);
}

tw_status tw_hardware_alone(const char *device, tw_device_kind *chosen) {
  tw_device_kind wanted = TW_DEVICE_AUTO;
  int gpu;
  TW_TRY(parse_device(device, &wanted));
  TW_TRY(tw_device_choose(wanted, 0, chosen, &gpu));
#ifdef TWAIN_CUDA
  if (*chosen == TW_DEVICE_CUDA) return tw_device_select(gpu);
#endif
  return TW_OK;
}

// What the other rank must know to choose the same transport.
typedef struct {
  char host[256];
  int device, gpu, nccl, transport;
} hardware_place;

static void add_way(tw_ways *w, tw_transport t) { w->way[w->count++] = t; }

// In order of speed: GPUs of one host reach each other's memory; NCCL goes between hosts, too; MPI always.
static tw_ways ways_of(tw_transport wanted, bool one_host, bool one_gpu, bool nccl) {
  tw_ways w = {.count = 0};
  if (wanted != TW_TRANSPORT_AUTO) {
    add_way(&w, wanted);
    return w;
  }
  if (one_host && !one_gpu) add_way(&w, TW_TRANSPORT_PEER);
  if (nccl && !one_gpu) add_way(&w, TW_TRANSPORT_NCCL);
  add_way(&w, TW_TRANSPORT_MPI);
  return w;
}

tw_status tw_hardware_link(tw_hardware *h, const char *link) {
  tw_link_profile profile;
  if (!link) return TW_OK;
  TW_TRY(tw_link_parse(link, &profile));
  bool relayed = h->transport == TW_TRANSPORT_AUTO || h->transport == TW_TRANSPORT_MPI_P2P;
  if (h->device == TW_DEVICE_CUDA && !relayed)
    return tw_fail(TW_ERR_USAGE, "--emulate-link slows messages of MPI; use it with --transport mpi-p2p, not %s",
                   tw_transport_word(h->transport));
  h->ways = (tw_ways){{TW_TRANSPORT_MPI_P2P}, 1};
  TW_TRY(tw_channel_link(h->channel, &profile, &h->link));
  h->channel = h->link;
  return TW_OK;
}

// Openings in one host's memory are work, not waiting: of the same cores or GPU. A relay is another thread's.
static bool waits_for_openings(const tw_hardware *h) {
  tw_transport first = h->ways.way[0];
  bool relayed = first == TW_TRANSPORT_MPI_P2P || first == TW_TRANSPORT_MPI_CUDA;
  return !h->one_host || h->link || (h->device == TW_DEVICE_CUDA && relayed);
}

// Through a window of host memory GPUs wait for large openings only (docs/performance.md). Where `auto` falls back to
// the window is not known here.
static int overlap_by_itself(const tw_hardware *h) {
  enum { ALL = 2, LARGE = 4 };
  bool window = h->device == TW_DEVICE_CUDA && h->ways.way[0] == TW_TRANSPORT_MPI;
  return waits_for_openings(h) ? ALL : window && !h->one_gpu ? LARGE : 0;
}

tw_status tw_hardware_overlap(const tw_hardware *h, const char *when, int *from) {
  static const char *const words[] = {"never", "always", "auto"};
  int w = word_index(when, words, 3);
  if (w < 0) return tw_fail(TW_ERR_USAGE, "unknown --overlap '%s'; use auto, always or never", when);
  *from = w == 2 ? overlap_by_itself(h) : 2 * w;
  return TW_OK;
}

// A GPU has processors to spare while others compute; cores only have while a message is awaited.
tw_status tw_hardware_prepare(const tw_hardware *h, const char *when, bool *beside) {
  static const char *const words[] = {"first", "beside", "auto"};
  int w = word_index(when, words, 3);
  if (w < 0) return tw_fail(TW_ERR_USAGE, "unknown --prepare '%s'; use auto, first or beside", when);
  *beside = w == 2 ? h->device == TW_DEVICE_CUDA || waits_for_openings(h) : w;
  return TW_OK;
}

void tw_hardware_release(tw_hardware *h) {
  tw_channel_close(h->link);
  h->link = NULL;
}

tw_status tw_hardware_take(tw_channel *channel, tw_hardware *h) {
  h->channel = channel;
  h->link = NULL;
  hardware_place mine = {{0}, (int)h->device, h->gpu, 0, (int)h->transport}, theirs;
#ifdef TWAIN_NCCL
  mine.nccl = 1;
#endif
  gethostname(mine.host, sizeof mine.host - 1);
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (mine.device != theirs.device)
    return tw_fail(TW_ERR_MISMATCH,
                   "one rank computes on a GPU, the other on its CPU; say --device cpu, or give both a GPU");
  if (mine.transport != theirs.transport) return tw_fail(TW_ERR_MISMATCH, "the ranks were given different transports");
  h->one_host = strcmp(mine.host, theirs.host) == 0;
  h->one_gpu = h->one_host && mine.gpu == theirs.gpu;
  bool needs_gpus =
      h->transport == TW_TRANSPORT_NCCL || h->transport == TW_TRANSPORT_PEER || h->transport == TW_TRANSPORT_MPI_CUDA;
  if (needs_gpus && h->device != TW_DEVICE_CUDA)
    return tw_fail(TW_ERR_USAGE, "--transport %s goes between GPUs; on the CPU use --transport mpi",
                   tw_transport_word(h->transport));
  if (h->transport == TW_TRANSPORT_NCCL && h->one_gpu)
    return tw_fail(TW_ERR_USAGE, "--transport nccl needs a GPU of its own for each rank; use --transport mpi");
  h->ways = ways_of(h->transport, h->one_host, h->one_gpu, mine.nccl && theirs.nccl);
#ifdef TWAIN_CUDA
  if (h->device == TW_DEVICE_CUDA) return tw_device_select(h->gpu);
#endif
  return TW_OK;
}

// ---- placement

typedef struct {
  char cores[768];
  int failed, bind;
} core_place;

static tw_status find_place(const tw_hardware *h, tw_placement *p) {
  char gpu[16] = "";
#ifdef TWAIN_CUDA
  if (h->device == TW_DEVICE_CUDA) TW_TRY(tw_device_pci(gpu));
#else
  (void)h;
#endif
  return tw_placement_find(*gpu ? gpu : NULL, p);
}

// Ranks of one host that would run on the same cores share them out.
static tw_status place(tw_channel *channel, const tw_hardware *h, bool bind, tw_placement *p) {
  core_place mine = {{0}, 0, bind}, theirs;
  tw_status found = find_place(h, p);
  if (found == TW_OK) tw_placement_cores(p, mine.cores, sizeof mine.cores);
  mine.failed = found != TW_OK;
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  TW_TRY(found);
  if (theirs.failed)
    return tw_fail(TW_ERR_PEER, "the other rank does not find its place on its machine; see its message");
  bool same = h->one_host && strncmp(mine.cores, theirs.cores, sizeof mine.cores) == 0;
  if (bind && theirs.bind && same) tw_placement_halve(p, channel->rank);
  if (bind) tw_placement_bind(p);
  return TW_OK;
}

tw_status tw_hardware_place(tw_channel *channel, const tw_hardware *h, const char *bind, char *text, size_t size) {
  static const char *const modes[] = {"auto", "none"};
  tw_placement p = {.bound = false};
  int mode = word_index(bind, modes, 2);
  if (mode < 0) return tw_fail(TW_ERR_USAGE, "unknown --bind '%s'; use auto or none", bind);
  tw_status status = place(channel, h, mode == 0, &p);
  if (status == TW_OK) tw_placement_text(&p, text, size);
  tw_placement_free(&p);
  return status;
}
