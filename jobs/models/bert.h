// BERT encoders and their kin: the program (bert.c), rings from bounds (bert_rings.c), the float model (bert_float.c).
#ifndef TW_BERT_H
#define TW_BERT_H

#include "jobs/models/architecture.h"

// Sums of squares that its norms can take: from 2^lowest to 2^(highest + 1).
enum { TW_BERT_LOWEST = -4, TW_BERT_HIGHEST = 24 };

extern const tw_architecture tw_bert, tw_roberta, tw_distilbert, tw_electra;

tw_bounds tw_bert_bounds(void);
tw_bounds tw_bert_widened(const tw_bounds *measured, double margin);
tw_status tw_bert_rings(const tw_layer_shape *shape, const tw_bounds *bounds, tw_rings *out);
void tw_bert_raise_bounds(const tw_layer_shape *shape, const tw_rings *rings, tw_bounds *bounds);
double tw_bert_largest(const tw_layer_shape *shape, const tw_bounds *last);
tw_status tw_bert_forward(const tw_model *model, const double *x, int seq, int length, int quantised, double *out,
                          tw_bounds *bounds);

#endif
