// The two ways to look up on the device, both by products of int8 matrices. An element's share of the one-hot digit,
// turned by the public digit so that bit u stands for table entry -u, is a row of bits; a sub-table's entries, cut in
// bytes, are the columns. For digits of 7 to 9 bits with few sub-tables, which most tables have, a block holds all
// sub-tables and multiplies by each (lookup_limbs.cu); for the others blocks share sub-tables out (lookup.cu).
#ifndef TW_CUDA_LOOKUP_H
#define TW_CUDA_LOOKUP_H

#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

bool tw_cuda_lookup_has_limbs(const tw_lookup_args *args);
tw_status tw_cuda_lookup_limbs(const tw_lookup_args *args, void *stream);

// c (16 x 8, int32) += a (16 x 32) b (32 x 8) of unsigned bytes, laid out as in multiply_limbs.
static __device__ __forceinline__ void multiply_bytes(int32_t c[4], const uint32_t a[4], uint2 b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

// Products a sub-table takes: entries of both tables, in four bytes side by side or in eight each by itself.
template <int bytes>
struct columns_of {
  static constexpr int products = bytes == 4 ? 1 : 2;
};

// Byte i of the four entries, as word i.
static __device__ __forceinline__ void split_bytes(const uint32_t entry[4], uint32_t word[4]) {
  const uint32_t a = __byte_perm(entry[0], entry[1], 0x5140), b = __byte_perm(entry[2], entry[3], 0x5140),
                 c = __byte_perm(entry[0], entry[1], 0x7362), d = __byte_perm(entry[2], entry[3], 0x7362);
  word[0] = __byte_perm(a, b, 0x5410);
  word[1] = __byte_perm(a, b, 0x7632);
  word[2] = __byte_perm(c, d, 0x5410);
  word[3] = __byte_perm(c, d, 0x7632);
}

// Where a lane's operand of a product lies: lanes of neighbouring products are exchanged, so that a warp's threads
// write to all banks.
static __device__ __forceinline__ uint32_t operand_place(uint32_t product, uint32_t lane) {
  return 32 * product + (lane ^ (product % 4 * 4));
}

// Operands are made of a sub-table's entries by strips: the entries -u of `strip` words u / 32 of a row, which take
// `strip` steps. A quarter q of the words belongs to lanes 4 column + q; four steps take a word's 32 entries, step i
// those of bits u % 32 = i + 0, 8, 16, 24, then i + 4, 12... A column is a byte of an entry, in four bytes of both
// tables. t numbers what a thread makes: the half of a step, q, table, step; a step has `products`, of which the
// sub-table's begin with `first`. Sub-tables and entries that are not there are 0.
template <int bytes, int strip>
static __device__ __forceinline__ void load_operand(const tw_lookup_args &a, uint32_t sub, uint32_t t,
                                                    uint32_t products, uint32_t first, uint2 *operands) {
  const uint32_t half = t % 2, q = t / 2 % 4, table = t / 8 % 2, step = t / 16, planes = 1u << a.width,
                 word = step / strip * strip + strip / 4 * q + step % strip / 4;
  uint32_t low[4], high[4], split[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t u = 32 * word + step % 4 + 4 * half + 8 * i, m = (0 - u) & (planes - 1);
    const bool there = u < planes && sub >> a.sub_bits == 0;
    const uint64_t entry = there ? a.table[table][((size_t)m << a.sub_bits) + sub] : 0;
    low[i] = (uint32_t)entry;
    high[i] = (uint32_t)(entry >> 32);
  }
  uint32_t *const words = (uint32_t *)operands;
  const uint32_t product = products * step + first + (bytes == 8 ? table : 0), column = bytes == 8 ? 0 : 4 * table;
  split_bytes(low, split);
#pragma unroll
  for (uint32_t i = 0; i < 4; i++) words[2 * operand_place(product, 4 * (column + i) + q) + half] = split[i];
  if constexpr (bytes == 8) {
    split_bytes(high, split);
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) words[2 * operand_place(product, 4 * (4 + i) + q) + half] = split[i];
  }
}

// Both tables' sums of one row, in the lanes 0 and 2 (four bytes) or 0 (eight) of its four; `sum` are the products of
// the row's sub-table.
static __device__ __forceinline__ uint32_t join_four(const int32_t *sum) {
  const uint32_t odd = threadIdx.x & 1, part = ((uint32_t)sum[0] + ((uint32_t)sum[1] << 8)) << (16 * odd);
  return part + __shfl_xor_sync(~0u, part, 1);
}
static __device__ __forceinline__ uint64_t join_eight(const int32_t *sum) {
  unsigned long long part = ((uint64_t)(uint32_t)sum[0] + ((uint64_t)(uint32_t)sum[1] << 8))
                            << (16 * (threadIdx.x & 3));
  part += __shfl_xor_sync(~0u, part, 1);
  return part + __shfl_xor_sync(~0u, part, 2);
}

static __device__ __forceinline__ void write_sum(const tw_lookup_args &a, int table, size_t at, uint64_t sum) {
  a.out[table][at] = (a.party ? 0 - sum : sum) & a.ring_out;
}

#endif
