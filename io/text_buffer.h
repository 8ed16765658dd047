// Text that grows.
#ifndef TW_TEXT_BUFFER_H
#define TW_TEXT_BUFFER_H

#include <stddef.h>

#include "base/status.h"

typedef struct {
  char *text;  // free(); NULL until something is put
  size_t used, room;
} tw_text_buffer;

// A zero byte comes behind it, which `used` does not count. TW_ERR_MEMORY leaves the buffer as it was.
tw_status tw_text_put(tw_text_buffer *b, const char *text, size_t bytes);

#endif
