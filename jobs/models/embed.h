// A decoder's first rows, of word numbers that the parties never see: x = word[number] (+ position[i]), from the shared
// model (jobs/gates/words.c).
#ifndef TW_EMBED_H
#define TW_EMBED_H

#include "jobs/models/blocks.h"

// Bits of a word's number, as its client shares it: line and place in the word table.
int tw_word_number_bits(const tw_model_config *config);
// The program's next input: numbers of a sequence's words, below the vocabulary's size. Returns their rows
// [seq][hidden] in ring `ring`, a WIRE of scale TW_SCALE, of four rounds. A number past the vocabulary has zeros for
// its word.
int tw_build_embedding(tw_builder *b, const tw_layer_shape *shape, int ring);
// The same of one word more, an opened number of the program's own (BITWIRE): one row, whose position is that of the
// last live token of `tokens`.
int tw_build_word(tw_builder *b, const tw_layer_shape *shape, int numbers, tw_tokens tokens, int ring);
// The same of the word's row in its table, where that is there already: SHARE.
int tw_build_word_of_row(tw_builder *b, const tw_layer_shape *shape, int row, tw_tokens tokens);
// What such a row is looked up by, beside an argmax. table: filled. end_row: -1.
tw_argmax_row tw_words_beside(const tw_model_config *config, int ring, tw_word_table *table);
// The power of two that holds every element of every row that it can return.
double tw_bound_of_words(const tw_model *model);
// Whether this or a bound of norms (jobs/models/float_model.h) looks at a tensor of the model.
bool tw_bounds_look_at(const tw_model_config *config, int number);

#endif
