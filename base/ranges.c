#include "base/ranges.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

tw_ranges tw_ranges_begin(char *text, size_t size, int most) {
  *text = '\0';
  return (tw_ranges){.text = text, .size = size, .most = most};
}

static void append(tw_ranges *r, const char *between, const char *piece) {
  size_t used = strlen(r->text);
  snprintf(r->text + used, r->size - used, "%s%s", used ? between : "", piece);
}

// A piece that finds no place, with room left for " and N more", is counted.
static void write_piece(tw_ranges *r) {
  enum { TAIL = 32 };
  char piece[48];
  if (r->first == r->last)
    snprintf(piece, sizeof piece, "%" PRIu64, r->first);
  else
    snprintf(piece, sizeof piece, "%" PRIu64 "-%" PRIu64, r->first, r->last);
  if (r->more || r->pieces == r->most || strlen(r->text) + strlen(r->held) + strlen(piece) + TAIL > r->size) {
    r->more += r->last - r->first + 1;
    return;
  }
  if (r->pieces++) append(r, ", ", r->held);
  snprintf(r->held, sizeof r->held, "%s", piece);
}

void tw_ranges_add(tw_ranges *r, uint64_t number) {
  if (r->some && number == r->last + 1) {
    r->last = number;
    return;
  }
  if (r->some) write_piece(r);
  r->some = true;
  r->first = r->last = number;
}

void tw_ranges_end(tw_ranges *r) {
  char more[40];
  if (r->some) write_piece(r);
  snprintf(more, sizeof more, "%" PRIu64 " more", r->more);
  if (r->pieces) append(r, r->more ? ", " : " and ", r->held);
  if (r->more) append(r, " and ", more);
}
