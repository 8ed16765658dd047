// Table lookup by masked sums on the device (kernels/digit.h), for digits and sub-tables of any size. A warp takes one
// element at a time: a lane adds, over its one-hot planes, the table entries whose bit is set, by multiplication with
// the bit; which entry belongs to a plane depends on public values alone. Lanes read neighbouring entries of a
// sub-table in shared memory. Both tables are read at once.
#include "kernels/cuda/lookup.h"

enum {
  MAX_THREADS = 512,
  PAD = 256,  // entries before a sub-table's start, read when a run of planes wraps around; most planes of a run
  SHARED_LIMIT = 200 << 10,
  FEW = 1 << 15,     // elements up to which blocks of 256 would leave most of the GPU idle
  RUN = 8,           // planes of a lane at once
  PROCESSORS = 132,  // of an H100 or H200, each with shared memory for PROCESSOR_BYTES of blocks
  PROCESSOR_BYTES = 224 << 10
};

typedef struct {
  tw_lookup_args a;
  uint32_t tile, tiles, sequence_tiles;  // elements that a block takes at once, on 32-bit words of planes
  uint32_t planes, padded;               // 2^width, and rounded up to whole runs
  uint32_t subs, pass_subs;              // sub-tables; those in shared memory at once
  uint32_t warp_elements;
} lookup_call;

template <class word>
struct entry_of;
template <>
struct entry_of<uint32_t> {
  typedef uint2 type;
};
template <>
struct entry_of<uint64_t> {
  typedef ulonglong2 type;
};

// Sum over the warp's lanes, in all of them. Three parts of 27 bits leave room for the carries of 32 lanes.
static __device__ __forceinline__ uint32_t warp_sum(uint32_t value) { return __reduce_add_sync(~0u, value); }
static __device__ __forceinline__ uint64_t warp_sum(uint64_t value) {
  const uint32_t part = (1u << 27) - 1;
  const uint64_t low = __reduce_add_sync(~0u, (uint32_t)value & part);
  const uint64_t middle = __reduce_add_sync(~0u, (uint32_t)(value >> 27) & part);
  const uint64_t high = __reduce_add_sync(~0u, (uint32_t)(value >> 54));
  return low + (middle << 27) + (high << 54);
}

// Sub-tables first_sub.. of both tables, PAD entries of wrapped start in front of each.
template <class word>
static __device__ void load_tables(const lookup_call &call, uint32_t first_sub, typename entry_of<word>::type *table) {
  const uint32_t length = PAD + call.planes;
#pragma unroll 4
  for (uint32_t t = threadIdx.x; t < length * call.pass_subs; t += blockDim.x) {
    const uint32_t sub = t & (call.pass_subs - 1), m = t / call.pass_subs, from = (m - PAD) & (call.planes - 1);
    const size_t at = ((size_t)from << call.a.sub_bits) + first_sub + sub;
    table[sub * length + m].x = (word)call.a.table[0][at];
    table[sub * length + m].y = (word)call.a.table[1][at];
  }
}

// `groups` words of each one-hot plane, `stride` apart; planes past the digit's are 0.
static __device__ void load_bits(const lookup_call &call, const uint32_t *onehot, uint32_t wide, uint32_t groups,
                                 uint32_t stride, uint32_t *bits) {
  for (uint32_t t = threadIdx.x; t < call.padded * wide; t += blockDim.x) {
    const uint32_t g = t % wide, plane = t / wide;
    bits[plane * stride + g] = plane < call.planes && g < groups ? onehot[plane * 2 * call.a.words + g] : 0;
  }
}

// Runs of 32 * RUN planes. one_run: the digit has no more; else not all sub-tables may fit shared memory, and an
// element is looked up in the pass that has its own.
template <class word, bool one_run>
static __global__ void __launch_bounds__(MAX_THREADS) lookup_kernel(const __grid_constant__ lookup_call call) {
  typedef typename entry_of<word>::type entry;
  extern __shared__ __align__(16) unsigned char memory[];
  entry *const table = (entry *)memory;
  const tw_lookup_args &a = call.a;
  const uint32_t wide = (call.tile + 31) / 32, length = PAD + call.planes,
                 stride = wide | 1;  // an odd stride: lanes hit all banks
  uint32_t *const bits = (uint32_t *)(table + (size_t)call.pass_subs * length);
  const uint32_t lane = threadIdx.x % 32,
                 element = threadIdx.x / 32 * call.warp_elements;  // first of the warp, in the tile
  const uint32_t *const hot = bits + lane * stride + element / 32;
  const uint64_t ring = tw_ring_mask(a.ring), index_mask = tw_ring_mask(a.width + a.sub_bits);

  tw_let_next_start();
  for (uint32_t first_sub = 0; first_sub < call.subs; first_sub += call.pass_subs) {
    __syncthreads();
    load_tables<word>(call, first_sub, table);
    tw_await_earlier();
    for (uint32_t tile = blockIdx.x; tile < call.tiles; tile += gridDim.x) {
      const size_t sequence = tile / call.sequence_tiles, first = (size_t)(tile % call.sequence_tiles) * call.tile,
                   group = first / 32;
      const uint32_t groups = 2 * a.words - group < wide ? (uint32_t)(2 * a.words - group) : wide,
                     shift = (uint32_t)(first + element) % 32;
      __syncthreads();
      load_bits(call, (const uint32_t *)(a.onehot + sequence * a.onehot_words) + group, wide, groups, stride, bits);
      __syncthreads();
      const size_t j = first + element + lane;  // the element whose result this lane keeps
      const bool mine = lane < call.warp_elements && j < a.n;
      const uint32_t fine =
          mine ? (uint32_t)(((a.X[sequence * a.n + j] - a.offset) & ring) >> (a.low_bit - a.sub_bits) & index_mask) : 0;
      const uint32_t sub = (fine & (call.subs - 1)) - first_sub;
      word sum0 = 0, sum1 = 0;
      uint32_t planes[RUN];
#pragma unroll
      for (int i = 0; i < RUN; i++) planes[i] = hot[32 * i * stride];
#pragma unroll 4
      for (uint32_t e = 0; e < call.warp_elements; e++) {
        const uint32_t its_sub = __shfl_sync(~0u, sub, (int)e), digit = __shfl_sync(~0u, fine, (int)e) >> a.sub_bits;
        if (!one_run && its_sub >= call.pass_subs) continue;
        const entry *const from = table + its_sub * length + PAD - lane;
        word part0 = 0, part1 = 0;
        for (uint32_t begin = 0; begin < (one_run ? 1 : call.padded); begin += 32 * RUN) {
          const entry *at = from + ((digit - begin) & (call.planes - 1));
#pragma unroll
          for (int i = 0; i < RUN; i++) {
            const entry value = at[-32 * i];
            const word bit = (one_run ? planes[i] : hot[(begin + 32 * i) * stride]) >> (shift + e) & 1;
            part0 += bit * value.x;
            part1 += bit * value.y;
          }
        }
        part0 = warp_sum(part0);
        part1 = warp_sum(part1);
        sum0 += lane == e ? part0 : 0;
        sum1 += lane == e ? part1 : 0;
      }
      if (mine && sub < call.pass_subs) {
        a.out[0][sequence * a.n + j] = (a.rank ? 0 - (uint64_t)sum0 : (uint64_t)sum0) & a.ring_out;
        a.out[1][sequence * a.n + j] = (a.rank ? 0 - (uint64_t)sum1 : (uint64_t)sum1) & a.ring_out;
      }
    }
  }
}

template <class word, bool one_run>
static tw_status launch_lookup(lookup_call call, unsigned threads, size_t bytes, void *stream) {
  static size_t allowed = 48 << 10;
  if (bytes > allowed) {
    TW_CUDA(cudaFuncSetAttribute((const void *)lookup_kernel<word, one_run>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes));
    allowed = bytes;
  }
  const uint32_t at_once = PROCESSORS * (bytes < PROCESSOR_BYTES / 8 ? 8 : (uint32_t)(PROCESSOR_BYTES / bytes));
  return tw_enqueue(lookup_kernel<word, one_run>, dim3(call.tiles < at_once ? call.tiles : at_once), threads, bytes,
                    stream, call);
}

template <class word>
static tw_status run_lookup(lookup_call call, unsigned threads, void *stream) {
  const size_t sub_bytes = sizeof(typename entry_of<word>::type) * (PAD + call.planes);
  call.padded = call.planes < 32u * RUN ? 32 * RUN : call.planes;
  const size_t bits_bytes = sizeof(uint32_t) * call.padded * ((call.tile + 31) / 32 | 1);
  call.pass_subs = call.subs;
  while (call.pass_subs > 1 && sub_bytes * call.pass_subs + bits_bytes > SHARED_LIMIT) call.pass_subs /= 2;
  const size_t bytes = sub_bytes * call.pass_subs + bits_bytes;
  return call.padded == 32u * RUN && call.pass_subs == call.subs
             ? launch_lookup<word, true>(call, threads, bytes, stream)
             : launch_lookup<word, false>(call, threads, bytes, stream);
}

tw_status tw_cuda_lookup(const tw_lookup_args *args, void *stream) {
  if (args->width < 1 || args->width > 13 || args->width + args->sub_bits > 16 || args->low_bit < args->sub_bits)
    return tw_fail(TW_ERR_RANGE, "lookup by a digit of %d bits from bit %d on, %d sub-table bits, is out of range",
                   args->width, args->low_bit, args->sub_bits);
  if (args->n == 0 || args->sequences == 0) return TW_OK;
  if (tw_cuda_lookup_has_limbs(args)) return tw_cuda_lookup_limbs(args, stream);
  lookup_call call = {*args};
  unsigned threads = 256;
  call.tile = 256;
  if (args->width > 9 ||
      args->sequences * args->n <= FEW) {  // a warp has one element, so that more multiprocessors have work
    threads = args->width > 9 ? MAX_THREADS : 256;
    call.tile = threads / 32;
  }
  call.warp_elements = call.tile / (threads / 32);
  call.sequence_tiles = (uint32_t)tw_ceil_div(args->n, call.tile);
  call.tiles = (uint32_t)args->sequences * call.sequence_tiles;
  call.planes = 1u << args->width;
  call.subs = 1u << args->sub_bits;
  return args->ring_out >> 32 ? run_lookup<uint64_t>(call, threads, stream)
                              : run_lookup<uint32_t>(call, threads, stream);
}
