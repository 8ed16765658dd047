#define _GNU_SOURCE
#include "app/chats.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/chat.h"

#define REMEDY \
  "or write the text yourself, with the special tokens that the model was trained on, and give it without --chat"

static tw_status refuse(const char *name, tw_status code) {
  char said[1024];
  snprintf(said, sizeof said, "%s", tw_error_message());
  return tw_fail(code, "%s: %s; change the messages, " REMEDY, name, said);
}

tw_status tw_chats_format(const tw_client *client, tw_chat_kind kind, tw_texts *texts) {
  const char *chat = client->rules.chat;
  if (kind == TW_NO_CHAT) return TW_OK;
  if (!chat)
    return tw_fail(TW_ERR_FORMAT,
                   "model %s came without a chat template (chat_template.jinja, or chat_template of "
                   "tokenizer_config.json): import a folder that has one, " REMEDY,
                   client->config.name);
  texts->written = calloc((size_t)texts->count + 1, sizeof *texts->written);
  if (!texts->written) return tw_fail(TW_ERR_MEMORY, "out of memory");
  for (int i = 0; i < texts->count; i++) {
    tw_text *t = &texts->texts[i];
    char **to = &texts->written[i];
    tw_status status = kind == TW_CHAT_MESSAGES ? tw_chat_parse(chat, t->first, to)
                       : kind == TW_CHAT_LATER  ? tw_chat_go_on(chat, t->first, to)
                                                : tw_chat_ask(chat, t->first, to);
    if (status != TW_OK) return refuse(tw_text_name_of(texts->texts, i).text, status);
    t->first = *to;
    t->framed = true;
  }
  return TW_OK;
}
