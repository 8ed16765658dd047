// Weight products of many rows on Hopper, by one kernel on the limbs of X.
//
// Sums go to the result in pairs, of the weights 256^top and 256^(top-1), lowest pair first. A stage is a chunk of 128
// inner elements of limb i of X, 128 rows of it, and of limb top-i of V, 96 columns. Stage i's rows are multiplied with
// its own columns for the one sum and with those of stage i+1, which lie behind them in shared memory, for the other:
// as one product with 192 columns, so that shared memory and its copies keep up with the tensor cores. A finished pair
// leaves its two low bytes in the result, and the rest is where the next pair starts. So a thread holds two sums and 32
// bits of the result, and only ring elements go to memory.
//
// One warp copies stages, for two warpgroups that multiply 64 rows each. Two blocks, a cluster, work on neighbouring
// columns of the same rows: each copies half of the rows' limbs, to both.
#include <cuda.h>

#include "kernels/cuda/exchange/ptx.h"
#include "kernels/cuda/gemm/gemm.h"

enum {
  ROWS = 128,
  COLUMNS = 96,
  BLOCKS = COLUMNS / 8,
  CHUNK = 128,
  SLOTS = 8,
  X_SLOT = ROWS * CHUNK,
  V_SLOT = COLUMNS * CHUNK,
  PEERS = 2,   // blocks of a cluster
  GROUPS = 2,  // warpgroups that multiply
  GROUP_THREADS = 128,
  THREADS = (GROUPS + 1) * GROUP_THREADS,
  RELEASES = PEERS * GROUPS * GROUP_THREADS / 32,  // warps that read a slot, of both peers
  SHARED_BYTES = SLOTS * (X_SLOT + V_SLOT),
  MAX_LIMBS = 6,      // so that what is below the last pair has 32 bits
  MAX_INNER = 130000  // times limbs: 2^14 times this, 1/255 more of carries and 2^16 of the addend are below 2^31
};

typedef struct {
  CUtensorMap x, v;  // limb i of V at byte v_lowest - i * v_limb_bytes of its columns
  int x_limb_bytes, v_limb_bytes, v_lowest;
  int chunks, row_tiles, tiles;  // tiles: of ROWS x PEERS * COLUMNS
  int m, n;
  const uint64_t *addend;
  uint64_t *out;
  uint64_t ring;
} wide_args;

#ifdef TW_WARPGROUPS
// The first pair's upper sum: 1, or 0 with an odd number of limbs. Its pair then has no lower sum, and the result is
// kept 256-fold, so that every pair has 16 bits of it. low_bits: those below the last pair.
static __device__ constexpr int lowest_top(int limbs) { return limbs % 2 == 0; }
static __device__ constexpr int odd_bits(int limbs) { return limbs % 2 * 8; }
static __device__ constexpr int low_bits(int limbs) { return (limbs - 1) / 2 * 16; }

typedef struct {
  uint64_t full[SLOTS], empty[SLOTS];  // empty: in all peers
} slot_barriers;

typedef struct {
  int row, column;
} tile_place;

static __device__ __forceinline__ tile_place find_tile(const wide_args &g, int tile, int peer) {
  return {tile % g.row_tiles * ROWS, (tile / g.row_tiles * PEERS + peer) * COLUMNS};
}

// The stages of a chunk lie in neighbouring slots.
static __device__ __forceinline__ int first_slot(int slot, int stages) { return slot + stages > SLOTS ? 0 : slot; }
static __device__ __forceinline__ uint32_t slot_bits(int slot, int stages) { return ((1u << stages) - 1) << slot; }

// The one thread that copies. Its half of the rows goes to both peers, so a slot must be empty in both.
template <int limbs>
static __device__ __forceinline__ void copy_stages(const wide_args &g, unsigned char *memory, slot_barriers *barriers) {
  const int peer = (int)blockIdx.x % PEERS;
  uint32_t parities = ~0u;
  int slot = 0;
  for (int tile = (int)blockIdx.x / PEERS; tile < g.tiles; tile += (int)gridDim.x / PEERS) {
    const tile_place place = find_tile(g, tile, peer);
    for (int top = lowest_top(limbs); top < limbs; top += 2)
      for (int chunk = 0; chunk < g.chunks; chunk++) {
        slot = first_slot(slot, top + 1);
        for (int i = 0; i <= top; i++, slot++) {
          uint64_t *const full = &barriers->full[slot];
          wait_phase(&barriers->empty[slot], parities >> slot & 1);
          parities ^= 1u << slot;
          arrive_expecting(full, X_SLOT + V_SLOT);
          copy_box_to((1 << PEERS) - 1, memory + slot * X_SLOT + peer * (X_SLOT / PEERS), &g.x,
                      i * g.x_limb_bytes + chunk * CHUNK, place.row + peer * (ROWS / PEERS), full);
          copy_box(memory + SLOTS * X_SLOT + slot * V_SLOT, &g.v,
                   g.v_lowest - (top - i) * g.v_limb_bytes + chunk * CHUNK, place.column, full);
        }
      }
  }
}

// To the copying threads of all peers: this warp has read the slot.
static __device__ __forceinline__ void release(slot_barriers *barriers, int slot) {
  const unsigned lane = threadIdx.x % 32;
  if (lane < PEERS) arrive_at(&barriers->empty[slot], lane);
}

typedef int32_t sums[BLOCKS][4];

// Stage i < top; its columns and those of the next stage. The products run on until group_wait.
static __device__ __forceinline__ void start_stage(sums &upper, sums &lower, uint64_t x, uint64_t v) {
  group_begin();
#pragma unroll
  for (int step = 0; step < CHUNK / 32; step++) multiply_rows(upper, lower, x + 2 * step, v + 2 * step);
  group_commit();
}
// Stage i = top, which has no columns for the lower sum.
static __device__ __forceinline__ void start_last_stage(sums &upper, uint64_t x, uint64_t v) {
  group_begin();
#pragma unroll
  for (int step = 0; step < CHUNK / 32; step++) multiply_rows(upper, x + 2 * step, v + 2 * step);
  group_commit();
}

// upper += the sum of weight 256^top over one chunk, lower += that of 256^(top-1). x, v: slot 0 as operands.
static __device__ __forceinline__ void multiply_chunk(sums &upper, sums &lower, int top, uint64_t x, uint64_t v,
                                                      slot_barriers *barriers, int slot, uint32_t parities) {
  const int last = slot + top;
  auto x_at = [&](int s) { return x + s * (X_SLOT / 16); };
  auto v_at = [&](int s) { return v + s * (V_SLOT / 16); };
  auto wait = [&](int s) { wait_phase(&barriers->full[s], parities >> s & 1); };
  wait(slot);
  if (top > 0) {
    wait(slot + 1);
    start_stage(upper, lower, x_at(slot), v_at(slot));
    while (++slot < last) {
      wait(slot + 1);
      start_stage(upper, lower, x_at(slot), v_at(slot));
      group_wait<1>();
      release(barriers, slot - 1);
    }
    group_wait<0>();
    release(barriers, slot - 1);
  }
  start_last_stage(upper, x_at(last), v_at(last));
  group_wait<0>();
  release(barriers, last);
}

// What a thread holds of a tile: with c = 0..BLOCKS-1 and half = 0, 1, two neighbouring elements of row + 8 * half from
// column + 8 * c on.
typedef struct {
  int row, column;
} thread_place;

static __device__ __forceinline__ thread_place find_thread(tile_place tile) {
  const int thread = (int)threadIdx.x - GROUP_THREADS;  // of those that multiply
  return {tile.row + thread / 32 * 16 + thread % 32 / 4, tile.column + thread % 4 * 2};
}

static __device__ __forceinline__ int at_most(int value, int most) { return value < most ? value : most; }

// Outside the result, any of its elements. even: n is.
template <bool even>
static __device__ __forceinline__ void load_addend(const wide_args &g, thread_place place,
                                                   ulonglong2 (&value)[BLOCKS][2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const uint64_t *const row = g.addend + (size_t)at_most(place.row + 8 * half, g.m - 1) * g.n;
#pragma unroll
    for (int c = 0; c < BLOCKS; c++) {
      const int column = place.column + 8 * c;
      if (even)
        value[c][half] = *(const ulonglong2 *)(row + at_most(column, g.n - 2));
      else
        value[c][half] = {row[at_most(column, g.n - 1)], row[at_most(column + 1, g.n - 1)]};
    }
  }
}

template <bool even>
static __device__ __forceinline__ void store(const wide_args &g, thread_place place,
                                             const ulonglong2 (&value)[BLOCKS][2]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (place.row + 8 * half >= g.m) continue;
    uint64_t *const row = g.out + (size_t)(place.row + 8 * half) * g.n;
#pragma unroll
    for (int c = 0; c < BLOCKS; c++) {
      const int column = place.column + 8 * c;
      if (column >= g.n) continue;
      if (even) {
        *(ulonglong2 *)(row + column) = value[c][half];
      } else {
        row[column] = value[c][half].x;
        if (column + 1 < g.n) row[column + 1] = value[c][half].y;
      }
    }
  }
}

// The addend of a warpgroup's 64 rows of a tile into the second-level cache.
static __device__ __forceinline__ void prefetch_addend(const wide_args &g, tile_place tile) {
  const int thread = (int)threadIdx.x - GROUP_THREADS, row = tile.row + thread / 2;
  if (!g.addend || row >= g.m) return;
#pragma unroll
  for (int line = 0; line < COLUMNS / 32; line++) {
    const int column = tile.column + (thread % 2 * (COLUMNS / 32) + line) * 16;
    if (column < g.n) prefetch_line(g.addend + (size_t)row * g.n + column);
  }
}

// low: what the bits below the last pair start as; high: the addend's next 16 bits, of two elements.
template <int limbs>
static __device__ __forceinline__ void load_start(const wide_args &g, thread_place place, uint32_t (&low)[BLOCKS][4],
                                                  uint32_t (&high)[BLOCKS][2]) {
  ulonglong2 addend[BLOCKS][2] = {};
  if (g.addend) {
    if (g.n % 2 == 0)
      load_addend<true>(g, place, addend);
    else
      load_addend<false>(g, place, addend);
  }
#pragma unroll
  for (int c = 0; c < BLOCKS; c++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const uint64_t x = addend[c][half].x << odd_bits(limbs), y = addend[c][half].y << odd_bits(limbs);
      low[c][2 * half] = (uint32_t)x;
      low[c][2 * half + 1] = (uint32_t)y;
      high[c][half] = pick_bytes((uint32_t)(x >> low_bits(limbs)), (uint32_t)(y >> low_bits(limbs)), 0x5410);
    }
}

// The low bytes of a pair of sums become 16 bits of the result, low half or high half of `low`; the rest is carried.
static __device__ __forceinline__ void carry(sums &upper, sums &lower, uint32_t (&low)[BLOCKS][4], bool high_half) {
  const uint32_t take = high_half ? 0x4432 : 0x4410, put = high_half ? 0x5410 : 0x3254;
#pragma unroll
  for (int c = 0; c < BLOCKS; c++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int32_t first = lower[c][e] + (int32_t)pick_bytes(low[c][e], 0, take);
      const int32_t second = upper[c][e] + (first >> 8);
      low[c][e] = pick_bytes(low[c][e], pick_bytes((uint32_t)first, (uint32_t)second, 0x4440), put);
      lower[c][e] = second >> 8;
      upper[c][e] = 0;
    }
}

template <int limbs>
static __device__ __forceinline__ uint64_t join(int32_t upper, int32_t lower, uint32_t low, uint32_t high) {
  const int64_t pair = lower + (int32_t)(high & 0xFFFF) + (int64_t)upper * 256;
  const uint64_t mask = ((uint64_t)1 << low_bits(limbs)) - 1;
  return (((uint64_t)pair << low_bits(limbs)) | (low & mask)) >> odd_bits(limbs);
}

template <int limbs>
static __device__ __forceinline__ void finish(const wide_args &g, thread_place place, const sums &upper,
                                              const sums &lower, const uint32_t (&low)[BLOCKS][4],
                                              const uint32_t (&high)[BLOCKS][2]) {
  ulonglong2 value[BLOCKS][2];
#pragma unroll
  for (int c = 0; c < BLOCKS; c++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int e = 2 * half;
      value[c][half].x = join<limbs>(upper[c][e], lower[c][e], low[c][e], high[c][half]) & g.ring;
      value[c][half].y = join<limbs>(upper[c][e + 1], lower[c][e + 1], low[c][e + 1], high[c][half] >> 16) & g.ring;
    }
  if (g.n % 2 == 0)
    store<true>(g, place, value);
  else
    store<false>(g, place, value);
}

// A warpgroup's operands in slot 0, and where in the ring it is.
typedef struct {
  uint64_t x, v;
  slot_barriers *barriers;
  int slot;
  uint32_t parities;
} reader;

// upper += the sum of weight 256^top, lower += that of 256^(top-1).
static __device__ __forceinline__ void multiply_pair(sums &upper, sums &lower, int top, int chunks, reader *from) {
  for (int chunk = 0; chunk < chunks; chunk++) {
    from->slot = first_slot(from->slot, top + 1);
    multiply_chunk(upper, lower, top, from->x, from->v, from->barriers, from->slot, from->parities);
    from->parities ^= slot_bits(from->slot, top + 1);
    from->slot += top + 1;
  }
}

// A warpgroup's part of all tiles of this block. The addend comes into the second-level cache during the first pair,
// when the stores of the tile before are still on their way.
template <int limbs>
static __device__ __forceinline__ void multiply_tiles(const wide_args &g, reader from) {
  const int peer = (int)blockIdx.x % PEERS, clusters = (int)gridDim.x / PEERS;
  for (int tile = (int)blockIdx.x / PEERS; tile < g.tiles; tile += clusters) {
    const tile_place corner = find_tile(g, tile, peer);
    const thread_place place = find_thread(corner);
    prefetch_addend(g, corner);
    sums upper = {}, lower = {};
    uint32_t low[BLOCKS][4], high[BLOCKS][2];
#pragma unroll 1
    for (int top = lowest_top(limbs); top < limbs; top += 2) {
      multiply_pair(upper, lower, top, g.chunks, &from);
      if (top == lowest_top(limbs)) load_start<limbs>(g, place, low, high);
      if (top < limbs - 1) carry(upper, lower, low, top > lowest_top(limbs));
    }
    finish<limbs>(g, place, upper, lower, low, high);
  }
}
#endif

template <int limbs>
static __global__ void __launch_bounds__(THREADS, 1) wide_kernel(const __grid_constant__ wide_args g) {
#ifdef TW_WARPGROUPS
  __shared__ slot_barriers barriers;
  unsigned char *const memory = dynamic_shared();
  const int warp = warp_index(), group = warp / (GROUP_THREADS / 32) - 1;
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < SLOTS; slot++) {
      make_barrier(&barriers.full[slot], 1);
      make_barrier(&barriers.empty[slot], RELEASES);
    }
    publish_barriers();
  }
  cluster_barrier();
  tw_begin();
  if (group < 0) {
    keep_registers<24>();
    if (threadIdx.x == 0) copy_stages<limbs>(g, memory, &barriers);
  } else {
    take_registers<240>();
    const uint64_t x = group_rows(memory + group * (X_SLOT / GROUPS)), v = group_rows(memory + SLOTS * X_SLOT);
    multiply_tiles<limbs>(g, {x, v, &barriers, 0, 0});
  }
  __syncwarp();
  cluster_barrier();  // no block leaves while another copies to it or arrives at its barriers
#else
  tw_begin();
#endif
}

typedef void (*wide_function)(wide_args);

static wide_function find_kernel(int limbs) {
  switch (limbs) {
    case 1:
      return wide_kernel<1>;
    case 2:
      return wide_kernel<2>;
    case 3:
      return wide_kernel<3>;
    case 4:
      return wide_kernel<4>;
    case 5:
      return wide_kernel<5>;
    default:
      return wide_kernel<6>;
  }
}

typedef CUresult (*encode_function)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                    const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                                    CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// What this device and its driver offer; asked once. blocks 0: this kernel cannot run here.
typedef struct {
  encode_function encode;
  int blocks;
} wide_device;

// Code made without Hopper's own instructions has no barriers in shared memory.
static bool prepare_kernel(int limbs) {
  const void *const kernel = (const void *)find_kernel(limbs);
  cudaFuncAttributes code;
  return cudaFuncGetAttributes(&code, kernel) == cudaSuccess && code.sharedSizeBytes > 0 &&
         cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED_BYTES) == cudaSuccess;
}

static wide_device ask_device(void) {
  wide_device answer = {};
  int device = 0, major = 0, processors = 0;
  void *encode = NULL;
  cudaDriverEntryPointQueryResult found;
  bool runs = cudaGetDevice(&device) == cudaSuccess &&
              cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major == 9 &&
              cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) == cudaSuccess &&
              cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, 12000, cudaEnableDefault, &found) ==
                  cudaSuccess &&
              found == cudaDriverEntryPointSuccess;
  for (int limbs = 1; runs && limbs <= MAX_LIMBS; limbs++) runs = prepare_kernel(limbs);
  if (runs) answer = {(encode_function)encode, processors / PEERS * PEERS};
  cudaGetLastError();  // a refusal above is an answer, not an error
  return answer;
}

static const wide_device *find_device(void) {
  static const wide_device answer = ask_device();
  return &answer;
}

// Boxes of CHUNK bytes of `box_rows` rows.
static tw_status describe(const int8_t *data, size_t row_bytes, size_t rows, unsigned box_rows, CUtensorMap *out) {
  const cuuint64_t size[2] = {row_bytes, rows};
  const cuuint32_t box[2] = {CHUNK, box_rows}, every[2] = {1, 1};
  const CUresult result = find_device()->encode(out, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, (void *)data, size, size, box,
                                                every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                                CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS) return TW_OK;
  return tw_fail(TW_ERR_INTERNAL, "wide ring product: no tensor map of %zu rows of %zu bytes (CUDA error %d)", rows,
                 row_bytes, (int)result);
}

bool tw_gemm_wide_takes(size_t inner, int ring_bits) {
  const int limbs = tw_ring_limbs(ring_bits);
  return limbs <= MAX_LIMBS && inner * limbs <= MAX_INNER && find_device()->blocks > 0;
}

// X's limbs are padded to whole chunks, so that what a box holds of V behind a limb is multiplied with 0.
size_t tw_gemm_wide_workspace(size_t m, size_t inner, int ring_bits) {
  return m * tw_ring_limbs(ring_bits) * tw_round_up(inner, CHUNK);
}

// Fitted to `cuda_gemm bench` on an H200: X's limbs and the start; of one round of tiles, its products at 4096
// multiply-adds a cycle, of which copies to shared memory cost a part, and its ends.
double tw_gemm_wide_cycles(size_t m, size_t n, size_t inner, int ring_bits) {
  const int limbs = tw_ring_limbs(ring_bits);
  const size_t clusters = (size_t)find_device()->blocks / PEERS;
  const size_t tiles = tw_ceil_div(m, ROWS) * tw_ceil_div(n, PEERS * COLUMNS), rounds = tw_ceil_div(tiles, clusters);
  const double products = 0.5 * limbs * (limbs + 1) * ROWS * COLUMNS * tw_round_up(inner, CHUNK) / 4096;
  return 8000 + 0.002 * m * inner + rounds * (1.18 * products + 14000);
}

tw_status tw_gemm_wide(const tw_gemm_call *call, void *workspace, cudaStream_t stream) {
  const tw_limbs *const v = call->v;
  const int limbs = tw_ring_limbs(call->ring_bits);
  const size_t padded_inner = tw_round_up(v->inner, CHUNK);
  if (!tw_gemm_wide_takes(v->inner, call->ring_bits))
    return tw_fail(TW_ERR_INTERNAL, "wide ring product: this GPU has no kernel for %zu elements of %d limbs", v->inner,
                   limbs);
  int8_t *const x = (int8_t *)workspace;
  TW_TRY(tw_gemm_split_rows(call->x, call->m, v->inner, call->m, padded_inner, limbs, x, stream));

  wide_args g = {};
  TW_TRY(describe(x, limbs * padded_inner, call->m, ROWS / PEERS, &g.x));
  TW_TRY(describe(v->data, v->limbs * v->padded_inner, v->padded_n, COLUMNS, &g.v));
  g.x_limb_bytes = (int)padded_inner;
  g.v_limb_bytes = (int)v->padded_inner;
  g.v_lowest = (v->limbs - 1) * g.v_limb_bytes;
  g.chunks = (int)(padded_inner / CHUNK);
  g.row_tiles = (int)tw_ceil_div(call->m, ROWS);
  g.tiles = g.row_tiles * (int)tw_ceil_div(v->n, PEERS * COLUMNS);
  g.m = (int)call->m;
  g.n = (int)v->n;
  g.addend = call->addend;
  g.out = call->out;
  g.ring = tw_ring_mask(call->ring_bits);
  const int most = find_device()->blocks, blocks = PEERS * g.tiles < most ? PEERS * g.tiles : most;
  return tw_launch(find_kernel(limbs), dim3((unsigned)blocks), THREADS, SHARED_BYTES, PEERS, stream, g);
}
