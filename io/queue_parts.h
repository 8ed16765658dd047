// What the files of a queue share. Internal to io/.
#ifndef TW_QUEUE_PARTS_H
#define TW_QUEUE_PARTS_H

#include <stddef.h>

#include "io/queue.h"

struct tw_queue {
  tw_queue_options o;
  int folder, out;
  char ending[24];  // ".input.pR.h5"
  bool stop;
  tw_waiting *waiting, *before;
  size_t room;
  int count, before_count;
};

// The folder below `above` that is CLIENT's, "" for `above` itself; -1: none, or one that is another user's or that
// `closed` lets others write.
int tw_queue_client_folder(int above, const char *client, mode_t closed);
// OUT/NAME.result.pR.h5, or .error.pR.txt; "" where the paths are too long.
tw_path tw_queue_out_path(const tw_queue *q, const char *name, const char *kind, const char *ending);
tw_status tw_queue_make_client_folder(const tw_queue *q, const char *name);
// Of new files in OUT, or OUT/CLIENT, that clients read.
mode_t tw_queue_mode_of_out(const tw_queue *q, const char *name);
tw_status tw_queue_is_sealed(const tw_queue *q, const char *name, bool *sealed);

#endif
