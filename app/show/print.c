#define _GNU_SOURCE
#include "app/show/print.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "io/host.h"

static int speaker = -1, process = -1;
#define ASKED "a signal asks for an end: it comes after the batch in hand; a second signal ends at once"
#define ENDED "ended by a signal, from the launcher, the system or a person"
static char ended[400] = "twain: " ENDED;  // what a handler of signals says; it may not put it together
static char asked[sizeof ended] = "twain: " ASKED;
static const char *volatile slots;  // NULL: no word about them
static atomic_bool error_said;

static void prepare_ended(void) {
  char host[256], which[32] = "";
  tw_host_name(host, sizeof host);
  if (process >= 0) snprintf(which, sizeof which, ", process %d", process);
  snprintf(ended, sizeof ended, "twain: party %d%s on %s: " ENDED, speaker, which, host);
  snprintf(asked, sizeof asked, "twain: party %d%s on %s: " ASKED, speaker, which, host);
}

void tw_say_as(int party) {
  speaker = party;
  prepare_ended();
}

void tw_say_as_process(int index) {
  process = index;
  prepare_ended();
}

void tw_say_slots(const char *used) { slots = used; }

static size_t append(char *line, size_t size, size_t used, const char *text) {
  while (*text && used + 1 < size) line[used++] = *text++;
  return used;
}

void tw_say_ended(void) {
  char line[sizeof ended + 200];
  const char *used = slots;
  if (atomic_load(&error_said)) return;
  size_t n = append(line, sizeof line, 0, ended);
  if (used) n = append(line, sizeof line, n, *used ? "; used up: key slots " : "; no key slot was used");
  if (used) n = append(line, sizeof line, n, used);
  n = append(line, sizeof line, n, "\n");
  if (write(STDERR_FILENO, line, n) < 0) return;
}

void tw_say_asked(void) {
  char line[sizeof asked + 2];
  size_t n = append(line, sizeof line, 0, asked);
  n = append(line, sizeof line, n, "\n");
  if (write(STDERR_FILENO, line, n) < 0) return;
}

// One write a message, so that two parties' lines do not mix. A message may quote the other party, or a file of others:
// it stays on its line, whatever is in it.
static void say(const char *message) {
  char line[4096], host[256];
  if (speaker >= 0) {
    char which[32] = "";
    tw_host_name(host, sizeof host);
    if (process >= 0) snprintf(which, sizeof which, ", process %d", process);
    snprintf(line, sizeof line - 1, "twain: party %d%s on %s: %s", speaker, which, host, message);
  } else {
    snprintf(line, sizeof line - 1, "twain: %s", message);
  }
  tw_text_make_plain(line);
  memcpy(line + strlen(line), "\n", 2);
  fflush(stdout);
  fputs(line, stderr);
  fflush(stderr);
}

void tw_say_error(void) {
  if (!atomic_exchange(&error_said, true)) say(tw_error_message());
}

void tw_say(const char *format, ...) {
  char message[3072];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  say(message);
}

void tw_print_line(const char *format, ...) {
  char *line = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&line, format, args);
  va_end(args);
  if (length < 0) return;
  tw_text_make_plain(line);
  puts(line);
  free(line);
}

// ---- progress

void tw_progress_start(tw_progress *p, const char *what, bool quiet) {
  double now = tw_seconds();
  *p = (tw_progress){
      .what = what, .shown = !quiet, .terminal = isatty(STDERR_FILENO), .last = -1, .begin = now, .told = now};
}

static void tell_in_log(tw_progress *p, double fraction) {
  const double minute = 60;
  double now = tw_seconds();
  if (now - p->told < minute) return;
  p->told = now;
  tw_say("%s: %.0f %% after %.0f min", p->what, 100 * fraction, (now - p->begin) / minute);
}

void tw_progress_show(void *progress, double fraction) {
  tw_progress *p = progress;
  int percent = (int)(100 * fraction);
  if (p->shown && !p->terminal) tell_in_log(p, fraction);
  if (!p->shown || !p->terminal || percent == p->last) return;
  p->last = percent;
  fprintf(stderr, "\r%s: %3d %%", p->what, percent);
  fflush(stderr);
}

void tw_progress_end(tw_progress *p) {
  if (p->shown && p->last >= 0) fprintf(stderr, "\r%*s\r", (int)strlen(p->what) + 7, "");
  p->shown = false;
}

// ---- tables

// Tabs separate cells.
static void make_cells_plain(char *row) {
  for (char *cell = row; cell;) {
    char *tab = strchr(cell, '\t');
    if (tab) *tab = '\0';
    tw_text_make_plain(cell);
    if (tab) *tab++ = '\t';
    cell = tab;
  }
}

static void add_row(tw_grid *grid, char *row) {
  if (!row) return;
  make_cells_plain(row);
  if (grid->count == grid->room) {
    int room = grid->room ? 2 * grid->room : 32;
    char **grown = realloc(grid->rows, (size_t)room * sizeof(char *));
    if (!grown) {
      free(row);
      return;
    }
    grid->rows = grown;
    grid->room = room;
  }
  grid->rows[grid->count++] = row;
}

void tw_grid_row(tw_grid *grid, const char *format, ...) {
  char *row = NULL;
  va_list args;
  va_start(args, format);
  if (vasprintf(&row, format, args) < 0) row = NULL;
  va_end(args);
  add_row(grid, row);
}

void tw_grid_rule(tw_grid *grid) { add_row(grid, strdup("")); }

enum { COLUMNS = 32 };

// Columns on the screen of UTF-8 text, every code point taken as one.
static int width_of(const char *text, size_t bytes) {
  int width = 0;
  for (size_t i = 0; i < bytes; i++) width += ((unsigned char)text[i] & 0xC0) != 0x80;
  return width;
}

static int measure(const char *row, int width[COLUMNS]) {
  int column = 0;
  for (const char *cell = row; column < COLUMNS; column++) {
    size_t n = strcspn(cell, "\t");
    int w = width_of(cell, n);
    if (w > width[column]) width[column] = w;
    if (!cell[n]) return column + 1;
    cell += n + 1;
  }
  return COLUMNS;
}

static void print_row(const char *row, const int width[COLUMNS]) {
  int column = 0;
  for (const char *cell = row; column < COLUMNS; column++) {
    size_t n = strcspn(cell, "\t");
    int pad = width[column] - width_of(cell, n);
    if (column == 0)
      printf("%.*s%*s", (int)n, cell, cell[n] ? pad : 0, "");
    else
      printf("  %*s%.*s", pad, "", (int)n, cell);
    if (!cell[n]) break;
    cell += n + 1;
  }
  putchar('\n');
}

void tw_grid_print(tw_grid *grid) {
  int width[COLUMNS] = {0}, columns = 0, total = 0;
  for (int i = 0; i < grid->count; i++) {
    int n = measure(grid->rows[i], width);
    if (n > columns) columns = n;
  }
  for (int i = 0; i < columns; i++) total += width[i] + 2 * (i > 0);
  for (int i = 0; i < grid->count; i++) {
    if (grid->rows[i][0]) {
      print_row(grid->rows[i], width);
    } else {
      for (int c = 0; c < total; c++) putchar('-');
      putchar('\n');
    }
    free(grid->rows[i]);
  }
  free(grid->rows);
  *grid = (tw_grid){0};
}

// ---- numbers

static char *next_text(void) {
  static char texts[8][32];
  static int next;
  return texts[next++ % 8];
}

const char *tw_text_bytes(double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  char *text = next_text();
  size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++) bytes /= 1000;
  snprintf(text, 32,
           unit == 0       ? "%.0f %s"
           : bytes < 9.995 ? "%.2f %s"
           : bytes < 99.95 ? "%.1f %s"
                           : "%.0f %s",
           bytes, units[unit]);
  return text;
}

const char *tw_text_seconds(double seconds) {
  char *text = next_text();
  if (seconds < 0.9995)
    snprintf(text, 32, "%.*f ms", seconds < 0.00995 ? 2 : 1, 1e3 * seconds);
  else
    snprintf(text, 32, "%.2f s", seconds);
  return text;
}

tw_status tw_json_print(json_t *json) {
  if (!json) return tw_fail(TW_ERR_MEMORY, "out of memory for JSON");
  int failed = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
  putchar('\n');
  json_decref(json);
  return failed ? tw_fail(TW_ERR_IO, "cannot write JSON to standard output") : TW_OK;
}
