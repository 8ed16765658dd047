// Blocked as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): blocks of A and B
// are packed into panels that stay in cache, and a kernel per instruction set multiplies panels in registers.
#include "kernels/gemm.h"

#include <stdbool.h>

#include "base/memory.h"
#include "kernels/gemm_kernel.h"
#include "kernels/isa.h"

// Block sizes: a panel of B and one of A share the first-level cache, a block of A and one of B the second.
enum { BLOCK_ROWS = 128, BLOCK_COLUMNS = 64, BLOCK_DEPTH_BYTES = 1536 };
enum { BLOCK_A_BYTES = BLOCK_ROWS * BLOCK_DEPTH_BYTES, BLOCK_B_BYTES = BLOCK_COLUMNS * BLOCK_DEPTH_BYTES };

enum { PORTABLE_ROWS = 4, PORTABLE_COLUMNS = 4 };

static void multiply_portable(size_t k, const void *a, const void *b, void *tile) {
  const uint64_t *x = a, *y = b;
  uint64_t sum[PORTABLE_ROWS][PORTABLE_COLUMNS] = {{0}}, *out = tile;
  for (size_t p = 0; p < k; p++, x += PORTABLE_ROWS, y += PORTABLE_COLUMNS)
    for (size_t i = 0; i < PORTABLE_ROWS; i++)
      for (size_t j = 0; j < PORTABLE_COLUMNS; j++) sum[i][j] += x[i] * y[j];
  for (size_t i = 0; i < PORTABLE_ROWS; i++)
    for (size_t j = 0; j < PORTABLE_COLUMNS; j++) out[i * PORTABLE_COLUMNS + j] = sum[i][j];
}

static const tw_gemm_kernel portable = {PORTABLE_ROWS, PORTABLE_COLUMNS, 8, 64, multiply_portable};

static const tw_gemm_kernel *active_kernel(int ring_bits) {
  switch (tw_isa_active()) {
#ifdef TWAIN_X86
    case TW_ISA_AVX512:
      if (ring_bits <= tw_gemm_avx512_u32.bits) return &tw_gemm_avx512_u32;
      if (ring_bits <= tw_gemm_avx512_ifma.bits && __builtin_cpu_supports("avx512ifma")) return &tw_gemm_avx512_ifma;
      return &tw_gemm_avx512_u64;
    case TW_ISA_AVX2:
      return ring_bits <= tw_gemm_avx2_u32.bits ? &tw_gemm_avx2_u32 : &tw_gemm_avx2_u64;
#endif
    default:
      (void)ring_bits;
      return &portable;
  }
}

static inline __attribute__((always_inline)) void put(void *panel, size_t index, size_t word, uint64_t value) {
  if (word == 4)
    ((uint32_t *)panel)[index] = (uint32_t)value;
  else
    ((uint64_t *)panel)[index] = value;
}

static inline __attribute__((always_inline)) uint64_t get(const void *panel, size_t index, size_t word) {
  return word == 4 ? ((const uint32_t *)panel)[index] : ((const uint64_t *)panel)[index];
}

static size_t at_most(size_t value, size_t limit) { return value < limit ? value : limit; }

// A[m x k] as panels of `rows` rows; rows behind the last are zero.
static inline __attribute__((always_inline)) void pack_a(size_t m, size_t k, const uint64_t *a, size_t lda, size_t rows,
                                                         size_t word, char *panels) {
  for (size_t i0 = 0; i0 < m; i0 += rows, panels += k * rows * word)
    for (size_t i = 0; i < rows; i++) {
      const uint64_t *row = a + (i0 + i) * lda;
      if (i0 + i < m)
        for (size_t p = 0; p < k; p++) put(panels, p * rows + i, word, row[p]);
      else
        for (size_t p = 0; p < k; p++) put(panels, p * rows + i, word, 0);
    }
}

// B[k x n] as panels of `columns` columns; columns behind the last are zero.
static inline __attribute__((always_inline)) void pack_b(size_t k, size_t n, const uint64_t *b, size_t ldb,
                                                         size_t columns, size_t word, char *panels) {
  for (size_t p = 0; p < k; p++)
    for (size_t j0 = 0; j0 < n; j0 += columns) {
      char *line = panels + (j0 * k + p * columns) * word;
      const uint64_t *row = b + p * ldb + j0;
      size_t here = at_most(n - j0, columns);
      for (size_t j = 0; j < here; j++) put(line, j, word, row[j]);
      for (size_t j = here; j < columns; j++) put(line, j, word, 0);
    }
}

// The tile's first m rows and n columns into C.
static inline __attribute__((always_inline)) void merge(size_t m, size_t n, const void *tile, size_t columns,
                                                        size_t word, uint64_t *c, size_t ldc, int accumulate) {
  for (size_t i = 0; i < m; i++, c += ldc)
    if (accumulate == 0)
      for (size_t j = 0; j < n; j++) c[j] = get(tile, i * columns + j, word);
    else if (accumulate > 0)
      for (size_t j = 0; j < n; j++) c[j] += get(tile, i * columns + j, word);
    else
      for (size_t j = 0; j < n; j++) c[j] -= get(tile, i * columns + j, word);
}

// C[m x n] from packed blocks k deep.
static inline __attribute__((always_inline)) void multiply_blocks(const tw_gemm_kernel *kernel, size_t word, size_t m,
                                                                  size_t n, size_t k, const char *a, const char *b,
                                                                  uint64_t *c, size_t ldc, int accumulate) {
  char tile[TW_GEMM_TILE_BYTES] __attribute__((aligned(64)));
  size_t rows = kernel->rows, columns = kernel->columns;
  for (size_t j = 0; j < n; j += columns)
    for (size_t i = 0; i < m; i += rows) {
      kernel->multiply(k, a + i * k * word, b + j * k * word, tile);
      merge(at_most(m - i, rows), at_most(n - j, columns), tile, columns, word, c + i * ldc + j, ldc, accumulate);
    }
  tw_wipe(tile, rows * columns * word);
}

static inline __attribute__((always_inline)) void gemm_words(const tw_gemm_kernel *kernel, size_t word, size_t m,
                                                             size_t n, size_t k, const uint64_t *a, size_t lda,
                                                             const uint64_t *b, size_t ldb, uint64_t *c, size_t ldc,
                                                             int accumulate) {
  char block_a[BLOCK_A_BYTES] __attribute__((aligned(64))), block_b[BLOCK_B_BYTES] __attribute__((aligned(64)));
  size_t block_depth = BLOCK_DEPTH_BYTES / word;
  for (size_t p = 0; p < k; p += block_depth) {
    size_t depth = at_most(k - p, block_depth);
    int mode = p == 0 ? accumulate : accumulate < 0 ? -1 : 1;
    for (size_t i = 0; i < m; i += BLOCK_ROWS) {
      size_t rows = at_most(m - i, BLOCK_ROWS);
      pack_a(rows, depth, a + i * lda + p, lda, kernel->rows, word, block_a);
      for (size_t j = 0; j < n; j += BLOCK_COLUMNS) {
        size_t columns = at_most(n - j, BLOCK_COLUMNS);
        pack_b(depth, columns, b + p * ldb + j, ldb, kernel->columns, word, block_b);
        multiply_blocks(kernel, word, rows, columns, depth, block_a, block_b, c + i * ldc + j, ldc, mode);
      }
    }
  }
  tw_wipe(block_a, at_most(m + kernel->rows, BLOCK_ROWS) * at_most(k, block_depth) * word);
  tw_wipe(block_b, at_most(n + kernel->columns, BLOCK_COLUMNS) * at_most(k, block_depth) * word);
}

void tw_gemm(size_t m, size_t n, size_t k, const uint64_t *a, size_t lda, const uint64_t *b, size_t ldb, uint64_t *c,
             size_t ldc, int ring_bits, int accumulate) {
  const tw_gemm_kernel *kernel = active_kernel(ring_bits);
  if (k == 0 && accumulate == 0)
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) c[i * ldc + j] = 0;
  else if (kernel->word == 4)
    gemm_words(kernel, 4, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
  else
    gemm_words(kernel, 8, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
}
