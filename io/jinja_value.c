// A value of a chat template's expressions, and what stands behind it: attributes, items, filters, tests.
#include <stdlib.h>
#include <string.h>

#include "io/jinja_parts.h"
#include "io/split_rules.h"

// ---- literals

static int hexadecimal(const char *at, const char *end, int digits) {
  int value = 0;
  for (int i = 0; i < digits; i++, at++) {
    const char *all = "0123456789abcdef", *found = at < end && *at ? strchr(all, *at | 32) : NULL;
    if (!found) return -1;
    value = 16 * value + (int)(found - all);
  }
  return value;
}

// Escapes as Python has them; what is none stays as it is.
static size_t unescape(tw_jinja_run_state *r, const tw_jinja_token *t, char *to) {
  static const char from[] = "ntr\\'\"", into[] = "\n\t\r\\'\"";
  size_t used = 0;
  const char *end = t->text + t->bytes;
  for (const char *at = t->text; at < end; at++) {
    const char *known = *at == '\\' && at + 1 < end && at[1] ? strchr(from, at[1]) : NULL;
    if (known) {
      to[used++] = into[known - from];
      at++;
    } else if (*at == '\\' && at + 1 < end && (at[1] == 'u' || at[1] == 'x')) {
      int digits = at[1] == 'u' ? 4 : 2, code = hexadecimal(at + 2, end, digits);
      if (code <= 0 || (code >= 0xd800 && code < 0xe000)) {
        tw_jinja_fail(r, "an escape that is not known");
        return 0;
      }
      used += tw_utf8_put(code, to + used);
      at += 1 + digits;
    } else if (*at == '\\' && at + 1 < end && at[1] != '\n' && strchr("abfvN01234567U", at[1])) {
      tw_jinja_fail(r, "an escape that is not known");
      return 0;
    } else {
      to[used++] = *at;
    }
  }
  return used;
}

// Neighbouring strings are one.
static json_t *take_string(tw_jinja_run_state *r) {
  char *text = NULL;
  size_t used = 0;
  while (tw_jinja_is(r, TW_JINJA_STRING, NULL) && r->status == TW_OK) {
    const tw_jinja_token *t = tw_jinja_next(r);
    char *grown = realloc(text, used + t->bytes + 1);
    if (!grown) {
      r->status = tw_fail(TW_ERR_MEMORY, "out of memory in the chat template");
      break;
    }
    text = grown;
    used += unescape(r, t, text + used);
    tw_jinja_take(r, TW_JINJA_STRING, NULL);
  }
  json_t *value = tw_jinja_live(r) && text ? json_stringn(text, used) : NULL;
  free(text);
  return value;
}

static json_t *take_number(tw_jinja_run_state *r) {
  const tw_jinja_token *t = tw_jinja_next(r);
  json_int_t value = 0;
  if (t->bytes > 9) tw_jinja_fail(r, "a number that is too large");
  for (size_t i = 0; i < t->bytes && i < 9; i++) value = 10 * value + (t->text[i] - '0');
  tw_jinja_take(r, TW_JINJA_NUMBER, NULL);
  return tw_jinja_live(r) ? json_integer(value) : NULL;
}

static json_t *take_list(tw_jinja_run_state *r) {
  json_t *list = tw_jinja_live(r) ? json_array() : NULL;
  while (r->status == TW_OK && !tw_jinja_sign(r, "]")) {
    json_t *one = tw_jinja_expression(r);
    if (tw_jinja_live(r) && !one) tw_jinja_fail(r, "an undefined value in a list");
    if (list && one) json_array_append(list, one);
    json_decref(one);
    if (!tw_jinja_is(r, TW_JINJA_SIGN, "]")) tw_jinja_expect(r, TW_JINJA_SIGN, ",");
  }
  return list;
}

static json_t *take_object(tw_jinja_run_state *r) {
  json_t *object = tw_jinja_live(r) ? json_object() : NULL;
  while (r->status == TW_OK && !tw_jinja_sign(r, "}")) {
    json_t *key = tw_jinja_expression(r);
    tw_jinja_expect(r, TW_JINJA_SIGN, ":");
    json_t *value = tw_jinja_expression(r);
    if (tw_jinja_live(r) && (!json_is_string(key) || !value)) tw_jinja_fail(r, "an entry of a kind that is not known");
    if (object && key && value) json_object_set(object, json_string_value(key), value);
    tw_jinja_drop(key, value, NULL);
    if (!tw_jinja_is(r, TW_JINJA_SIGN, "}")) tw_jinja_expect(r, TW_JINJA_SIGN, ",");
  }
  return object;
}

// ---- arguments, from behind "(" to behind ")"

static void take_argument(tw_jinja_run_state *r, tw_jinja_arguments *a) {
  const tw_jinja_token *next = tw_jinja_next(r);
  bool named =
      next->kind == TW_JINJA_NAME && next[1].kind == TW_JINJA_SIGN && next[1].bytes == 1 && *next[1].text == '=';
  tw_jinja_name name = "";
  if (named) {
    tw_jinja_take_name(r, name);
    tw_jinja_expect(r, TW_JINJA_SIGN, "=");
  }
  json_t *value = tw_jinja_expression(r);
  if (named) {
    if (!a->named) a->named = json_object();
    if (value) json_object_set(a->named, name, value);
    json_decref(value);
  } else if (a->count == (int)(sizeof a->items / sizeof *a->items)) {
    tw_jinja_fail(r, "too many arguments");
    json_decref(value);
  } else {
    a->items[a->count++] = value;
  }
}

static void take_arguments(tw_jinja_run_state *r, tw_jinja_arguments *a) {
  while (r->status == TW_OK && !tw_jinja_sign(r, ")")) {
    take_argument(r, a);
    if (!tw_jinja_is(r, TW_JINJA_SIGN, ")")) tw_jinja_expect(r, TW_JINJA_SIGN, ",");
  }
}

static void free_arguments(tw_jinja_arguments *a) {
  for (int i = 0; i < a->count; i++) json_decref(a->items[i]);
  json_decref(a->named);
}

// ---- a value and what stands behind it

static json_t *take_named(tw_jinja_run_state *r) {
  static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
  tw_jinja_name name;
  if (!tw_jinja_take_name(r, name)) return NULL;
  for (int i = 0; i < 6; i++)
    if (strcmp(name, constants[i]) == 0)
      return !tw_jinja_live(r) ? NULL : i < 2 ? json_true() : i < 4 ? json_false() : json_null();
  if (!tw_jinja_sign(r, "(")) return tw_jinja_live(r) ? json_incref(tw_jinja_look_up(r, name)) : NULL;
  tw_jinja_arguments a = {.count = 0};
  take_arguments(r, &a);
  json_t *value = tw_jinja_live(r) ? tw_jinja_call(r, name, &a) : NULL;
  free_arguments(&a);
  return value;
}

static json_t *take_primary(tw_jinja_run_state *r) {
  if (tw_jinja_is(r, TW_JINJA_NAME, NULL)) return take_named(r);
  if (tw_jinja_is(r, TW_JINJA_STRING, NULL)) return take_string(r);
  if (tw_jinja_is(r, TW_JINJA_NUMBER, NULL)) return take_number(r);
  if (tw_jinja_sign(r, "[")) return take_list(r);
  if (tw_jinja_sign(r, "{")) return take_object(r);
  if (!tw_jinja_sign(r, "(")) {
    tw_jinja_fail(r, "a value is missing");
    return NULL;
  }
  json_t *value = tw_jinja_expression(r);
  tw_jinja_expect(r, TW_JINJA_SIGN, ")");
  return value;
}

static json_t *attribute(tw_jinja_run_state *r, json_t *value, const char *name) {
  if (!value) tw_jinja_fail(r, "\"%s\" of an undefined value", name);
  return json_incref(json_object_get(value, name));
}

static json_t *item(tw_jinja_run_state *r, json_t *value, const json_t *key) {
  if (!value) tw_jinja_fail(r, "an item of an undefined value");
  if (json_is_object(value) && json_is_string(key)) return json_incref(json_object_get(value, json_string_value(key)));
  if (json_is_array(value) && json_is_integer(key)) {
    json_int_t i = json_integer_value(key), n = (json_int_t)json_array_size(value);
    if (i < 0) i += n;
    return i >= 0 && i < n ? json_incref(json_array_get(value, (size_t)i)) : NULL;
  }
  if (value) tw_jinja_fail(r, "an item of a value that has none of this kind");
  return NULL;
}

static json_int_t bound(const json_t *value, json_int_t otherwise, json_int_t n) {
  if (!json_is_integer(value)) return otherwise;
  json_int_t i = json_integer_value(value);
  if (i < 0) i += n;
  return i < 0 ? 0 : i > n ? n : i;
}

// value[from:to:step] of a list; a step of -1 takes no bounds.
static json_t *slice(tw_jinja_run_state *r, const json_t *value, json_t *const parts[3]) {
  if (!tw_jinja_live(r)) return NULL;
  bool back = json_integer_value(parts[2]) == -1;
  if (!json_is_array(value) || (parts[2] && !back && json_integer_value(parts[2]) != 1) ||
      (back && (parts[0] || parts[1]))) {
    tw_jinja_fail(r, "a part of what is no list, or by a step that is not known");
    return NULL;
  }
  json_int_t n = (json_int_t)json_array_size(value), from = bound(parts[0], 0, n), to = bound(parts[1], n, n);
  json_t *list = json_array();
  for (json_int_t i = from; i < to; i++) json_array_append(list, json_array_get(value, (size_t)(back ? n - 1 - i : i)));
  return list;
}

// Behind "[", to behind "]".
static json_t *take_item(tw_jinja_run_state *r, json_t *value) {
  json_t *parts[3] = {NULL, NULL, NULL}, *found = NULL;
  int colons = 0;
  while (r->status == TW_OK && !tw_jinja_is(r, TW_JINJA_SIGN, "]")) {
    if (tw_jinja_sign(r, ":")) {
      if (++colons > 2) tw_jinja_fail(r, "too many \":\"");
      continue;
    }
    json_decref(parts[colons]);
    parts[colons] = tw_jinja_expression(r);
    if (!tw_jinja_is(r, TW_JINJA_SIGN, ":") && !tw_jinja_is(r, TW_JINJA_SIGN, "]"))
      tw_jinja_fail(r, "\"]\" is missing");
  }
  tw_jinja_expect(r, TW_JINJA_SIGN, "]");
  if (tw_jinja_live(r)) found = colons ? slice(r, value, parts) : item(r, value, parts[0]);
  for (int i = 0; i < 3; i++) json_decref(parts[i]);
  return tw_jinja_drop(value, NULL, found);
}

// Behind ".".
static json_t *take_attribute(tw_jinja_run_state *r, json_t *value) {
  tw_jinja_name name;
  json_t *found = NULL;
  if (!tw_jinja_take_name(r, name)) return tw_jinja_drop(value, NULL, NULL);
  if (tw_jinja_sign(r, "(")) {
    tw_jinja_arguments a = {.count = 0};
    take_arguments(r, &a);
    if (tw_jinja_live(r)) found = tw_jinja_method(r, value, name, &a);
    free_arguments(&a);
  } else if (tw_jinja_live(r)) {
    found = attribute(r, value, name);
  }
  return tw_jinja_drop(value, NULL, found);
}

static json_t *take_filter(tw_jinja_run_state *r, json_t *value) {
  tw_jinja_name name;
  tw_jinja_arguments a = {.count = 0};
  if (!tw_jinja_take_name(r, name)) return tw_jinja_drop(value, NULL, NULL);
  if (tw_jinja_sign(r, "(")) take_arguments(r, &a);
  json_t *found = tw_jinja_live(r) ? tw_jinja_filter(r, name, value, &a) : NULL;
  free_arguments(&a);
  return tw_jinja_drop(value, NULL, found);
}

static json_t *take_test(tw_jinja_run_state *r, json_t *value) {
  bool negated = tw_jinja_word(r, "not");
  tw_jinja_name name;
  tw_jinja_arguments a = {.count = 0};
  if (!tw_jinja_take_name(r, name)) return tw_jinja_drop(value, NULL, NULL);
  if (tw_jinja_sign(r, "("))
    take_arguments(r, &a);
  else if (tw_jinja_is(r, TW_JINJA_STRING, NULL) || tw_jinja_is(r, TW_JINJA_NUMBER, NULL))
    a.items[a.count++] = take_primary(r);
  bool holds = tw_jinja_live(r) && tw_jinja_test(r, name, value, &a);
  free_arguments(&a);
  return tw_jinja_drop(value, NULL, tw_jinja_live(r) ? json_boolean(holds != negated) : NULL);
}

json_t *tw_jinja_value(tw_jinja_run_state *r) {
  bool minus = tw_jinja_sign(r, "-");
  if (minus && !tw_jinja_is(r, TW_JINJA_NUMBER, NULL)) tw_jinja_fail(r, "\"-\" before what is no number");
  json_t *value = take_primary(r);
  if (minus && value) value = tw_jinja_drop(value, NULL, json_integer(-json_integer_value(value)));
  for (;;) {
    if (tw_jinja_sign(r, "."))
      value = take_attribute(r, value);
    else if (tw_jinja_sign(r, "["))
      value = take_item(r, value);
    else
      break;
  }
  for (;;) {
    if (tw_jinja_sign(r, "|"))
      value = take_filter(r, value);
    else if (tw_jinja_word(r, "is"))
      value = take_test(r, value);
    else
      return value;
  }
}
