#include "comm/nccl.h"

#ifdef TWAIN_NCCL
#include <nccl.h>
#include <stdlib.h>

#include "kernels/device.h"

#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
#define HAS_WINDOWS 1
#endif

struct tw_nccl {
  ncclComm_t comm;
  int party;
  void *memory;  // of the window
#ifdef HAS_WINDOWS
  ncclWindow_t window;
#endif
};

static tw_status checked(ncclResult_t result, const char *call) {
  if (result == ncclSuccess) return TW_OK;
  return tw_fail(TW_ERR_PEER, "%s: %s; --transport host-window goes through host memory instead", call,
                 ncclGetErrorString(result));
}

tw_status tw_nccl_create(tw_channel *channel, tw_nccl **out) {
  ncclUniqueId mine, theirs;
  TW_TRY(checked(ncclGetUniqueId(&mine), "ncclGetUniqueId"));
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  tw_nccl *n = calloc(1, sizeof *n);
  if (!n) return tw_fail(TW_ERR_MEMORY, "out of memory for a communicator");
  n->party = channel->party;
  tw_status status =
      checked(ncclCommInitRank(&n->comm, 2, channel->party == 0 ? mine : theirs, channel->party), "ncclCommInitRank");
  if (status != TW_OK) {
    free(n);
    return status;
  }
  *out = n;
  return TW_OK;
}

tw_status tw_nccl_exchange(tw_nccl *n, const void *send, void *recv, size_t bytes, void *stream) {
  TW_TRY(checked(ncclGroupStart(), "ncclGroupStart"));
  tw_status sent = checked(ncclSend(send, bytes, ncclUint8, 1 - n->party, n->comm, (cudaStream_t)stream), "ncclSend");
  tw_status received =
      checked(ncclRecv(recv, bytes, ncclUint8, 1 - n->party, n->comm, (cudaStream_t)stream), "ncclRecv");
  TW_TRY(checked(ncclGroupEnd(), "ncclGroupEnd"));
  return sent != TW_OK ? sent : received;
}

#ifdef HAS_WINDOWS
// The device API is a header: it must be the library's.
tw_status tw_nccl_window_possible(void) {
  int version = 0;
  if (ncclGetVersion(&version) == ncclSuccess && version / 100 == NCCL_VERSION_CODE / 100) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "twain was built with another NCCL: its windows are not used");
}

static tw_status no_window(const char *call, ncclResult_t result) {
  return tw_fail(TW_ERR_USAGE, "%s: %s: no window between these GPUs", call, ncclGetErrorString(result));
}

tw_status tw_nccl_window(tw_nccl *n, size_t bytes, void **own, void **theirs) {
  ncclResult_t result = ncclMemAlloc(&n->memory, bytes);
  if (result != ncclSuccess) return no_window("ncclMemAlloc", result);
  TW_TRY(tw_device_zero(n->memory, bytes));
  result = ncclCommWindowRegister(n->comm, n->memory, bytes, &n->window, NCCL_WIN_COLL_SYMMETRIC);
  if (result != ncclSuccess || !n->window) return no_window("ncclCommWindowRegister", result);
  *own = n->memory;
  return tw_nccl_window_of(n->window, 1 - n->party, theirs);
}
#else
tw_status tw_nccl_window_possible(void) {
  return tw_fail(TW_ERR_USAGE, "twain was built with an NCCL before 2.28, which has no windows");
}
tw_status tw_nccl_window(tw_nccl *n, size_t bytes, void **own, void **theirs) {
  (void)n, (void)bytes, (void)own, (void)theirs;
  return tw_nccl_window_possible();
}
#endif

void tw_nccl_destroy(tw_nccl *n, int abort) {
  if (!n) return;
#ifdef HAS_WINDOWS
  if (n->window && !abort) ncclCommWindowDeregister(n->comm, n->window);
#endif
  if (n->memory && !abort) ncclMemFree(n->memory);
  if (abort)
    ncclCommAbort(n->comm);
  else
    ncclCommDestroy(n->comm);
  free(n);
}
#endif
