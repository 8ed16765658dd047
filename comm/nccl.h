// Exchanges between the two parties' GPUs in order of a CUDA stream (NCCL send and receive, bootstrapped over a
// channel); capturable in CUDA graphs. Present when twain was built with CUDA and NCCL (TWAIN_NCCL).
#ifndef TW_NCCL_H
#define TW_NCCL_H

#include <stddef.h>

#include "comm/channel.h"

typedef struct tw_nccl tw_nccl;

// Both parties call it, each with its GPU selected; the parties' GPUs must differ. TW_ERR_PEER with NCCL's own words.
tw_status tw_nccl_create(tw_channel *channel, tw_nccl **out);
// Device memory; both directions of `bytes` at once. Enqueued, not waited for.
tw_status tw_nccl_exchange(tw_nccl *nccl, const void *send, void *recv, size_t bytes, void *stream);
// Whether this party can have such a window; both must, before either asks for one. TW_ERR_USAGE: no.
tw_status tw_nccl_window_possible(void);
// `bytes` of this GPU's memory, zeroed, and where this GPU reaches the same of the other party's (NCCL's symmetric
// windows and device API); both parties call it, once. TW_ERR_USAGE where NCCL has no such window. Freed with the
// communicator.
tw_status tw_nccl_window(tw_nccl *nccl, size_t bytes, void **own, void **theirs);
// abort: the peer is lost, pending exchanges are given up.
void tw_nccl_destroy(tw_nccl *nccl, int abort);

#endif
