// Table lookup by masked sums. The one-hot planes of 64 elements are transposed, so that an element's bits lie side
// by side, and turned by its public digit; the sum then runs over a sub-table in order, the same for every element.
#include "kernels/digit_lookup.h"

#include <sodium.h>

#include "base/memory.h"
#include "kernels/digit.h"
#include "kernels/isa.h"

enum {
  SCRATCH_WORDS = 1 << TW_LOOKUP_MAX_BITS,  // of split tables, on the stack
  LINE_WORDS = 8                            // plane words taken at once: a cache line
};

static void lookup_block_portable(const tw_lookup_block *block) {
  uint64_t turned[TW_LOOKUP_MAX_WORDS];
  for (size_t j = 0; j < block->count; j++) {
    size_t sub = tw_lookup_turn(block, j, turned);
    for (size_t i = 0; i < block->table_count; i++) {
      const uint64_t *table = block->tables[i] + sub * block->entries;
      uint64_t sum = 0;
      for (size_t m = 0; m < block->entries; m++) sum += table[m] & -(turned[m / 64] >> (m % 64) & 1);
      block->out[i][j] = sum;
    }
  }
  tw_wipe(turned, block->hot_words * sizeof turned[0]);
}

static tw_lookup_kernel *active_kernel(void) {
  switch (tw_isa_active()) {
#ifdef TWAIN_X86
    case TW_ISA_AVX512:
      return tw_lookup_block_avx512;
    case TW_ISA_AVX2:
      return tw_lookup_block_avx2;
#endif
    default:
      return lookup_block_portable;
  }
}

// Sub-table s: the entries s, s + 2^sub_bits, ... of a fine table, padded with zeros to whole vectors.
static void split_table(const uint64_t *table, int width, int sub_bits, size_t entries, uint64_t *split) {
  size_t used = (size_t)1 << width, subs = (size_t)1 << sub_bits;
  for (size_t s = 0; s < subs; s++) {
    for (size_t m = 0; m < used; m++) split[s * entries + m] = table[(m << sub_bits) | s];
    for (size_t m = used; m < entries; m++) split[s * entries + m] = 0;
  }
}

// `count` words from word w on of every plane, transposed word by word. Narrow digits repeat their planes to fill
// 64 rows, which makes a turn of 64 bits a turn of 2^width.
static void gather_bits(const uint64_t *onehot, size_t words, size_t w, size_t count, int width, size_t hot_words,
                        uint64_t *bits) {
  size_t mask = ((size_t)1 << width) - 1, rows = 64 * hot_words;
  for (size_t p = 0; p < rows; p++)
    for (size_t i = 0; i < count; i++) bits[i * rows + p] = onehot[(-p & mask) * words + w + i];
  for (size_t i = 0; i < count * hot_words; i++) tw_transpose64(bits + 64 * i);
}

// One pass over the elements for the tables of `frame`; out: their results from element 0 on.
static void lookup_pass(const uint64_t *onehot, size_t words, int width, const uint64_t *fine, size_t n,
                        const tw_lookup_block *frame, uint64_t *const *out) {
  uint64_t bits[TW_LOOKUP_MAX_ROWS];
  tw_lookup_kernel *kernel = active_kernel();
  tw_lookup_block block = *frame;
  size_t rows = 64 * block.hot_words, line = TW_LOOKUP_MAX_ROWS / rows, used = tw_words(n);
  if (line > LINE_WORDS) line = LINE_WORDS;
  for (size_t w = 0; w < used; w++) {
    if (w % line == 0) gather_bits(onehot, words, w, used - w < line ? used - w : line, width, block.hot_words, bits);
    block.bits = bits + w % line * rows;
    block.count = n - 64 * w < 64 ? n - 64 * w : 64;
    block.fine = fine + 64 * w;
    for (size_t i = 0; i < block.table_count; i++) block.out[i] = out[i] + 64 * w;
    kernel(&block);
  }
  tw_wipe(bits, line * rows * sizeof bits[0]);
}

void tw_digit_lookup(const uint64_t *onehot, size_t words, int width, int sub_bits, const uint64_t *fine, size_t n,
                     const uint64_t *const *tables, int table_count, uint64_t *const *out) {
  uint64_t split[SCRATCH_WORDS] __attribute__((aligned(64)));
  tw_lookup_block frame = {.sub_bits = sub_bits};
  frame.hot_words = width > 6 ? (size_t)1 << (width - 6) : 1;
  frame.entries = width > 3 ? (size_t)1 << width : 8;
  size_t table_words = frame.entries << sub_bits, fit = SCRATCH_WORDS / table_words;
  if (width > TW_DIGIT_MAX_BITS || fit == 0) sodium_misuse();
  if (fit > TW_LOOKUP_MAX_TABLES) fit = TW_LOOKUP_MAX_TABLES;
  for (size_t done = 0, count = (size_t)table_count; done < count; done += frame.table_count) {
    frame.table_count = count - done < fit ? count - done : fit;
    for (size_t i = 0; i < frame.table_count; i++) {
      split_table(tables[done + i], width, sub_bits, frame.entries, split + i * table_words);
      frame.tables[i] = split + i * table_words;
    }
    lookup_pass(onehot, words, width, fine, n, &frame, out + done);
  }
}
