// The filters, tests, methods and functions of chat templates that are known.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/characters.h"
#include "io/jinja_parts.h"
#include "io/normalise.h"

static json_t *not_known(tw_jinja_run_state *r, const char *what, const char *name) {
  tw_jinja_fail(r, "the %s \"%s\" is not known here, or not for such a value", what, name);
  return NULL;
}

json_t *tw_jinja_string(tw_jinja_run_state *r, json_t *value) {
  char number[32];
  if (!value) return json_string("");
  if (json_is_string(value)) return json_incref(value);
  if (json_is_true(value)) return json_string("True");
  if (json_is_false(value)) return json_string("False");
  if (json_is_null(value)) return json_string("None");
  snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
  if (json_is_integer(value)) return json_string(number);
  tw_jinja_fail(r, "a list, an object or a fraction where text is wanted");
  return NULL;
}

// ---- texts

static bool stripped(int c, const char *letters) {
  if (!letters) return tw_char_white(c) || (c >= 0x1c && c <= 0x1f);
  for (size_t at = 0, n = strlen(letters); at < n;)
    if (tw_code_point(letters, n, &at) == c) return true;
  return false;
}

// letters: what goes, NULL: white space.
static json_t *strip(const json_t *value, const char *letters, bool left, bool right) {
  const char *text = json_string_value(value);
  size_t begin = 0, end = json_string_length(value);
  for (size_t at = 0; left && at < end && stripped(tw_code_point(text, end, &at), letters);) begin = at;
  while (right && end > begin) {
    size_t before = end - 1, at;
    while (before > begin && (text[before] & 0xC0) == 0x80) before--;
    at = before;
    if (!stripped(tw_code_point(text, end, &at), letters)) break;
    end = before;
  }
  return json_stringn(text + begin, end - begin);
}

static json_t *split(const json_t *value, const char *by) {
  json_t *list = json_array();
  const char *at = json_string_value(value);
  for (const char *next; (next = strstr(at, by)); at = next + strlen(by))
    json_array_append_new(list, json_stringn(at, (size_t)(next - at)));
  json_array_append_new(list, json_string(at));
  return list;
}

static json_t *join(tw_jinja_run_state *r, json_t *list, const char *between) {
  tw_text_buffer text = {0}, *outer = r->out;
  json_t *one, *value;
  size_t i;
  r->out = &text;
  json_array_foreach(list, i, one) {
    json_t *part = tw_jinja_string(r, one);
    if (i) tw_jinja_put(r, between, strlen(between));
    if (part) tw_jinja_put(r, json_string_value(part), json_string_length(part));
    json_decref(part);
  }
  r->out = outer;
  value = tw_jinja_live(r) ? json_stringn(text.text ? text.text : "", text.used) : NULL;
  free(text.text);
  return value;
}

static json_t *replaced(tw_jinja_run_state *r, const json_t *value, const char *from, const char *to) {
  json_t *parts = split(value, from), *whole = join(r, parts, to);
  json_decref(parts);
  return whole;
}

static bool is_case(const char *name) {
  return strcmp(name, "upper") == 0 || strcmp(name, "lower") == 0 || strcmp(name, "title") == 0 ||
         strcmp(name, "capitalize") == 0;
}

// Other letters than ASCII's have rules of their own.
static json_t *in_case(tw_jinja_run_state *r, const char *name, const json_t *value) {
  bool upper = strcmp(name, "upper") == 0, title = strcmp(name, "title") == 0, first = name[0] == 'c', inside = false;
  size_t n = json_string_length(value);
  char *text = malloc(n + 1);
  if (!text) return NULL;
  memcpy(text, json_string_value(value), n);
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (c & 0x80) not_known(r, "filter", name);
    bool small = c >= 'a' && c <= 'z', large = c >= 'A' && c <= 'Z';
    if (upper || ((title || first) && !inside) ? small : large) text[i] = (char)(c ^ 32);
    inside = first || small || large;
  }
  json_t *found = tw_jinja_live(r) ? json_stringn(text, n) : NULL;
  free(text);
  return found;
}

static json_int_t code_points(const json_t *value) {
  json_int_t n = 0;
  for (const char *at = json_string_value(value); *at; at++) n += (*at & 0xC0) != 0x80;
  return n;
}

// ---- tests

static json_t *argument(const tw_jinja_arguments *a, int i) { return i < a->count ? a->items[i] : NULL; }

bool tw_jinja_test(tw_jinja_run_state *r, const char *name, json_t *v, const tw_jinja_arguments *a) {
  static const char *const names[] = {"defined", "undefined", "none", "string", "mapping",  "number",
                                      "integer", "boolean",   "true", "false",  "iterable", "sequence",
                                      "equalto", "eq",        "ne",   "odd",    "even"};
  bool list = !v || json_is_string(v) || json_is_array(v) || json_is_object(v);
  bool odd = json_integer_value(v) % 2 != 0;
  bool equal = tw_jinja_equal(v, argument(a, 0));
  const bool answers[] = {v != NULL,
                          v == NULL,
                          json_is_null(v),
                          json_is_string(v),
                          json_is_object(v),
                          json_is_number(v) || json_is_boolean(v),
                          json_is_integer(v),
                          json_is_boolean(v),
                          json_is_true(v),
                          json_is_false(v),
                          list,
                          list,
                          equal,
                          equal,
                          !equal,
                          odd,
                          !odd};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) != 0) continue;
    if (i >= 15 && !json_is_integer(v)) break;
    return answers[i];
  }
  not_known(r, "test", name);
  return false;
}

// ---- filters

static json_t *default_of(json_t *value, const tw_jinja_arguments *a) {
  bool falsy = json_is_true(argument(a, 1)) || json_is_true(json_object_get(a->named, "boolean"));
  if (value && (!falsy || tw_jinja_true(value))) return json_incref(value);
  return a->count ? json_incref(a->items[0]) : json_string("");
}

// selectattr(NAME[, TEST[, ARGUMENT]]) and its contrary.
static json_t *select_by(tw_jinja_run_state *r, json_t *list, const tw_jinja_arguments *a, bool wanted) {
  const char *name = json_string_value(argument(a, 0)), *test = json_string_value(argument(a, 1));
  tw_jinja_arguments rest = {.items = {argument(a, 2)}, .count = a->count > 2};
  json_t *kept = json_array(), *one;
  size_t i;
  if (!name || strchr(name, '.')) not_known(r, "filter", "selectattr");
  json_array_foreach(list, i, one) {
    json_t *part = name ? json_object_get(one, name) : NULL;
    bool holds = test ? tw_jinja_test(r, test, part, &rest) : tw_jinja_true(part);
    if (holds == wanted) json_array_append(kept, one);
  }
  return kept;
}

static json_t *filter_text(tw_jinja_run_state *r, const char *name, json_t *v, const tw_jinja_arguments *a) {
  const char *first = json_string_value(argument(a, 0)), *second = json_string_value(argument(a, 1));
  if (strcmp(name, "trim") == 0) return strip(v, first, true, true);
  if (is_case(name)) return in_case(r, name, v);
  if (strcmp(name, "length") == 0 || strcmp(name, "count") == 0) return json_integer(code_points(v));
  if (strcmp(name, "replace") == 0 && a->count == 2 && first && *first && second) return replaced(r, v, first, second);
  return not_known(r, "filter", name);
}

static json_t *filter_list(tw_jinja_run_state *r, const char *name, json_t *v, const tw_jinja_arguments *a) {
  size_t n = json_array_size(v);
  const char *first = json_string_value(argument(a, 0));
  if (strcmp(name, "length") == 0 || strcmp(name, "count") == 0) return json_integer((json_int_t)n);
  if (strcmp(name, "list") == 0) return json_incref(v);
  if (strcmp(name, "first") == 0) return json_incref(json_array_get(v, 0));
  if (strcmp(name, "last") == 0) return json_incref(n ? json_array_get(v, n - 1) : NULL);
  if (strcmp(name, "join") == 0 && (a->count == 0 || (a->count == 1 && first))) return join(r, v, first ? first : "");
  if (strcmp(name, "selectattr") == 0) return select_by(r, v, a, true);
  if (strcmp(name, "rejectattr") == 0) return select_by(r, v, a, false);
  return not_known(r, "filter", name);
}

json_t *tw_jinja_filter(tw_jinja_run_state *r, const char *name, json_t *v, const tw_jinja_arguments *a) {
  if (strcmp(name, "default") == 0 || strcmp(name, "d") == 0) return default_of(v, a);
  if (strcmp(name, "string") == 0) return tw_jinja_string(r, v);
  if (strcmp(name, "safe") == 0 && json_is_string(v)) return json_incref(v);
  if (strcmp(name, "items") == 0 && json_is_object(v)) return tw_jinja_method(r, v, name, a);
  if (a->named) return not_known(r, "filter", name);
  if (json_is_string(v)) return filter_text(r, name, v, a);
  if (json_is_array(v)) return filter_list(r, name, v, a);
  if (json_is_object(v) && strcmp(name, "length") == 0) return json_integer((json_int_t)json_object_size(v));
  return not_known(r, "filter", name);
}

// ---- methods and functions

static json_t *method_of_text(tw_jinja_run_state *r, json_t *v, const char *name, const tw_jinja_arguments *a) {
  const char *text = json_string_value(v), *first = json_string_value(argument(a, 0));
  size_t n = json_string_length(v), m = first ? strlen(first) : 0;
  if (a->count > 0 && !first) return not_known(r, "method", name);
  if (strcmp(name, "strip") == 0) return strip(v, first, true, true);
  if (strcmp(name, "lstrip") == 0) return strip(v, first, true, false);
  if (strcmp(name, "rstrip") == 0) return strip(v, first, false, true);
  if (a->count == 0 && is_case(name)) return in_case(r, name, v);
  if (strcmp(name, "split") == 0 && a->count == 1 && m) return split(v, first);
  if (strcmp(name, "replace") == 0 && a->count == 2 && m && json_is_string(a->items[1]))
    return replaced(r, v, first, json_string_value(a->items[1]));
  if (strcmp(name, "startswith") == 0 && a->count == 1) return json_boolean(n >= m && memcmp(text, first, m) == 0);
  if (strcmp(name, "endswith") == 0 && a->count == 1)
    return json_boolean(n >= m && memcmp(text + n - m, first, m) == 0);
  return not_known(r, "method", name);
}

json_t *tw_jinja_method(tw_jinja_run_state *r, json_t *v, const char *name, const tw_jinja_arguments *a) {
  const char *key, *wanted = json_string_value(argument(a, 0));
  json_t *one, *list;
  if (json_is_string(v) && !a->named) return method_of_text(r, v, name, a);
  if (!json_is_object(v) || a->named) return not_known(r, "method", name);
  if (strcmp(name, "get") == 0 && wanted && a->count <= 2) {
    one = json_object_get(v, wanted);
    return one ? json_incref(one) : a->count == 2 ? json_incref(a->items[1]) : json_null();
  }
  bool keys = strcmp(name, "keys") == 0, values = strcmp(name, "values") == 0;
  if (a->count || (!keys && !values && strcmp(name, "items") != 0)) return not_known(r, "method", name);
  list = json_array();
  json_object_foreach(v, key, one) {
    if (values)
      json_array_append(list, one);
    else
      json_array_append_new(list, keys ? json_string(key) : json_pack("[s, O]", key, one));
  }
  return list;
}

static json_t *range(tw_jinja_run_state *r, const tw_jinja_arguments *a) {
  json_int_t from = a->count == 2 ? json_integer_value(a->items[0]) : 0;
  json_int_t to = a->count ? json_integer_value(a->items[a->count - 1]) : 0;
  if (a->count < 1 || a->count > 2 || !json_is_integer(a->items[0]) || !json_is_integer(a->items[a->count - 1]) ||
      (to > from && to - from > 100000))
    return not_known(r, "function", "range");
  json_t *list = json_array();
  for (json_int_t i = from; i < to; i++) json_array_append_new(list, json_integer(i));
  return list;
}

static json_t *date(tw_jinja_run_state *r, const char *format) {
  char text[256];
  time_t now = time(NULL);
  struct tm parts;
  if (!format || !localtime_r(&now, &parts) || strftime(text, sizeof text, format, &parts) == 0)
    return not_known(r, "function", "strftime_now");
  return json_string(text);
}

json_t *tw_jinja_call(tw_jinja_run_state *r, const char *name, const tw_jinja_arguments *a) {
  const char *first = json_string_value(argument(a, 0));
  if (strcmp(name, "raise_exception") == 0) {
    tw_jinja_fail(r, "it refuses the messages: \"%s\"", first ? first : "");
    return NULL;
  }
  if (strcmp(name, "namespace") == 0 && a->count == 0) return a->named ? json_copy(a->named) : json_object();
  if (a->named) return not_known(r, "function", name);
  if (strcmp(name, "range") == 0) return range(r, a);
  if (strcmp(name, "strftime_now") == 0 && a->count == 1) return date(r, first);
  return not_known(r, "function", name);
}
