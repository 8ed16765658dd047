// The order of the client's input, which tells nothing but lengths; and for a plan with several of them, each sequence
// in the shortest program that takes it.
#ifndef TW_INPUT_LENGTHS_H
#define TW_INPUT_LENGTHS_H

#include "io/client.h"
#include "jobs/plan/plan.h"

// Of an input without rows yet: puts the sequences in the order of their programs' lengths, the shortest first, and
// those of one program in the order of their live lengths, the longest first. So the order follows from lengths alone,
// and is none of a file. Sets text_numbers, which keep the client's order, and in->seqs if the plan has several
// lengths. Not for a conversation, whose turns go by places.
tw_status tw_input_arrange(const tw_plan *plan, tw_input *in);
// Sequences of one length, padded to it; TW_ERR_MISMATCH where there are none. Free with tw_input_free.
tw_status tw_input_of_length(const tw_input *in, int seq, tw_input *out);
// Sequences rows[i], in this order; each below in->count. Not of a conversation. Free with tw_input_free.
tw_status tw_input_of_rows(const tw_input *in, const int *rows, int count, tw_input *out);
// How many there are of one length.
int tw_input_count_of_length(const tw_input *in, int seq);

#endif
