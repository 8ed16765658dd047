// What a person sees: messages and progress on stderr, aligned tables and JSON on stdout.
#ifndef TW_PRINT_H
#define TW_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// "twain: message", with "party N on HOST: " in front of it in an MPI job.
void tw_say_error(void);  // the last failure; once only
void tw_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
// A line on stdout of which a part comes from a file.
void tw_print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
// In a signal's handler: that it ends the process; unless the last failure was said, which the launcher answers by
// signals.
void tw_say_ended(void);
// What that says of key slots: `used` of them, "" is none. The text stays, and may change, until the next call. NULL:
// not a word.
void tw_say_slots(const char *used);
// In a signal's handler: that it has asked for an end.
void tw_say_asked(void);
// Which party speaks from now on.
void tw_say_as(int party);
// And which of the party's several processes says it.
void tw_say_as_process(int index);

// A percentage on a terminal, elsewhere a line a minute; nothing where tw_progress_start is `quiet`.
typedef struct {
  const char *what;
  bool shown, terminal;
  int last;
  double begin, told;  // tw_seconds
} tw_progress;
void tw_progress_start(tw_progress *p, const char *what, bool quiet);
void tw_progress_show(void *progress, double fraction);
void tw_progress_end(tw_progress *p);

// A table whose columns are aligned when all rows are known. A row is one line, its cells separated by tabs.
typedef struct {
  int count, room;
  char **rows;
} tw_grid;
void tw_grid_row(tw_grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tw_grid_rule(tw_grid *grid);
void tw_grid_print(tw_grid *grid);  // the first column to the left, the others to the right; ends the table

// "12.3 MB" (powers of 1000), "1.2 ms": overwritten by the eighth call after this one.
const char *tw_text_bytes(double bytes);
const char *tw_text_seconds(double seconds);

// Prints and releases.
tw_status tw_json_print(json_t *json);

#endif
