// The chat template of a folder: chat_template.jinja, else chat_template of tokenizer_config.json.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat.h"
#include "io/json_read.h"
#include "io/text_rules_parts.h"

// Of a list of named ones the one called "default".
static const json_t *chosen(const json_t *value) {
  const json_t *one;
  size_t i;
  json_array_foreach((json_t *)value, i, one) {
    const char *name = json_string_value(json_object_get(one, "name"));
    if (name && strcmp(name, "default") == 0) return json_object_get(one, "template");
  }
  return value;
}

static tw_status read_template(const tw_text_reader *r, json_t **out) {
  char *path, *text = NULL;
  size_t bytes;
  if (asprintf(&path, "%s/chat_template.jinja", r->folder) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_file_read_whole(path, false, &text, &bytes);
  *out = NULL;
  if (status == TW_OK && text) {
    if (strlen(text) == bytes) *out = json_stringn(text, bytes);
    if (!*out) status = tw_fail(TW_ERR_FORMAT, "%s: not UTF-8 text", path);
  } else if (status == TW_OK) {
    *out = json_incref((json_t *)chosen(json_object_get(r->config, "chat_template")));
  }
  free(text);
  free(path);
  return status;
}

// As the folder names them; of bos_token and eos_token its class's own where it does not.
static json_t *name_tokens(const tw_text_reader *r, const char *bos, const char *eos) {
  static const char *const fields[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                       "cls_token", "sep_token", "mask_token"};
  tw_text_reader named = *r;
  json_t *tokens = json_object();
  named.defaults = NULL;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char *name = tw_special_name(&named, fields[i]);
    if (!name && i < 2) name = i == 0 ? bos : eos;
    if (name) json_object_set_new(tokens, fields[i], json_string(name));
  }
  return tokens;
}

static tw_status take(tw_text_reader *r, json_t *template, json_t *tokens) {
  char *text;
  json_t *chat = json_pack("{s:O, s:O}", "template", template, "tokens", tokens);
  r->rules->chat = chat ? json_dumps(chat, JSON_COMPACT) : NULL;
  json_decref(chat);
  if (!r->rules->chat) return tw_fail(TW_ERR_MEMORY, "out of memory");
  if (tw_chat_ask(r->rules->chat, "?", &text) == TW_OK) {
    free(text);
    return TW_OK;
  }
  return tw_note(r->notes, "%s: its chat template is not run by this twain (%s): `encode --chat` will refuse it",
                 r->folder, tw_error_message());
}

tw_status tw_chat_read(tw_text_reader *r, const char *bos, const char *eos) {
  json_t *template;
  TW_TRY(read_template(r, &template));
  if (!template || json_is_null(template)) {
    json_decref(template);
    return TW_OK;
  }
  json_t *tokens = name_tokens(r, bos, eos);
  tw_status status = take(r, template, tokens);
  json_decref(tokens);
  json_decref(template);
  return status;
}
