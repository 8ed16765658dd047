// Ring products on the ordinary cores, for shapes that the tensor cores' kernels refuse: a block computes a tile of one
// result, a thread one element.
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

enum { TILE = 16 };

typedef struct {
  size_t m, n, k;
  const uint64_t *a, *b;
  uint64_t *c;
  uint64_t ring;
  int accumulate;
} gemm_args;

static __global__ void __launch_bounds__(TILE *TILE) plain_kernel(const __grid_constant__ gemm_args g) {
  __shared__ uint64_t left[TILE][TILE + 1], right[TILE][TILE + 1];
  const size_t y = threadIdx.x / TILE, x = threadIdx.x % TILE, matrix = blockIdx.z;
  const size_t row = (size_t)blockIdx.y * TILE + y, col = (size_t)blockIdx.x * TILE + x;
  const uint64_t *a = g.a + matrix * g.m * g.k, *b = g.b + matrix * g.k * g.n;
  uint64_t sum = 0;
  tw_begin();
  for (size_t first = 0; first < g.k; first += TILE) {
    left[y][x] = row < g.m && first + x < g.k ? a[row * g.k + first + x] : 0;
    right[y][x] = first + y < g.k && col < g.n ? b[(first + y) * g.n + col] : 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < TILE; i++) sum += left[y][i] * right[i][x];
    __syncthreads();
  }
  if (row >= g.m || col >= g.n) return;
  uint64_t *c = g.c + (matrix * g.m + row) * g.n + col;
  *c = ((g.accumulate ? *c : 0) + (g.accumulate < 0 ? 0 - sum : sum)) & g.ring;
}

tw_status tw_cuda_plain_gemm(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b,
                             uint64_t *c, int ring_bits, int accumulate, void *stream) {
  const dim3 grid((unsigned)tw_ceil_div(n, TILE), (unsigned)tw_ceil_div(m, TILE), (unsigned)count);
  const gemm_args g = {m, n, k, a, b, c, tw_ring_mask(ring_bits), accumulate};
  return tw_enqueue(plain_kernel, grid, TILE * TILE, 0, stream, g);
}
