// A conversation's turns: what a turn leaves for the next one. Its program puts out K and V of all rows
// (jobs/models/generate.h); those that live, in the order of their tokens, are what the next turn's program takes in.
#ifndef TW_CONVERSATION_H
#define TW_CONVERSATION_H

#include "jobs/models/generate.h"

// Elements of one sequence's second input.
size_t tw_conversation_input_elements(const tw_layer_shape *shape);
// Rows that live once a turn of `length` tokens behind `earlier` ones has written its text: all but the last word's.
int tw_conversation_rows(const tw_layer_shape *shape, int earlier, int length);
// Of one sequence, result 1 + `number` of the program: its live rows to their place in `next`, the next turn's input,
// of which the other elements of this part become 0. They are no more than shape->earlier.
void tw_conversation_keep(const tw_layer_shape *shape, int number, int earlier, int length, const uint64_t *result,
                          uint64_t *next);

#endif
