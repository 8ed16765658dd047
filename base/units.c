#include "base/units.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *name;
  double factor;
} unit;

static const unit times[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};
static const unit rates[] = {{"kbit/s", 1e3 / 8},
                             {"Mbit/s", 1e6 / 8},
                             {"Gbit/s", 1e9 / 8},
                             {"kB/s", 1e3},
                             {"MB/s", 1e6},
                             {"GB/s", 1e9},
                             {NULL, 0}};

static tw_status parse(const char *text, const unit *units, const char *wanted, double *out) {
  char *end;
  double number = strtod(text, &end);
  bool decimal = end - text <= (ptrdiff_t)strspn(text, " +-.0123456789eE");  // C has hexadecimal numbers, too
  if (end == text || !decimal || !isfinite(number) || number < 0)
    return tw_fail(TW_ERR_USAGE, "'%s': a number with its unit is needed, %s", text, wanted);
  end += strspn(end, " ");
  if (!*end) return tw_fail(TW_ERR_USAGE, "'%s' has no unit: %s", text, wanted);
  for (const unit *u = units; u->name; u++) {
    if (strcmp(end, u->name) != 0) continue;
    *out = number * u->factor;
    return isfinite(*out) ? TW_OK : tw_fail(TW_ERR_USAGE, "'%s' is too large", text);
  }
  return tw_fail(TW_ERR_USAGE, "'%s': '%s' is no unit that is known here; %s", text, end, wanted);
}

tw_status tw_parse_seconds(const char *text, double *seconds) { return parse(text, times, "us, ms or s", seconds); }

tw_status tw_parse_rate(const char *text, double *bytes_per_second) {
  return parse(text, rates, "kbit/s, Mbit/s, Gbit/s (bits) or kB/s, MB/s, GB/s (bytes)", bytes_per_second);
}
