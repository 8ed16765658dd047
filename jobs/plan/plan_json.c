#include "jobs/plan/plan_json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

tw_status tw_plan_wrong(const char *path, const char *format, ...) {
  char problem[512];
  va_list args;
  va_start(args, format);
  vsnprintf(problem, sizeof problem, format, args);
  va_end(args);
  return tw_fail(TW_ERR_FORMAT, "%s: %s; make the plan again (`twain plan`) or fetch a fresh copy", path, problem);
}

tw_status tw_plan_member(const char *path, const json_t *object, const char *of, const char *key, json_type type,
                         json_t **out) {
  static const char *const types[] = {"an object", "an array",      "a string",     "a whole number",
                                      "a number",  "true or false", "true or false"};
  *out = json_object_get(object, key);
  const char *dot = *of ? "." : "";
  if (!*out) return tw_plan_wrong(path, "%s%s%s is missing", of, dot, key);
  bool fits = type == JSON_REAL   ? json_is_number(*out)
              : type == JSON_TRUE ? json_is_boolean(*out)
                                  : json_typeof(*out) == type;
  return fits ? TW_OK : tw_plan_wrong(path, "%s%s%s is not %s", of, dot, key, types[type]);
}

tw_status tw_plan_int(const char *path, const json_t *object, const char *of, const char *key, int low, int high,
                      int *out) {
  json_t *value;
  TW_TRY(tw_plan_member(path, object, of, key, JSON_INTEGER, &value));
  json_int_t v = json_integer_value(value);
  if (v < low || v > high)
    return tw_plan_wrong(path, "%s%s%s is %lld, not in %d .. %d", of, *of ? "." : "", key, (long long)v, low, high);
  *out = (int)v;
  return TW_OK;
}

tw_status tw_plan_positive(const char *path, const json_t *object, const char *of, const char *key, double *out) {
  json_t *value;
  TW_TRY(tw_plan_member(path, object, of, key, JSON_REAL, &value));
  *out = json_number_value(value);
  if (!(*out > 0) || !isfinite(*out))
    return tw_plan_wrong(path, "%s.%s is %g; a number above 0 is needed", of, key, *out);
  return TW_OK;
}

tw_status tw_plan_number(const char *path, const json_t *object, const char *of, const char *key, double *out) {
  json_t *value;
  TW_TRY(tw_plan_member(path, object, of, key, JSON_REAL, &value));
  *out = json_number_value(value);
  return isfinite(*out) ? TW_OK : tw_plan_wrong(path, "%s.%s is not finite", of, key);
}

tw_status tw_plan_text(const char *path, const json_t *object, const char *of, const char *key, char *out,
                       size_t size) {
  json_t *value;
  TW_TRY(tw_plan_member(path, object, of, key, JSON_STRING, &value));
  if (json_string_length(value) >= size)
    return tw_plan_wrong(path, "%s%s%s is longer than %zu bytes", of, *of ? "." : "", key, size - 1);
  snprintf(out, size, "%s", json_string_value(value));
  return TW_OK;
}

tw_status tw_plan_bool(const char *path, const json_t *object, const char *of, const char *key, bool *out) {
  json_t *value;
  TW_TRY(tw_plan_member(path, object, of, key, JSON_TRUE, &value));
  *out = json_is_true(value);
  return TW_OK;
}
