// A revealed result for other programs: CSV with a line a text, or NumPy's array.
#ifndef TW_APP_RESULT_TABLE_H
#define TW_APP_RESULT_TABLE_H

#include "io/client.h"
#include "io/result.h"

// Writes RFC 4180, in the order of the client's texts: id and line of each, as far as they are known, `tokens`, then
// - of embeddings the values e0, e1, ...; where each token has a row, a line a token, with its number in `token`;
// - of a classifier's logits the label and each label's probability (of several labels: probabilities alone; of a
//   regression: values);
// - of a decoder's next token, or its text, ids and `text`.
// A label that is called as another column is has its number behind its name: `x #2`.
// TW_ERR_USAGE where the output has no such form, TW_ERR_IO where it takes the client's file, which is not there.
// replace: a file that is there, when the new one is complete.
typedef struct {
  const tw_result *result;  // one sequence a text (tw_result_by_text)
  const int *first;         // of each text, its sequence in the input
  const char *client_file;  // its name, for messages
  const tw_client *client;  // of logits, next tokens and texts; NULL: not there
  const tw_input *input;    // NULL: not there
} tw_result_table;
tw_status tw_result_csv(const char *path, bool replace, const tw_result_table *table);

// NumPy's format 1.0 (numpy.lib.format): float64, [texts][cols], or [texts][rows][cols] where there are several rows.
tw_status tw_result_npy(const char *path, bool replace, const tw_result *r);

#endif
