#include "io/format.h"

#include <stdlib.h>

tw_status tw_format_other_version(const char *path, const char *format, const char *found, const char *remedy) {
  char *end;
  long number = strtol(found, &end, 10);
  if (*found && !*end && number > 0 && number < TW_FORMAT_VERSION)
    return tw_fail(TW_ERR_FORMAT, "%s: version %ld of %s, which an earlier twain wrote; this one reads version %d: %s",
                   path, number, format, TW_FORMAT_VERSION, remedy);
  if (*found && !*end && number == TW_FORMAT_VERSION)
    return tw_fail(TW_ERR_USAGE, "%s: is of version %ld already: nothing to do", path, number);
  if (*found && !*end && number > TW_FORMAT_VERSION)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: version %ld of %s, which a later twain wrote; this one (%s) reads version %d: "
                   "use that one",
                   path, number, format, TWAIN_VERSION, TW_FORMAT_VERSION);
  return tw_fail(TW_ERR_FORMAT, "%s: its version \"%s\" is no version of %s; fetch a fresh copy", path, found, format);
}
