// How the parties' GPUs exchange what they open. Parties on CPUs send by the channel and have no choice.
#ifndef TW_TRANSPORT_H
#define TW_TRANSPORT_H

#include <stdbool.h>

typedef enum {
  TW_TRANSPORT_AUTO,
  TW_TRANSPORT_PEER,         // kernels write into the other GPU's memory (CUDA IPC)
  TW_TRANSPORT_NCCL,         // the same in NCCL's window; where it has none, NCCL's send and receive
  TW_TRANSPORT_HOST_WINDOW,  // a window of host memory that parties of one host share; otherwise HOST_RELAY
  TW_TRANSPORT_HOST_RELAY,   // the channel's messages from pinned memory, relayed by a host thread
  TW_TRANSPORT_GPU_RELAY,    // the same from device memory, with a CUDA-aware MPI
  TW_TRANSPORTS
} tw_transport;

// What may serve, best first; auto leaves several, of which the first that can be opened is taken. None: by the
// channel.
typedef struct {
  tw_transport way[4];
  int count;
} tw_ways;

// Where the two parties compute, as both know.
typedef struct {
  bool gpus;      // each computes on one
  bool one_host;  // both run on it
  bool one_gpu;   // and on the same GPU
  bool apart;     // or on GPUs that do not reach each other's memory
  bool unseen;    // or a party does not see the other's GPU, and cannot know
  bool nccl;      // both were built with it
  bool link;      // an emulated link is between them
  bool sites;     // no MPI is between them: they are two jobs
} tw_pair;

tw_ways tw_ways_between(const tw_pair *p, tw_transport wanted);

// Whether openings by the best way are waited for, so that halves of a batch pay; and whether they leave processors
// idle, so that preparation beside them pays.
bool tw_ways_wait(const tw_pair *p, const tw_ways *ways);
bool tw_ways_leave_idle(const tw_pair *p, const tw_ways *ways);

// "auto", "peer", "nccl", "host-window", "host-relay", "gpu-relay", NULL.
extern const char *const tw_transport_words[TW_TRANSPORTS + 1];
const char *tw_transport_word(tw_transport t);

#endif
