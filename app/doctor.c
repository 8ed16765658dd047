#include "app/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/help.h"
#include "base/text.h"

static const char *const states[] = {"ok", "note", "BAD"};

static void add(tw_doctor *d, tw_finding finding, const char *check, const char *found, const char *remedy) {
  char text[1024];
  snprintf(text, sizeof text, "%s", found);
  tw_text_make_plain(text);
  d->notes += finding == TW_NOTE;
  d->bad += finding == TW_BAD;
  json_array_append_new(d->rows, json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "state", states[finding], "found",
                                           text, "remedy", remedy));
}

void tw_doctor_say(tw_doctor *d, tw_finding finding, const char *check, const char *remedy, const char *found, ...) {
  char text[1024];
  va_list args;
  va_start(args, found);
  vsnprintf(text, sizeof text, found, args);
  va_end(args);
  add(d, finding, check, text, finding == TW_FINE ? NULL : remedy);
}

void tw_doctor_say_error(tw_doctor *d, tw_finding finding, const char *check) {
  add(d, finding, check, tw_error_message(), NULL);
}

void tw_doctor_print(const tw_doctor *d) {
  enum { INDENT = 20 };
  size_t i;
  json_t *row;
  int width = tw_help_width(stdout);
  json_array_foreach(d->rows, i, row) {
    char left[64];
    const char *remedy = json_string_value(json_object_get(row, "remedy"));
    snprintf(left, sizeof left, "%-5s %-12s", json_string_value(json_object_get(row, "state")),
             json_string_value(json_object_get(row, "check")));
    tw_help_row(stdout, left, json_string_value(json_object_get(row, "found")), INDENT, width);
    if (remedy) {
      printf("%*s", INDENT - 3, "");
      tw_help_wrap(stdout, remedy, printf("-> ") + INDENT - 3, INDENT, width);
    }
  }
}
