#include "jobs/transport.h"

#include <string.h>

static const char *const words[TW_TRANSPORTS] = {"auto", "peer", "nccl", "mpi", "mpi-p2p", "mpi-cuda"};

const char *tw_transport_word(tw_transport t) { return t < TW_TRANSPORTS ? words[t] : "?"; }

tw_transport tw_transport_of(const char *word) {
  int t = 0;
  while (t < TW_TRANSPORTS && strcmp(word, words[t]) != 0) t++;
  return (tw_transport)t;
}
