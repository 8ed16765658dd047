// What a reader left out or decided for itself: lines for whoever asked, shown by app/.
#ifndef TW_NOTES_H
#define TW_NOTES_H

#include "base/status.h"

typedef struct {
  char *text;  // lines, each with its newline; NULL: none. free()
} tw_notes;

tw_status tw_note(tw_notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
