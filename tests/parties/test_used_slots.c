// What is said of the key slots that a run has used up.
#include <stdio.h>
#include <string.h>

#include "jobs/parties/used_slots.h"
#include "tests/common/suite.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static tw_used_slot slot(char key, uint64_t number) {
  tw_used_slot s = {.slot = number};
  memset(s.key_id.hex, key, sizeof s.key_id.hex - 1);
  return s;
}

static void one_key_file(void) {
  char text[TW_SLOTS_TEXT];
  tw_used_slot list[] = {slot('b', 5), slot('a', 6), slot('a', 1)};
  tw_used_slots_say(list, 3, false, text);
  CU_ASSERT_STRING_EQUAL(text, "1 and 5-6");
  tw_used_slots_say(list, 0, false, text);
  CU_ASSERT_STRING_EQUAL(text, "");
}

static void several(void) {
  char text[TW_SLOTS_TEXT];
  tw_used_slot list[] = {slot('b', 1), slot('a', 0), slot('b', 0), slot('a', 2)};
  tw_used_slots_say(list, 4, true, text);
  CU_ASSERT_STRING_EQUAL(text, "0 and 2 of key " A ", 0-1 of key " B);
}

// Each slot is named or counted, however many keys there are.
static void many(void) {
  char text[TW_SLOTS_TEXT];
  tw_used_slot list[20];
  for (int i = 0; i < 20; i++) list[i] = slot((char)('a' + i), 3);
  tw_used_slots_say(list, 20, true, text);
  int named = 0, more = 0;
  for (const char *c = text; (c = strstr(c, "3 of key ")); c++) named++;
  const char *rest = strstr(text, ", and ");
  CU_ASSERT_PTR_NOT_NULL_FATAL(rest);
  CU_ASSERT_EQUAL(sscanf(rest, ", and %d of other keys", &more), 1);
  CU_ASSERT(named > 1);
  CU_ASSERT_EQUAL(named + more, 20);
}

SUITE_MAIN("used slots", {"one key file", one_key_file}, {"several", several}, {"many keys", many})
