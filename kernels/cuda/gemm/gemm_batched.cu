// Batched ring products of two matrices known only now (attention): both operands are split in registers, straight from
// the 64-bit elements in shared memory. A block computes 64 x 32 elements of one product with four warps of 16 rows.
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"

enum {
  WARPS = 4,
  THREADS = 32 * WARPS,
  ROWS = WARPS * WARP_ROWS,
  COLUMNS = 32,
  STAGES = 3,
  Y_ROW_BYTES = COLUMNS * 8,
  STAGE_BYTES = ROWS * X_ROW_BYTES + STEP * Y_ROW_BYTES
};

typedef struct {
  int m, n, inner;
  const uint64_t *x, *y;
  uint64_t *out;
  uint64_t ring;
  int accumulate;
} batched_args;

// Where two neighbouring columns of a row of Y lie in shared memory: exchanged between rows 4q.. of the same 16, so
// that the reads of y_limbs hit all banks.
static __device__ __forceinline__ int y_place(int row, int pair) {
  return row * Y_ROW_BYTES + (pair ^ (row / 4 % 4 * 2)) * 16;
}

static __device__ __forceinline__ void load_y(unsigned char *to, const uint64_t *y, int k, int inner, int column,
                                              int n) {
  const bool pairs = n % 2 == 0;
#pragma unroll
  for (int i = 0; i < STEP * COLUMNS / 2 / THREADS; i++) {
    const int id = i * THREADS + (int)threadIdx.x, row = id / (COLUMNS / 2), pair = id % (COLUMNS / 2);
    const int valid = k + row < inner ? between(n - column - 2 * pair, 0, 2) : 0;
    copy_pair(to + y_place(row, pair), y + (size_t)(k + row) * n + column + 2 * pair, valid, pairs);
  }
}

// A lane's operand of multiply_limbs for each limb of eight columns.
template <int limbs>
static __device__ __forceinline__ void y_limbs(uint32_t b[2][limbs], const unsigned char *from, int first_column) {
  const int lane = (int)(threadIdx.x % 32), column = first_column + lane / 4;
#pragma unroll
  for (int part = 0; part < 2; part++) {
    uint64_t element[4];
#pragma unroll
    for (int e = 0; e < 4; e++)
      element[e] = *(const uint64_t *)(from + y_place(16 * part + lane % 4 * 4 + e, column / 2) + column % 2 * 8);
    split_four<limbs>(element, b[part]);
  }
}

template <int limbs>
static __device__ __forceinline__ void multiply_step(int32_t sum[limbs][COLUMNS / 8][4], const unsigned char *x,
                                                     const unsigned char *y) {
  uint32_t a[limbs][4];
  x_limbs<limbs>(a, x);
#pragma unroll
  for (int eight = 0; eight < COLUMNS / 8; eight++) {
    uint32_t b[2][limbs];
    y_limbs<limbs>(b, y, 8 * eight);
#pragma unroll
    for (int j = 0; j < limbs; j++)
#pragma unroll
      for (int i = 0; i + j < limbs; i++) multiply_limbs(sum[i + j][eight], a[i], b[0][j], b[1][j]);
  }
}

static __device__ __forceinline__ void finish(const batched_args &g, size_t at, uint64_t value) {
  if (g.accumulate > 0) value = g.out[at] + value;
  if (g.accumulate < 0) value = g.out[at] - value;
  g.out[at] = value & g.ring;
}

template <int limbs>
static __global__ void __launch_bounds__(THREADS) batched_kernel(batched_args g) {
  unsigned char *const memory = dynamic_shared();
  const int warp = (int)(threadIdx.x / 32), lane = (int)(threadIdx.x % 32);
  const int first_row = (int)blockIdx.y * ROWS + warp * WARP_ROWS, first_column = (int)blockIdx.z * COLUMNS;
  const int steps = (g.inner + STEP - 1) / STEP;
  const bool busy = first_row < g.m;
  g.x += (size_t)blockIdx.x * g.m * g.inner;
  g.y += (size_t)blockIdx.x * g.inner * g.n;
  g.out += (size_t)blockIdx.x * g.m * g.n;

  auto load = [&](int step) {
    unsigned char *const stage = memory + step % STAGES * STAGE_BYTES;
    if (step < steps) {
      if (busy) load_x(stage + warp * X_WARP_BYTES, g.x, first_row, g.m, step * STEP, g.inner, g.inner % 2 == 0);
      load_y(stage + ROWS * X_ROW_BYTES, g.y, step * STEP, g.inner, first_column, g.n);
    }
    copy_async_commit();
  };

  int32_t sum[limbs][COLUMNS / 8][4] = {};
  tw_begin();
  for (int step = 0; step < STAGES - 1; step++) load(step);
  for (int step = 0; step < steps; step++) {
    copy_async_wait<STAGES - 2>();
    __syncthreads();
    load(step + STAGES - 1);
    const unsigned char *const stage = memory + step % STAGES * STAGE_BYTES;
    if (busy) multiply_step<limbs>(sum, stage + warp * X_WARP_BYTES, stage + ROWS * X_ROW_BYTES);
  }
#pragma unroll
  for (int eight = 0; eight < COLUMNS / 8; eight++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = first_row + lane / 4 + i / 2 * 8, column = first_column + 8 * eight + lane % 4 * 2 + i % 2;
      if (row < g.m && column < g.n)
        finish(g, (size_t)row * g.n + column, join_weights<limbs>(&sum[0][eight][i], COLUMNS / 2));
    }
}

typedef void (*batched_function)(batched_args);

static batched_function find_kernel(int limbs) {
  switch (limbs) {
    case 1:
      return batched_kernel<1>;
    case 2:
      return batched_kernel<2>;
    case 3:
      return batched_kernel<3>;
    case 4:
      return batched_kernel<4>;
    case 5:
      return batched_kernel<5>;
    case 6:
      return batched_kernel<6>;
    case 7:
      return batched_kernel<7>;
    default:
      return batched_kernel<8>;
  }
}

extern "C" tw_status tw_device_gemm_batched(size_t count, size_t m, size_t n, size_t inner, const uint64_t *x,
                                            const uint64_t *y, int ring_bits, int accumulate, uint64_t *out,
                                            void *workspace, void *stream) {
  (void)workspace;
  if (count == 0 || m == 0 || n == 0) return TW_OK;
  if (ring_bits < 1 || ring_bits > 64 || inner == 0 || inner * tw_ring_limbs(ring_bits) >= TW_MAX_SUM_INNER ||
      count > 1 << 30 || m > 65535 * ROWS || n > 65535 * COLUMNS)
    return tw_fail(TW_ERR_RANGE, "batched ring product on the GPU: %zu of %zu x %zu x %zu in %d bits are out of range",
                   count, m, inner, n, ring_bits);
  static bool prepared[TW_MAX_LIMBS];
  const int limbs = tw_ring_limbs(ring_bits);
  const batched_function kernel = find_kernel(limbs);
  if (!prepared[limbs - 1]) {
    TW_CUDA(
        cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, STAGES * STAGE_BYTES));
    prepared[limbs - 1] = true;
  }
  const batched_args g = {(int)m, (int)n, (int)inner, x, y, out, tw_ring_mask(ring_bits), accumulate};
  const dim3 grid((unsigned)count, (unsigned)((m + ROWS - 1) / ROWS), (unsigned)((n + COLUMNS - 1) / COLUMNS));
  return tw_launch(kernel, grid, THREADS, STAGES * STAGE_BYTES, 1, (cudaStream_t)stream, g);
}
