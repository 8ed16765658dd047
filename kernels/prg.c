#include "kernels/prg.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/pack.h"

enum { BLOCK_BYTES = 64, STRETCH_BLOCKS = 64, STRETCH_BYTES = STRETCH_BLOCKS * BLOCK_BYTES };

// Picks libsodium's vectorised ChaCha20 and opens the system's generator. Without either nothing here is safe.
static void ensure_sodium(void) {
  static atomic_bool ready;
  if (atomic_load_explicit(&ready, memory_order_acquire)) return;
  if (sodium_init() < 0) sodium_misuse();
  atomic_store_explicit(&ready, true, memory_order_release);
}

static void store_le64(uint8_t *out, uint64_t value) {
  for (int i = 0; i < 8; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static void store_le32(uint8_t *out, uint32_t value) {
  for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (8 * i));
}

void tw_seed_random(tw_seed *seed) {
  ensure_sodium();
  randombytes_buf(seed->key, sizeof seed->key);
}

void tw_seed_test(tw_seed *seed, uint64_t number, const char *label, uint64_t index) {
  ensure_sodium();
  uint8_t key[crypto_generichash_KEYBYTES] = "twain TEST seed, not for data";
  uint8_t tail[17] = {0};  // a zero byte ends the label, so that (label, number) pairs never run together
  store_le64(tail + 1, number);
  store_le64(tail + 9, index);
  crypto_generichash_state state;
  crypto_generichash_init(&state, key, sizeof key, sizeof seed->key);
  crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
  crypto_generichash_update(&state, tail, sizeof tail);
  crypto_generichash_final(&state, seed->key, sizeof seed->key);
  tw_wipe(&state, sizeof state);
}

// A position inside one stream, and the stretch of key stream around it.
typedef struct {
  const tw_seed *seed;
  uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
  size_t word_bytes;
  uint64_t next;  // stream word that comes next
  uint8_t stretch[STRETCH_BYTES] __attribute__((aligned(64)));
} prg_stream;

static void stream_open(prg_stream *s, const tw_seed *seed, uint32_t use, uint64_t slot, size_t word_bytes,
                        uint64_t first, size_t n) {
  ensure_sodium();
  // Beyond 2^32 blocks the counter would wrap and repeat key stream: checked in release builds too.
  uint64_t stream_words = ((uint64_t)1 << 32) * (BLOCK_BYTES / word_bytes);
  if (first > stream_words || n > stream_words - first) sodium_misuse();
  s->seed = seed;
  store_le32(s->nonce, use);
  store_le64(s->nonce + 4, slot);
  s->word_bytes = word_bytes;
  s->next = first;
}

// Produces up to `wanted` words from the current position; they start at *words, which is inside s->stretch.
static size_t stream_stretch(prg_stream *s, size_t wanted, const uint8_t **words) {
  size_t block_words = BLOCK_BYTES / s->word_bytes;
  uint64_t block = s->next / block_words;
  size_t skip = (size_t)(s->next % block_words);
  size_t room = STRETCH_BYTES / s->word_bytes - skip;
  size_t count = wanted < room ? wanted : room;
  size_t bytes = (skip + count) * s->word_bytes;
  memset(s->stretch, 0, bytes);
  crypto_stream_chacha20_ietf_xor_ic(s->stretch, s->stretch, bytes, s->nonce, (uint32_t)block, s->seed->key);
  s->next += count;
  *words = s->stretch + skip * s->word_bytes;
  return count;
}

static void ring_from_u32(const uint8_t *words, size_t n, uint32_t mask, uint64_t *out) {
  for (size_t j = 0; j < n; j++) {
    uint32_t word;
    memcpy(&word, words + 4 * j, 4);
    out[j] = word & mask;
  }
}

static void ring_from_u64(const uint8_t *words, size_t n, uint64_t mask, uint64_t *out) {
  for (size_t j = 0; j < n; j++) {
    uint64_t word;
    memcpy(&word, words + 8 * j, 8);
    out[j] = word & mask;
  }
}

void tw_prg_ring(const tw_seed *seed, uint32_t use, uint64_t slot, int ring_bits, uint64_t first, size_t n,
                 uint64_t *out) {
  prg_stream s;
  stream_open(&s, seed, use, slot, ring_bits <= 32 ? 4 : 8, first, n);
  for (size_t done = 0; done < n;) {
    const uint8_t *words;
    size_t count = stream_stretch(&s, n - done, &words);
    if (ring_bits <= 32)
      ring_from_u32(words, count, (uint32_t)tw_mask(ring_bits), out + done);
    else
      ring_from_u64(words, count, tw_mask(ring_bits), out + done);
    done += count;
  }
  tw_wipe(s.stretch, sizeof s.stretch);
}

void tw_prg_words(const tw_seed *seed, uint32_t use, uint64_t slot, uint64_t first_word, size_t n, uint64_t *out) {
  tw_prg_ring(seed, use, slot, 64, first_word, n, out);
}
