// The mailboxes of one party's GPU, one a half, for the transports that have them. Built with CUDA only.
#ifndef TW_DEVICE_MAILBOX_H
#define TW_DEVICE_MAILBOX_H

#include <stdbool.h>

#include "comm/channel.h"
#include "comm/relay.h"
#include "comm/shared_window.h"
#include "jobs/engine/transport.h"
#include "jobs/program/opener.h"
#include "kernels/device.h"
#include "kernels/device_opens.h"

typedef struct {
  int count;
  size_t bytes;  // of one
  tw_mailbox box[TW_HALVES];
  tw_relay_box host[TW_HALVES];  // relayed
  bool relayed;
  const char *name;
  // Where GPUs reach each other: memory of `chain_bytes` for packets of chains, the other GPU's and this one's; the
  // bytes are zero at first. Else NULL.
  size_t chain_bytes;
  uint64_t *chain_sent;
  const uint64_t *chain_received;
  // what they are made of
  void *own, *theirs;  // peer
  struct tw_nccl *nccl;
  tw_shared_window *window;
  void *mapped[2];  // parts of the window that the GPU reaches
  void *pinned, *device;
  void *copies;  // device: of what is sent
  void *state;   // device: lines of strands, base of every mailbox, and the failed flag
  void *stop;    // pinned
} tw_mailboxes;

// Both parties; peer, nccl (where its windows reach the other GPU), host-window, host-relay, gpu-relay. TW_ERR_USAGE on
// both where it cannot be.
tw_status tw_mailboxes_create(tw_channel *channel, tw_transport transport, struct tw_nccl *nccl, int count,
                              size_t message_words, size_t chain_bytes, tw_mailboxes *m);
// held: the transport may still touch what the relay carries, which stays.
void tw_mailboxes_free(tw_mailboxes *m, bool abort, bool held);

#endif
