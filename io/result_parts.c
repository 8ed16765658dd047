#include "io/result_parts.h"

enum { MOST_TOKENS = 1 << 20 };  // of a sequence, in any file of twain

// A classifier of tokens has a row each; one of sequences has one row in all.
static bool has_row_per_token(const char *output, int rows) {
  tw_model_output o;
  return tw_output_parse(output, &o) == TW_OK &&
         (o == TW_OUTPUT_TOKENS || o == TW_OUTPUT_ALL_LOGITS || (o == TW_OUTPUT_LOGITS && rows > 1));
}

tw_status tw_result_check_output(const tw_h5 *f, const char *output, int rows) {
  tw_model_output o;
  if (tw_output_parse(output, &o) != TW_OK)
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "output",
                      "is not one of tokens, pooled, cls, logits, dense, all-logits, next-token and text");
  if (rows != 1 && o != TW_OUTPUT_TOKENS && o != TW_OUTPUT_LOGITS && o != TW_OUTPUT_ALL_LOGITS && o != TW_OUTPUT_TEXT)
    return tw_fail(TW_ERR_FORMAT, "%s: attribute rows: %d rows of output %s, which has one", f->path, rows, output);
  return TW_OK;
}

tw_status tw_result_check_lengths(const tw_h5 *f, const char *output, int rows, int count, const int *lengths) {
  int most = has_row_per_token(output, rows) ? rows : MOST_TOKENS;
  for (int i = 0; i < count; i++)
    if (lengths[i] < 1 || lengths[i] > most)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset lengths: sequence %d has %d tokens, 1 to %d are possible", f->path, i,
                     lengths[i], most);
  return TW_OK;
}
