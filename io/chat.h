// A conversation as the text that a model was trained on, by the template that its folder has for it.
#ifndef TW_CHAT_H
#define TW_CHAT_H

#include <jansson.h>

#include "base/status.h"

// chat: JSON of an object with "template" and "tokens" (bos_token and so on, as templates call them). messages: a list
// of objects with "role" and "content". *text is malloc's: all messages, and where the model's answer begins. It holds
// its special tokens, so nothing more goes around it. TW_ERR_FORMAT: these are no messages, or the template has what
// is not known here (line and name are said), or refuses them.
tw_status tw_chat_text(const char *chat, const json_t *messages, char **text);
// The same of one message of the user's.
tw_status tw_chat_ask(const char *chat, const char *message, char **text);
// The same behind an answer of the model's: what stands behind that answer's text, from its end on.
tw_status tw_chat_go_on(const char *chat, const char *message, char **text);
// From JSON text.
tw_status tw_chat_parse(const char *chat, const char *messages, char **text);

#endif
