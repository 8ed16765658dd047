// Weight products of few rows, as a decoded token's: all that counts is that V's limbs come at the memory's rate.
//
// A warp computes 16 columns for part of the inner dimension. It reads V as it lies, 64 bytes of each limb of each
// column at once, in an order of inner elements that lets a lane's 16 bytes be four of its operands of a tensor core's
// product; X's elements are read in the same order, and split in registers. V is the left operand, with 16 columns; X
// is the right one, with 8 rows. A block's warps share the inner dimension of one tile, and so do the blocks of a
// cluster. Sums mod 2^64 are exact in any order, so the result does not depend on how it was shared out.
//
// Rows may lie apart: so one pass over V serves several products with it.
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/gemm/gemm_tile.h"

enum {
  WARPS = 8,
  THREADS = 32 * WARPS,
  COLUMNS = 16,       // of a tile
  EIGHT = 8,          // rows of a product of the tensor cores
  TAKEN = 64,         // inner elements that a warp takes at once, 16 a lane
  PAIRS = TAKEN / 32  // products of 32 inner elements in them
};
enum { MAX_SPLITS = 8, BLOCKS_EACH = 2 };  // of a tile; blocks that share a multiprocessor

typedef struct {
  const int8_t *v;  // its lowest limb of column 0
  size_t column_bytes, limb_bytes;
  int m, n, inner, padded_inner;
  bool pairs;  // inner elements in pairs: 16 bytes
  uint64_t ring;
  tw_product_row row[TW_PRODUCT_ROWS];
} rows_args;

typedef struct {
  uint32_t word[4];
} four_words;

static __device__ __forceinline__ four_words load_words(const int8_t *from) {
  const uint4 v = __ldcs((const uint4 *)from);
  return {{v.x, v.y, v.z, v.w}};
}

// Four elements of X from `at` on; what lies past its end is 0.
static __device__ __forceinline__ void load_four(uint64_t element[4], const uint64_t *x, int at, int inner,
                                                 bool pairs) {
  if (pairs) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const ulonglong2 two = at + e < inner ? *(const ulonglong2 *)(x + at + e) : ulonglong2{0, 0};
      element[e] = two.x;
      element[e + 1] = two.y;
    }
  } else {
#pragma unroll
    for (int e = 0; e < 4; e++) element[e] = at + e < inner ? x[at + e] : 0;
  }
}

// Limbs of a lane's 16 elements of a row, NULL: of no row.
template <int limbs>
static __device__ __forceinline__ void split_taken(uint32_t word[limbs][4], const uint64_t *x, int at, int inner,
                                                   bool pairs) {
#pragma unroll
  for (int four = 0; four < 4; four++) {
    uint64_t element[4] = {0, 0, 0, 0};
    uint32_t limb[limbs];
    if (x) load_four(element, x, at + 4 * four, inner, pairs);
    split_four<limbs>(element, limb);
#pragma unroll
    for (int i = 0; i < limbs; i++) word[i][four] = limb[i];
  }
}

// sum[eight][t] += sum_{i+j=t} V_j X_i
template <int limbs, int eights>
static __device__ __forceinline__ void multiply_taken(int32_t (&sum)[eights][limbs][4], const four_words (&v)[limbs][2],
                                                      const uint32_t (&x)[limbs][4], int eight) {
#pragma unroll
  for (int pair = 0; pair < PAIRS; pair++)
#pragma unroll
    for (int j = 0; j < limbs; j++) {
      const uint32_t a[4] = {v[j][0].word[2 * pair], v[j][1].word[2 * pair], v[j][0].word[2 * pair + 1],
                             v[j][1].word[2 * pair + 1]};
#pragma unroll
      for (int i = 0; i + j < limbs; i++) multiply_limbs(sum[eight][i + j], a, x[i][2 * pair], x[i][2 * pair + 1]);
    }
}

// The lines of V that the lane's warp needs first may come while earlier kernels run: they hold what set-up wrote, or
// will when they are read.
template <int limbs>
static __device__ __forceinline__ void fetch_first(const int8_t *v, const rows_args &g, int at) {
  const int lane = (int)(threadIdx.x % 32);
  if (at >= g.padded_inner) return;
  for (int line = lane; line < limbs * COLUMNS; line += 32)
    prefetch_line(v + (size_t)(line % COLUMNS) * g.column_bytes - (size_t)(line / COLUMNS) * g.limb_bytes + at);
}

// A warp's part of the sums of its tile.
template <int limbs, int eights>
static __device__ __forceinline__ void add_part(int32_t (&sum)[eights][limbs][4], const rows_args &g, const int8_t *v,
                                                int first, int stride) {
  const int lane = (int)(threadIdx.x % 32), column = lane / 4, own = lane % 4 * 16;
  const uint64_t *x[eights];
#pragma unroll
  for (int e = 0; e < eights; e++) x[e] = column + e * EIGHT < g.m ? g.row[column + e * EIGHT].x : NULL;
  v += (size_t)column * g.column_bytes + own;
  for (int k = first; k < g.padded_inner; k += stride) {
    four_words taken[limbs][2] = {};
    if (k + own < g.padded_inner)
#pragma unroll
      for (int j = 0; j < limbs; j++)
#pragma unroll
        for (int half = 0; half < 2; half++)
          taken[j][half] = load_words(v + half * EIGHT * g.column_bytes - j * g.limb_bytes + k);
#pragma unroll
    for (int e = 0; e < eights; e++) {
      uint32_t word[limbs][4];
      split_taken<limbs>(word, x[e], k + own, g.inner, g.pairs);
      multiply_taken<limbs, eights>(sum, taken, word, e);
    }
  }
}

static __device__ __forceinline__ void finish_element(const rows_args &g, int row, int column, uint64_t value) {
  const tw_product_row &r = g.row[row];
  r.out[column] = (value + (r.addend ? r.addend[column] : 0)) & g.ring;
}

template <int limbs, int eights>
static __global__ void __launch_bounds__(THREADS, limbs > 6 || eights > 1 ? 1 : BLOCKS_EACH)
    rows_kernel(const __grid_constant__ rows_args g) {
  enum { PLACES = 128 * eights };  // elements of a tile: four a lane
  __shared__ uint64_t part[WARPS][PLACES];
  __shared__ uint64_t whole[PLACES];  // of this block's share of the inner dimension
  const int warp = warp_index(), lane = (int)(threadIdx.x % 32), splits = (int)gridDim.x, split = (int)blockIdx.x;
  const int first = (split * WARPS + warp) * TAKEN, stride = splits * WARPS * TAKEN;
  const int8_t *const v = g.v + (size_t)blockIdx.y * COLUMNS * g.column_bytes;
  int32_t sum[eights][limbs][4] = {};
  tw_let_next_start();
  fetch_first<limbs>(v, g, first);
  tw_await_earlier();
  add_part<limbs, eights>(sum, g, v, first, stride);
#pragma unroll
  for (int e = 0; e < eights; e++)
#pragma unroll
    for (int i = 0; i < 4; i++) part[warp][(4 * e + i) * 32 + lane] = join_weights<limbs>(&sum[e][0][i], 4);
  __syncthreads();
  for (int place = (int)threadIdx.x; place < PLACES; place += THREADS) {
    uint64_t value = 0;
    for (int w = 0; w < WARPS; w++) value += part[w][place];
    whole[place] = value;
  }
  if (splits > 1)
    cluster_barrier();
  else
    __syncthreads();
  for (int place = split * THREADS + (int)threadIdx.x; place < PLACES; place += splits * THREADS) {
    const int i = place / 32 % 4, of = place % 32;
    const int row = place / 128 * EIGHT + of % 4 * 2 + i % 2, at = of / 4 + i / 2 * EIGHT;
    const int column = (int)blockIdx.y * COLUMNS + at;
    if (row >= g.m || column >= g.n) continue;
    uint64_t value = 0;
#pragma unroll 1
    for (int peer = 0; peer < splits; peer++) value += *cluster_peer(&whole[place], (unsigned)peer);
    finish_element(g, row, column, value);
  }
  if (splits > 1) cluster_barrier();  // no block leaves while another reads its part
}

typedef void (*rows_function)(rows_args);

template <int limbs>
static rows_function with_rows(int m) {
  return m <= EIGHT ? rows_kernel<limbs, 1> : rows_kernel<limbs, 2>;
}

static rows_function find_kernel(int limbs, int m) {
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

static bool takes_clusters(void) {
  int device = 0, major = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  return major >= 9;
}

static int multiprocessors(void) {
  int device = 0, count = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

// Blocks for a tile: so many that all multiprocessors read, but no more than have something to read.
static int choose_splits(size_t tiles, size_t padded_inner) {
  static const int most = takes_clusters() ? MAX_SPLITS : 1, places = BLOCKS_EACH * multiprocessors();
  const int useful = (int)tw_ceil_div(padded_inner, (size_t)WARPS * TAKEN);
  int splits = 1;
  while (splits < most && splits < useful && (size_t)(splits + 1) * tiles <= (size_t)places) splits++;
  return splits;
}

static bool lies_in_pairs(const tw_limbs *v, int m, const tw_product_row *row) {
  bool pairs = v->inner % 2 == 0;
  for (int i = 0; i < m; i++) pairs = pairs && (uintptr_t)row[i].x % 16 == 0;
  return pairs;
}

tw_status tw_gemm_rows(const tw_limbs *v, int m, const tw_product_row *row, int ring_bits, cudaStream_t stream) {
  const int limbs = tw_ring_limbs(ring_bits);
  if (m < 1 || m > TW_PRODUCT_ROWS || ring_bits < 1 || limbs > v->limbs)
    return tw_fail(TW_ERR_RANGE, "ring product on the GPU: %d rows, %d bits with weights of %d limbs are out of range",
                   m, ring_bits, v->limbs);
  const size_t tiles = tw_ceil_div(v->n, (size_t)COLUMNS);
  const int splits = choose_splits(tiles, v->padded_inner);
  rows_args g = {v->data + (v->limbs - 1) * v->padded_inner,
                 v->limbs * v->padded_inner,
                 v->padded_inner,
                 m,
                 (int)v->n,
                 (int)v->inner,
                 (int)v->padded_inner,
                 lies_in_pairs(v, m, row),
                 tw_ring_mask(ring_bits),
                 {}};
  for (int i = 0; i < m; i++) g.row[i] = row[i];
  return tw_launch(find_kernel(limbs, m), dim3((unsigned)splits, (unsigned)tiles), THREADS, 0, (unsigned)splits, stream,
                   g);
}

tw_status tw_gemm_rows_together(const tw_gemm_call *call, cudaStream_t stream) {
  tw_product_row row[TW_PRODUCT_ROWS];
  for (size_t i = 0; i < call->m && i < TW_PRODUCT_ROWS; i++)
    row[i] = {call->x + i * call->v->inner, call->addend ? call->addend + i * call->v->n : nullptr,
              call->out + i * call->v->n};
  return tw_gemm_rows(call->v, (int)call->m, row, call->ring_bits, stream);
}
