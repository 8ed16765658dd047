// Cutting a text, or a pair, to a number of tokens: "longest first" of the tokenizers library.
#ifndef TW_CUT_H
#define TW_CUT_H

#include <stdbool.h>

#include "base/status.h"

// n: tokens of the texts, reduced so that they and `special` tokens are at most `most`. TW_ERR_RANGE when that leaves
// less than one token a text.
tw_status tw_cut(int n[2], bool pair, int special, int most);

#endif
