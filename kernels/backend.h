// A backend: where arrays live and what computes on them. Two twins, CPU and CUDA, behind one table. Every function
// works on the backend's own memory, in order of `stream` (ignored by the CPU); none waits for the device.
#ifndef TW_BACKEND_H
#define TW_BACKEND_H

#include <stdbool.h>

#include "base/status.h"
#include "kernels/bit_ops.h"
#include "kernels/deal_ops.h"
#include "kernels/prg.h"
#include "kernels/product_rows.h"
#include "kernels/ring_ops.h"

// A correction of all sequences of a batch: half of each packed in the party's key slots, half from its own streams.
typedef struct {
  size_t sequences;
  const tw_seed *seeds;   // [sequences], backend memory
  const uint64_t *slots;  // [sequences], backend memory
  uint32_t use;
  int bits;                // 1: planes of bits, else ring elements
  int width;               // ring bits, or planes
  size_t n, first, count;  // elements; those read from the file
  const uint8_t *packed;   // the first sequence's half, backend memory, to the end of its last 8-byte word
  size_t packed_stride;    // bytes from one sequence's half to the next one's
  uint64_t *out;           // [sequences][n], or [sequences][width][words of n]
} tw_correction_args;

// Mask streams of an opening, of all sequences of a batch: n words each, ring elements of `ring` bits (0: whole words).
typedef struct {
  size_t sequences;
  const tw_seed *seeds;   // [sequences], backend memory
  const uint64_t *slots;  // [sequences], backend memory
  uint32_t use;
  int ring;
  size_t n;
  uint64_t *out;  // [sequences][n]
} tw_draw_args;

enum { TW_DRAWS = 96 };

typedef struct {
  const char *name;
  tw_status (*alloc)(size_t bytes, void **out);                                   // zeroed
  void (*release)(void *memory, size_t bytes);                                    // wiped
  tw_status (*upload)(void *to, const void *from, size_t bytes, void *stream);    // from host memory
  tw_status (*download)(void *to, const void *from, size_t bytes, void *stream);  // to host memory; waits for it
  tw_status (*copy)(void *to, const void *from, size_t bytes, void *stream);
  tw_status (*fill)(void *to, int byte, size_t bytes, void *stream);

#define TW_DECLARE_RING_OP(op) tw_status (*op)(const tw_##op##_args *args, void *stream);
  TW_RING_OPS(TW_DECLARE_RING_OP)
#undef TW_DECLARE_RING_OP
#define TW_DECLARE_BIT_OP(op) tw_status (*op)(const tw_##op##_args *args, void *stream);
  TW_BIT_OPS(TW_DECLARE_BIT_OP)
  TW_DEAL_OPS(TW_DECLARE_BIT_OP)
  TW_DEAL_BIT_OPS(TW_DECLARE_BIT_OP)
#undef TW_DECLARE_BIT_OP

  // out[i] = (sum of row i of x [rows][cols] + addend[i] (may be NULL)) & ring
  tw_status (*row_sums)(const uint64_t *x, size_t rows, size_t cols, const uint64_t *addend, uint64_t ring,
                        uint64_t *out, void *stream);

  tw_status (*draw)(const tw_draw_args *args, void *stream);
  // Several of the same sequences: their seeds and slots are the first one's. Fastest for TW_DRAWS.
  tw_status (*draw_all)(const tw_draw_args *args, int count, void *stream);
  // All corrections of one gate at once, at most 8, for as many sequences each.
  tw_status (*corrections)(const tw_correction_args *args, int count, void *stream);
  // A gate and its corrections: args point at the corrections' `out`, which the backend may leave as it was.
#define TW_DECLARE_CORRECTED_OP(op) \
  tw_status (*op##_corrected)(const tw_##op##_args *args, const tw_correction_args *taken, int count, void *stream);
  TW_CORRECTED_OPS(TW_DECLARE_CORRECTED_OP)
#undef TW_DECLARE_CORRECTED_OP
  // Dealer: halves of one gate's corrections for both parties, at most TW_GIVE_MOST.
  tw_status (*give)(const tw_give_args *args, int count, void *stream);

  // Ring products as in kernels/gemm.h; batched: count matrices one behind the other.
  tw_status (*gemm)(size_t count, size_t m, size_t n, size_t k, const uint64_t *a, const uint64_t *b, uint64_t *c,
                    int ring_bits, int accumulate, void *stream);

  bool operand_is_values;  // the operand below reads the values it was made from, which must outlive it
  // The right operand V [k][n] of weight products in rings of at most ring_bits, prepared once per model from values in
  // backend memory; out = (x V + addend) mod 2^ring_bits, addend may be NULL or out itself.
  tw_status (*operand)(size_t k, size_t n, int ring_bits, const uint64_t *v, void *stream, void **out);
  void (*operand_free)(void *operand);
  tw_status (*product)(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                       int ring_bits, uint64_t *out, void *stream);
  // The same of up to TW_PRODUCT_ROWS rows that lie apart, m of them, reading the operand once. NULL: such rows are
  // products of their own.
  tw_status (*product_rows)(const void *operand, int m, size_t n, size_t k, const tw_product_row *row, int ring_bits,
                            void *stream);
  // Takes the memory that such a product needs on the stream, where none can be taken later because work is recorded.
  // NULL: none is needed.
  tw_status (*product_reserve)(size_t m, size_t n, size_t k, int ring_bits, void *stream);
  size_t (*product_room)(size_t m, size_t n, size_t k, int ring_bits);  // its bytes; NULL as above
} tw_backend;

extern const tw_backend tw_cpu_backend;
#ifdef TWAIN_CUDA
extern const tw_backend tw_cuda_backend;
#endif

#endif
