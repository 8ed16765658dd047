// Pseudo-random streams that stand for masks and pads: ChaCha20 (RFC 8439, 96-bit nonce, block counter from 0).
// nonce = use id (u32 little-endian) | slot (u64 little-endian). Any position can be produced in any order.
#ifndef TW_PRG_H
#define TW_PRG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint8_t key[32];
} tw_seed;

// Fill from the operating system's generator.
void tw_seed_random(tw_seed *seed);

// TEST seeds: derived from a number and a label by keyed BLAKE2b; reproducible, never for real data.
void tw_seed_test(tw_seed *seed, uint64_t number, const char *label, uint64_t index);

// Ring elements [first, first+n) of stream (use, slot): element j is stream word j
// (u32 when ring_bits <= 32, else u64, little-endian), low ring_bits bits, widened to u64.
// At most 2^32 blocks of 64 bytes a stream (first + n within that; asserted).
void tw_prg_ring(const tw_seed *seed, uint32_t use, uint64_t slot, int ring_bits, uint64_t first, size_t n,
                 uint64_t *out);

// 64-bit words [first_word, first_word+n) of stream (use, slot).
void tw_prg_words(const tw_seed *seed, uint32_t use, uint64_t slot, uint64_t first_word, size_t n, uint64_t *out);

#endif
