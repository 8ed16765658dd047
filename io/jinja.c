// A run of a chat template goes over its tokens once: what is not chosen is read all the same, and does nothing.
#include "io/jinja.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/jinja_parts.h"

enum { MOST_DEPTH = 64, MOST_STEPS = 4000000 };
static const size_t most_text = 1 << 24;

// ---- tokens

const tw_jinja_token *tw_jinja_next(const tw_jinja_run_state *r) { return &r->t->tokens[r->at]; }

bool tw_jinja_is(const tw_jinja_run_state *r, tw_jinja_kind kind, const char *text) {
  const tw_jinja_token *t = tw_jinja_next(r);
  return t->kind == kind && (!text || (strlen(text) == t->bytes && memcmp(t->text, text, t->bytes) == 0));
}

bool tw_jinja_take(tw_jinja_run_state *r, tw_jinja_kind kind, const char *text) {
  if (r->status != TW_OK || !tw_jinja_is(r, kind, text)) return false;
  if (kind != TW_JINJA_END) r->at++;
  if (++r->steps > MOST_STEPS && r->status == TW_OK)
    r->status = tw_fail(TW_ERR_RANGE, "the chat template takes too many steps");
  return r->status == TW_OK;
}

void tw_jinja_expect(tw_jinja_run_state *r, tw_jinja_kind kind, const char *text) {
  if (!tw_jinja_take(r, kind, text)) tw_jinja_fail(r, "\"%s\" is missing", text);
}

bool tw_jinja_take_name(tw_jinja_run_state *r, tw_jinja_name name) {
  const tw_jinja_token *t = tw_jinja_next(r);
  name[0] = '\0';
  if (t->bytes >= sizeof(tw_jinja_name) || !tw_jinja_take(r, TW_JINJA_NAME, NULL)) {
    tw_jinja_fail(r, "a name is missing");
    return false;
  }
  memcpy(name, t->text, t->bytes);
  name[t->bytes] = '\0';
  return true;
}

// ---- state

void tw_jinja_fail(tw_jinja_run_state *r, const char *format, ...) {
  char what[300];
  va_list arguments;
  if (r->status != TW_OK) return;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  r->status = tw_fail(TW_ERR_FORMAT, "line %d of the chat template: %s", tw_jinja_next(r)->line, what);
}

bool tw_jinja_live(const tw_jinja_run_state *r) { return r->live && r->status == TW_OK; }

bool tw_jinja_deeper(tw_jinja_run_state *r) {
  if (r->status == TW_OK && r->depth >= MOST_DEPTH) tw_jinja_fail(r, "too many levels");
  if (r->status != TW_OK) return false;
  r->depth++;
  return true;
}

static void out_of_memory(tw_jinja_run_state *r) {
  if (r->status == TW_OK) r->status = tw_fail(TW_ERR_MEMORY, "out of memory in the chat template");
}

json_t *tw_jinja_look_up(const tw_jinja_run_state *r, const char *name) {
  for (int i = r->scope_count - 1; i >= 0; i--) {
    json_t *value = json_object_get(r->scopes[i], name);
    if (value) return value;
  }
  return NULL;
}

// In the innermost scope; takes the value over. Undefined ones are taken out.
static void bind(tw_jinja_run_state *r, const char *name, json_t *value) {
  json_t *scope = r->scopes[r->scope_count - 1];
  if (!tw_jinja_live(r))
    json_decref(value);
  else if (!value)
    json_object_del(scope, name);
  else if (json_object_set_new(scope, name, value) != 0)
    tw_jinja_fail(r, "a name that is no UTF-8");
}

static bool enter_scope(tw_jinja_run_state *r) {
  if (r->scope_count == r->scope_room) {
    int room = r->scope_room ? 2 * r->scope_room : 8;
    json_t **grown = realloc(r->scopes, (size_t)room * sizeof(json_t *));
    if (!grown) {
      out_of_memory(r);
      return false;
    }
    r->scopes = grown;
    r->scope_room = room;
  }
  json_t *scope = json_object();
  if (!scope) {
    out_of_memory(r);
    return false;
  }
  r->scopes[r->scope_count++] = scope;
  return true;
}

static void leave_scope(tw_jinja_run_state *r) { json_decref(r->scopes[--r->scope_count]); }

void tw_jinja_put(tw_jinja_run_state *r, const char *text, size_t bytes) {
  if (!tw_jinja_live(r)) return;
  if (r->out->used + bytes > most_text)
    r->status = tw_fail(TW_ERR_RANGE, "the chat template writes more than %zu bytes", most_text);
  else
    r->status = tw_text_put(r->out, text, bytes);
}

// ---- tags

static void run_until(tw_jinja_run_state *r, const char *const *ends, tw_jinja_name found);

static void end_of_tag(tw_jinja_run_state *r) { tw_jinja_expect(r, TW_JINJA_TAG_END, "%}"); }

static void run_if(tw_jinja_run_state *r) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  bool outer = r->live, done = false;
  tw_jinja_name at = "if";
  while (r->status == TW_OK && strcmp(at, "endif") != 0) {
    bool chosen = true;
    if (strcmp(at, "else") != 0) {
      r->live = outer && !done;
      json_t *condition = tw_jinja_expression(r);
      chosen = tw_jinja_true(condition);
      json_decref(condition);
    }
    end_of_tag(r);
    r->live = outer && !done && chosen;
    done |= chosen;
    run_until(r, ends, at);
  }
  r->live = outer;
  end_of_tag(r);
}

// What a loop goes through: a list's items, an object's keys.
static json_t *items_of(tw_jinja_run_state *r, json_t *value) {
  if (!tw_jinja_live(r)) return NULL;
  if (json_is_array(value)) return json_incref(value);
  json_t *list = json_array();
  const char *key;
  json_t *one;
  if (json_is_object(value))
    json_object_foreach(value, key, one) json_array_append_new(list, json_string(key));
  else if (value)
    tw_jinja_fail(r, "a loop over what is no list");
  return list;
}

typedef struct {
  tw_jinja_name targets[2];
  int target_count;
  int filter, body;  // tokens where "if" of the loop and its body begin; filter 0: none
} loop_head;

static void bind_targets(tw_jinja_run_state *r, const loop_head *h, json_t *item) {
  if (h->target_count == 1) {
    bind(r, h->targets[0], json_incref(item));
    return;
  }
  if (json_array_size(item) != 2) tw_jinja_fail(r, "two names in a loop over what are no pairs");
  for (int i = 0; i < 2; i++) bind(r, h->targets[i], json_incref(json_array_get(item, (size_t)i)));
}

// The items that the loop's own "if" lets through.
static json_t *filtered(tw_jinja_run_state *r, const loop_head *h, json_t *items) {
  json_t *kept, *one;
  size_t i;
  if (!h->filter || !items) return json_incref(items);
  kept = json_array();
  json_array_foreach(items, i, one) {
    if (!tw_jinja_live(r) || !enter_scope(r)) break;
    bind_targets(r, h, one);
    r->at = h->filter;
    json_t *condition = tw_jinja_expression(r);
    if (tw_jinja_true(condition)) json_array_append(kept, one);
    json_decref(condition);
    leave_scope(r);
  }
  return kept;
}

static json_t *loop_value(const json_t *items, size_t i) {
  json_int_t n = (json_int_t)json_array_size(items), at = (json_int_t)i;
  json_t *loop = json_pack("{s:I, s:I, s:b, s:b, s:I, s:I, s:I}", "index", at + 1, "index0", at, "first", at == 0,
                           "last", at == n - 1, "length", n, "revindex", n - at, "revindex0", n - at - 1);
  if (i > 0) json_object_set(loop, "previtem", json_array_get(items, i - 1));
  if (at < n - 1) json_object_set(loop, "nextitem", json_array_get(items, i + 1));
  return loop;
}

static void run_loop(tw_jinja_run_state *r, const loop_head *h, json_t *items) {
  static const char *const ends[] = {"else", "endfor", NULL};
  bool outer = r->live;
  size_t n = items ? json_array_size(items) : 0;
  tw_jinja_name at = "";
  for (size_t i = 0; i < n || (i == 0 && n == 0); i++) {  // at least once, to find its end
    r->live = outer && n > 0;
    r->at = h->body;
    r->steps += 16;  // what a scope costs, of tokens
    if (!enter_scope(r)) break;
    if (n) {
      bind_targets(r, h, json_array_get(items, i));
      bind(r, "loop", loop_value(items, i));
    }
    run_until(r, ends, at);
    leave_scope(r);
    if (r->status != TW_OK) break;
  }
  if (strcmp(at, "else") == 0) {
    static const char *const last[] = {"endfor", NULL};
    r->live = outer && n == 0;
    end_of_tag(r);
    run_until(r, last, at);
  }
  r->live = outer;
  end_of_tag(r);
}

static void run_for(tw_jinja_run_state *r) {
  loop_head h = {.target_count = 1};
  tw_jinja_take_name(r, h.targets[0]);
  if (tw_jinja_take(r, TW_JINJA_SIGN, ",")) {
    tw_jinja_take_name(r, h.targets[1]);
    h.target_count = 2;
  }
  tw_jinja_expect(r, TW_JINJA_NAME, "in");
  json_t *over = tw_jinja_expression_plain(r), *all = items_of(r, over);
  bool outer = r->live;
  if (tw_jinja_take(r, TW_JINJA_NAME, "if")) {
    h.filter = r->at;
    r->live = false;
    json_decref(tw_jinja_expression(r));
    r->live = outer;
  }
  end_of_tag(r);
  h.body = r->at;
  json_t *items = filtered(r, &h, all);
  if (r->status == TW_OK) run_loop(r, &h, items);
  json_decref(over);
  json_decref(all);
  json_decref(items);
}

// {% set name %}text{% endset %}
static json_t *text_of_block(tw_jinja_run_state *r) {
  static const char *const ends[] = {"endset", NULL};
  tw_text_buffer own = {0}, *outer = r->out;
  tw_jinja_name at;
  r->out = &own;
  end_of_tag(r);
  run_until(r, ends, at);
  r->out = outer;
  json_t *value = tw_jinja_live(r) ? json_stringn(own.text ? own.text : "", own.used) : NULL;
  free(own.text);
  return value;
}

// A name, or an attribute of a namespace, which all scopes see.
static void run_set(tw_jinja_run_state *r) {
  tw_jinja_name name, part = "";
  tw_jinja_take_name(r, name);
  if (tw_jinja_take(r, TW_JINJA_SIGN, ".")) tw_jinja_take_name(r, part);
  bool block = !part[0] && tw_jinja_is(r, TW_JINJA_TAG_END, NULL);
  if (!block) tw_jinja_expect(r, TW_JINJA_SIGN, "=");
  json_t *value = block ? text_of_block(r) : tw_jinja_expression(r);
  end_of_tag(r);
  if (!part[0]) {
    bind(r, name, value);
    return;
  }
  json_t *space = tw_jinja_live(r) ? tw_jinja_look_up(r, name) : NULL;
  if (tw_jinja_live(r) && !json_is_object(space)) tw_jinja_fail(r, "%s is no namespace", name);
  if (space && value) json_object_set(space, part, value);
  if (space && !value) json_object_del(space, part);
  json_decref(value);
}

static void run_print(tw_jinja_run_state *r) {
  json_t *value = tw_jinja_expression(r), *text = tw_jinja_live(r) ? tw_jinja_string(r, value) : NULL;
  if (text) tw_jinja_put(r, json_string_value(text), json_string_length(text));
  json_decref(text);
  json_decref(value);
  tw_jinja_expect(r, TW_JINJA_PRINT_END, "}}");
}

static void run_tag(tw_jinja_run_state *r, const char *name) {
  if (!tw_jinja_deeper(r)) return;
  if (strcmp(name, "if") == 0)
    run_if(r);
  else if (strcmp(name, "for") == 0)
    run_for(r);
  else if (strcmp(name, "set") == 0)
    run_set(r);
  else if (strcmp(name, "generation") == 0 || strcmp(name, "endgeneration") == 0)
    end_of_tag(r);  // they mark text for training and write nothing
  else
    tw_jinja_fail(r, "the tag \"%s\" is not known", name);
  r->depth--;
}

// Up to a tag of `ends` (found: which), whose end still comes; ends NULL: up to the end.
static void run_until(tw_jinja_run_state *r, const char *const *ends, tw_jinja_name found) {
  found[0] = '\0';
  while (r->status == TW_OK) {
    const tw_jinja_token *t = tw_jinja_next(r);
    if (tw_jinja_take(r, TW_JINJA_TEXT, NULL)) {
      tw_jinja_put(r, t->text, t->bytes);
    } else if (tw_jinja_take(r, TW_JINJA_PRINT, NULL)) {
      run_print(r);
    } else if (tw_jinja_take(r, TW_JINJA_TAG, NULL)) {
      tw_jinja_name name;
      tw_jinja_take_name(r, name);
      for (int i = 0; ends && ends[i]; i++) {
        if (strcmp(ends[i], name) != 0) continue;
        memcpy(found, name, sizeof(tw_jinja_name));
        return;
      }
      run_tag(r, name);
    } else if (ends) {
      tw_jinja_fail(r, "{%% %s %%} is missing", ends[0]);
    } else {
      return;
    }
  }
}

// ---- whole

tw_status tw_jinja_new(const char *text, tw_jinja **out) {
  *out = NULL;
  tw_jinja *t = calloc(1, sizeof *t);
  if (!t || !(t->source = malloc(strlen(text) + 1))) {
    free(t);
    return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  char *to = t->source;
  for (const char *at = text; *at; at++) {  // all line ends are \n
    if (*at != '\r') *to++ = *at;
    if (*at == '\r' && at[1] != '\n') *to++ = '\n';
  }
  *to = '\0';
  tw_status status = tw_jinja_read_tokens(t);
  if (status == TW_OK)
    *out = t;
  else
    tw_jinja_free(t);
  return status;
}

void tw_jinja_free(tw_jinja *t) {
  if (!t) return;
  free(t->source);
  free(t->tokens);
  free(t);
}

tw_status tw_jinja_run(const tw_jinja *t, json_t *names, char **out, size_t *bytes) {
  tw_text_buffer text = {0};
  tw_jinja_run_state r = {.t = t, .live = true, .out = &text};
  tw_jinja_name end;
  if (enter_scope(&r) && json_object_update(r.scopes[0], names) != 0) out_of_memory(&r);
  tw_jinja_put(&r, "", 0);
  run_until(&r, NULL, end);
  while (r.scope_count > 0) leave_scope(&r);
  free(r.scopes);
  *out = r.status == TW_OK ? text.text : NULL;
  *bytes = text.used;
  if (r.status != TW_OK) free(text.text);
  return r.status;
}
