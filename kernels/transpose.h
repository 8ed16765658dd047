// Transposition of a 64 x 64 bit matrix (Hacker's Delight, section 7-3, in the least-significant-bit-first order).
#ifndef TW_TRANSPOSE_H
#define TW_TRANSPOSE_H

#include <stdint.h>

static const uint64_t tw_low_halves[6] = {0x00000000ffffffff, 0x0000ffff0000ffff, 0x00ff00ff00ff00ff,
                                          0x0f0f0f0f0f0f0f0f, 0x3333333333333333, 0x5555555555555555};

// The levels with blocks of `half` rows below `from`, on the first `count` rows.
static inline __attribute__((always_inline)) void tw_transpose_levels(uint64_t *rows, int from, int count) {
#pragma GCC unroll 6
  for (int level = 0; level < 6; level++) {
    int half = 32 >> level;
    if (half >= from) continue;
    for (int base = 0; base < count; base += 2 * half)
      for (int i = base; i < base + half; i++) {
        uint64_t swap = ((rows[i] >> half) ^ rows[i + half]) & tw_low_halves[level];
        rows[i] ^= swap << half;
        rows[i + half] ^= swap;
      }
  }
}

// Afterwards bit j of rows[i] is what bit i of rows[j] was.
static inline void tw_transpose64(uint64_t rows[64]) { tw_transpose_levels(rows, 64, 64); }

// The same for rows[0..15] only; the others are left in disorder. Halves that would hold rows 16..63 are dropped.
static inline void tw_transpose64_low16(uint64_t rows[64]) {
  for (int i = 0; i < 32; i++) rows[i] = (rows[i] & tw_low_halves[0]) | rows[i + 32] << 32;
  for (int i = 0; i < 16; i++) rows[i] = (rows[i] & tw_low_halves[1]) | (rows[i + 16] & tw_low_halves[1]) << 16;
  tw_transpose_levels(rows, 16, 16);
}

#endif
