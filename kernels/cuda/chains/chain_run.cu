// A chain in one launch: a block takes a tile through all steps, and exchanges packets with its twin by itself. A
// packet says which round of which tile it is of, so that nothing is fenced. A kernel that interprets a list has the
// code of an operation once, however often chains need it. What a thread does stands in kernels/chain_block.h; here are
// the ways in which a GPU's threads meet.
#define TW_LOOP _Pragma("unroll 1")
#include "kernels/chain_steps.h"
#include "kernels/cuda/exchange/opens.h"

#define TW_BLOCK static __device__ inline
#define TW_BLOCK_ONCE static __device__ __noinline__
#define TW_UNROLL _Pragma("unroll")
#define TW_SEVERAL _Pragma("unroll 4")
#define TW_ROLLED _Pragma("unroll 1")
#define TW_BLOCK_THREADS 384u
#define TW_BLOCK_LOOKS 1024

static __device__ __forceinline__ uint32_t block_thread(void) { return threadIdx.x; }
static __device__ __forceinline__ int block_any(int x) { return __syncthreads_or(x); }
static __device__ __forceinline__ uint32_t lanes_vote(uint32_t x) { return __ballot_sync(~0u, x); }
static __device__ __forceinline__ uint32_t lanes_xor(uint32_t v) { return __reduce_xor_sync(~0u, v); }
static __device__ __forceinline__ uint64_t lane_value(uint64_t v, uint32_t lane) { return __shfl_sync(~0u, v, lane); }

static __device__ __forceinline__ void fetch_later(uint64_t *to, const uint64_t *from) { copy_async_8(to, from, true); }
static __device__ __forceinline__ void fetch_wait(void) {
  copy_async_commit();
  copy_async_wait<0>();
}

typedef packet tw_packet;
static __device__ __forceinline__ void put_packet(uint64_t *to, tw_packet p) { store_packet(to, p); }
static __device__ __forceinline__ tw_packet get_packet(const uint64_t *from) { return load_packet(from); }
static __device__ __forceinline__ void set_whole_bit(uint64_t *word, uint64_t mask, uint64_t bit) {
  atomicAnd((unsigned long long *)word, ~mask);
  atomicOr((unsigned long long *)word, mask & (0 - bit));
}

static __device__ __forceinline__ void add_to_sum(uint64_t *sum, uint64_t v) {
  atomicAdd((unsigned long long *)sum, (unsigned long long)v);
}

// Halves: shared memory has an XOR of 32 bits.
static __device__ __forceinline__ void xor_into(uint64_t *word, uint64_t v) {
  atomicXor((unsigned *)word, (unsigned)v);
  atomicXor((unsigned *)word + 1, (unsigned)(v >> 32));
}

static __device__ __forceinline__ void say_failed(const tw_chain_launch *a) { *(volatile int *)a->failed = 1; }

// The stop word is the host's: of a warp's lanes one at a time looks, for a millisecond each.
static __device__ bool gives_up(const tw_chain_launch *a, uint64_t *start) {
  uint64_t now = now_ns();
  if (!*start) *start = now;
  if (*(volatile int *)a->failed) return true;
  if ((now >> 20) % 32 == threadIdx.x % 32 && a->stop && *(volatile const int *)a->stop) return true;
  return now - *start > a->patience_ns;
}

static __device__ __forceinline__ void note_time(const tw_chain_launch *a, uint32_t tile, uint32_t step) {
  if (a->times && tile == 0 && threadIdx.x == 0) a->times[step] = now_ns();
}

#include "kernels/chain_block.h"

namespace {

struct chain_args {
  tw_chain_launch launch;
  uint64_t *base;  // where a block says where its memory lies; else NULL
};

enum { BLOCKS = 2 };  // of a multiprocessor, where memory allows it

// Shared memory: the tile's, then the steps.
__global__ void __launch_bounds__(TW_BLOCK_THREADS, BLOCKS) chain_kernel(const __grid_constant__ chain_args c) {
  const tw_chain_launch &a = c.launch;
  unsigned char *memory = dynamic_shared();
  tw_let_next_start();
  if (c.base) {
    tw_await_earlier();
    if (threadIdx.x == 0) *c.base = (uint64_t)memory;
    return;
  }
  for (uint32_t i = threadIdx.x; i < a.list_words; i += TW_BLOCK_THREADS) ((int64_t *)memory)[i] = a.lists[i];
  tw_chain_step *steps = (tw_chain_step *)(memory + a.shared_bytes);
  const uint64_t *from = (const uint64_t *)a.steps;
  for (uint32_t i = threadIdx.x; i < a.count * (uint32_t)sizeof *steps / 8; i += TW_BLOCK_THREADS)
    ((uint64_t *)steps)[i] = from[i];
  tw_await_earlier();  // lists and steps stay as they are
  __syncthreads();
  walk_tiles(&a, steps, blockIdx.x);
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < a.shared_bytes / 16; i += TW_BLOCK_THREADS) ((uint4 *)memory)[i] = uint4{};
}

struct pack_args {
  const tw_step_move *moves;
  tw_chain_launch launch;  // of_sequence alone
};

// A block a tile's move.
__global__ void __launch_bounds__(TW_BLOCK_THREADS) pack_kernel(const __grid_constant__ pack_args a) {
  tw_begin();
  tw_block_tile t = tile_of(&a.launch, 0, blockIdx.x, 0);
  pack(&a.moves[blockIdx.y], &t);
}

tw_status most_shared(size_t *bytes) {
  int device, most;
  TW_CUDA(cudaGetDevice(&device));
  TW_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  *bytes = (size_t)most;
  return TW_OK;
}

// As much as a block can have, for every launch alike: chains of several sizes are in one graph.
tw_status allow_most_shared() {
  size_t most;
  TW_TRY(most_shared(&most));
  TW_CUDA(cudaFuncSetAttribute(chain_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)most));
  return TW_OK;
}

tw_status launch(const chain_args *a, uint32_t blocks, size_t shared, void *stream) {
  TW_TRY(allow_most_shared());
  return tw_enqueue(chain_kernel, dim3(blocks), TW_BLOCK_THREADS, shared, stream, *a);
}

}  // namespace

tw_status tw_chain_shared(uint32_t steps, uint64_t *base, size_t *bytes) {
  chain_args a = {};
  size_t most, of_steps = steps * sizeof(tw_chain_step);
  TW_TRY(most_shared(&most));
  *bytes = most > of_steps ? (most - of_steps) / 256 * 256 : 0;
  TW_CUDA(cudaMalloc((void **)&a.base, sizeof *base));
  tw_status status = launch(&a, 1, most, NULL);
  if (status == TW_OK)
    status = tw_cuda_status(cudaMemcpy(base, a.base, sizeof *base, cudaMemcpyDeviceToHost), "cudaMemcpy", __FILE__,
                            __LINE__);
  TW_CUDA(cudaFree(a.base));
  return status;
}

tw_status tw_chain_resident(size_t shared_bytes, uint32_t steps, uint32_t *blocks) {
  int device, processors, each, bytes = (int)(shared_bytes + steps * sizeof(tw_chain_step));
  TW_CUDA(cudaGetDevice(&device));
  TW_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  TW_TRY(allow_most_shared());
  TW_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, chain_kernel, TW_BLOCK_THREADS, (size_t)bytes));
  *blocks = (uint32_t)(each * processors);
  return TW_OK;
}

tw_status tw_chain_run(const tw_chain_launch *chain, void *stream) {
  chain_args a = {*chain, NULL};
  size_t most, all = chain->shared_bytes + chain->count * sizeof(tw_chain_step);
  TW_TRY(most_shared(&most));
  if (all > most) return tw_fail(TW_ERR_USAGE, "a chain needs %zu bytes of shared memory, a block has %zu", all, most);
  return launch(&a, chain->blocks, all, stream);
}

tw_status tw_chain_pack(const tw_step_move *moves, uint32_t count, uint32_t tiles, uint32_t of_sequence, void *stream) {
  pack_args a = {moves, {}};
  a.launch.of_sequence = of_sequence;
  if (count == 0) return TW_OK;
  return tw_enqueue(pack_kernel, dim3(tiles, count), TW_BLOCK_THREADS, 0, stream, a);
}
