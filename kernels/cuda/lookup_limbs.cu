// Table lookup by masked sums (kernels/digit.h) as a product of int8 matrices. An element's share of the one-hot digit,
// turned by the public digit so that bit u stands for table entry -u, is a row of bits; the sub-tables' entries, cut in
// bytes, are the columns. A warp takes 32 elements: it transposes their bits out of the planes, multiplies, and each
// element keeps the sub-table that its public value names.
#include "kernels/cuda/lookup.h"
#include "kernels/cuda/transpose.h"

enum {
  WARPS = 8,
  THREADS = 32 * WARPS,
  TILE = 32 * WARPS,      // elements of a block at once
  STRIDE = WARPS | 1,     // of a plane's words in shared memory, odd: lanes hit all banks
  COLUMNS = 8,            // of one product
  MOST_BLOCKS = 4 * 132,  // about what runs at once; each keeps its tables for many tiles
  MOST_WIDTH = 9,
  LEAST_WIDTH = 5
};

typedef struct {
  tw_lookup_args a;
  uint32_t tiles, sequence_tiles, planes;
} limbs_call;

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

// Where byte `limb` of an entry lies in the operands: [32 planes][product][lane], four planes a register. Plane u of 32
// is bit u of a word; lane 4 column + q holds the planes q, q + 8, q + 16, q + 24, and q + 4, q + 12...
template <int subs, int bytes>
static __device__ __forceinline__ uint32_t byte_place(uint32_t u, uint32_t sub, uint32_t table, uint32_t limb) {
  constexpr uint32_t products = columns_of<bytes>::products;
  const uint32_t product = bytes == 4 ? sub : products * sub + table, column = bytes == 4 ? 4 * table + limb : limb;
  const uint32_t q = u % 4, half = u / 4 % 2, byte = u / 8 % 4;
  return ((u / 32 * (subs * products) + product) * 32 + 4 * column + q) * 8 + 4 * half + byte;
}

template <int subs, int bytes>
static __device__ void load_tables(const limbs_call &call, unsigned char *operands) {
  const uint32_t sub_bits = (uint32_t)call.a.sub_bits, live = 1u << sub_bits;
  for (uint32_t t = threadIdx.x; t < 2 * subs * call.planes; t += THREADS) {
    const uint32_t sub = t % subs, m = t / subs % call.planes, table = t / subs / call.planes;
    const uint64_t entry = sub < live ? call.a.table[table][(m << sub_bits) + sub] : 0;
    const uint32_t u = (0 - m) & (call.planes - 1);
#pragma unroll
    for (uint32_t limb = 0; limb < bytes; limb++)
      operands[byte_place<subs, bytes>(u, sub, table, limb)] = (unsigned char)(entry >> (8 * limb));
  }
}

// A tile's words of each plane.
static __device__ __forceinline__ void load_planes(const limbs_call &call, const uint32_t *onehot, uint32_t groups,
                                                   uint32_t *words) {
  for (uint32_t t = threadIdx.x; t < call.planes * WARPS; t += THREADS) {
    const uint32_t g = t % WARPS, plane = t / WARPS;
    words[plane * STRIDE + g] = g < groups ? onehot[(size_t)plane * 2 * call.a.words + g] : 0;
  }
}

// Bits `digit`.. of an element's turned row, 32 planes from 32 * step on.
static __device__ __forceinline__ uint32_t turned_word(const uint32_t *rows, uint32_t row, uint32_t steps,
                                                       uint32_t step, uint32_t digit) {
  const uint32_t low = rows[(step + digit / 32 & steps - 1) * 32 + row];
  const uint32_t high = rows[(step + digit / 32 + 1 & steps - 1) * 32 + row];
  return __funnelshift_r(low, high, digit);
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

static __device__ __forceinline__ void write_sum(const limbs_call &call, int table, size_t sequence, size_t j,
                                                 uint64_t sum) {
  const tw_lookup_args &a = call.a;
  if (j < a.n) a.out[table][sequence * a.n + j] = (a.rank ? 0 - sum : sum) & a.ring_out;
}

// The row's sums out of the products of all sub-tables; `part`: 0 for the rows lane / 4, 2 for those eight further on.
template <int subs, int bytes>
static __device__ __forceinline__ void finish_row(const limbs_call &call, int32_t (*sum)[4], int part, uint32_t sub,
                                                  size_t sequence, size_t j) {
  constexpr int products = columns_of<bytes>::products;
  int32_t own[2 * products];
#pragma unroll
  for (int i = 0; i < 2 * products; i++) own[i] = 0;
#pragma unroll
  for (int s = 0; s < subs; s++)
#pragma unroll
    for (int i = 0; i < 2 * products; i++)
      own[i] = sub == (uint32_t)s ? sum[products * s + i / 2][part + i % 2] : own[i];
  if constexpr (bytes == 4) {
    const uint32_t both = join_four(own);
    if (threadIdx.x % 2 == 0) write_sum(call, threadIdx.x % 4 / 2, sequence, j, both);
  } else {
    const uint64_t first = join_eight(own), second = join_eight(own + 2);
    if (threadIdx.x % 4 == 0) write_sum(call, 0, sequence, j, first);
    if (threadIdx.x % 4 == 1) write_sum(call, 1, sequence, j, second);
  }
}

template <int subs, int bytes>
static __global__ void __launch_bounds__(THREADS) limbs_kernel(const __grid_constant__ limbs_call call) {
  constexpr int products = subs * columns_of<bytes>::products;
  extern __shared__ __align__(16) unsigned char memory[];
  const tw_lookup_args &a = call.a;
  const uint32_t steps = call.planes / 32, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint2 *const operands = (uint2 *)memory;
  uint32_t *const words = (uint32_t *)(operands + (size_t)steps * products * 32);
  uint32_t *const rows = words + call.planes * STRIDE + warp * steps * 32;
  const uint64_t ring = tw_ring_mask(a.ring), index_mask = tw_ring_mask(a.width + a.sub_bits);

  tw_let_next_start();
  load_tables<subs, bytes>(call, memory);
  tw_await_earlier();
  for (uint32_t tile = blockIdx.x; tile < call.tiles; tile += gridDim.x) {
    const size_t sequence = tile / call.sequence_tiles, first = (size_t)(tile % call.sequence_tiles) * TILE,
                 group = first / 32, element = first + 32 * warp + lane;
    const uint32_t groups = 2 * a.words - group < WARPS ? (uint32_t)(2 * a.words - group) : WARPS;
    const uint64_t X = element < a.n ? a.X[sequence * a.n + element] : 0;
    __syncthreads();
    load_planes(call, (const uint32_t *)(a.onehot + sequence * a.onehot_words) + group, groups, words);
    __syncthreads();
    if (first + 32 * warp >= a.n) continue;
    const uint32_t fine = (uint32_t)(((X - a.offset) & ring) >> (a.low_bit - a.sub_bits) & index_mask);
    for (uint32_t step = 0; step < steps; step++)
      rows[32 * step + lane] = transpose_bits(words[(32 * step + lane) * STRIDE + warp]);
    __syncwarp();
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
      const uint32_t row = 16 * half + lane / 4, q = lane % 4;
      const uint32_t fine0 = __shfl_sync(~0u, fine, (int)row), fine1 = __shfl_sync(~0u, fine, (int)row + 8);
      int32_t sum[products][4] = {};
#pragma unroll 2
      for (uint32_t step = 0; step < steps; step++) {
        const uint32_t bits0 = turned_word(rows, row, steps, step, fine0 >> a.sub_bits) >> q;
        const uint32_t bits1 = turned_word(rows, row + 8, steps, step, fine1 >> a.sub_bits) >> q;
        const uint32_t part[4] = {bits0 & 0x01010101, bits1 & 0x01010101, bits0 >> 4 & 0x01010101,
                                  bits1 >> 4 & 0x01010101};
#pragma unroll
        for (int p = 0; p < products; p++) multiply_bytes(sum[p], part, operands[(step * products + p) * 32 + lane]);
      }
      finish_row<subs, bytes>(call, sum, 0, fine0 & ((1u << a.sub_bits) - 1), sequence, first + 32 * warp + row);
      finish_row<subs, bytes>(call, sum, 2, fine1 & ((1u << a.sub_bits) - 1), sequence, first + 32 * warp + row + 8);
    }
    __syncwarp();  // rows are read before the next tile's are written
  }
}

template <int subs, int bytes>
static tw_status launch_limbs(const limbs_call &call, void *stream) {
  static size_t allowed = 48 << 10;
  const size_t steps = call.planes / 32;
  const size_t shared = steps * subs * columns_of<bytes>::products * 32 * sizeof(uint2) +
                        sizeof(uint32_t) * (call.planes * STRIDE + WARPS * steps * 32);
  if (shared > allowed) {
    TW_CUDA(cudaFuncSetAttribute((const void *)limbs_kernel<subs, bytes>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)shared));
    allowed = shared;
  }
  return tw_enqueue(limbs_kernel<subs, bytes>, dim3(call.tiles < MOST_BLOCKS ? call.tiles : MOST_BLOCKS), THREADS,
                    shared, stream, call);
}

bool tw_cuda_lookup_has_limbs(const tw_lookup_args *args) {
  return args->width >= LEAST_WIDTH && args->width <= MOST_WIDTH && args->sub_bits <= 3;
}

tw_status tw_cuda_lookup_limbs(const tw_lookup_args *args, void *stream) {
  limbs_call call = {*args};
  call.sequence_tiles = (uint32_t)tw_ceil_div(args->n, TILE);
  call.tiles = (uint32_t)args->sequences * call.sequence_tiles;
  call.planes = 1u << args->width;
  if (args->sub_bits <= 2)
    return args->ring_out >> 32 ? launch_limbs<4, 8>(call, stream) : launch_limbs<4, 4>(call, stream);
  return args->ring_out >> 32 ? launch_limbs<8, 8>(call, stream) : launch_limbs<8, 4>(call, stream);
}
