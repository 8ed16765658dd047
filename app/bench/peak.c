#include "app/bench/peak.h"

#include <stdint.h>

#include "base/clock.h"
#ifdef TWAIN_X86
#include <immintrin.h>
#endif

// Independent chains hide the multiplier's latency; the empty asm keeps the compiler from leaving steps out.
enum { CHAINS = 12, STEPS = 20000 };

#ifdef TWAIN_X86
#define PEAK_LOOP(name, target_isa, type, lanes, one, step)                                     \
  __attribute__((target(target_isa))) static double name(void) {                                \
    type x = one, y = one, sum[CHAINS];                                                         \
    _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; c++) sum[c] = one;                     \
    for (int i = 0; i < STEPS; i++) _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; c++) { \
        sum[c] = step;                                                                          \
        __asm__ volatile("" : "+v"(sum[c]), "+v"(x), "+v"(y));                                  \
      }                                                                                         \
    return (double)lanes * CHAINS * STEPS;                                                      \
  }

PEAK_LOOP(avx2_u32, "avx2", __m256i, 8, _mm256_set1_epi32(3), _mm256_add_epi32(sum[c], _mm256_mullo_epi32(x, y)))
// AVX2 has no 64-bit product: two 32-bit multiplications give one (kernels/cpu/gemm_avx2.c)
PEAK_LOOP(avx2_u64, "avx2", __m256i, 4, _mm256_set1_epi32(3),
          _mm256_add_epi64(_mm256_add_epi64(sum[c], _mm256_mul_epu32(x, y)), _mm256_mullo_epi32(x, y)))
PEAK_LOOP(avx512_u32, "avx512f", __m512i, 16, _mm512_set1_epi32(3), _mm512_add_epi32(sum[c], _mm512_mullo_epi32(x, y)))
PEAK_LOOP(avx512_ifma, "avx512f,avx512ifma", __m512i, 8, _mm512_set1_epi32(3), _mm512_madd52lo_epu64(sum[c], x, y))
PEAK_LOOP(avx512_u64, "avx512f,avx512dq", __m512i, 8, _mm512_set1_epi32(3),
          _mm512_add_epi64(sum[c], _mm512_mullo_epi64(x, y)))
#endif

static double portable(void) {
  enum { SCALARS = 6 };
  uint64_t x = 3, y = 5, sum[SCALARS] = {0};
  for (int i = 0; i < STEPS; i++) _Pragma("GCC unroll 6") for (int c = 0; c < SCALARS; c++) {
      sum[c] += x * y;
      __asm__ volatile("" : "+r"(sum[c]), "+r"(x), "+r"(y));
    }
  return (double)SCALARS * STEPS;
}

// Best of many short loops: the clock needs some to reach its height.
static double best_rate(double (*loop)(void)) {
  double best = 0;
  for (double begin = tw_seconds(); tw_seconds() - begin < 0.02;) {
    double start = tw_seconds(), work = loop(), rate = work / (tw_seconds() - start);
    if (rate > best) best = rate;
  }
  return best;
}

double tw_peak_macs(tw_isa isa, int ring_bits) {
#ifdef TWAIN_X86
  if (isa == TW_ISA_AVX512 && ring_bits <= 32) return best_rate(avx512_u32);
  if (isa == TW_ISA_AVX512)
    return best_rate(ring_bits <= 52 && __builtin_cpu_supports("avx512ifma") ? avx512_ifma : avx512_u64);
  if (isa == TW_ISA_AVX2) return best_rate(ring_bits <= 32 ? avx2_u32 : avx2_u64);
#endif
  (void)isa, (void)ring_bits;
  return best_rate(portable);
}
