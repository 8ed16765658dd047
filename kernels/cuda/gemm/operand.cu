// Weight products of the backend's table. A sum over more elements than a limb product's sums can hold is split: the
// matrix in parts of rows, X in the same parts of columns, and every part adds to the result of those before it.
#include <algorithm>

#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/runtime/cuda_ops.h"

enum { MOST_INNER = (TW_MAX_SUM_INNER - 1) / TW_MAX_LIMBS / TW_LIMB_ALIGN * TW_LIMB_ALIGN };  // of one part

typedef struct {
  size_t count;
  tw_limbs *part[];
} weight_parts;

static size_t part_count(size_t inner) { return tw_ceil_div(inner, (size_t)MOST_INNER); }
// Rows of every part but the last.
static size_t part_rows(size_t inner) { return tw_round_up(tw_ceil_div(inner, part_count(inner)), TW_LIMB_ALIGN); }

void tw_cuda_operand_free(void *operand) {
  weight_parts *const w = (weight_parts *)operand;
  if (!w) return;
  for (size_t i = 0; i < w->count; i++) tw_limbs_free(w->part[i]);
  free(w);
}

tw_status tw_cuda_operand(size_t k, size_t n, int ring_bits, const uint64_t *v, void *stream, void **out) {
  *out = nullptr;
  if (k == 0) return tw_fail(TW_ERR_RANGE, "ring product on the GPU: weights without rows");
  const size_t rows = part_rows(k), count = tw_ceil_div(k, rows);
  weight_parts *const w = (weight_parts *)calloc(1, sizeof *w + count * sizeof *w->part);
  if (!w) return tw_fail(TW_ERR_MEMORY, "out of memory for the weights' parts");
  w->count = count;
  tw_status status = TW_OK;
  for (size_t i = 0; i < count && status == TW_OK; i++)
    status = tw_limbs_create(std::min(rows, k - i * rows), n, tw_ring_limbs(ring_bits), v + i * rows * n, stream,
                             &w->part[i]);
  if (status == TW_OK)
    *out = w;
  else
    tw_cuda_operand_free(w);
  return status;
}

// One workspace a stream, since its products run one after another. It grows before work is recorded; a smaller one is
// kept as long as its stream, because a captured graph may use it.
typedef struct workspace workspace;
struct workspace {
  void *stream, *memory;
  size_t bytes;
  workspace *older;
};
static workspace *known;

static tw_status add_workspace(void *stream, size_t bytes) {
  workspace *const w = (workspace *)calloc(1, sizeof *w);
  if (!w) return tw_fail(TW_ERR_MEMORY, "out of memory for a stream's workspace");
  const tw_status status = tw_cuda_alloc(bytes, &w->memory);
  if (status != TW_OK) {
    free(w);
    return status;
  }
  w->stream = stream;
  w->bytes = bytes;
  w->older = known;
  known = w;
  return TW_OK;
}

static tw_status workspace_of(void *stream, size_t bytes, char **out) {
  *out = nullptr;
  if (bytes == 0) return TW_OK;
  const workspace *newest = known;
  while (newest && newest->stream != stream) newest = newest->older;
  if (!newest || newest->bytes < bytes) {
    cudaStreamCaptureStatus capture;
    TW_CUDA(cudaStreamIsCapturing((cudaStream_t)stream, &capture));
    if (capture != cudaStreamCaptureStatusNone)
      return tw_fail(TW_ERR_INTERNAL, "a weight product lacks %zu bytes that were not reserved before recording",
                     bytes - (newest ? newest->bytes : 0));
    TW_TRY(add_workspace(stream, bytes));
    newest = known;
  }
  *out = (char *)newest->memory;
  return TW_OK;
}

void tw_cuda_product_forget(void *stream) {
  workspace **at = &known;
  while (*at) {
    workspace *const w = *at;
    if (w->stream != stream) {
      at = &w->older;
      continue;
    }
    *at = w->older;
    tw_cuda_release(w->memory, w->bytes);
    free(w);
  }
  tw_device_gemm_forget(stream);
}

static bool are_few(size_t m) { return m >= 1 && m <= TW_PRODUCT_ROWS; }

// Bytes of one part of X; 0 where X is taken as it is.
static size_t copied_bytes(size_t m, size_t k) {
  return part_count(k) > 1 && !are_few(m) ? tw_round_up(8 * m * part_rows(k), 256) : 0;
}

size_t tw_cuda_product_room(size_t m, size_t n, size_t k, int ring_bits) {
  const size_t rows = part_rows(k), last = k - (tw_ceil_div(k, rows) - 1) * rows;
  return copied_bytes(m, k) +
         std::max(tw_device_gemm_workspace(m, n, rows, ring_bits), tw_device_gemm_workspace(m, n, last, ring_bits));
}

static tw_status workspace_for(size_t m, size_t n, size_t k, int ring_bits, void *stream, char **out) {
  return workspace_of(stream, tw_cuda_product_room(m, n, k, ring_bits), out);
}

// Rows that lie apart: of each part of the matrix the rows' elements behind those of the parts before.
tw_status tw_cuda_product_rows(const void *operand, int m, size_t n, size_t k, const tw_product_row *row, int ring_bits,
                               void *stream) {
  (void)n;
  const weight_parts *const w = (const weight_parts *)operand;
  const size_t rows = part_rows(k);
  tw_product_row of_part[TW_PRODUCT_ROWS];
  if (m < 1 || m > TW_PRODUCT_ROWS) return tw_fail(TW_ERR_RANGE, "weight product of %d rows that lie apart", m);
  for (size_t i = 0; i < w->count; i++) {
    for (int r = 0; r < m; r++) of_part[r] = {row[r].x + i * rows, i ? row[r].out : row[r].addend, row[r].out};
    TW_TRY(tw_device_gemm_rows(w->part[i], m, of_part, ring_bits, stream));
  }
  return TW_OK;
}

static tw_status few_rows(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                          int ring_bits, uint64_t *out, void *stream) {
  tw_product_row row[TW_PRODUCT_ROWS];
  for (size_t i = 0; i < m; i++) row[i] = {x + i * k, addend ? addend + i * n : nullptr, out + i * n};
  return tw_cuda_product_rows(operand, (int)m, n, k, row, ring_bits, stream);
}

tw_status tw_cuda_product(const void *operand, size_t m, size_t n, size_t k, const uint64_t *x, const uint64_t *addend,
                          int ring_bits, uint64_t *out, void *stream) {
  const weight_parts *const w = (const weight_parts *)operand;
  const size_t rows = part_rows(k);
  char *workspace;
  if (are_few(m)) return few_rows(operand, m, n, k, x, addend, ring_bits, out, stream);
  TW_TRY(workspace_for(m, n, k, ring_bits, stream, &workspace));
  if (w->count == 1) return tw_device_gemm(w->part[0], m, x, ring_bits, addend, out, workspace, stream);
  for (size_t i = 0; i < w->count && m > 0; i++) {
    const size_t width = 8 * std::min(rows, k - i * rows);
    TW_CUDA(cudaMemcpy2DAsync(workspace, width, x + i * rows, 8 * k, width, m, cudaMemcpyDeviceToDevice,
                              (cudaStream_t)stream));
    TW_TRY(tw_device_gemm(w->part[i], m, (const uint64_t *)workspace, ring_bits, i ? out : addend, out,
                          workspace + copied_bytes(m, k), stream));
  }
  return TW_OK;
}

tw_status tw_cuda_product_reserve(size_t m, size_t n, size_t k, int ring_bits, void *stream) {
  const size_t rows = part_rows(k), last = k - (tw_ceil_div(k, rows) - 1) * rows;
  char *workspace;
  TW_TRY(workspace_for(m, n, k, ring_bits, stream, &workspace));
  TW_TRY(tw_device_gemm_reserve(m, n, rows, ring_bits, stream));
  return tw_device_gemm_reserve(m, n, last, ring_bits, stream);
}
