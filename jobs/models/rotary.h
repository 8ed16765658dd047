// Rotary positions (Su et al., arXiv 2104.09864): token i turns the pair (x[c], x[c + d/2]) of every head of width d by
// i times the pair's frequency.
#ifndef TW_ROTARY_H
#define TW_ROTARY_H

#include "io/model.h"

// Frequencies of the d/2 pairs of a head, in radians a token. Plain: theta^(-2c/d). Linear: all divided by the factor.
// LLaMA 3's: divided where a turn takes more than original_positions / low_factor tokens, kept where it takes less than
// original_positions / high_factor, and between the two in between, evenly in turns.
void tw_rotary_frequencies(const tw_model_config *config, double *out);

// Turns the heads of one token's row [heads * d] in place. frequencies: from above.
void tw_rotary_turn(double *row, int heads, int head_dim, const double *frequencies, int token);

#endif
