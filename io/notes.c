#define _GNU_SOURCE
#include "io/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

tw_status tw_note(tw_notes *notes, const char *format, ...) {
  char *line = NULL, *all = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&line, format, args);
  va_end(args);
  if (length < 0) return tw_fail(TW_ERR_MEMORY, "out of memory for a note");
  for (char *at = line; *at; at++)  // names in a file are not to reach a terminal as commands
    if ((unsigned char)*at < ' ' || *at == 127) *at = '?';
  length = asprintf(&all, "%s%s\n", notes->text ? notes->text : "", line);
  free(line);
  if (length < 0) return tw_fail(TW_ERR_MEMORY, "out of memory for a note");
  free(notes->text);
  notes->text = all;
  return TW_OK;
}
