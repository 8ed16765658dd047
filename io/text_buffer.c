#include "io/text_buffer.h"

#include <string.h>

#include "base/memory.h"

tw_status tw_text_put(tw_text_buffer *b, const char *text, size_t bytes) {
  TW_TRY(tw_grow((void **)&b->text, &b->room, b->used + bytes + 1, 1));
  memcpy(b->text + b->used, text, bytes);
  b->used += bytes;
  b->text[b->used] = '\0';
  return TW_OK;
}
