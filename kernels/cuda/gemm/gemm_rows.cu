// Weight products of few rows, as a decoded token's: all that counts is that V's limbs come at the memory's rate.
//
// A block takes tiles of 16 columns, each for its part of the inner dimension. V's limbs come to shared memory in runs
// of 256 bytes of a limb of a column, some stages ahead, also of the next tile. Each of the four warps has 64 bytes of
// every run: V is the left operand of the tensor cores, with 16 columns, X the right one, with 8 rows. A lane's 16
// bytes are four of its operands, for elements of V and of X are taken in the same order, whichever it is. A warp
// splits its elements of X itself. The blocks of a cluster share the inner dimension. Sums mod 2^64 are exact in any
// order, so the result does not depend on how it was shared out.
//
// Rows may lie apart: so one pass over V serves several products with it.
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"

enum {
  WARPS = 4,
  THREADS = 32 * WARPS,
  BLOCKS_EACH = 2,      // that share a multiprocessor
  COLUMNS = 16,         // of a tile
  EIGHT = 8,            // rows of a product of the tensor cores
  TAKEN = 64,           // inner elements that a warp takes at once
  RUN = WARPS * TAKEN,  // and a block
  CHUNKS = RUN / 16,    // of 16 bytes
  PLACES = 4 * 32,      // elements of a tile with eight rows: four a lane
  MOST_STAGES = 4,
  MAX_SPLITS = 8
};

typedef struct {
  const int8_t *v;  // its lowest limb of column 0
  size_t column_bytes, limb_bytes;
  int m, n, inner, padded_inner, tiles, stages;
  bool pairs;  // inner elements in pairs: 16 bytes
  uint64_t ring;
  tw_product_row row[TW_PRODUCT_ROWS];
} rows_args;

// Shared memory: stages of V's limbs; each warp's limbs of X; sums. A row's limbs of X begin at odd multiples of 64
// bytes, so that reads of neighbouring rows hit all banks.
template <int limbs, int eights>
struct room {
  static constexpr int stage = COLUMNS * limbs * RUN, x_row = (limbs | 1) * TAKEN, x = WARPS * eights * EIGHT * x_row,
                       rest = x + (WARPS + 1) * eights * PLACES * 8;
};

// Where 16 bytes of a run lie: exchanged between odd and even columns, so that reads of both hit all banks.
static __device__ __forceinline__ int run_place(int limb, int column, int chunk) {
  return (limb * COLUMNS + column) * RUN + (chunk ^ (column & 1) << 2) * 16;
}

static __device__ __forceinline__ const int8_t *run_of(const rows_args &g, int tile, int limb, int column) {
  return g.v + (size_t)(tile * COLUMNS + column) * g.column_bytes - (size_t)limb * g.limb_bytes;
}

// A stage: neighbouring threads copy a run.
template <int limbs>
static __device__ __forceinline__ void load_stage(unsigned char *to, const rows_args &g, int tile, int k) {
  enum { AT_ONCE = THREADS / CHUNKS };  // runs
  const int chunk = (int)threadIdx.x % CHUNKS, first = (int)threadIdx.x / CHUNKS;
  const bool inside = k + 16 * chunk < g.padded_inner;
#pragma unroll
  for (int i = 0; i < limbs * COLUMNS / AT_ONCE; i++) {
    const int limb = i * AT_ONCE / COLUMNS, column = (i * AT_ONCE) % COLUMNS + first;
    copy_async_16(to + run_place(limb, column, chunk), run_of(g, tile, limb, column) + k + 16 * chunk, inside);
  }
}

// The lines of a stage into the cache while earlier kernels run: they hold what set-up wrote, or will when they are
// read.
template <int limbs>
static __device__ __forceinline__ void fetch_stage(const rows_args &g, int tile, int k) {
  enum { LINE = 128, LINES = RUN / LINE };
  for (int i = (int)threadIdx.x; i < limbs * COLUMNS * LINES; i += THREADS) {
    const int at = k + i % LINES * LINE;
    if (at < g.padded_inner) prefetch_line(run_of(g, tile, i / LINES / COLUMNS, i / LINES % COLUMNS) + at);
  }
}

// The lane's two elements of each row; what lies past the end is 0.
template <int rows>
static __device__ __forceinline__ void load_x(ulonglong2 (&x)[rows], const rows_args &g, int at) {
#pragma unroll
  for (int r = 0; r < rows; r++) {
    x[r] = {0, 0};
    if (r >= g.m || at >= g.inner) continue;
    const uint64_t *const from = g.row[r].x + at;
    if (g.pairs)
      x[r] = *(const ulonglong2 *)from;
    else
      x[r] = {from[0], at + 1 < g.inner ? from[1] : 0};
  }
}

// Limbs of both elements, side by side; `to`: the warp's.
template <int limbs, int rows>
static __device__ __forceinline__ void split_x(unsigned char *to, const ulonglong2 (&x)[rows], int m) {
  const int lane = (int)threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < rows; r++) {
    if (r >= m) continue;
    const uint64_t a = x[r].x + 0x8080808080808080u, b = x[r].y + 0x8080808080808080u;
#pragma unroll
    for (int four = 0; four < (limbs + 3) / 4; four++) {
      const uint32_t low = (uint32_t)(a >> 32 * four), high = (uint32_t)(b >> 32 * four);
      const uint32_t two[2] = {pick_bytes(low, high, 0x5140) ^ 0x80808080u,
                               pick_bytes(low, high, 0x7362) ^ 0x80808080u};
#pragma unroll
      for (int i = 0; i < 4; i++)
        if (4 * four + i < limbs)
          *(uint16_t *)(to + r * (limbs | 1) * TAKEN + (4 * four + i) * TAKEN + 2 * lane) =
              (uint16_t)(two[i / 2] >> 16 * (i % 2));
    }
  }
}

// sum[eight][t] += sum_{i+j=t} V_j X_i over the warp's part of a stage.
template <int limbs, int eights>
static __device__ __forceinline__ void multiply_stage(int32_t (&sum)[eights][limbs][4], const unsigned char *v,
                                                      const unsigned char *x) {
  const int lane = (int)threadIdx.x % 32, column = lane / 4, quarter = lane % 4, chunk = warp_index() * 4 + quarter;
  uint4 right[eights][limbs];
#pragma unroll
  for (int e = 0; e < eights; e++)
#pragma unroll
    for (int i = 0; i < limbs; i++)
      right[e][i] = *(const uint4 *)(x + (e * EIGHT + column) * (limbs | 1) * TAKEN + i * TAKEN + 16 * quarter);
#pragma unroll
  for (int j = 0; j < limbs; j++) {
    const uint4 low = *(const uint4 *)(v + run_place(j, column, chunk));
    const uint4 high = *(const uint4 *)(v + run_place(j, column + EIGHT, chunk));
    const uint32_t first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
    for (int e = 0; e < eights; e++)
#pragma unroll
      for (int i = 0; i + j < limbs; i++) {
        multiply_limbs(sum[e][i + j], first, right[e][i].x, right[e][i].y);
        multiply_limbs(sum[e][i + j], second, right[e][i].z, right[e][i].w);
      }
  }
}

static __device__ __forceinline__ void finish_element(const rows_args &g, int row, int column, uint64_t value) {
  const tw_product_row &r = g.row[row];
  r.out[column] = (value + (r.addend ? r.addend[column] : 0)) & g.ring;
}

// Of a tile: the warps' sums, then those of the cluster's blocks.
template <int limbs, int eights>
static __device__ __forceinline__ void finish_tile(int32_t (&sum)[eights][limbs][4], const rows_args &g, int tile,
                                                   uint64_t *sums) {
  enum { ALL = eights * PLACES };
  const int lane = (int)threadIdx.x % 32, splits = (int)gridDim.x, split = (int)blockIdx.x;
  uint64_t *const whole = sums + WARPS * ALL;
#pragma unroll
  for (int e = 0; e < eights; e++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      sums[warp_index() * ALL + (4 * e + i) * 32 + lane] = join_weights<limbs>(&sum[e][0][i], 4);
  __syncthreads();
  for (int place = (int)threadIdx.x; place < ALL; place += THREADS) {
    uint64_t value = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) value += sums[w * ALL + place];
    whole[place] = value;
  }
  if (splits > 1)
    cluster_barrier();
  else
    __syncthreads();
  for (int place = split * THREADS + (int)threadIdx.x; place < ALL; place += splits * THREADS) {
    const int i = place / 32 % 4, of = place % 32, row = place / PLACES * EIGHT + of % 4 * 2 + i % 2;
    const int column = tile * COLUMNS + of / 4 + i / 2 * EIGHT;
    if (row >= g.m || column >= g.n) continue;
    uint64_t value = 0;
#pragma unroll 1
    for (int peer = 0; peer < splits; peer++) value += *cluster_peer(&whole[place], (unsigned)peer);
    finish_element(g, row, column, value);
  }
  if (splits > 1) cluster_barrier();  // no block goes on while another reads its part
#pragma unroll
  for (int e = 0; e < eights; e++)
#pragma unroll
    for (int t = 0; t < limbs; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) sum[e][t][i] = 0;
}

// Until the oldest of the stages on their way is there.
static __device__ __forceinline__ void await_stage(int stages) {
  if (stages == 4)
    copy_async_wait<2>();
  else if (stages == 3)
    copy_async_wait<1>();
  else
    copy_async_wait<0>();
}

// A block's runs, one after another: all of a tile, then those of its next tile.
typedef struct {
  int runs, first_run, run_step, first_tile, tile_step, count;
} block_work;

static __device__ __forceinline__ block_work work_of(const rows_args &g) {
  const int all = (g.padded_inner + RUN - 1) / RUN, splits = (int)gridDim.x, split = (int)blockIdx.x;
  block_work w = {(all - split + splits - 1) / splits, split, splits, (int)blockIdx.y, (int)gridDim.y, 0};
  w.count = w.runs * ((g.tiles - w.first_tile + w.tile_step - 1) / w.tile_step);
  return w;
}
static __device__ __forceinline__ int tile_at(const block_work &w, int i) {
  return w.first_tile + i / w.runs * w.tile_step;
}
static __device__ __forceinline__ int inner_at(const block_work &w, int i) {
  return (w.first_run + i % w.runs * w.run_step) * RUN;
}

template <int limbs, int eights>
static __global__ void __launch_bounds__(THREADS, BLOCKS_EACH) rows_kernel(const __grid_constant__ rows_args g) {
  typedef room<limbs, eights> here;
  constexpr int rows = eights * EIGHT;
  const int stages = g.stages;
  unsigned char *const memory = dynamic_shared();
  unsigned char *const x_limbs = memory + stages * here::stage;
  unsigned char *const own_x = x_limbs + warp_index() * rows * here::x_row;
  uint64_t *const sums = (uint64_t *)(x_limbs + here::x);
  const block_work w = work_of(g);
  const int own = warp_index() * TAKEN + 2 * ((int)threadIdx.x % 32);
  int32_t sum[eights][limbs][4] = {};
  ulonglong2 x[rows];
  auto load = [&](int i) {
    if (i < w.count) load_stage<limbs>(memory + i % stages * here::stage, g, tile_at(w, i), inner_at(w, i));
    copy_async_commit();
  };

  tw_let_next_start();
  for (int i = 0; i < stages - 1 && i < w.count; i++) fetch_stage<limbs>(g, tile_at(w, i), inner_at(w, i));
  for (int i = (int)threadIdx.x; i < here::x / 16; i += THREADS) ((uint4 *)x_limbs)[i] = {0, 0, 0, 0};
  tw_await_earlier();
  for (int i = 0; i < stages - 1; i++) load(i);
  if (w.count > 0) load_x<rows>(x, g, inner_at(w, 0) + own);
  for (int i = 0; i < w.count; i++) {
    await_stage(stages);
    __syncthreads();  // this stage has arrived, for all threads; all are done with the one whose place is loaded next
    load(i + stages - 1);
    split_x<limbs, rows>(own_x, x, g.m);
    __syncwarp();
    if (i + 1 < w.count) load_x<rows>(x, g, inner_at(w, i + 1) + own);
    multiply_stage<limbs, eights>(sum, memory + i % stages * here::stage, own_x);
    __syncwarp();
    if ((i + 1) % w.runs == 0) finish_tile<limbs, eights>(sum, g, tile_at(w, i), sums);
  }
  copy_async_wait<0>();
}

// A kernel, and what it needs of shared memory.
typedef struct {
  void (*function)(rows_args);
  int stage, rest;
} rows_kernel_of;

template <int limbs>
static rows_kernel_of with_rows(int m) {
  typedef room<limbs, 1> one;
  typedef room<limbs, 2> two;
  if (m <= EIGHT) return {rows_kernel<limbs, 1>, one::stage, one::rest};
  return {rows_kernel<limbs, 2>, two::stage, two::rest};
}

static rows_kernel_of find_kernel(int limbs, int m) {
  switch (limbs) {
    case 1:
      return with_rows<1>(m);
    case 2:
      return with_rows<2>(m);
    case 3:
      return with_rows<3>(m);
    case 4:
      return with_rows<4>(m);
    case 5:
      return with_rows<5>(m);
    case 6:
      return with_rows<6>(m);
    case 7:
      return with_rows<7>(m);
    default:
      return with_rows<8>(m);
  }
}

static int device_attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, which, device);
  return value;
}

static int stages_in(rows_kernel_of k, int shared) {
  const int stages = (shared - k.rest) / k.stage;
  return stages < 2 ? 0 : stages < MOST_STAGES ? stages : MOST_STAGES;
}

// Stages for which a block has memory where it shares a multiprocessor, or, where that is too little, has it alone; 0:
// that is too little, too.
static int stages_for(rows_kernel_of k) {
  enum { KEPT = 1 << 10 };  // of every block by the system
  static const int block = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
                   all = device_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  const int shared = all / BLOCKS_EACH - KEPT, stages = stages_in(k, shared < block ? shared : block);
  return stages ? stages : stages_in(k, block);
}

bool tw_gemm_rows_takes(int m, int ring_bits) {
  return m >= 1 && m <= TW_PRODUCT_ROWS && stages_for(find_kernel(tw_ring_limbs(ring_bits), m)) > 0;
}

// Blocks for a tile: so many that all multiprocessors read, but no more than have something to read.
static int choose_splits(size_t tiles, size_t padded_inner, size_t places) {
  static const int most = device_attribute(cudaDevAttrComputeCapabilityMajor) >= 9 ? MAX_SPLITS : 1;
  const int useful = (int)tw_ceil_div(padded_inner, (size_t)RUN);
  int splits = 1;
  while (splits < most && splits < useful && (size_t)(splits + 1) * tiles <= places) splits++;
  return splits;
}

static bool lie_in_pairs(const tw_limbs *v, int m, const tw_product_row *row) {
  bool pairs = v->inner % 2 == 0;
  for (int i = 0; i < m; i++) pairs = pairs && (uintptr_t)row[i].x % 16 == 0;
  return pairs;
}

// Asked for once a kernel.
static tw_status allow_memory(rows_kernel_of k, int limbs, int m, int bytes) {
  static int allowed[TW_MAX_LIMBS][2];
  int *const known = &allowed[limbs - 1][m > EIGHT];
  if (*known >= bytes) return TW_OK;
  TW_CUDA(cudaFuncSetAttribute((const void *)k.function, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  *known = bytes;
  return TW_OK;
}

tw_status tw_gemm_rows(const tw_limbs *v, int m, const tw_product_row *row, int ring_bits, cudaStream_t stream) {
  const int limbs = tw_ring_limbs(ring_bits);
  if (ring_bits < 1 || limbs > v->limbs || !tw_gemm_rows_takes(m, ring_bits))
    return tw_fail(TW_ERR_RANGE, "ring product on the GPU: %d rows, %d bits with weights of %d limbs are out of range",
                   m, ring_bits, v->limbs);
  static const size_t processors = (size_t)device_attribute(cudaDevAttrMultiProcessorCount);
  const rows_kernel_of kernel = find_kernel(limbs, m);
  const size_t tiles = tw_ceil_div(v->n, (size_t)COLUMNS), places = processors * BLOCKS_EACH;
  const int splits = choose_splits(tiles, v->padded_inner, places), stages = stages_for(kernel),
            bytes = stages * kernel.stage + kernel.rest;
  TW_TRY(allow_memory(kernel, limbs, m, bytes));
  rows_args g = {v->data + (v->limbs - 1) * v->padded_inner,
                 v->limbs * v->padded_inner,
                 v->padded_inner,
                 m,
                 (int)v->n,
                 (int)v->inner,
                 (int)v->padded_inner,
                 (int)tiles,
                 stages,
                 lie_in_pairs(v, m, row),
                 tw_ring_mask(ring_bits),
                 {}};
  for (int i = 0; i < m; i++) g.row[i] = row[i];
  const dim3 grid((unsigned)splits, (unsigned)(tiles < places ? tiles : places));
  return tw_launch(kernel.function, grid, THREADS, (size_t)bytes, (unsigned)splits, stream, g);
}

tw_status tw_gemm_rows_together(const tw_gemm_call *call, cudaStream_t stream) {
  tw_product_row row[TW_PRODUCT_ROWS];
  for (size_t i = 0; i < call->m && i < TW_PRODUCT_ROWS; i++)
    row[i] = {call->x + i * call->v->inner, call->addend ? call->addend + i * call->v->n : nullptr,
              call->out + i * call->v->n};
  return tw_gemm_rows(call->v, (int)call->m, row, call->ring_bits, stream);
}
