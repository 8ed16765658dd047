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
  AT_ONCE = 4,            // words of a row
  COLUMNS = 8,            // of one product
  MOST_BLOCKS = 4 * 132,  // about what runs at once; each keeps its tables for many tiles
  MOST_WIDTH = 9,
  LEAST_WIDTH = 5
};

typedef struct {
  tw_lookup_args a;
  uint32_t tiles, sequence_tiles, planes;
} limbs_call;

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

// A tile's words of each plane; all are read before the first is stored.
template <int steps>
static __device__ __forceinline__ void load_planes(const limbs_call &call, const uint32_t *onehot, uint32_t groups,
                                                   uint32_t *words) {
  static_assert(THREADS == 32 * WARPS, "a thread has one word of each 32 planes");
  const uint32_t g = threadIdx.x % WARPS, plane = threadIdx.x / WARPS;
  const size_t stride = 2 * call.a.words;
  const uint32_t *const from = onehot + plane * stride + g;
  uint32_t word[steps];
#pragma unroll
  for (int step = 0; step < steps; step++) word[step] = g < groups ? from[32 * step * stride] : 0;
#pragma unroll
  for (int step = 0; step < steps; step++) words[(32 * step + plane) * STRIDE + g] = word[step];
}

// An element's row of bits, from bit `digit` on around to the one before.
template <int steps>
static __device__ __forceinline__ void turn_row(uint32_t *row, uint32_t digit) {
#pragma unroll
  for (int by = 1; by < steps; by *= 2) {
    uint32_t turned[steps];
#pragma unroll
    for (int i = 0; i < steps; i++) turned[i] = digit / 32 & by ? row[(i + by) % steps] : row[i];
#pragma unroll
    for (int i = 0; i < steps; i++) row[i] = turned[i];
  }
  const uint32_t first = row[0];
#pragma unroll
  for (int i = 0; i < steps; i++) row[i] = __funnelshift_r(row[i], i + 1 < steps ? row[i + 1] : first, digit);
}

// As many words at once as one instruction moves.
template <int steps>
static __device__ __forceinline__ void copy_row(uint32_t *to, const uint32_t *from) {
  if constexpr (steps % 4 == 0) {
#pragma unroll
    for (int i = 0; i < steps; i += 4) *(uint4 *)(to + i) = *(const uint4 *)(from + i);
  } else {
#pragma unroll
    for (int i = 0; i < steps; i++) to[i] = from[i];
  }
}

// What a warp has summed up, before it is written: [table][element].
template <int bytes>
struct sums_of {
  typedef uint32_t type[2][32];
};
template <>
struct sums_of<8> {
  typedef uint64_t type[2][32];
};

// The row's sums out of the products of all sub-tables; `part`: 0 for the rows lane / 4, 2 for those eight further on.
template <int subs, int bytes>
static __device__ __forceinline__ void finish_row(int32_t (*sum)[4], int part, uint32_t sub, uint32_t row,
                                                  typename sums_of<bytes>::type &sums) {
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
    if (threadIdx.x % 2 == 0) sums[threadIdx.x % 4 / 2][row] = both;
  } else {
    const uint64_t first = join_eight(own), second = join_eight(own + 2);
    if (threadIdx.x % 4 == 0) sums[0][row] = first;
    if (threadIdx.x % 4 == 1) sums[1][row] = second;
  }
}

template <int steps, int subs, int bytes>
static __global__ void __launch_bounds__(THREADS, subs *columns_of<bytes>::products <= 4 ? 4 : 2)
    limbs_kernel(const __grid_constant__ limbs_call call) {
  constexpr int products = subs * columns_of<bytes>::products;
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ typename sums_of<bytes>::type sums[WARPS];
  const tw_lookup_args &a = call.a;
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint2 *const operands = (uint2 *)memory;
  uint32_t *const rows = (uint32_t *)(operands + (size_t)steps * products * 32) + warp * steps * 32;
  uint32_t *const words = (uint32_t *)(operands + (size_t)steps * products * 32) + WARPS * steps * 32;
  const uint64_t ring = tw_ring_mask(a.ring), index_mask = tw_ring_mask(a.width + a.sub_bits);
  const tw_transposer turn = make_transposer();

  tw_let_next_start();
  load_tables<subs, bytes>(call, memory);
  tw_await_earlier();
  for (uint32_t tile = blockIdx.x; tile < call.tiles; tile += gridDim.x) {
    const size_t sequence = tile / call.sequence_tiles, first = (size_t)(tile % call.sequence_tiles) * TILE,
                 group = first / 32, element = first + 32 * warp + lane;
    const uint32_t groups = 2 * a.words - group < WARPS ? (uint32_t)(2 * a.words - group) : WARPS;
    const uint64_t X = element < a.n ? a.X[sequence * a.n + element] : 0;
    __syncthreads();
    load_planes<steps>(call, (const uint32_t *)(a.onehot + sequence * a.onehot_words) + group, groups, words);
    __syncthreads();
    if (first + 32 * warp >= a.n) continue;
    const uint32_t fine = (uint32_t)(((X - a.offset) & ring) >> (a.low_bit - a.sub_bits) & index_mask);
    __align__(16) uint32_t row[steps];
#pragma unroll
    for (int step = 0; step < steps; step++)
      row[step] = transpose_bits(turn, words[(32 * step + lane) * STRIDE + warp]);
    turn_row<steps>(row, fine >> a.sub_bits);
    copy_row<steps>(rows + lane * steps, row);
    __syncwarp();
#pragma unroll 1
    for (uint32_t half = 0; half < 2; half++) {
      const uint32_t place = 16 * half + lane / 4, q = lane % 4;
      const uint32_t sub0 = __shfl_sync(~0u, fine, (int)place), sub1 = __shfl_sync(~0u, fine, (int)place + 8);
      const uint32_t *const row0 = rows + place * steps, *const row1 = row0 + 8 * steps;
      int32_t sum[products][4] = {};
#pragma unroll 1
      for (int begin = 0; begin < steps; begin += AT_ONCE) {
        constexpr int count = steps < AT_ONCE ? steps : AT_ONCE;
        __align__(16) uint32_t word0[count], word1[count];
        copy_row<count>(word0, row0 + begin);
        copy_row<count>(word1, row1 + begin);
#pragma unroll
        for (int i = 0; i < count; i++) {
          const uint32_t bits0 = word0[i] >> q, bits1 = word1[i] >> q;
          const uint32_t part[4] = {bits0 & 0x01010101, bits1 & 0x01010101, bits0 >> 4 & 0x01010101,
                                    bits1 >> 4 & 0x01010101};
#pragma unroll
          for (int p = 0; p < products; p++)
            multiply_bytes(sum[p], part, operands[((begin + i) * products + p) * 32 + lane]);
        }
      }
      const uint32_t sub_mask = (1u << a.sub_bits) - 1;
      finish_row<subs, bytes>(sum, 0, sub0 & sub_mask, place, sums[warp]);
      finish_row<subs, bytes>(sum, 2, sub1 & sub_mask, place + 8, sums[warp]);
    }
    __syncwarp();
    if (element < a.n)
      for (int table = 0; table < 2; table++) write_sum(a, table, sequence * a.n + element, sums[warp][table][lane]);
    __syncwarp();  // rows and sums are read before the next tile's are written
  }
}

template <int steps, int subs, int bytes>
static tw_status launch_limbs(const limbs_call &call, void *stream) {
  static size_t allowed = 48 << 10;
  const size_t shared = steps * subs * columns_of<bytes>::products * 32 * sizeof(uint2) +
                        sizeof(uint32_t) * (call.planes * STRIDE + WARPS * steps * 32);
  if (shared > allowed) {
    TW_CUDA(cudaFuncSetAttribute((const void *)limbs_kernel<steps, subs, bytes>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    allowed = shared;
  }
  return tw_enqueue(limbs_kernel<steps, subs, bytes>, dim3(call.tiles < MOST_BLOCKS ? call.tiles : MOST_BLOCKS),
                    THREADS, shared, stream, call);
}

template <int subs, int bytes>
static tw_status choose_steps(const limbs_call &call, void *stream) {
  switch (call.planes / 32) {
    case 1:
      return launch_limbs<1, subs, bytes>(call, stream);
    case 2:
      return launch_limbs<2, subs, bytes>(call, stream);
    case 4:
      return launch_limbs<4, subs, bytes>(call, stream);
    case 8:
      return launch_limbs<8, subs, bytes>(call, stream);
    default:
      return launch_limbs<16, subs, bytes>(call, stream);
  }
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
    return args->ring_out >> 32 ? choose_steps<4, 8>(call, stream) : choose_steps<4, 4>(call, stream);
  return args->ring_out >> 32 ? choose_steps<8, 8>(call, stream) : choose_steps<8, 4>(call, stream);
}
