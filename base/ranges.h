// Numbers that go up, as people list them: "3", "0-7", "1 and 4", "0-3, 7 and 12-15", "1, 4-6, 9 and 20 more".
#ifndef TW_RANGES_H
#define TW_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char *text;
  size_t size;
  bool some;
  uint64_t first, last;  // of the piece that still grows
  char held[48];         // the piece before it: whether " and " stands there is known at the end
  int pieces, most;
  uint64_t more;
} tw_ranges;

// At most `most` pieces, as far as `text` has room. Ends as "" without numbers.
tw_ranges tw_ranges_begin(char *text, size_t size, int most);
void tw_ranges_add(tw_ranges *r, uint64_t number);  // above all before
void tw_ranges_end(tw_ranges *r);

#endif
