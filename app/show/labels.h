// A classifier's logits as labels and probabilities.
#ifndef TW_APP_LABELS_H
#define TW_APP_LABELS_H

#include "io/client.h"
#include "io/result.h"

// What the logits of one row mean: softmax of single labels, sigmoid of each of several, the numbers themselves of a
// regression. out: labels->count.
void tw_label_values(const tw_labels *labels, const double *logits, double *out);

// Every row of r, whose output is logits, by the labels of `client`; input: for texts and tokens, or NULL.
tw_status tw_labels_print(const tw_result *r, const tw_client *client, const tw_input *input);

#endif
