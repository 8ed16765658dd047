#include "jobs/parties/used_slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ranges.h"

static int by_key(const void *a, const void *b) {
  const tw_used_slot *x = a, *y = b;
  int order = strcmp(x->key_id.hex, y->key_id.hex);
  return order ? order : x->slot < y->slot ? -1 : x->slot > y->slot;
}

// Those of one key, from list[0] on; how many they are.
static size_t say_of_key(const tw_used_slot *list, size_t count, bool keys, char *text, size_t size) {
  enum { PIECES = 6 };
  char slots[160];
  size_t n = 0;
  tw_ranges ranges = tw_ranges_begin(slots, sizeof slots, PIECES);
  for (; n < count && strcmp(list[n].key_id.hex, list->key_id.hex) == 0; n++) tw_ranges_add(&ranges, list[n].slot);
  tw_ranges_end(&ranges);
  snprintf(text, size, keys ? "%s of key %s" : "%s", slots, list->key_id.hex);
  return n;
}

// Made aside: a signal may have the text read at any time.
void tw_used_slots_say(tw_used_slot *list, size_t count, bool keys, char text[TW_SLOTS_TEXT]) {
  enum { TAIL = 48 };
  char all[TW_SLOTS_TEXT] = "", one[240];
  size_t used = 0, i = 0, n;
  for (size_t k = 0; k < count && !keys; k++) memset(&list[k].key_id, 0, sizeof list[k].key_id);
  qsort(list, count, sizeof *list, by_key);
  for (; i < count; i += n) {
    n = say_of_key(list + i, count - i, keys, one, sizeof one);
    if (used + strlen(one) + TAIL > sizeof all) break;
    used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", one);
  }
  if (i < count) snprintf(all + used, sizeof all - used, ", and %zu of other keys", count - i);
  memcpy(text, all, sizeof all);
}
