// A classifier's logits as labels and probabilities.
#ifndef TW_APP_LABELS_H
#define TW_APP_LABELS_H

#include "io/client.h"
#include "io/result.h"

// What the logits of one row mean: softmax of single labels, sigmoid of each of several, the numbers themselves of a
// regression. out: labels->count.
void tw_label_values(const tw_labels *labels, const double *logits, double *out);

// Rows of a sequence that are printed; then a line says how many more there are, and where.
enum { TW_ROWS_SHOWN = 32 };
void tw_rows_left_print(const tw_result *r, int sequence, int rows, const char *path);
// Of the text that a sequence is of, from 1 on: what lines begin with.
int tw_text_number(const tw_result *r, int sequence);

// Every row of r, whose output is logits, by the labels of `client`: TW_ROWS_SHOWN of a sequence. input: for texts and
// tokens beside them, or NULL. path: of the result file.
tw_status tw_labels_print(const tw_result *r, const tw_client *client, const tw_input *input, const char *path);

#endif
