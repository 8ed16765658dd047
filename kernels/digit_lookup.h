// Inside the lookup: what the dispatcher prepares and what one instruction set's kernel sums.
#ifndef TW_DIGIT_LOOKUP_H
#define TW_DIGIT_LOOKUP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/transpose.h"

enum {
  TW_LOOKUP_MAX_ROWS = 1 << TW_DIGIT_MAX_BITS,
  TW_LOOKUP_MAX_WORDS = TW_LOOKUP_MAX_ROWS / 64,  // words of one element's one-hot
  TW_LOOKUP_MAX_TABLES = 8                        // tables of one pass
};

// Up to 64 elements and the tables they read.
typedef struct {
  size_t count;      // elements, 1..64
  size_t hot_words;  // words of one element's bits: max(1, 2^width/64)
  int sub_bits;
  const uint64_t *bits;  // hot_words x 64, element j's bits in bits[64*i + j]: bit p of them is e_(-p mod 2^width)
  const uint64_t *fine;  // public, by element
  size_t entries;        // of a sub-table: max(8, 2^width), zeros behind 2^width
  size_t table_count;
  const uint64_t *tables[TW_LOOKUP_MAX_TABLES];  // 2^sub_bits sub-tables each, 64-byte aligned
  uint64_t *out[TW_LOOKUP_MAX_TABLES];
} tw_lookup_block;

typedef void tw_lookup_kernel(const tw_lookup_block *block);

tw_lookup_kernel tw_lookup_block_avx2, tw_lookup_block_avx512;

// Element j's bits turned left by its public digit c: bit m then says whether entry m of the sub-table,
// m = (c - a) mod 2^width, is added. Returns the sub-table's number.
static inline size_t tw_lookup_turn(const tw_lookup_block *block, size_t j, uint64_t *turned) {
  size_t words = block->hot_words, c = (size_t)(block->fine[j] >> block->sub_bits);
  size_t skip = c / 64 % words, shift = c % 64;
  for (size_t i = 0; i < words; i++) {
    uint64_t low = block->bits[64 * ((i + words - skip) % words) + j];
    uint64_t high = block->bits[64 * ((i + 2 * words - skip - 1) % words) + j];
    turned[i] = low << shift | high >> 1 >> (63 - shift);
  }
  return (size_t)block->fine[j] & (((size_t)1 << block->sub_bits) - 1);
}

#endif
