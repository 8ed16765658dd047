// Weight products by one kernel, for the few hundred rows of an inference, where the launches of a library product for
// each weight and the passes between them would cost more than the arithmetic.
//
// A block computes all weights of 128 rows x `columns` columns. Each of its eight warps owns 16 rows: it splits its
// elements of X in registers, keeps their limbs there, and multiplies them with the limbs of V in shared memory, which
// the warps share; by warpgroup products on Hopper, by mma.sync elsewhere. A cluster of `splits` blocks shares the
// inner dimension of one tile: a block puts its weights together and leaves the ring elements in shared memory, where
// the cluster's blocks add them up, each for its part of the tile. Sums mod 2^64 are exact in any order, so the result
// does not depend on the tiling.
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"

enum { WARPS = 8, THREADS = 32 * WARPS, ROWS = WARPS * WARP_ROWS, STAGES = 3, MAX_SPLITS = 8 };

typedef struct {
  const int8_t *v;
  int column_bytes, limb_bytes, top_limb;  // of V's layout
  int padded_n;
  const uint64_t *x, *addend;
  uint64_t *out;
  int m, n, inner;
  uint64_t ring;
} fused_args;

static __host__ __device__ constexpr int stage_bytes(int limbs, int columns) {
  return ROWS * X_ROW_BYTES + limbs * columns * STEP;
}
static __host__ __device__ constexpr int shared_bytes(int limbs, int columns) {
  return STAGES * stage_bytes(limbs, columns);
}

// Limbs of V, [limb][column] 32 bytes each. The two halves of columns 4..7 of each 8 are exchanged, so that the eight
// rows load_matrices takes at once lie in different banks.
template <int limbs, int columns>
static __device__ __forceinline__ void load_v(unsigned char *to, const fused_args &g, int first_column, int k) {
  constexpr int plane = 2 * columns, at_once = THREADS / plane;  // threads of one limb, limbs of one pass
  const int thread = (int)threadIdx.x, half = thread % 2, column = thread / 2 % columns, first_limb = thread / plane;
  if (thread >= at_once * plane) return;
  const bool valid = first_column + column < g.padded_n;
  const int8_t *from =
      g.v + (size_t)(first_column + column) * g.column_bytes + (g.top_limb - first_limb) * g.limb_bytes + k + 16 * half;
  to += (first_limb * columns + column) * STEP + (half ^ (column >> 2 & 1)) * 16;
#pragma unroll
  for (int limb = 0; limb < limbs; limb += at_once, from -= at_once * g.limb_bytes)
    if (limb + first_limb < limbs) copy_async_16(to + limb * columns * STEP, from, valid);
}

// One step: sum[t] += sum_{i+j=t} X_i V_j. On Hopper a warpgroup's products are under way until finish_step.
template <int limbs, int columns>
static __device__ __forceinline__ void multiply_step(int32_t (&sum)[limbs][columns / 8][4], const unsigned char *x,
                                                     const unsigned char *v) {
  uint32_t a[limbs][4];
  x_limbs<limbs>(a, x);
#ifdef TW_WARPGROUPS
  group_begin();
#pragma unroll
  for (int j = 0; j < limbs; j++) {
    const uint64_t b = group_operand(v + j * columns * STEP);
#pragma unroll
    for (int i = 0; i + j < limbs; i++) multiply_group(sum[i + j], a[i], b);
  }
  group_commit();
#else
  const int lane = (int)(threadIdx.x % 32), row = lane % 8, matrix = lane / 8;
  v += (matrix / 2 * 8 + row) * STEP + ((matrix % 2) ^ (row >> 2)) * 16;
#pragma unroll
  for (int j = 0; j < limbs; j++)
#pragma unroll
    for (int pair = 0; pair < columns / 16; pair++) {
      uint32_t b[4];
      load_matrices(b, v + (j * columns + pair * 16) * STEP);
#pragma unroll
      for (int i = 0; i + j < limbs; i++) {
        multiply_limbs(sum[i + j][2 * pair], a[i], b[0], b[1]);
        multiply_limbs(sum[i + j][2 * pair + 1], a[i], b[2], b[3]);
      }
    }
#endif
}

static __device__ __forceinline__ void finish_step(void) {
#ifdef TW_WARPGROUPS
  group_wait<0>();
#endif
}

// Elements (row, column) and (row, column + 1) of the result.
static __device__ __forceinline__ void finish_pair(const fused_args &g, int row, int column, ulonglong2 value) {
  if (row >= g.m || column >= g.n) return;
  const size_t at = (size_t)row * g.n + column;
  if (g.n % 2 == 0) {
    if (g.addend) {
      const ulonglong2 addend = *(const ulonglong2 *)(g.addend + at);
      value.x += addend.x;
      value.y += addend.y;
    }
    value.x &= g.ring;
    value.y &= g.ring;
    *(ulonglong2 *)(g.out + at) = value;
  } else {
    g.out[at] = (value.x + (g.addend ? g.addend[at] : 0)) & g.ring;
    if (column + 1 < g.n) g.out[at + 1] = (value.y + (g.addend ? g.addend[at + 1] : 0)) & g.ring;
  }
}

// The blocks of a cluster have each a part of the sums over `inner`: every block finishes its share of the tile.
template <int columns>
static __device__ __forceinline__ void finish_cluster(const fused_args &g, const ulonglong2 *partial, int split,
                                                      int splits, int first_row, int first_column) {
  const int lane = (int)(threadIdx.x % 32);
  cluster_barrier();
  for (int part = split; part < columns / 4; part += splits) {
    ulonglong2 value = {0, 0};
    for (int peer = 0; peer < splits; peer++) {
      const ulonglong2 share = *cluster_peer(&partial[part * THREADS + threadIdx.x], (unsigned)peer);
      value.x += share.x;
      value.y += share.y;
    }
    finish_pair(g, first_row + lane / 4 + part % 2 * 8, first_column + part / 2 * 8 + lane % 4 * 2, value);
  }
  cluster_barrier();  // no block leaves while another reads its part
}

template <int limbs, int columns>
static __global__ void __launch_bounds__(THREADS, 1) fused_kernel(const fused_args g) {
  unsigned char *const memory = dynamic_shared();
  const int warp = warp_index(), lane = (int)(threadIdx.x % 32);
  const int splits = (int)gridDim.x, split = (int)blockIdx.x;
  const int first_column = (int)blockIdx.y * columns, first_row = (int)blockIdx.z * ROWS + warp * WARP_ROWS;
  const int steps = (g.inner + STEP - 1) / STEP, first = steps * split / splits, last = steps * (split + 1) / splits;
  const bool busy = first_row - warp % 4 * WARP_ROWS < g.m;  // the same in a whole warpgroup
  const bool pairs = g.inner % 2 == 0;

  auto load = [&](int step) {
    unsigned char *const stage = memory + step % STAGES * stage_bytes(limbs, columns);
    if (step < last) {
      if (busy) load_x(stage + warp * X_WARP_BYTES, g.x, first_row, g.m, step * STEP, g.inner, pairs);
      load_v<limbs, columns>(stage + ROWS * X_ROW_BYTES, g, first_column, step * STEP);
    }
    copy_async_commit();
  };

  int32_t sum[limbs][columns / 8][4] = {};
  tw_begin();
  for (int step = first; step < first + STAGES - 1; step++) load(step);
  for (int step = first; step < last; step++) {
    copy_async_wait<STAGES - 2>();
    publish_to_group();
    __syncthreads();  // this step has arrived, for all threads; all are done with the step whose place is loaded next
    const unsigned char *const stage = memory + step % STAGES * stage_bytes(limbs, columns);
    if (busy) {
      multiply_step<limbs, columns>(sum, stage + warp * X_WARP_BYTES, stage + ROWS * X_ROW_BYTES);
      load(step + STAGES - 1);
      finish_step();
    } else {
      load(step + STAGES - 1);
    }
  }
  copy_async_wait<0>();
  __syncthreads();

  constexpr int parts = columns / 4;  // pairs of elements a thread holds
  ulonglong2 *const partial = (ulonglong2 *)memory;
#pragma unroll
  for (int part = 0; part < parts; part++) {
    const int32_t *const at = &sum[0][part / 2][part % 2 * 2];
    const ulonglong2 value = {join_weights<limbs>(at, columns / 2), join_weights<limbs>(at + 1, columns / 2)};
    if (splits > 1)
      partial[part * THREADS + threadIdx.x] = value;
    else
      finish_pair(g, first_row + lane / 4 + part % 2 * 8, first_column + part / 2 * 8 + lane % 4 * 2, value);
  }
  if (splits > 1) finish_cluster<columns>(g, partial, split, splits, first_row, first_column);
}

typedef void (*fused_function)(fused_args);

// Wider tiles of many limbs would not fit the registers.
template <int limbs>
static fused_function with_columns(int columns) {
  if (columns == 32) return fused_kernel<limbs, 32>;
  if (columns == 48) return fused_kernel<limbs, 48>;
  if constexpr (limbs <= 6)
    if (columns == 64) return fused_kernel<limbs, 64>;
  return NULL;
}

static fused_function find_kernel(int limbs, int columns) {
  switch (limbs) {
    case 1:
      return with_columns<1>(columns);
    case 2:
      return with_columns<2>(columns);
    case 3:
      return with_columns<3>(columns);
    case 4:
      return with_columns<4>(columns);
    case 5:
      return with_columns<5>(columns);
    case 6:
      return with_columns<6>(columns);
    case 7:
      return with_columns<7>(columns);
    default:
      return with_columns<8>(columns);
  }
}

// Clusters of `splits` blocks that run at once on this device; 0: none. Asked once.
static int clusters_at_once(int limbs, int columns, int splits) {
  static int known[TW_MAX_LIMBS][3][MAX_SPLITS];  // 1 + answer
  int *const place = &known[limbs - 1][columns / 16 - 2][splits - 1];
  if (*place) return *place - 1;
  const fused_function kernel = find_kernel(limbs, columns);
  const int bytes = shared_bytes(limbs, columns);
  int clusters = 0;
  if (kernel &&
      cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) == cudaSuccess) {
    int device = 0, major = 0, processors = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
    if (splits == 1) {
      clusters = processors;
    } else if (major >= 9) {
      cudaLaunchAttribute cluster = {};
      cluster.id = cudaLaunchAttributeClusterDimension;
      cluster.val.clusterDim.x = (unsigned)splits;
      cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
      cudaLaunchConfig_t config = {};
      config.gridDim = dim3((unsigned)splits);
      config.blockDim = dim3(THREADS);
      config.dynamicSmemBytes = (size_t)bytes;
      config.attrs = &cluster;
      config.numAttrs = 1;
      if (cudaOccupancyMaxActiveClusters(&clusters, (const void *)kernel, &config) != cudaSuccess) clusters = 0;
    }
  }
  cudaGetLastError();  // a refusal above is an answer, not an error
  *place = clusters + 1;
  return clusters;
}

static int min_int(int a, int b) { return a < b ? a : b; }

// Clock cycles on an H200, fitted to `cuda_gemm sweep`: of one step, tensor cores at 4096 multiply-adds a cycle and the
// splitting of X, which they hide little of; of one wave of blocks, its first loads and its end.
static double estimate_cycles(int limbs, int columns, int splits, int clusters, size_t m, size_t n, size_t inner) {
  const size_t tiles = (m + ROWS - 1) / ROWS * ((n + columns - 1) / columns), waves = (tiles + clusters - 1) / clusters;
  const int steps = (int)((inner + STEP - 1) / STEP), own = (steps + splits - 1) / splits;
  const double products = 0.5 * limbs * (limbs + 1) * ROWS * columns * STEP / 4096;
  const double ends = 4000 + (splits > 1 ? 1000 + 20 * columns : 0);
  return (double)waves * (own * (1250 + 1.2 * products) + ends);
}

bool tw_gemm_fused_choose(size_t m, size_t n, size_t inner, int ring_bits, tw_gemm_tiling *out) {
  const int limbs = tw_ring_limbs(ring_bits), steps = (int)((inner + STEP - 1) / STEP);
  double best = 0;
  for (int columns = 32; columns <= 64; columns += 16)
    for (int splits = 1; splits <= min_int(steps, MAX_SPLITS); splits++) {
      const int clusters = clusters_at_once(limbs, columns, splits);
      if (clusters == 0) continue;
      const double cycles = estimate_cycles(limbs, columns, splits, clusters, m, n, inner);
      if (best != 0 && cycles >= best) continue;
      best = cycles;
      *out = (tw_gemm_tiling){columns, splits, cycles};
    }
  return best != 0;
}

tw_status tw_gemm_fused(const tw_gemm_call *call, tw_gemm_tiling tiling, cudaStream_t stream) {
  const tw_limbs *const v = call->v;
  const int limbs = tw_ring_limbs(call->ring_bits);
  if (tiling.splits < 1 || tiling.splits > MAX_SPLITS || clusters_at_once(limbs, tiling.columns, tiling.splits) == 0)
    return tw_fail(TW_ERR_INTERNAL, "fused ring product: this GPU has no kernel for %d limbs, %d columns, %d splits",
                   limbs, tiling.columns, tiling.splits);
  const fused_args g = {v->data,
                        (int)(v->limbs * v->padded_inner),
                        (int)v->padded_inner,
                        v->limbs - 1,
                        (int)v->padded_n,
                        call->x,
                        call->addend,
                        call->out,
                        (int)call->m,
                        (int)v->n,
                        (int)v->inner,
                        tw_ring_mask(call->ring_bits)};
  const dim3 grid((unsigned)tiling.splits, (unsigned)((v->n + tiling.columns - 1) / tiling.columns),
                  (unsigned)((call->m + ROWS - 1) / ROWS));
  return tw_launch(find_kernel(limbs, tiling.columns), grid, THREADS, (size_t)shared_bytes(limbs, tiling.columns),
                   (unsigned)tiling.splits, stream, g);
}
