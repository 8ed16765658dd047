// What tools/compare_tokenizers.py and compare_chats.py ask: a tokenizer.json is the argument, where one is asked for.
// Each line of standard input is a question in JSON, and a line comes out for it. {"text": [A]} or [A, B]: {"ids",
// "types"}. {"ids": [..], "skip": true}: {"text"}. {"chat": {..}, "messages": [..]}: {"text"}.
#define _GNU_SOURCE
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/chat.h"
#include "io/json_tokenizer.h"

static json_t *numbers(const int *values, int count) {
  json_t *list = json_array();
  for (int i = 0; i < count; i++) json_array_append_new(list, json_integer(values[i]));
  return list;
}

static json_t *encoded(const tw_json_tokenizer *t, const json_t *text) {
  tw_encoding e;
  const char *first = json_string_value(json_array_get(text, 0)), *second = json_string_value(json_array_get(text, 1));
  if (tw_json_tokenizer_encode(t, first, second, true, 0, false, &e) != TW_OK) return NULL;
  json_t *out = json_pack("{s:o, s:o}", "ids", numbers(e.ids, e.count), "types", numbers(e.types, e.count));
  tw_encoding_free(&e);
  return out;
}

static json_t *decoded(const tw_json_tokenizer *t, const json_t *list, bool skip) {
  int count = (int)json_array_size(list);
  int *ids = malloc(((size_t)count + 1) * sizeof *ids);
  char *text = NULL;
  size_t bytes = 0;
  for (int i = 0; ids && i < count; i++) ids[i] = (int)json_integer_value(json_array_get(list, (size_t)i));
  tw_status status = ids ? tw_json_tokenizer_decode(t, ids, count, skip, &text, &bytes) : TW_ERR_MEMORY;
  json_t *out = status == TW_OK ? json_pack("{s:o}", "text", json_stringn(text, bytes)) : NULL;
  free(text);
  free(ids);
  return out;
}

static json_t *in_form(const json_t *chat, const json_t *messages) {
  char *json = json_dumps(chat, 0), *text = NULL;
  tw_status status = json ? tw_chat_text(json, messages, &text) : TW_ERR_MEMORY;
  json_t *out = status == TW_OK ? json_pack("{s:s}", "text", text) : NULL;
  free(text);
  free(json);
  return out;
}

static json_t *answer(const tw_json_tokenizer *t, const json_t *question) {
  const json_t *text = json_object_get(question, "text"), *chat = json_object_get(question, "chat");
  json_t *found = NULL;
  if (chat)
    found = in_form(chat, json_object_get(question, "messages"));
  else if (t && text)
    found = encoded(t, text);
  else if (t)
    found = decoded(t, json_object_get(question, "ids"), json_is_true(json_object_get(question, "skip")));
  return found ? found : json_pack("{s:s}", "error", tw_error_message());
}

int main(int count, char **arguments) {
  json_t *root = count == 2 ? json_load_file(arguments[1], 0, NULL) : NULL, *question;
  tw_json_tokenizer *t = NULL;
  if (count == 2 && (!root || tw_json_tokenizer_new(root, arguments[1], &t) != TW_OK)) {
    fprintf(stderr, "%s: %s\n", arguments[1], root ? tw_error_message() : "no JSON");
    return 1;
  }
  while ((question = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL))) {
    json_t *found = answer(t, question);
    json_dumpf(found, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(found);
    json_decref(question);
  }
  tw_json_tokenizer_free(t);
  json_decref(root);
  return 0;
}
