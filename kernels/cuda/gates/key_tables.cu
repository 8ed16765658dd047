// Tables by keys of point functions have no kernels yet: plans with them are refused on GPUs (tw_plan_allows_gpu).
#include "kernels/cuda/runtime/cuda_ops.h"

static tw_status none(void) { return tw_fail(TW_ERR_INTERNAL, "tables by keys of point functions on a GPU"); }

tw_status tw_cuda_key_window(const tw_key_window_args *, void *) { return none(); }
tw_status tw_cuda_key_segments(const tw_key_segments_args *, void *) { return none(); }
tw_status tw_cuda_deal_window(const tw_deal_window_args *, void *) { return none(); }
tw_status tw_cuda_deal_segments(const tw_deal_segments_args *, void *) { return none(); }
