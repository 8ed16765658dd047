// Where the sequences of an input come from: which text of the client's file each is of, and which chunk of it, that
// text's line and its id.
// It stays with the client, in its input and its result; no share holds anything of it.
#ifndef TW_ORIGINS_H
#define TW_ORIGINS_H

#include "base/status.h"

// Of `count` sequences, which the owner knows. Arrays are tw_alloc's, strings malloc's.
typedef struct {
  int *texts;   // number of the text, from 0 on in the client's order; NULL: sequence i is text i
  int *chunks;  // of texts that were divided: which chunk of its text a sequence is, from 1 on, 0 of a whole text; or
                // NULL
  int *lines;   // of its file, from 1 on; NULL: it comes from no file
  char **ids;   // NULL: there are none
} tw_origins;

tw_status tw_origins_copy(const tw_origins *from, int count, tw_origins *out);  // free it also after a failure
void tw_origins_free(tw_origins *origins, int count);

#endif
