// Table lookup by masked sums (kernels/digit.h) for digits and sub-tables of any size, as products of int8 matrices
// (lookup.h). The blocks of a cluster turn one tile of elements each into rows of bits, in their shared memory; then a
// block looks up the elements of all the cluster's tiles whose public value names its sub-table, so that a table is
// read once a cluster. A row is multiplied in strips of 512 bits, a warp's each, that are added up. Digits of fewer
// bits are repeated to fill a strip, against entries of 0.
#include "kernels/cuda/exchange/ptx.h"
#include "kernels/cuda/gates/lookup.h"
#include "kernels/cuda/gates/transpose.h"

enum {
  WARPS = 32,
  THREADS = 32 * WARPS,
  MOST_BLOCKS_OF_CLUSTER = 8,
  ROWS = 16,                // of a product
  STRIP = 16,               // words of a row: four of each lane
  PAD = 4,                  // words between rows, so that their strips lie on all banks
  STEPS_AT_ONCE = 64,       // of 32 planes, in shared memory
  SMALL_TILES = 132,        // tiles of 64 elements that run at once on an H100 or H200
  MOST_WIDTH_OF_LARGE = 11  // a large tile's rows of more bits would not fit
};
static constexpr uint32_t DEAD = ~0u;  // public value of no element

typedef struct {
  tw_lookup_args a;
  uint32_t tiles, sequence_tiles, planes, steps, cluster;  // steps: words of a row
} lookup_call;

// Where a kernel's parts lie in shared memory. Planes and sums are never there at the same time.
template <int bytes, int tile_words>
struct layout {
  typedef typename std::conditional<bytes == 4, uint32_t, uint64_t>::type word;
  typedef word strip_sums[2][ROWS];                                                    // of a strip: [table][row]
  static constexpr uint32_t tile = 64 * tile_words, step_words = 32 * tile_words + 1;  // lanes hit all banks
  static constexpr uint32_t plane_bytes = STEPS_AT_ONCE * step_words * sizeof(uint64_t);
  static constexpr uint32_t strips_at_once = plane_bytes / sizeof(strip_sums);

  uint64_t *planes;  // [step][32 planes][tile_words]
  strip_sums *sums;
  uint32_t *rows, *fine;  // [element of the tile][steps + PAD]; public values, [element of the cluster's tiles]
  uint2 *operands;        // [step][product][lane]
  uint16_t *list;         // of a sub-table: its elements of the cluster's tiles

  __host__ __device__ static size_t size(const lookup_call &call) {
    return plane_bytes + sizeof(uint32_t) * tile * (call.steps + PAD) + call.cluster * tile * 6 +
           sizeof(uint2) * 32 * columns_of<bytes>::products * call.steps;
  }
  __device__ layout(const lookup_call &call, unsigned char *memory) {
    planes = (uint64_t *)memory;
    sums = (strip_sums *)memory;
    rows = (uint32_t *)(memory + plane_bytes);
    operands = (uint2 *)(rows + tile * (call.steps + PAD));
    fine = (uint32_t *)(operands + 32 * columns_of<bytes>::products * call.steps);
    list = (uint16_t *)(fine + call.cluster * tile);
  }
};

template <int bytes>
static __device__ void load_operands(const lookup_call &call, uint32_t sub, uint2 *operands) {
#pragma unroll 2
  for (uint32_t t = threadIdx.x; t < 16 * call.steps; t += THREADS)
    load_operand<bytes, STRIP>(call.a, sub, t, columns_of<bytes>::products, 0, operands);
}

// Where element e of the tiles from first_tile on lies among all sequences' elements; false: nowhere.
template <uint32_t tile_elements>
static __device__ __forceinline__ bool find_element(const lookup_call &call, uint32_t first_tile, uint32_t e,
                                                    size_t *at) {
  const uint32_t tile = first_tile + e / tile_elements, sequence = tile / call.sequence_tiles,
                 j = (tile - sequence * call.sequence_tiles) * tile_elements + e % tile_elements;
  *at = sequence * call.a.n + j;
  return tile < call.tiles && j < call.a.n;
}

template <uint32_t tile_elements>
static __device__ void load_fine(const lookup_call &call, uint32_t first_tile, uint32_t *fine) {
  const tw_lookup_args &a = call.a;
  const uint64_t ring = tw_ring_mask(a.ring), index_mask = tw_ring_mask(a.width + a.sub_bits);
  for (uint32_t e = threadIdx.x; e < call.cluster * tile_elements; e += THREADS) {
    size_t at;
    const bool found = find_element<tile_elements>(call, first_tile, e, &at);
    fine[e] = found ? (uint32_t)(((a.X[at] - a.offset) & ring) >> (a.low_bit - a.sub_bits) & index_mask) : DEAD;
  }
}

// Planes of the steps from `first` on, the tile's words of them; asynchronous.
template <int bytes, int tile_words>
static __device__ __forceinline__ void copy_planes(const lookup_call &call, uint32_t tile, uint32_t first,
                                                   const layout<bytes, tile_words> &at) {
  const uint32_t sequence = tile / call.sequence_tiles, w = threadIdx.x % tile_words,
                 word = (tile - sequence * call.sequence_tiles) * tile_words + w;
  const uint64_t *const from = call.a.onehot + sequence * call.a.onehot_words + word;
  const bool valid = tile < call.tiles && word < call.a.words;
  const uint32_t count = 32 * min(call.steps - first, (uint32_t)STEPS_AT_ONCE);
#pragma unroll 4
  for (uint32_t i = threadIdx.x / tile_words; i < count; i += THREADS / tile_words)
    copy_async_8(at.planes + i / 32 * at.step_words + i % 32 * tile_words + w,
                 from + ((32 * first + i) & (call.planes - 1)) * call.a.words, valid);
  copy_async_commit();
}

// The tile's rows, turned by whole words, out of the planes of the steps from `first` on: a thread turns those of a
// step and 32 elements. fine: of the tile.
template <int bytes, int tile_words>
static __device__ void make_rows(const lookup_call &call, const uint32_t *fine, uint32_t first,
                                 const layout<bytes, tile_words> &at) {
  const uint32_t steps = min(call.steps - first, (uint32_t)STEPS_AT_ONCE);
  for (uint32_t task = threadIdx.x / 32; 32 * (task / (2 * tile_words)) < steps; task += WARPS) {
    const uint32_t group = task % (2 * tile_words), step = task / (2 * tile_words) * 32 + threadIdx.x % 32;
    if (step >= steps) continue;
    const uint32_t *const from = (const uint32_t *)(at.planes + step * at.step_words) + group;
    uint32_t word[32];
#pragma unroll
    for (uint32_t i = 0; i < 32; i++) word[i] = from[2 * tile_words * i];
    transpose_words(word);
    uint32_t *const rows = at.rows + 32 * group * (call.steps + PAD);
#pragma unroll
    for (uint32_t i = 0; i < 32; i++) {
      const uint32_t by = fine[32 * group + i] >> call.a.sub_bits >> 5;
      rows[i * (call.steps + PAD) + ((first + step - by) & (call.steps - 1))] = word[i];
    }
  }
}

// The rest of the turn, by the digits' low bits: a thread has four words, those of a row are read before the first is
// written.
static __device__ void turn_rows(const lookup_call &call, const uint32_t *fine, uint32_t elements, uint32_t *rows) {
  const uint32_t fours = call.steps / 4;
  for (uint32_t begin = 0; begin < elements * fours; begin += THREADS) {
    const uint32_t t = begin + threadIdx.x, element = t / fours, word = 4 * (t & (fours - 1));
    const bool mine = element < elements;
    uint32_t *const row = rows + element * (call.steps + PAD);
    uint4 four = {};
    uint32_t next = 0;
    if (mine) {
      four = *(const uint4 *)(row + word);
      next = row[(word + 4) & (call.steps - 1)];
    }
    __syncthreads();
    if (!mine) continue;
    const uint32_t by = fine[element] >> call.a.sub_bits;
    *(uint4 *)(row + word) = make_uint4(__funnelshift_r(four.x, four.y, by), __funnelshift_r(four.y, four.z, by),
                                        __funnelshift_r(four.z, four.w, by), __funnelshift_r(four.w, next, by));
  }
}

// Elements of a sub-table, in any order; *count was 0.
static __device__ void list_elements(const uint32_t *fine, uint32_t elements, uint32_t sub_mask, uint32_t sub,
                                     uint16_t *list, uint32_t *count) {
  const uint32_t lane = threadIdx.x % 32;
  for (uint32_t e = threadIdx.x; e < elements; e += THREADS) {
    const bool mine = fine[e] != DEAD && (fine[e] & sub_mask) == sub;
    const uint32_t all = __ballot_sync(~0u, mine);
    uint32_t at = lane == 0 ? atomicAdd(count, (uint32_t)__popc(all)) : 0;
    at = __shfl_sync(~0u, at, 0) + (uint32_t)__popc(all & ((1u << lane) - 1));
    if (mine) list[at] = (uint16_t)e;
  }
}

// sum += rows by the operands of a strip; the lane's four words of both its rows.
template <int products>
static __device__ __forceinline__ void multiply_strip(int32_t (&sum)[products][4], uint4 row0, uint4 row1,
                                                      const uint2 *operands) {
  const uint32_t word0[4] = {row0.x, row0.y, row0.z, row0.w}, word1[4] = {row1.x, row1.y, row1.z, row1.w};
#pragma unroll
  for (uint32_t i = 0; i < STRIP; i++) {
    const uint32_t bits0 = word0[i / 4] >> i % 4, bits1 = word1[i / 4] >> i % 4;
    const uint32_t part[4] = {bits0 & 0x01010101, bits1 & 0x01010101, bits0 >> 4 & 0x01010101, bits1 >> 4 & 0x01010101};
#pragma unroll
    for (uint32_t p = 0; p < products; p++)
      multiply_bytes(sum[p], part, operands[operand_place(products * i + p, threadIdx.x % 32)]);
  }
}

// Both tables' sums of a strip of 16 rows; `part` as in c of a product: 0 for the rows lane / 4, 2 for those eight on.
template <int bytes, class word>
static __device__ __forceinline__ void keep_sums(const int32_t (*sum)[4], int part, word (*sums)[ROWS]) {
  const uint32_t q = threadIdx.x % 4, row = threadIdx.x % 32 / 4 + 4 * (uint32_t)part;
  if constexpr (bytes == 4) {
    const uint32_t both = join_four(sum[0] + part);
    if (q % 2 == 0) sums[q / 2][row] = both;
  } else {
    const uint64_t first = join_eight(sum[0] + part), second = join_eight(sum[1] + part);
    if (q < 2) sums[q][row] = q ? second : first;
  }
}

// Looks up the listed elements of one sub-table, as many at once as there is room for their strips' sums.
template <int bytes, int tile_words>
static __device__ void look_up(const lookup_call &call, uint32_t first_tile, const layout<bytes, tile_words> &at,
                               uint32_t count) {
  constexpr int products = columns_of<bytes>::products;
  constexpr uint32_t tile = at.tile;
  const uint32_t q = threadIdx.x % 4, row = threadIdx.x % 32 / 4, stride = call.steps + PAD;
  const uint32_t strips = call.steps / STRIP, rows_at_once = at.strips_at_once / strips * ROWS;
  for (uint32_t first = 0; first < count; first += rows_at_once) {
    const uint32_t rows = min(count - first, rows_at_once);
    for (uint32_t item = threadIdx.x / 32; item < (rows + ROWS - 1) / ROWS * strips; item += WARPS) {
      const uint32_t strip = item & (strips - 1), place = first + item / strips * ROWS + row;
      uint4 words[2];  // from their elements' blocks
#pragma unroll
      for (uint32_t i = 0; i < 2; i++) {
        const uint32_t e = at.list[min(place + 8 * i, count - 1)];
        words[i] = *(const uint4 *)cluster_peer(at.rows + e % tile * stride + STRIP * strip + 4 * q, e / tile);
      }
      int32_t sum[products][4] = {};
      multiply_strip<products>(sum, words[0], words[1], at.operands + 32 * products * STRIP * strip);
      keep_sums<bytes>(sum, 0, at.sums[item]);
      keep_sums<bytes>(sum, 2, at.sums[item]);
    }
    __syncthreads();
    for (uint32_t t = threadIdx.x; t < 2 * rows; t += THREADS) {
      const uint32_t table = t % 2, i = t / 2;
      uint64_t sum = 0;
      for (uint32_t strip = 0; strip < strips; strip++) sum += at.sums[i / ROWS * strips + strip][table][i % ROWS];
      size_t to;
      find_element<tile>(call, first_tile, at.list[first + i], &to);
      write_sum(call.a, (int)table, to, sum);
    }
    __syncthreads();
  }
}

template <int bytes, int tile_words>
static __global__ void __launch_bounds__(THREADS, 1) lookup_kernel(const __grid_constant__ lookup_call call) {
  __shared__ uint32_t count;
  const layout<bytes, tile_words> at(call, dynamic_shared());
  constexpr uint32_t tile = at.tile;
  const uint32_t block = blockIdx.x % call.cluster, first_tile = blockIdx.x - block, subs = 1u << call.a.sub_bits;

  tw_let_next_start();
  load_operands<bytes>(call, block, at.operands);
  tw_await_earlier();
  copy_planes(call, blockIdx.x, 0, at);
  load_fine<tile>(call, first_tile, at.fine);
  for (uint32_t step = 0; step < call.steps; step += STEPS_AT_ONCE) {
    if (step > 0) copy_planes(call, blockIdx.x, step, at);
    copy_async_wait<0>();
    __syncthreads();
    make_rows(call, at.fine + block * tile, step, at);
    __syncthreads();
  }
  turn_rows(call, at.fine + block * tile, tile, at.rows);
  cluster_barrier();
  for (uint32_t sub = block; sub < subs; sub += call.cluster) {
    if (sub != block) load_operands<bytes>(call, sub, at.operands);
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    list_elements(at.fine, call.cluster * tile, subs - 1, sub, at.list, &count);
    __syncthreads();
    look_up(call, first_tile, at, count);
    __syncthreads();
  }
  cluster_barrier();  // no block leaves while another reads its rows
}

template <int bytes, int tile_words>
static tw_status launch_lookup(lookup_call call, void *stream) {
  typedef layout<bytes, tile_words> memory;
  static size_t allowed = 48 << 10;
  const size_t shared = memory::size(call);
  if (shared > allowed) {
    TW_CUDA(cudaFuncSetAttribute((const void *)lookup_kernel<bytes, tile_words>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    allowed = shared;
  }
  call.sequence_tiles = (uint32_t)tw_ceil_div(call.a.n, memory::tile);
  call.tiles = (uint32_t)call.a.sequences * call.sequence_tiles;
  const unsigned blocks = (unsigned)tw_ceil_div(call.tiles, call.cluster) * call.cluster;
  return tw_launch(lookup_kernel<bytes, tile_words>, dim3(blocks), THREADS, shared, call.cluster, (cudaStream_t)stream,
                   call);
}

static tw_status run_lookup(const tw_lookup_args *args, void *stream) {
  lookup_call call = {*args};
  call.planes = 1u << args->width;
  call.steps = call.planes < 32u * STRIP ? STRIP : call.planes / 32;
  // code that starts early is Hopper's, which has clusters; a block of one has a sub-table at least
  call.cluster = tw_cuda_starts_early() ? min(1u << args->sub_bits, (uint32_t)MOST_BLOCKS_OF_CLUSTER) : 1;
  const bool small = args->sequences * tw_ceil_div(args->n, 64) <= SMALL_TILES;
  if (small || args->width > MOST_WIDTH_OF_LARGE || call.cluster == 1)
    return args->ring_out >> 32 ? launch_lookup<8, 1>(call, stream) : launch_lookup<4, 1>(call, stream);
  return args->ring_out >> 32 ? launch_lookup<8, 4>(call, stream) : launch_lookup<4, 4>(call, stream);
}

tw_status tw_cuda_lookup(const tw_lookup_args *args, void *stream) {
  if (args->width < 1 || args->width > 13 || args->width + args->sub_bits > 16 || args->low_bit < args->sub_bits)
    return tw_fail(TW_ERR_RANGE, "lookup by a digit of %d bits from bit %d on, %d sub-table bits, is out of range",
                   args->width, args->low_bit, args->sub_bits);
  if (args->n == 0 || args->sequences == 0) return TW_OK;
  return tw_cuda_lookup_has_limbs(args) ? tw_cuda_lookup_limbs(args, stream) : run_lookup(args, stream);
}
