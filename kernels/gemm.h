// Ring matrix product: C = A B (mod 2^64, of which the low ring_bits bits are meaningful).
#ifndef TW_GEMM_H
#define TW_GEMM_H

#include <stddef.h>
#include <stdint.h>

// A: m x k, B: k x n, C: m x n, row-major with leading dimensions in elements.
// accumulate: +1 C += AB, -1 C -= AB, 0 C = AB.
// ring_bits <= 64: only the low ring_bits bits of C are defined afterwards (inputs may carry garbage above);
// smaller rings let faster instructions be used. No address or branch depends on data.
void tw_gemm(size_t m, size_t n, size_t k, const uint64_t *a, size_t lda, const uint64_t *b, size_t ldb, uint64_t *c,
             size_t ldc, int ring_bits, int accumulate);

#endif
