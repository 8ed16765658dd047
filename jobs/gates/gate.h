// What gate files share: one element's arithmetic of extension, and the frame of gates without keys or messages.
#ifndef TW_GATE_H
#define TW_GATE_H

#include <string.h>

#include "jobs/program/build.h"
#include "jobs/program/rows.h"
#include "jobs/program/session.h"
#include "kernels/digit.h"
#include "kernels/gemm.h"
#include "kernels/pack.h"

// A local gate is linear: the same map, over the whole batch, on public values, shares, true values and masks.
typedef tw_status (*tw_local_map)(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out);
tw_status tw_local_mask(tw_session *s, const tw_op *op, int side, tw_local_map map);
tw_status tw_local_value(tw_session *s, const tw_op *op, tw_local_map map);

#define TW_LOCAL_GATE(gate_name, map, rows, tile)                                                                   \
  static tw_status map##_mask(tw_session *s, const tw_op *op, int side) { return tw_local_mask(s, op, side, map); } \
  static tw_status map##_value(tw_session *s, const tw_op *op) { return tw_local_value(s, op, map); }               \
  static const tw_gate gate_name = {#map, map##_mask, NULL, NULL, map##_value, map##_value, rows, tile}

// Elements of the whole batch.
static inline size_t tw_batch_n(const tw_session *s, int id) { return (size_t)s->batch * tw_t(s, id)->n; }
// The whole batch flat, for a second operand of the same shape.
static inline tw_pairing tw_flat(size_t cols) { return (tw_pairing){1, cols, 0, 1}; }
static inline uint64_t tw_ring_of(const tw_session *s, int id) { return tw_mask(tw_t(s, id)->ring); }

#define TW_EACH_SEQUENCE(s, b) for (int b = 0; b < (s)->batch; b++)

// Sequence b's part of a tensor.
static inline uint64_t *tw_value(const tw_session *s, int id, int b) {
  return tw_b(s, id)->value + (size_t)b * tw_words_of(s, id);
}
static inline uint64_t *tw_mask_of(const tw_session *s, int id, int side, int b) {
  return tw_b(s, id)->mask[side] + (size_t)b * tw_words_of(s, id);
}
// Emulator: the public value of a wire.
static inline uint64_t tw_public(const tw_session *s, int id, size_t j) {
  const tw_buffer *w = tw_b(s, id);
  return (w->value[j] + w->mask[0][j] + w->mask[1][j]) & tw_mask(tw_t(s, id)->ring);
}
// Emulator: the value of a wire as an integer; notes values outside |x| < 2^bits.
static inline uint64_t tw_extended(tw_session *s, const tw_op *op, uint64_t value, int ring) {
  int64_t x = tw_signed(value, ring);
  if (x >= (int64_t)1 << (ring - 2) || x < -((int64_t)1 << (ring - 2))) tw_out_of_bound(s, op);
  return (uint64_t)x;
}
static inline uint64_t tw_bit(const uint64_t *plane, size_t j) { return plane[j / 64] >> (j % 64) & 1; }

#endif
