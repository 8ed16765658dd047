#include "jobs/engine/transport.h"

const char *const tw_transport_words[TW_TRANSPORTS + 1] = {"auto",        "peer",       "nccl",
                                                           "host-window", "host-relay", "gpu-relay"};

const char *tw_transport_word(tw_transport t) { return t < TW_TRANSPORTS ? tw_transport_words[t] : "?"; }

static void add_way(tw_ways *w, tw_transport t) { w->way[w->count++] = t; }

// In order of speed: GPUs of one host reach each other's memory, by CUDA or NCCL; NCCL goes between hosts, too; memory
// of the host always. Where two GPUs of one host may not reach each other, NCCL would send and receive through that
// host, and comes last.
tw_ways tw_ways_between(const tw_pair *p, tw_transport wanted) {
  tw_ways w = {.count = 0};
  if (!p->gpus) return w;
  if (p->link || p->sites) wanted = TW_TRANSPORT_HOST_RELAY;  // whose messages go by the channel
  bool two_gpus = p->gpus && !p->one_gpu, doubtful = p->apart || p->unseen;
  if (wanted != TW_TRANSPORT_AUTO) {
    add_way(&w, wanted);
    return w;
  }
  if (two_gpus && p->one_host && !p->apart) add_way(&w, TW_TRANSPORT_PEER);
  if (two_gpus && p->nccl && !doubtful) add_way(&w, TW_TRANSPORT_NCCL);
  add_way(&w, TW_TRANSPORT_HOST_WINDOW);
  if (two_gpus && p->nccl && doubtful) add_way(&w, TW_TRANSPORT_NCCL);
  return w;
}

// Openings in memory that both parties reach are work, not waiting: of the same cores, or of the GPUs. Through a window
// of the host's memory two GPUs wait. What NCCL sends and receives takes longer by more than what runs beside it gains
// (docs/performance.md).
bool tw_ways_wait(const tw_pair *p, const tw_ways *ways) {
  if (p->link) return true;
  if (!p->gpus) return !p->one_host;
  tw_transport way = ways->way[0];
  if (way == TW_TRANSPORT_PEER || way == TW_TRANSPORT_NCCL) return false;
  return way != TW_TRANSPORT_HOST_WINDOW || !p->one_gpu;
}

// A GPU has processors to spare while others compute; cores only have while a message is awaited.
bool tw_ways_leave_idle(const tw_pair *p, const tw_ways *ways) {
  // Where GPUs do not reach each other's memory NCCL has nothing but send and receive.
  bool sends_by_nccl = ways->way[0] == TW_TRANSPORT_NCCL && (!p->one_host || p->apart);
  return p->gpus ? !sends_by_nccl : tw_ways_wait(p, ways);
}
