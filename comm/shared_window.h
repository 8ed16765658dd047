// Host memory that both parties of one host see: a window of MPI-3 shared memory, one part for each party, written by
// its owner and read by the other. Parts begin on pages of their own.
#ifndef TW_SHARED_WINDOW_H
#define TW_SHARED_WINDOW_H

#include <stddef.h>

#include "comm/channel.h"

typedef struct tw_shared_window tw_shared_window;

// Collective. *out is NULL (and the status TW_OK, on both) when the parties do not share a host. Zeroed.
tw_status tw_shared_window_create(tw_channel *channel, size_t bytes, tw_shared_window **out);
void *tw_shared_window_part(const tw_shared_window *w, int party);
size_t tw_shared_window_bytes(const tw_shared_window *w);  // of a part, whole pages
// abandon: the other party is lost; the window is left to the end of the process, since freeing it is collective.
void tw_shared_window_destroy(tw_shared_window *w, int abandon);

#endif
