#include "comm/nccl.h"

#ifdef TWAIN_NCCL
#include <nccl.h>
#include <stdlib.h>

struct tw_nccl {
  ncclComm_t comm;
  int rank;
};

static tw_status checked(ncclResult_t result, const char *call) {
  if (result == ncclSuccess) return TW_OK;
  return tw_fail(TW_ERR_PEER, "%s: %s; --transport mpi goes through host memory instead", call,
                 ncclGetErrorString(result));
}

tw_status tw_nccl_open(tw_channel *channel, tw_nccl **out) {
  ncclUniqueId mine, theirs;
  TW_TRY(checked(ncclGetUniqueId(&mine), "ncclGetUniqueId"));
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  tw_nccl *n = calloc(1, sizeof *n);
  if (!n) return tw_fail(TW_ERR_MEMORY, "out of memory for a communicator");
  n->rank = channel->rank;
  tw_status status =
      checked(ncclCommInitRank(&n->comm, 2, channel->rank == 0 ? mine : theirs, channel->rank), "ncclCommInitRank");
  if (status != TW_OK) {
    free(n);
    return status;
  }
  *out = n;
  return TW_OK;
}

tw_status tw_nccl_exchange(tw_nccl *n, const void *send, void *recv, size_t bytes, void *stream) {
  TW_TRY(checked(ncclGroupStart(), "ncclGroupStart"));
  tw_status sent = checked(ncclSend(send, bytes, ncclUint8, 1 - n->rank, n->comm, (cudaStream_t)stream), "ncclSend");
  tw_status received =
      checked(ncclRecv(recv, bytes, ncclUint8, 1 - n->rank, n->comm, (cudaStream_t)stream), "ncclRecv");
  TW_TRY(checked(ncclGroupEnd(), "ncclGroupEnd"));
  return sent != TW_OK ? sent : received;
}

void tw_nccl_close(tw_nccl *n, int abort) {
  if (!n) return;
  if (abort)
    ncclCommAbort(n->comm);
  else
    ncclCommDestroy(n->comm);
  free(n);
}
#endif
