// The functions behind tw_cpu_backend.
#ifndef TW_CPU_OPS_H
#define TW_CPU_OPS_H

#include "kernels/backend.h"

#define TW_DECLARE_CPU_OP(op) tw_status tw_cpu_##op(const tw_##op##_args *args, void *stream);
TW_RING_OPS(TW_DECLARE_CPU_OP)
TW_BIT_OPS(TW_DECLARE_CPU_OP)
TW_DEAL_OPS(TW_DECLARE_CPU_OP)
TW_DEAL_BIT_OPS(TW_DECLARE_CPU_OP)
#undef TW_DECLARE_CPU_OP

tw_status tw_cpu_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                          uint64_t *out, void *stream);
tw_status tw_cpu_give(const tw_give_args *args, int count, void *stream);

#endif
