#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang_analyzer__  // base/status.h
#undef tw_fail
#undef tw_fail_in
#endif

static _Thread_local char message[2048];

tw_status tw_fail(tw_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return code;
}

tw_status tw_fail_in(tw_status code, const char *format, ...) {
  char inner[sizeof message];
  memcpy(inner, message, sizeof message);
  va_list args;
  va_start(args, format);
  int used = vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (used >= 0 && (size_t)used < sizeof message - 1)
    snprintf(message + used, sizeof message - (size_t)used, ": %s", inner);
  return code;
}

const char *tw_error_message(void) { return message; }
