#include "jobs/models/float_matmul.h"

#include "base/memory.h"

// 4 x 8 tiles of z stay in registers; a panel of 8 columns of b is packed once and stays in the second-level cache.
enum { ROWS = 4, COLS = 8 };
typedef double lanes __attribute__((vector_size(COLS * sizeof(double))));

// Not under ThreadSanitizer, which is not there yet when the loader chooses.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define WIDEST __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define WIDEST
#endif

static void pack_panel(const double *b, size_t k, size_t n, size_t first, lanes *panel) {
  size_t live = n - first < COLS ? n - first : COLS;
  for (size_t i = 0; i < k; i++) {
    lanes row = {0};
    for (size_t c = 0; c < live; c++) row[c] = b[i * n + first + c];
    panel[i] = row;
  }
}

WIDEST static void panel_product(const double *a, const lanes *panel, size_t m, size_t k, size_t n, double *z,
                                 size_t first) {
  size_t cols = n - first < COLS ? n - first : COLS;
  for (size_t i = 0; i < m; i += ROWS) {
    size_t rows = m - i < ROWS ? m - i : ROWS;
    // Rows past the end repeat the last one; their results are not stored.
    const double *a0 = a + i * k, *a1 = rows > 1 ? a0 + k : a0, *a2 = rows > 2 ? a1 + k : a1,
                 *a3 = rows > 3 ? a2 + k : a2;
    lanes sum[ROWS] = {{0}};
    for (size_t j = 0; j < k; j++) {
      sum[0] += a0[j] * panel[j];
      sum[1] += a1[j] * panel[j];
      sum[2] += a2[j] * panel[j];
      sum[3] += a3[j] * panel[j];
    }
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < cols; c++) z[(i + r) * n + first + c] = sum[r][c];
  }
}

tw_status tw_float_matmul(const double *a, const double *b, size_t m, size_t k, size_t n, double *z) {
  lanes *panel;
  TW_TRY(tw_alloc(k * sizeof *panel, (void **)&panel));
  for (size_t first = 0; first < n; first += COLS) {
    pack_panel(b, k, n, first, panel);
    panel_product(a, panel, m, k, n, z, first);
  }
  tw_free(panel);
  return TW_OK;
}
