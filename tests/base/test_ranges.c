// Lists of numbers as people read them, whatever room there is.
#include <string.h>

#include "base/ranges.h"
#include "tests/common/suite.h"

static const char *list(const uint64_t *numbers, size_t n, size_t room, int most) {
  static char text[200];
  memset(text, '#', sizeof text);
  tw_ranges r = tw_ranges_begin(text, room, most);
  for (size_t i = 0; i < n; i++) tw_ranges_add(&r, numbers[i]);
  tw_ranges_end(&r);
  CU_ASSERT(memchr(text, '\0', room) != NULL && text[room] == '#');
  return text;
}

#define LIST(room, most, ...) \
  list((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), room, most)

static void forms(void) {
  CU_ASSERT_STRING_EQUAL(list(NULL, 0, 100, 4), "");
  CU_ASSERT_STRING_EQUAL(LIST(100, 4, 0), "0");
  CU_ASSERT_STRING_EQUAL(LIST(100, 4, 0, 1), "0-1");
  CU_ASSERT_STRING_EQUAL(LIST(100, 4, 3, 4, 5, 6), "3-6");
  CU_ASSERT_STRING_EQUAL(LIST(100, 4, 1, 4), "1 and 4");
  CU_ASSERT_STRING_EQUAL(LIST(100, 4, 1, 4, 5, 9), "1, 4-5 and 9");
  CU_ASSERT_STRING_EQUAL(LIST(100, 2, 1, 4, 9, 10, 20), "1, 4 and 3 more");
  CU_ASSERT_STRING_EQUAL(LIST(100, 2, 1, 4, UINT64_MAX - 1, UINT64_MAX), "1, 4 and 2 more");
}

// Nothing is written past the end, and every number is named or counted.
static void little_room(void) {
  uint64_t numbers[50];
  for (size_t i = 0; i < 50; i++) numbers[i] = 1000000 + 2 * i;
  for (size_t room = 40; room < 160; room++) {
    const char *text = list(numbers, 50, room, 50);
    unsigned long long more = 0;
    int named = 0;
    for (const char *c = text; (c = strstr(c, "10000")); c++) named++;
    const char *and = strstr(text, " and ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(and);
    CU_ASSERT_EQUAL(sscanf(and, " and %llu more", &more), 1);
    CU_ASSERT_EQUAL(named + (int)more, 50);
  }
}

SUITE_MAIN("ranges", {"forms", forms}, {"little room", little_room})
