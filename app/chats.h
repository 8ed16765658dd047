// Messages of a chat in the form that a model was trained on.
#ifndef TW_APP_CHATS_H
#define TW_APP_CHATS_H

#include "app/texts.h"

// TW_CHAT_LATER: a user's message behind an answer of the model's.
typedef enum { TW_NO_CHAT, TW_CHAT_QUESTIONS, TW_CHAT_MESSAGES, TW_CHAT_LATER } tw_chat_kind;

// Puts in the place of each text, a user's message or a JSON list of messages, what the model's chat template makes of
// it. TW_ERR_FORMAT: the model has none, or it cannot be run here, with the remedy; the text's number.
tw_status tw_chats_format(const tw_client *client, tw_chat_kind kind, tw_texts *texts);

#endif
