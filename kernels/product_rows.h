// A row of a weight product, where such rows lie apart: out [n] = x [inner] V + addend [n], which may be NULL or out
// itself. So one pass over V serves products of several gates.
#ifndef TW_PRODUCT_ROWS_H
#define TW_PRODUCT_ROWS_H

#include <stdint.h>

enum { TW_PRODUCT_ROWS = 16 };  // most of one pass

typedef struct {
  const uint64_t *x, *addend;
  uint64_t *out;
} tw_product_row;

#endif
