// What the readers of both kinds of result files check. Internal to io/.
#ifndef TW_RESULT_PARTS_H
#define TW_RESULT_PARTS_H

#include "io/h5.h"
#include "io/result.h"

// TW_ERR_FORMAT unless `output` is one of twain's, and `rows` fit it.
tw_status tw_result_check_output(const tw_h5 *f, const char *output, int rows);
// TW_ERR_FORMAT unless every sequence has a token, and all have a row where outputs have one for each token.
tw_status tw_result_check_lengths(const tw_h5 *f, const char *output, int rows, int count, const int *lengths);

// Row of the dataset `trace`.
typedef struct {
  int32_t track, half, row, unused;
  uint64_t begin_ns, end_ns;
} tw_result_span;

// Row of the dataset `batch_rows`.
typedef struct {
  int32_t batch, row;
  uint64_t slot;
} tw_result_batch_row;

// What a file's datasets are written from, until it is.
typedef struct {
  char (*transcripts)[64];
  tw_result_batch_row *rows;
} tw_result_batches;
tw_status tw_result_put_batches(tw_h5 *f, const tw_result_share *r, tw_result_batches *stored);
void tw_result_batches_free(tw_result_batches *stored);
// TW_ERR_FORMAT unless every row of the result is in a batch, with its slot, and the result's transcript is theirs.
tw_status tw_result_get_batches(const tw_h5 *f, tw_result_share *r);

// stored [r->span_count]: kept by the caller until the file is written.
tw_status tw_result_put_trace(tw_h5 *f, const tw_result_share *r, tw_result_span *stored);
tw_status tw_result_get_trace(const tw_h5 *f, tw_result_share *r);

#endif
