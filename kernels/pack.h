// Bit packing: element j of ring_bits bits at bits [j*ring_bits, (j+1)*ring_bits), little-endian.
// The same layout on the wire and on disk.
#ifndef TW_PACK_H
#define TW_PACK_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t tw_mask(int ring_bits) { return ring_bits >= 64 ? ~0ull : (1ull << ring_bits) - 1; }

// Bytes of n packed elements, rounded up to whole bytes.
size_t tw_packed_bytes(size_t n, int ring_bits);

// Pack low ring_bits of each element; unused bits of the last byte are zero.
void tw_pack(const uint64_t *in, size_t n, int ring_bits, uint8_t *out);

// Unpack n elements, widened to u64, high bits zero. Reads exactly tw_packed_bytes bytes.
void tw_unpack(const uint8_t *in, size_t n, int ring_bits, uint64_t *out);

// inout[j] = (inout[j] + unpacked[j]) mod 2^ring_bits: the combination of an open.
void tw_unpack_add(const uint8_t *in, size_t n, int ring_bits, uint64_t *inout);

#endif
