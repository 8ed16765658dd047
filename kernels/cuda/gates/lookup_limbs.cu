// Table lookup by masked sums (kernels/digit.h) as a product of int8 matrices (lookup.h), all sub-tables at once. A
// warp takes 32 elements: it transposes their bits out of the planes, multiplies, and each element keeps the sub-table
// that its public value names. The next elements' planes are on their way meanwhile.
#include "kernels/cuda/exchange/ptx.h"
#include "kernels/cuda/gates/lookup.h"
#include "kernels/cuda/gates/transpose.h"

enum {
  WARPS = 8,
  THREADS = 32 * WARPS,
  TILE = 32 * WARPS,  // elements of a block at once
  TILE_WORDS = TILE / 64,
  STRIDE = 2 * TILE_WORDS + 2,  // of a plane's 32-bit words in shared memory
  MOST_BLOCKS = 4 * 132,        // about what runs at once; each keeps its tables for many tiles
  MOST_WIDTH = 9,
  LEAST_WIDTH = 7  // a lane of four has a word of a row at least
};

typedef struct {
  tw_lookup_args a;
  uint32_t tiles;  // of a sequence
} limbs_call;

template <int steps, int subs, int bytes>
static __device__ void load_tables(const tw_lookup_args &a, uint2 *operands) {
  constexpr uint32_t products = columns_of<bytes>::products;
  for (uint32_t t = threadIdx.x; t < 16 * steps * subs; t += THREADS) {
    const uint32_t sub = t / (16 * steps);
    load_operand<bytes, steps>(a, sub, t % (16 * steps), subs * products, sub * products, operands);
  }
}

// A tile's words of each plane, to shared memory; asynchronous.
template <int steps>
static __device__ __forceinline__ void copy_planes(const tw_lookup_args &a, const uint64_t *onehot, uint32_t tile,
                                                   uint32_t *words) {
  const uint32_t w = threadIdx.x % TILE_WORDS, plane = threadIdx.x / TILE_WORDS, word = TILE_WORDS * tile + w;
  const uint64_t *from = onehot + plane * a.words + word;
  constexpr uint32_t at_once = THREADS / TILE_WORDS;
#pragma unroll
  for (uint32_t i = 0; i < 32 * steps; i += at_once, from += at_once * a.words)
    copy_async_8(words + (i + plane) * STRIDE + 2 * w, from, word < a.words);
  copy_async_commit();
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

template <int words>
static __device__ __forceinline__ void copy_words(uint32_t *to, const uint32_t *from) {
  if constexpr (words % 4 == 0) {
#pragma unroll
    for (int i = 0; i < words; i += 4) *(uint4 *)(to + i) = *(const uint4 *)(from + i);
  } else if constexpr (words == 2) {
    *(uint2 *)to = *(const uint2 *)from;
  } else {
    *to = *from;
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

// Sums of 16 of the warp's rows, from place `first` on: all products, then of each row its own sub-table's.
template <int steps, int subs, int bytes>
static __device__ __forceinline__ void multiply_rows(const uint32_t *rows, const uint2 *operands, uint32_t sub,
                                                     uint32_t first, typename sums_of<bytes>::type &sums) {
  constexpr int products = subs * columns_of<bytes>::products, words = steps / 4;
  const uint32_t lane = threadIdx.x % 32, row = first + lane / 4;
  __align__(16) uint32_t word[2][words];
#pragma unroll
  for (int i = 0; i < 2; i++) copy_words<words>(word[i], rows + (row + 8 * i) * steps + words * (lane % 4));
  int32_t sum[products][4] = {};
#pragma unroll
  for (int step = 0; step < steps; step++) {
    uint32_t part[4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      part[i] = word[i][step / 4] >> step % 4 & 0x01010101;
      part[i + 2] = word[i][step / 4] >> (step % 4 + 4) & 0x01010101;
    }
#pragma unroll
    for (int p = 0; p < products; p++) multiply_bytes(sum[p], part, operands[operand_place(step * products + p, lane)]);
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
    finish_row<subs, bytes>(sum, 2 * i, __shfl_sync(~0u, sub, (int)row + 8 * i), row + 8 * i, sums);
}

// Blocks along x share a sequence's tiles.
template <int steps, int subs, int bytes>
static __global__ void __launch_bounds__(THREADS, subs *columns_of<bytes>::products <= 4 ? 4 : 2)
    limbs_kernel(const __grid_constant__ limbs_call call) {
  constexpr int products = subs * columns_of<bytes>::products;
  constexpr uint32_t plane_words = 32 * steps * STRIDE;
  __shared__ typename sums_of<bytes>::type sums[WARPS];
  const tw_lookup_args &a = call.a;
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint2 *const operands = (uint2 *)dynamic_shared();
  uint32_t *const planes = (uint32_t *)(operands + steps * products * 32), *const rows = planes + 2 * plane_words +
                                                                                         warp * steps * 32;
  const uint64_t ring = tw_ring_mask(a.ring);
  const uint32_t shift = (uint32_t)(a.low_bit - a.sub_bits), index_mask = (uint32_t)tw_ring_mask(a.width + a.sub_bits),
                 sub_mask = (1u << a.sub_bits) - 1;
  const size_t sequence = blockIdx.y;
  const uint64_t *const onehot = a.onehot + sequence * a.onehot_words, *const X = a.X + sequence * a.n;
  const tw_transposer transposer = make_transposer();

  tw_let_next_start();
  load_tables<steps, subs, bytes>(a, operands);
  tw_await_earlier();
  copy_planes<steps>(a, onehot, blockIdx.x, planes);
  uint32_t j = TILE * blockIdx.x + threadIdx.x, now = 0;  // the thread's element; which half of `planes`
  uint64_t x = j < a.n ? X[j] : 0;
  for (uint32_t tile = blockIdx.x; tile < call.tiles; tile += gridDim.x, j += TILE * gridDim.x, now ^= 1) {
    copy_async_wait<0>();
    __syncthreads();
    if (tile + gridDim.x < call.tiles)
      copy_planes<steps>(a, onehot, tile + gridDim.x, planes + (now ^ 1) * plane_words);
    const uint32_t fine = (uint32_t)(((x - a.offset) & ring) >> shift) & index_mask;
    x = j + TILE * gridDim.x < a.n ? X[j + TILE * gridDim.x] : 0;
    __align__(16) uint32_t row[steps];
#pragma unroll
    for (int step = 0; step < steps; step++)
      row[step] = transpose_bits(transposer, planes[now * plane_words + (32 * step + lane) * STRIDE + warp]);
    turn_row<steps>(row, fine >> a.sub_bits);
    copy_words<steps>(rows + lane * steps, row);
    __syncwarp();
#pragma unroll 1
    for (uint32_t first = 0; first < 32; first += 16)
      multiply_rows<steps, subs, bytes>(rows, operands, fine & sub_mask, first, sums[warp]);
    __syncwarp();
    if (j < a.n)
      for (int table = 0; table < 2; table++) write_sum(a, table, sequence * a.n + j, sums[warp][table][lane]);
    __syncwarp();  // rows and sums are read before the next tile's are written
  }
}

template <int steps, int subs, int bytes>
static tw_status launch_limbs(const limbs_call &call, void *stream) {
  static size_t allowed = 48 << 10;
  const size_t shared = steps * subs * columns_of<bytes>::products * 32 * sizeof(uint2) +
                        sizeof(uint32_t) * (2 * 32 * steps * STRIDE + WARPS * steps * 32);
  if (shared > allowed) {
    TW_CUDA(cudaFuncSetAttribute((const void *)limbs_kernel<steps, subs, bytes>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    allowed = shared;
  }
  const uint32_t sequences = (uint32_t)call.a.sequences, blocks = max(MOST_BLOCKS / sequences, 1u);
  return tw_enqueue(limbs_kernel<steps, subs, bytes>, dim3(min(call.tiles, blocks), sequences), THREADS, shared, stream,
                    call);
}

template <int subs, int bytes>
static tw_status choose_steps(const limbs_call &call, void *stream) {
  switch (call.a.width) {
    case 7:
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
  call.tiles = (uint32_t)tw_ceil_div(args->n, TILE);
  if (args->sub_bits <= 2)
    return args->ring_out >> 32 ? choose_steps<4, 8>(call, stream) : choose_steps<4, 4>(call, stream);
  return args->ring_out >> 32 ? choose_steps<8, 8>(call, stream) : choose_steps<8, 4>(call, stream);
}
