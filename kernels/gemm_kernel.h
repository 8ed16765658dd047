// Inside the matrix product: the register tile of one instruction set.
#ifndef TW_GEMM_KERNEL_H
#define TW_GEMM_KERNEL_H

#include <stddef.h>
#include <stdint.h>

// Largest tile of any kernel, in bytes: rows x columns x word.
enum { TW_GEMM_TILE_BYTES = 2048 };

// tile = A B for a panel A of `rows` rows and a panel B of `columns` columns, both k deep and packed depth first:
// A's element (i, p) is word p*rows + i, B's (p, j) word p*columns + j, the tile's (i, j) word i*columns + j.
// Panels and tile are 64-byte aligned and made of words of 4 or 8 bytes; only the low `bits` bits are meaningful.
typedef struct {
  size_t rows, columns;
  size_t word;
  int bits;
  void (*multiply)(size_t k, const void *a, const void *b, void *tile);
} tw_gemm_kernel;

extern const tw_gemm_kernel tw_gemm_avx2_u32, tw_gemm_avx2_u64;
extern const tw_gemm_kernel tw_gemm_avx512_u32, tw_gemm_avx512_ifma, tw_gemm_avx512_u64;

#endif
