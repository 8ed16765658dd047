// The machine's instructions that CUDA C++ has no name for: asynchronous copies, int8 matrix products, clusters,
// barriers of a part of a block.
#ifndef TW_CUDA_PTX_H
#define TW_CUDA_PTX_H

#include <cooperative_groups.h>
#include <stdint.h>

static __device__ __forceinline__ unsigned char *dynamic_shared(void) {
  extern __shared__ __align__(1024) unsigned char memory[];
  return memory;
}

// Index of this thread's warp, in a way that lets the compiler see that it is the same in the whole warp.
static __device__ __forceinline__ int warp_index(void) { return (int)__shfl_sync(0xFFFFFFFF, threadIdx.x / 32, 0); }

static __device__ __forceinline__ uint32_t shared_address(const void *p) {
  return (uint32_t)__cvta_generic_to_shared(p);
}

// Copy 16 bytes to shared memory, or write zeros when !valid (from is then not read, and may lie anywhere). L2 fetches
// the whole 128-byte line.
static __device__ __forceinline__ void copy_async_16(void *to, const void *from, bool valid) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}

static __device__ __forceinline__ void copy_async_8(void *to, const void *from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 8 : 0)
               : "memory");
}

// The 128-byte line into L2.
static __device__ __forceinline__ void prefetch_line(const void *p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

static __device__ __forceinline__ void copy_async_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's groups are under way.
template <int pending>
static __device__ __forceinline__ void copy_async_wait(void) {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Four 8 x 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets word l % 4 of row l / 4 of
// each.
static __device__ __forceinline__ void load_matrices(uint32_t word[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
               : "r"(shared_address(row))
               : "memory");
}

// c (16 x 8, int32) += a (16 x 32, int8) b (32 x 8, int8). With g = lane / 4 and q = lane % 4, a lane holds of a the
// four columns 4q.. of rows g, g + 8, then 4q + 16.. of both; of b the rows 4q.. and 4q + 16.. of column g; of c the
// columns 2q and 2q + 1 of row g, then of row g + 8.
static __device__ __forceinline__ void multiply_limbs(int32_t c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Hopper's products of a warpgroup (four warps): c (64 x 8 columns, each warp 16 rows, laid out as in multiply_limbs)
// += a b, a as in multiply_limbs, b described by group_operand. They run beside the issuing warps, from group_begin,
// which orders what came before in a and c, to group_wait; meanwhile a and c must not be touched.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define TW_WARPGROUPS 1

// Rows (columns of b) of 32 bytes, one behind the other from a multiple of 256 bytes on, the two halves of rows 4..7 of
// each 8 exchanged (the 32-byte swizzle).
static __device__ __forceinline__ uint64_t group_operand(const void *p) {
  const uint64_t eight_rows = 256 >> 4, swizzle_32 = 3;
  return (shared_address(p) & 0x3FFFF) >> 4 | (uint64_t)1 << 16 | eight_rows << 32 | swizzle_32 << 62;
}

static __device__ __forceinline__ void group_begin(void) { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
static __device__ __forceinline__ void group_commit(void) {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most `pending` of the committed groups are under way.
template <int pending>
static __device__ __forceinline__ void group_wait(void) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

static __device__ __forceinline__ void multiply_group(int32_t (&c)[4][4], const uint32_t a[4], uint64_t b) {
  asm volatile(
      "{.reg .pred add; setp.eq.u32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n32k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
      "}, {%16, %17, %18, %19}, %20, add;}"
      : "+r"(c[0][0]), "+r"(c[0][1]), "+r"(c[0][2]), "+r"(c[0][3]), "+r"(c[1][0]), "+r"(c[1][1]), "+r"(c[1][2]),
        "+r"(c[1][3]), "+r"(c[2][0]), "+r"(c[2][1]), "+r"(c[2][2]), "+r"(c[2][3]), "+r"(c[3][0]), "+r"(c[3][1]),
        "+r"(c[3][2]), "+r"(c[3][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

static __device__ __forceinline__ void multiply_group(int32_t (&c)[6][4], const uint32_t a[4], uint64_t b) {
  asm volatile(
      "{.reg .pred add; setp.eq.u32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n48k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23"
      "}, {%24, %25, %26, %27}, %28, add;}"
      : "+r"(c[0][0]), "+r"(c[0][1]), "+r"(c[0][2]), "+r"(c[0][3]), "+r"(c[1][0]), "+r"(c[1][1]), "+r"(c[1][2]),
        "+r"(c[1][3]), "+r"(c[2][0]), "+r"(c[2][1]), "+r"(c[2][2]), "+r"(c[2][3]), "+r"(c[3][0]), "+r"(c[3][1]),
        "+r"(c[3][2]), "+r"(c[3][3]), "+r"(c[4][0]), "+r"(c[4][1]), "+r"(c[4][2]), "+r"(c[4][3]), "+r"(c[5][0]),
        "+r"(c[5][1]), "+r"(c[5][2]), "+r"(c[5][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

static __device__ __forceinline__ void multiply_group(int32_t (&c)[8][4], const uint32_t a[4], uint64_t b) {
  asm volatile(
      "{.reg .pred add; setp.eq.u32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
      "}, {%32, %33, %34, %35}, %36, add;}"
      : "+r"(c[0][0]), "+r"(c[0][1]), "+r"(c[0][2]), "+r"(c[0][3]), "+r"(c[1][0]), "+r"(c[1][1]), "+r"(c[1][2]),
        "+r"(c[1][3]), "+r"(c[2][0]), "+r"(c[2][1]), "+r"(c[2][2]), "+r"(c[2][3]), "+r"(c[3][0]), "+r"(c[3][1]),
        "+r"(c[3][2]), "+r"(c[3][3]), "+r"(c[4][0]), "+r"(c[4][1]), "+r"(c[4][2]), "+r"(c[4][3]), "+r"(c[5][0]),
        "+r"(c[5][1]), "+r"(c[5][2]), "+r"(c[5][3]), "+r"(c[6][0]), "+r"(c[6][1]), "+r"(c[6][2]), "+r"(c[6][3]),
        "+r"(c[7][0]), "+r"(c[7][1]), "+r"(c[7][2]), "+r"(c[7][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Rows (of a, columns of b) of 128 bytes from a multiple of 1024 bytes on, as copy_box leaves them under the 128-byte
// swizzle. For the next 32 of the 128 bytes, add 2.
static __device__ __forceinline__ uint64_t group_rows(const void *p) {
  const uint64_t eight_rows = 1024 >> 4, swizzle_128 = 1;
  return (shared_address(p) & 0x3FFFF) >> 4 | (uint64_t)1 << 16 | eight_rows << 32 | swizzle_128 << 62;
}

#define TW_SUMS(c, i) "+r"(c[i][0]), "+r"(c[i][1]), "+r"(c[i][2]), "+r"(c[i][3])
#define TW_SUMS_12(c)                                                                                      \
  TW_SUMS(c, 0), TW_SUMS(c, 1), TW_SUMS(c, 2), TW_SUMS(c, 3), TW_SUMS(c, 4), TW_SUMS(c, 5), TW_SUMS(c, 6), \
      TW_SUMS(c, 7), TW_SUMS(c, 8), TW_SUMS(c, 9), TW_SUMS(c, 10), TW_SUMS(c, 11)

// c (64 x 96) += a b, both in shared memory and described by group_rows.
static __device__ __forceinline__ void multiply_rows(int32_t (&c)[12][4], uint64_t a, uint64_t b) {
  asm volatile(
      "{.reg .pred add; setp.eq.u32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n96k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
      "}, %48, %49, add;}"
      : TW_SUMS_12(c)
      : "l"(a), "l"(b));
}

// The same with 192 columns of b: c gets the first 96, d the others.
static __device__ __forceinline__ void multiply_rows(int32_t (&c)[12][4], int32_t (&d)[12][4], uint64_t a, uint64_t b) {
  asm volatile(
      "{.reg .pred add; setp.eq.u32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n192k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
      "}, %96, %97, add;}"
      : TW_SUMS_12(c), TW_SUMS_12(d)
      : "l"(a), "l"(b));
}

// Registers a thread of this warpgroup keeps of those it was launched with; or takes, once other warpgroups of the
// block have kept so few. Multiples of 8.
template <int registers>
static __device__ __forceinline__ void keep_registers(void) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
static __device__ __forceinline__ void take_registers(void) {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

// Barriers (make_barrier) also count bytes copied. A phase ends with the last arrival and byte; phases are told apart
// by their parity: the first is 0, and the one before it, 1, counts as ended. The barriers this thread made exist for
// the cluster's blocks and for copies, after the next cluster barrier.
static __device__ __forceinline__ void publish_barriers(void) {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
static __device__ __forceinline__ void wait_phase(uint64_t *barrier, uint32_t parity) {
  uint32_t ended = 0;
  while (!ended)
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                 : "=r"(ended)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
}
// Arrive, and let this phase wait for so many bytes.
static __device__ __forceinline__ void arrive_expecting(uint64_t *barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
// Arrive at this barrier in block `party` of the cluster. Says nothing about what this thread wrote.
static __device__ __forceinline__ void arrive_at(uint64_t *barrier, unsigned party) {
  asm volatile(
      "{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
      "mbarrier.arrive.shared::cluster.b64 _, [there];}" ::"r"(shared_address(barrier)),
      "r"(party)
      : "memory");
}

// Copy the box of a matrix of bytes whose first byte is in `column` of `row`, as described by a CUtensorMap that is a
// __grid_constant__; what lies outside the matrix becomes 0. The barrier gets the bytes.
static __device__ __forceinline__ void copy_box(void *to, const void *map, int column, int row, uint64_t *barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          shared_address(to)),
      "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier))
      : "memory");
}
// The same to this place, and this barrier, of each block of the cluster that is a bit of `blocks`.
static __device__ __forceinline__ void copy_box_to(uint16_t blocks, void *to, const void *map, int column, int row,
                                                   uint64_t *barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1, {%2, %3}], [%4], %5;" ::"r"(shared_address(to)),
      "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier)), "h"(blocks)
      : "memory");
}
#endif

// Shared memory this thread wrote becomes visible to multiply_group, after the next barrier.
static __device__ __forceinline__ void publish_to_group(void) {
#ifdef TW_WARPGROUPS
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

static __device__ __forceinline__ uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  return __byte_perm(low, high, selector);
}

// Barrier of all threads of the cluster; orders their shared memory accesses. Without clusters (sm_80) a block is
// alone.
static __device__ __forceinline__ void cluster_barrier(void) {
#if __CUDA_ARCH__ >= 900
  cooperative_groups::this_cluster().sync();
#endif
}

// Where p, in this block's shared memory, lies in block `party` of the cluster.
template <class type>
static __device__ __forceinline__ const type *cluster_peer(const type *p, unsigned party) {
#if __CUDA_ARCH__ >= 900
  return cooperative_groups::this_cluster().map_shared_rank(p, party);
#else
  (void)party;
  return p;
#endif
}

// Barrier `id` (1..15) of `threads` threads of the block; true in all of them when one says `mine`.
template <int threads>
static __device__ __forceinline__ bool sync_named(int id, bool mine) {
  uint32_t any;
  __syncwarp();
  asm volatile("{.reg .pred p, q; setp.ne.u32 p, %1, 0; bar.red.or.pred q, %2, %3, p; selp.u32 %0, 1, 0, q;}"
               : "=r"(any)
               : "r"((uint32_t)mine), "r"(id), "n"(threads)
               : "memory");
  return any != 0;
}

// A barrier in shared memory for so many arrivals.
static __device__ __forceinline__ void make_barrier(uint64_t *barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
// Who arrives need not wait for those that look.
static __device__ __forceinline__ void arrive_single(uint64_t *barrier) {
  asm volatile("{.reg .b64 state; mbarrier.arrive.shared.b64 state, [%0];}" ::"r"(shared_address(barrier)) : "memory");
}
static __device__ __forceinline__ bool has_arrived(uint64_t *barrier, uint32_t parity = 0) {
  uint32_t done;
  asm volatile("{.reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
               : "=r"(done)
               : "r"(shared_address(barrier)), "r"(parity)
               : "memory");
  return done != 0;
}

#endif
