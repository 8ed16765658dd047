// The CUDA twin of the elementwise gates: a thread computes some elements of kernels/ring_ops.h, reading all before it
// writes the first. Sums over many planes or columns for few elements are cut in parts that a block adds up; sums mod
// 2^64 are the same in any order.
#include "kernels/cuda/runtime/cuda_ops.h"
#include "kernels/cuda/runtime/launch.h"

enum {
  THREADS = 256,
  EACH = 4,               // elements of a thread where there are many: as many loads under way
  MANY = 132 * 2048 * 2,  // twice the threads of an H100 or H200
  PARTS = 8,              // of a sum over planes
  PART_COLS = 64,         // elements of a block that sums in parts: a word of a plane
  PARTS_BELOW = 1 << 15,  // elements up to which one thread an element leaves most of the GPU idle
  ROW_THREADS = 256,      // of a block that sums rows
  ROW_BY_BLOCK = 512      // columns from which a block takes a row, else a warp
};

// Blocks of `threads * each` elements; a thread's lie `threads` apart.
template <int threads, int each, class type, uint64_t (*element)(const type *, size_t, size_t)>
static __device__ __forceinline__ void compute_elements(const type &a) {
  const uint32_t count = (uint32_t)(a.rows * a.cols), first = blockIdx.x * (threads * each) + threadIdx.x;
  uint64_t value[each];
  tw_begin();
#pragma unroll
  for (int i = 0; i < each; i++) {
    const uint32_t j = first + threads * i < count ? first + threads * i : count - 1;
    value[i] = element(&a, tw_over(j, a.cols), tw_rest(j, a.cols));
  }
#pragma unroll
  for (int i = 0; i < each; i++)
    if (first + threads * i < count) a.out[first + threads * i] = value[i];
}

#define ELEMENT_OP(op)                                                                                        \
  template <int threads, int each>                                                                            \
  static __global__ void __launch_bounds__(threads) op##_kernel(const __grid_constant__ tw_##op##_args a) {   \
    compute_elements<threads, each, tw_##op##_args, tw_##op##_at>(a);                                         \
  }                                                                                                           \
  static tw_status op##_by_element(const tw_##op##_args *a, void *stream) {                                   \
    const size_t count = a->rows * a->cols;                                                                   \
    return count < MANY ? tw_enqueue_elements(op##_kernel<THREADS / 2, 1>, count, THREADS / 2, 1, stream, *a) \
                        : tw_enqueue_elements(op##_kernel<THREADS, EACH>, count, THREADS, EACH, stream, *a);  \
  }
TW_RING_OPS(ELEMENT_OP)

#define ELEMENT_ENTRY(op) \
  tw_status tw_cuda_##op(const tw_##op##_args *args, void *stream) { return op##_by_element(args, stream); }
ELEMENT_ENTRY(mask)
ELEMENT_ENTRY(shift)
ELEMENT_ENTRY(view)
ELEMENT_ENTRY(concat)
ELEMENT_ENTRY(combine)
ELEMENT_ENTRY(share)
ELEMENT_ENTRY(extend)
ELEMENT_ENTRY(multiply)
ELEMENT_ENTRY(multiply_rows)
ELEMENT_ENTRY(square)
ELEMENT_ENTRY(select)
ELEMENT_ENTRY(choose)
ELEMENT_ENTRY(zero)
ELEMENT_ENTRY(pool)
ELEMENT_ENTRY(pairs)
ELEMENT_ENTRY(offset)
ELEMENT_ENTRY(piece)
ELEMENT_ENTRY(floor)
ELEMENT_ENTRY(gather)
ELEMENT_ENTRY(turn)
ELEMENT_ENTRY(last_row)
ELEMENT_ENTRY(to_planes)
ELEMENT_ENTRY(to_numbers)
ELEMENT_ENTRY(turn_line)
ELEMENT_ENTRY(turn_place)
ELEMENT_ENTRY(opponents)
ELEMENT_ENTRY(members)
ELEMENT_ENTRY(fold)
ELEMENT_ENTRY(choose_row)
ELEMENT_ENTRY(spread_words)
ELEMENT_ENTRY(join_words)

// ---- sums over planes in parts ----

// The same gate on columns first_col.. of one row and planes first.., as row 0.
static __device__ tw_constants_args part_of(tw_constants_args a, size_t row, size_t first_col, size_t first,
                                            size_t count) {
  if (a.m) a.m += (row * a.planes + first) * a.cols + first_col;
  a.bits += row * a.sequence_words + first_col / 64;
  a.first_plane += first;
  a.constants += first;
  a.planes = count;
  a.ring = ~0ull;
  return a;
}
static __device__ tw_sum_planes_args part_of(tw_sum_planes_args a, size_t row, size_t first_col, size_t first,
                                             size_t count) {
  a.x += (row * a.planes + first) * a.cols + first_col;
  a.shifts += first;
  a.planes = count;
  a.ring = ~0ull;
  return a;
}
static __device__ uint64_t element_at(const tw_constants_args *a, size_t col) { return tw_constants_at(a, 0, col); }
static __device__ uint64_t element_at(const tw_sum_planes_args *a, size_t col) { return tw_sum_planes_at(a, 0, col); }

template <class type>
static __global__ void __launch_bounds__(PARTS *PART_COLS) parts_kernel(const __grid_constant__ type a) {
  __shared__ uint64_t sums[PARTS][PART_COLS];
  const size_t blocks = (a.cols + PART_COLS - 1) / PART_COLS, row = blockIdx.x / blocks;
  const size_t first_col = blockIdx.x % blocks * PART_COLS, col = threadIdx.x % PART_COLS,
               part = threadIdx.x / PART_COLS;
  const size_t first = a.planes * part / PARTS, last = a.planes * (part + 1) / PARTS;
  const bool live = first_col + col < a.cols;
  tw_begin();
  if (live) {
    const type mine = part_of(a, row, first_col, first, last - first);
    sums[part][col] = element_at(&mine, col);
  }
  __syncthreads();
  if (part != 0 || !live) return;
  uint64_t sum = 0;
  for (int i = 0; i < PARTS; i++) sum += sums[i][col];
  a.out[row * a.cols + first_col + col] = sum & a.ring;
}

template <class type>
static bool in_parts(const type *a) {
  return a->planes >= PARTS && a->rows * a->cols <= PARTS_BELOW;
}
template <class type>
static tw_status run_parts(const type *a, void *stream) {
  return tw_enqueue(parts_kernel<type>, dim3((unsigned)(a->rows * tw_ceil_div(a->cols, PART_COLS))), PARTS * PART_COLS,
                    0, stream, *a);
}

tw_status tw_cuda_constants(const tw_constants_args *args, void *stream) {
  return in_parts(args) ? run_parts(args, stream) : constants_by_element(args, stream);
}
tw_status tw_cuda_sum_planes(const tw_sum_planes_args *args, void *stream) {
  return in_parts(args) ? run_parts(args, stream) : sum_planes_by_element(args, stream);
}

// ---- row sums ----

typedef struct {
  const uint64_t *x, *addend;
  uint64_t *out;
  size_t rows, cols;
  uint64_t ring;
} row_sums_args;

// `width` neighbouring threads take a row: a warp or the block.
template <int width>
static __global__ void __launch_bounds__(ROW_THREADS) row_sums_kernel(const __grid_constant__ row_sums_args a) {
  __shared__ uint64_t sums[ROW_THREADS / 32];
  const size_t row = (size_t)blockIdx.x * (ROW_THREADS / width) + threadIdx.x / width;
  uint64_t sum = 0;
  tw_begin();
  if (row < a.rows)
#pragma unroll 4
    for (size_t j = threadIdx.x % width; j < a.cols; j += width) sum += a.x[row * a.cols + j];
  for (int lane = 16; lane; lane /= 2) sum += __shfl_xor_sync(~0u, (unsigned long long)sum, lane);
  if (width > 32) {
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0;
    for (int i = 0; i < width / 32; i++) sum += sums[i];
  }
  if (row < a.rows && threadIdx.x % width == 0) a.out[row] = (sum + (a.addend ? a.addend[row] : 0)) & a.ring;
}

tw_status tw_cuda_row_sums(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                           uint64_t *out, void *stream) {
  const row_sums_args a = {x, addend, out, rows, cols, ring};
  if (cols >= ROW_BY_BLOCK)
    return tw_enqueue(row_sums_kernel<ROW_THREADS>, dim3((unsigned)rows), ROW_THREADS, 0, stream, a);
  return tw_enqueue(row_sums_kernel<32>, dim3((unsigned)tw_ceil_div(rows, ROW_THREADS / 32)), ROW_THREADS, 0, stream,
                    a);
}
