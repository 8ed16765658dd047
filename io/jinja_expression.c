// Expressions of a chat template, by recursive descent in the order in which Jinja binds: or, and, not, comparisons,
// + and -, ~, products, values.
#include <stdlib.h>
#include <string.h>

#include "io/jinja_parts.h"

bool tw_jinja_true(const json_t *v) {
  if (json_is_string(v)) return json_string_length(v) > 0;
  if (json_is_integer(v)) return json_integer_value(v) != 0;
  if (json_is_array(v)) return json_array_size(v) > 0;
  if (json_is_object(v)) return json_object_size(v) > 0;
  return json_is_true(v);
}

bool tw_jinja_equal(const json_t *a, const json_t *b) {
  if (!a || !b) return !a && !b;
  json_int_t x = json_is_true(a) ? 1 : json_integer_value(a), y = json_is_true(b) ? 1 : json_integer_value(b);
  bool numbers = (json_is_integer(a) || json_is_boolean(a)) && (json_is_integer(b) || json_is_boolean(b));
  return numbers ? x == y : json_equal(a, b) == 1;
}

// Reads on without doing anything; gives NULL.
static void read_over(tw_jinja_run_state *r, json_t *(*part)(tw_jinja_run_state *r)) {
  bool live = r->live;
  r->live = false;
  json_decref(part(r));
  r->live = live;
}

// ---- operators

static json_t *no_numbers(tw_jinja_run_state *r, const char *mark) {
  tw_jinja_fail(r, "\"%s\" of values of other kinds than it is known for", mark);
  return NULL;
}

static json_t *take_product(tw_jinja_run_state *r) {
  json_t *left = tw_jinja_value(r);
  for (;;) {
    const char *mark = tw_jinja_sign(r, "*") ? "*" : tw_jinja_sign(r, "%") ? "%" : tw_jinja_sign(r, "//") ? "//" : NULL;
    if (!mark) {
      if (tw_jinja_is(r, TW_JINJA_SIGN, "/") || tw_jinja_is(r, TW_JINJA_SIGN, "**")) no_numbers(r, "/, **");
      return left;
    }
    json_t *right = tw_jinja_value(r), *value = NULL;
    json_int_t a = json_integer_value(left), b = json_integer_value(right);
    bool known = json_is_integer(left) && json_is_integer(right) && a >= 0 && b >= 0 &&
                 (*mark == '*' ? a < 1 << 30 && b < 1 << 30 : b > 0);
    json_int_t found = 0;
    if (known) found = *mark == '*' ? a * b : *mark == '%' ? a % b : a / b;
    if (tw_jinja_live(r)) value = known ? json_integer(found) : no_numbers(r, mark);
    left = tw_jinja_drop(left, right, value);
  }
}

// Text and lists that double again and again end here.
enum { MOST_BYTES = 1 << 24, MOST_ITEMS = 1 << 20 };

static json_t *joined(tw_jinja_run_state *r, const json_t *a, const json_t *b) {
  size_t n = json_string_length(a), m = json_string_length(b);
  char *text = n + m <= MOST_BYTES ? malloc(n + m + 1) : NULL;
  if (!text) {
    tw_jinja_fail(r, "a text that is too long");
    return NULL;
  }
  memcpy(text, json_string_value(a), n);
  memcpy(text + n, json_string_value(b), m);
  json_t *value = json_stringn(text, n + m);
  free(text);
  return value;
}

static json_t *take_joined(tw_jinja_run_state *r) {
  json_t *left = take_product(r);
  while (tw_jinja_sign(r, "~")) {
    json_t *right = take_product(r), *value = NULL;
    if (tw_jinja_live(r)) {
      json_t *a = tw_jinja_string(r, left), *b = tw_jinja_string(r, right);
      value = tw_jinja_drop(a, b, a && b ? joined(r, a, b) : NULL);
    }
    left = tw_jinja_drop(left, right, value);
  }
  return left;
}

static json_t *added(tw_jinja_run_state *r, json_t *a, json_t *b, bool minus) {
  json_int_t x = json_integer_value(a), y = json_integer_value(b), most = (json_int_t)1 << 60;
  if (json_is_integer(a) && json_is_integer(b) && x < most && x > -most && y < most && y > -most)
    return json_integer(minus ? x - y : x + y);
  if (!minus && json_is_string(a) && json_is_string(b)) return joined(r, a, b);
  if (minus || !json_is_array(a) || !json_is_array(b)) return no_numbers(r, minus ? "-" : "+");
  if (json_array_size(a) + json_array_size(b) > MOST_ITEMS) return no_numbers(r, "+");
  json_t *list = json_copy(a);
  json_array_extend(list, b);
  return list;
}

static json_t *take_sum(tw_jinja_run_state *r) {
  json_t *left = take_joined(r);
  for (;;) {
    bool plus = tw_jinja_sign(r, "+"), minus = !plus && tw_jinja_sign(r, "-");
    if (!plus && !minus) return left;
    json_t *right = take_joined(r), *value = tw_jinja_live(r) ? added(r, left, right, minus) : NULL;
    left = tw_jinja_drop(left, right, value);
  }
}

static bool contains(tw_jinja_run_state *r, const json_t *whole, const json_t *part) {
  json_t *one;
  size_t i;
  if (json_is_string(whole) && json_is_string(part)) return strstr(json_string_value(whole), json_string_value(part));
  if (json_is_object(whole) && json_is_string(part)) return json_object_get(whole, json_string_value(part));
  if (whole && !json_is_array(whole)) no_numbers(r, "in");
  json_array_foreach((json_t *)whole, i, one) if (tw_jinja_equal(one, part)) return true;
  return false;
}

static bool before(tw_jinja_run_state *r, const json_t *a, const json_t *b, bool or_equal) {
  if (json_is_string(a) && json_is_string(b)) {
    int order = strcmp(json_string_value(a), json_string_value(b));
    return order < 0 || (or_equal && order == 0);
  }
  if (!json_is_integer(a) || !json_is_integer(b)) no_numbers(r, "<");
  return json_integer_value(a) < json_integer_value(b) || (or_equal && json_integer_value(a) == json_integer_value(b));
}

// An operator of comparisons that comes next: "i" and "n" are in and not in; '\0': none.
static char take_comparison(tw_jinja_run_state *r) {
  static const char *const signs[] = {"==", "!=", "<", ">", "<=", ">="};
  for (int i = 0; i < 6; i++)
    if (tw_jinja_sign(r, signs[i])) return "=!<>lg"[i];
  if (tw_jinja_word(r, "in")) return 'i';
  const tw_jinja_token *next = tw_jinja_next(r);
  bool not_in = tw_jinja_is(r, TW_JINJA_NAME, "not") && next[1].kind == TW_JINJA_NAME && next[1].bytes == 2 &&
                memcmp(next[1].text, "in", 2) == 0;
  if (!not_in || !tw_jinja_word(r, "not") || !tw_jinja_word(r, "in")) return '\0';
  return 'n';
}

static bool compared(tw_jinja_run_state *r, char mark, const json_t *a, const json_t *b) {
  switch (mark) {
    case '=':
      return tw_jinja_equal(a, b);
    case '!':
      return !tw_jinja_equal(a, b);
    case '<':
      return before(r, a, b, false);
    case '>':
      return before(r, b, a, false);
    case 'l':
      return before(r, a, b, true);
    case 'g':
      return before(r, b, a, true);
    case 'i':
      return contains(r, b, a);
    default:
      return !contains(r, b, a);
  }
}

static json_t *take_compared(tw_jinja_run_state *r) {
  json_t *left = take_sum(r);
  char mark = take_comparison(r);
  if (!mark) return left;
  json_t *right = take_sum(r);
  bool holds = tw_jinja_live(r) && compared(r, mark, left, right);
  if (take_comparison(r)) tw_jinja_fail(r, "a chain of comparisons");
  return tw_jinja_drop(left, right, tw_jinja_live(r) ? json_boolean(holds) : NULL);
}

static json_t *take_not(tw_jinja_run_state *r) {
  int negations = 0;
  while (tw_jinja_word(r, "not")) negations++;
  json_t *value = take_compared(r);
  if (!negations || !tw_jinja_live(r)) return value;
  return tw_jinja_drop(value, NULL, json_boolean(tw_jinja_true(value) == (negations % 2 == 0)));
}

// The right side is read over where the left one decides.
static json_t *take_and(tw_jinja_run_state *r) {
  json_t *left = take_not(r);
  while (tw_jinja_word(r, "and")) {
    if (!tw_jinja_live(r) || !tw_jinja_true(left)) {
      read_over(r, take_not);
      continue;
    }
    json_decref(left);
    left = take_not(r);
  }
  return left;
}

static json_t *take_or(tw_jinja_run_state *r) {
  json_t *left = take_and(r);
  while (tw_jinja_word(r, "or")) {
    if (!tw_jinja_live(r) || tw_jinja_true(left)) {
      read_over(r, take_and);
      continue;
    }
    json_decref(left);
    left = take_and(r);
  }
  return left;
}

json_t *tw_jinja_expression_plain(tw_jinja_run_state *r) {
  if (!tw_jinja_deeper(r)) return NULL;
  json_t *value = take_or(r);
  r->depth--;
  return value;
}

// The token "if" of a conditional expression that begins here; -1: it is none.
static int find_if(const tw_jinja_run_state *r) {
  int depth = 0;
  for (int i = r->at; i < r->t->count; i++) {
    const tw_jinja_token *t = &r->t->tokens[i];
    if (t->kind == TW_JINJA_PRINT_END || t->kind == TW_JINJA_TAG_END || t->kind == TW_JINJA_END) return -1;
    if (t->kind == TW_JINJA_NAME && depth == 0) {
      if (t->bytes == 2 && memcmp(t->text, "if", 2) == 0) return i;
      if (t->bytes == 4 && memcmp(t->text, "else", 4) == 0) return -1;
    }
    if (t->kind != TW_JINJA_SIGN || t->bytes != 1) continue;
    if (depth == 0 && strchr(")]},:", *t->text)) return -1;
    depth += (strchr("([{", *t->text) != NULL) - (strchr(")]}", *t->text) != NULL);
  }
  return -1;
}

json_t *tw_jinja_expression(tw_jinja_run_state *r) {
  int begin = r->at, fork = find_if(r);
  r->steps += (fork < 0 ? begin : fork) - begin;
  if (fork < 0) return tw_jinja_expression_plain(r);
  if (!tw_jinja_deeper(r)) return NULL;
  r->at = fork + 1;
  json_t *condition = take_or(r), *value = NULL;
  bool holds = tw_jinja_true(condition);
  json_decref(condition);
  int after = r->at;
  if (!tw_jinja_live(r) || holds) {
    r->at = begin;
    value = take_or(r);
    if (r->status == TW_OK && r->at != fork) tw_jinja_fail(r, "\"if\" is not expected here");
    r->at = after;
    if (tw_jinja_word(r, "else")) read_over(r, tw_jinja_expression);
  } else if (tw_jinja_word(r, "else")) {
    value = tw_jinja_expression(r);
  }
  r->depth--;
  return value;
}
