// Chat templates against transformers (tests/vectors/chats.json, made by tools/compare_chats.py), and what is refused.
#define _GNU_SOURCE
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static char *chat_of(const json_t *template, json_t *tokens) {
  json_t *chat = json_pack("{s:O, s:O}", "template", template, "tokens", tokens);
  char *text = json_dumps(chat, 0);
  json_decref(chat);
  return text;
}

// *given: conversations that transformers writes; returns how many twain writes, each of them the same.
static int check_template(const json_t *row, const json_t *chats, json_t *tokens, int *given) {
  char *chat = chat_of(json_object_get(row, "template"), tokens);
  json_t *messages;
  size_t i;
  int written = 0;
  json_array_foreach((json_t *)chats, i, messages) {
    const char *wanted = json_string_value(json_array_get(json_object_get(row, "texts"), i));
    char *text;
    tw_status status = tw_chat_text(chat, messages, &text);
    bool same = status == TW_OK ? wanted && strcmp(text, wanted) == 0 : status == TW_ERR_FORMAT;
    if (!same)
      fprintf(stderr, "\n%s: not '%s' but '%s'\n", json_string_value(json_object_get(row, "template")), wanted, text);
    CU_ASSERT(same);
    *given += wanted != NULL;
    written += status == TW_OK;
    free(text);
  }
  free(chat);
  return written;
}

// Forms are written whenever transformers does so; of the language some rules are refused.
static void against_transformers(void) {
  json_t *json = vector_load("chats.json"), *row;
  size_t i;
  int forms = 0, rules = 0, refused = 0;
  json_array_foreach(json_object_get(json, "templates"), i, row) {
    bool rule = strcmp(json_string_value(json_object_get(row, "name")), "rule") == 0;
    int given = 0,
        written = check_template(row, json_object_get(json, "chats"), json_object_get(json, "tokens"), &given);
    if (!rule) CU_ASSERT_EQUAL(written, given);
    refused += written < given;
    forms += !rule;
    rules += rule;
  }
  CU_ASSERT(forms >= 12);
  CU_ASSERT(rules >= 40);
  CU_ASSERT_EQUAL(refused, 6);
  json_decref(json);
}

static void expect_refused(const char *template, const char *said) {
  json_t *value = json_string(template), *tokens = json_object();
  char *chat = chat_of(value, tokens), *text;
  tw_status status = tw_chat_ask(chat, "Hello", &text);
  CU_ASSERT_NOT_EQUAL(status, TW_OK);
  CU_ASSERT_PTR_NULL(text);
  bool found = strstr(tw_error_message(), said) && strstr(tw_error_message(), "chat template");
  if (!found) fprintf(stderr, "\n%.60s: not '%s': %s\n", template, said, tw_error_message());
  CU_ASSERT(found);
  free(chat);
  json_decref(tokens);
  json_decref(value);
}

static void refusals(void) {
  static const char *const cases[][2] = {
      {"\n{% block x %}{% endblock %}", "line 2"},
      {"{% macro f() %}{% endmacro %}", "tag \"macro\""},
      {"{{ messages | sort }}", "filter \"sort\""},
      {"{{ messages is prime }}", "test \"prime\""},
      {"{{ 'a'.zfill(3) }}", "method \"zfill\""},
      {"{{ cycler(1) }}", "function \"cycler\""},
      {"{{ messages[0].content.name.first }}", "undefined"},
      {"{{ raise_exception('only ' + 'two') }}", "it refuses the messages: \"only two\""},
      {"{% if true %}", "{% elif %} is missing"},
      {"{% for m in messages %}", "missing"},
      {"{{ 'a' ", "no end"},
      {"{{ 'a }}", "no end"},
      {"{# a", "no end"},
      {"{{ a b }}", "\"}}\" is missing"},
      {"{{ }}", "value is missing"},
      {"{{ [1, 2 }}", "no end"},
      {"{% set a.b = 1 %}", "no namespace"},
      {"{{ 'é' | upper }}", "\"upper\""},
      {"{{ 7 / 2 }}", "/"},
      {"{{ '\\N{DASH}' }}", "escape"},
      {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "too many steps"},
      {"{% set n = namespace(a='aaaaaaaaaaaaaaaa') %}{% for i in range(30) %}{% set n.a = n.a + n.a %}{% endfor %}",
       "too long"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect_refused(cases[i][0], cases[i][1]);
  char deep[4000] = "{{ ";
  for (int i = 0; i < 900; i++) strcat(deep, "(");
  strcat(deep, "1");
  for (int i = 0; i < 900; i++) strcat(deep, ")");
  expect_refused(strcat(deep, " }}"), "too many levels");
}

static void messages(void) {
  static const char chat[] = "{\"template\": \"{{ messages[0].content }}{{ strftime_now('%Y-') }}\", \"tokens\": {}}";
  static const char *const wrong[] = {
      "[]", "{}", "[1]", "[{\"role\": \"user\"}]", "[{\"role\": \"user\", \"content\": 1}]", "hello"};
  char *text;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    CU_ASSERT_EQUAL(tw_chat_parse(chat, wrong[i], &text), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_chat_parse(chat, "[{\"role\": \"user\",\n \"content\": secret}]", &text), TW_ERR_FORMAT);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "from line 2, column "));
  CU_ASSERT_PTR_NULL(strstr(tw_error_message(), "secret"));
  CU_ASSERT_EQUAL(tw_chat_ask("no JSON", "a", &text), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_chat_ask("{}", "a", &text), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_chat_ask(chat, "a\xff", &text), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL_FATAL(tw_chat_ask(chat, "a", &text), TW_OK);
  CU_ASSERT(strncmp(text, "a20", 3) == 0 && strlen(text) == 6);
  free(text);
}

SUITE_MAIN("chat templates", {"against transformers", against_transformers}, {"refusals", refusals},
           {"messages", messages})
