// What the readers of both kinds of result files check. Internal to io/.
#ifndef TW_RESULT_PARTS_H
#define TW_RESULT_PARTS_H

#include "io/h5.h"

// TW_ERR_FORMAT unless `output` is one of twain's, and `rows` fit it.
tw_status tw_result_check_output(const tw_h5 *f, const char *output, int rows);
// TW_ERR_FORMAT unless every sequence has a token, and all have a row where outputs have one for each token.
tw_status tw_result_check_lengths(const tw_h5 *f, const char *output, int rows, int count, const int *lengths);

#endif
