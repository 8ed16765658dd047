#include "io/chat.h"

#include <stdlib.h>
#include <string.h>

#include "io/jinja.h"

static tw_status check_messages(const json_t *messages) {
  const json_t *one;
  size_t i;
  if (!json_is_array(messages) || json_array_size(messages) == 0)
    return tw_fail(TW_ERR_FORMAT, "messages are a list of objects with role and content, in JSON");
  json_array_foreach((json_t *)messages, i, one) {
    const char *role = json_string_value(json_object_get(one, "role"));
    const char *content = json_string_value(json_object_get(one, "content"));
    if (!role || !content || strlen(content) != json_string_length(json_object_get(one, "content")))
      return tw_fail(TW_ERR_FORMAT, "message %zu has no role or no content that is text", i + 1);
  }
  return TW_OK;
}

// As transformers calls a template where neither tools nor documents are given. Its functions count as defined.
static json_t *names_for(const json_t *tokens, const json_t *messages) {
  json_t *names = json_pack("{s:O, s:b, s:n, s:n, s:b, s:b}", "messages", messages, "add_generation_prompt", 1, "tools",
                            "documents", "strftime_now", 1, "raise_exception", 1);
  if (names && json_is_object(tokens)) json_object_update(names, (json_t *)tokens);
  return names;
}

static tw_status write_text(const json_t *chat, const json_t *messages, char **text) {
  const char *source = json_string_value(json_object_get(chat, "template"));
  tw_jinja *t;
  size_t bytes;
  if (!source) return tw_fail(TW_ERR_FORMAT, "the chat template is no text");
  json_t *names = names_for(json_object_get(chat, "tokens"), messages);
  if (!names) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_jinja_new(source, &t);
  if (status == TW_OK) {
    status = tw_jinja_run(t, names, text, &bytes);
    tw_jinja_free(t);
  }
  json_decref(names);
  return status;
}

tw_status tw_chat_text(const char *chat, const json_t *messages, char **text) {
  *text = NULL;
  TW_TRY(check_messages(messages));
  json_t *root = json_loads(chat, 0, NULL);
  if (!root) return tw_fail(TW_ERR_FORMAT, "the model's chat template is no JSON");
  tw_status status = write_text(root, messages, text);
  json_decref(root);
  return status;
}

tw_status tw_chat_ask(const char *chat, const char *message, char **text) {
  *text = NULL;
  json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", message);
  if (!messages) return tw_fail(TW_ERR_FORMAT, "the text is not UTF-8; convert it first (iconv)");
  tw_status status = tw_chat_text(chat, messages, text);
  json_decref(messages);
  return status;
}

tw_status tw_chat_go_on(const char *chat, const char *message, char **text) {
  static const char answer[] = "<<answer>>";
  *text = NULL;
  json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "a question", "role",
                               "assistant", "content", answer, "role", "user", "content", message);
  if (!messages) return tw_fail(TW_ERR_FORMAT, "the text is not UTF-8; convert it first (iconv)");
  tw_status status = tw_chat_text(chat, messages, text);
  json_decref(messages);
  if (status != TW_OK) return status;
  const char *found = strstr(*text, answer);
  if (!found) {
    free(*text);
    *text = NULL;
    return tw_fail(TW_ERR_FORMAT, "the chat template leaves out what the model said");
  }
  memmove(*text, found + sizeof answer - 1, strlen(found + sizeof answer - 1) + 1);
  return TW_OK;
}

tw_status tw_chat_parse(const char *chat, const char *messages, char **text) {
  json_error_t error;
  *text = NULL;
  json_t *list = json_loads(messages, 0, &error);
  if (!list)  // what Jansson says quotes them
    return tw_fail(TW_ERR_FORMAT, "the messages are no JSON, from line %d, column %d on", error.line, error.column);
  tw_status status = tw_chat_text(chat, list, text);
  json_decref(list);
  return status;
}
