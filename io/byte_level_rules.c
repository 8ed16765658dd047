// Tokenizers that a tokenizer.json describes whole (byte-pair encoding): which classes of transformers run it as it
// stands, and what of tokenizer_config.json changes it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "io/text_rules_parts.h"

// A class of its own makes the tokenizer anew from vocabulary and merges (transformers 5), so that the file must say
// what the class does: no normalizer, ByteLevel, and this post-processor.
static const struct {
  const char *name;  // without "Fast"
  const char *frame;
} classes[] = {{"RobertaTokenizer", "RobertaProcessing"}, {"GPT2Tokenizer", "ByteLevel"}};

static bool is_type(const json_t *value, const char *type) {
  const char *text = json_string_value(json_object_get(value, "type"));
  return text && strcmp(text, type) == 0;
}

bool tw_is_byte_level(const json_t *tokenizer) {
  const json_t *model = json_object_get(tokenizer, "model"), *type = json_object_get(model, "type");
  return type ? !is_type(model, "WordPiece") : json_object_get(model, "merges") != NULL;
}

static tw_status choose_class(tw_text_reader *r, const char **frame) {
  const char *name = json_string_value(json_object_get(r->config, "tokenizer_class"));
  if (!name) name = json_string_value(json_object_get(r->model, "tokenizer_class"));
  const char *type = json_string_value(json_object_get(r->model, "model_type"));
  if (!name) name = type && strcmp(type, "roberta") == 0 ? "RobertaTokenizer" : "PreTrainedTokenizerFast";
  size_t n = strlen(name);
  if (n > 4 && strcmp(name + n - 4, "Fast") == 0) n -= 4;
  r->class = name;
  r->general = (n == 19 && strncmp(name, "PreTrainedTokenizer", n) == 0) || strcmp(name, "TokenizersBackend") == 0;
  r->rules->pair_types = r->general && strcmp(name, "TokenizersBackend") != 0;
  *frame = NULL;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (strlen(classes[i].name) == n && strncmp(classes[i].name, name, n) == 0) *frame = classes[i].frame;
  if (r->general || *frame) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: tokenizer_class is %s, which changes tokenizer.json in its own way; only RobertaTokenizer, "
                 "GPT2Tokenizer and PreTrainedTokenizerFast are supported with byte-pair encoding",
                 r->folder, name);
}

static tw_status check_own(const tw_text_reader *r, const char *frame) {
  const json_t *split = json_object_get(r->tokenizer, "pre_tokenizer"),
               *normalizer = json_object_get(r->tokenizer, "normalizer");
  bool plain = (!normalizer || json_is_null(normalizer)) && is_type(split, "ByteLevel") &&
               !json_is_false(json_object_get(split, "use_regex"));
  if (plain && is_type(json_object_get(r->tokenizer, "post_processor"), frame)) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s/tokenizer.json: normalizer, pre_tokenizer or post_processor are not %s's own (null, ByteLevel, "
                 "%s): transformers 4 follows the file, 5 the class; make them equal",
                 r->folder, r->class, frame);
}

// A class of its own has it from tokenizer_config.json; of the general ones transformers 4 does so, 5 takes the file.
static tw_status take_prefix_space(tw_text_reader *r) {
  json_t *split = json_object_get(r->tokenizer, "pre_tokenizer"), *file = json_object_get(split, "add_prefix_space");
  bool asked = json_is_true(json_object_get(r->config, "add_prefix_space"));
  if (!json_is_boolean(file) || json_is_true(file) == asked) return TW_OK;
  if (r->general)
    return tw_note(
        r->notes,
        "%s: add_prefix_space is %s in tokenizer.json, which is followed, as by transformers 5; transformers "
        "4 takes %s from tokenizer_config.json",
        r->folder, asked ? "false" : "true", asked ? "true" : "false");
  json_object_set_new(split, "add_prefix_space", json_boolean(asked));
  return tw_note(r->notes, "%s: add_prefix_space is %s, as tokenizer_config.json has it, not as tokenizer.json",
                 r->folder, asked ? "true" : "false");
}

// Tokens that only tokenizer_config.json knows would be added to the file's.
static tw_status check_added(const tw_text_reader *r, const tw_json_tokenizer *t) {
  json_t *list = json_object_get(r->config, "added_tokens_decoder"), *value;
  const char *key;
  json_object_foreach(list, key, value) {
    const char *text = tw_token_text(value);
    if (!text || tw_json_tokenizer_id(t, text) != atoi(key))
      return tw_fail(TW_ERR_FORMAT,
                     "%s/tokenizer_config.json: added_tokens_decoder: token %s is not in tokenizer.json; save the "
                     "tokenizer again",
                     r->folder, key);
  }
  if (r->added)
    json_object_foreach(r->added, key, value) if (tw_json_tokenizer_id(t, key) !=
                                                  (int)json_integer_value(
                                                      value)) return tw_fail(TW_ERR_FORMAT,
                                                                             "%s/added_tokens.json: \"%s\" is not in "
                                                                             "tokenizer.json; save the tokenizer again",
                                                                             r->folder, key);
  return TW_OK;
}

// Names that decide nothing here but what fills a sequence, which nobody attends to.
static void take_ids(tw_text_reader *r, const tw_json_tokenizer *t) {
  static const char *const fields[] = {"pad_token", "unk_token", "cls_token", "sep_token"};
  tw_special_ids *s = &r->rules->special;
  int *ids[] = {&s->pad, &s->unknown, &s->start, &s->end};
  for (int i = 0; i < 4; i++) {
    const char *name = tw_special_name(r, fields[i]);
    int id = name ? tw_json_tokenizer_id(t, name) : -1;
    *ids[i] = id >= 0 && id < r->vocab_size ? id : 0;
  }
}

static tw_status check_frame(const tw_text_reader *r, const char *field, const char *part) {
  const char *name = tw_special_name(r, field);
  const json_t *post = json_object_get(r->tokenizer, "post_processor");
  const char *own = json_string_value(json_array_get(json_object_get(post, part), 0));
  if (!name || !own || strcmp(name, own) == 0) return TW_OK;
  return tw_fail(
      TW_ERR_FORMAT,
      "%s: tokenizer.json takes \"%s\" for what tokenizer_config.json calls %s \"%s\"; transformers 4 follows "
      "the first, 5 the second: make them equal",
      r->folder, own, field, name);
}

// What is kept of the file: all but truncation and padding, which are the caller's.
static tw_status keep(tw_text_reader *r) {
  static const char *const parts[] = {"version",        "added_tokens", "normalizer", "pre_tokenizer",
                                      "post_processor", "decoder",      "model"};
  json_t *kept = json_object();
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    json_t *part = json_object_get(r->tokenizer, parts[i]);
    if (part) json_object_set(kept, parts[i], part);
  }
  r->rules->tokenizer = json_dumps(kept, JSON_COMPACT);
  json_decref(kept);
  return r->rules->tokenizer ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
}

static tw_status take(tw_text_reader *r, const tw_json_tokenizer *t) {
  int used = tw_json_tokenizer_vocabulary(t);
  if (used > r->vocab_size)
    return tw_fail(TW_ERR_FORMAT,
                   "%s/tokenizer.json: has ids up to %d, config.json's vocab_size is %d: they do not "
                   "belong together",
                   r->folder, used - 1, r->vocab_size);
  TW_TRY(check_added(r, t));
  take_ids(r, t);
  TW_TRY(tw_check_vocabulary_size(r, used));
  return keep(r);
}

tw_status tw_byte_level_defaults(tw_text_reader *r) {
  json_decref(r->defaults);
  r->defaults = json_pack("{s:s, s:s, s:s, s:s, s:s}", "unk_token", "<unk>", "sep_token", "</s>", "pad_token", "<pad>",
                          "cls_token", "<s>", "mask_token", "<mask>");
  return r->defaults ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
}

tw_status tw_byte_level_take(tw_text_reader *r, bool lower_first) {
  const char *frame;
  char where[512];
  tw_json_tokenizer *t;
  const char *type = json_string_value(json_object_get(json_object_get(r->tokenizer, "model"), "type"));
  if (type && strcmp(type, "BPE") != 0)
    return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: model is %s; only WordPiece and BPE are supported", r->folder,
                   type);
  TW_TRY(choose_class(r, &frame));
  snprintf(where, sizeof where, "%s/tokenizer.json", r->folder);
  if (lower_first)
    return tw_fail(TW_ERR_FORMAT, "%s: do_lower_case of sentence-transformers is not supported with byte-pair encoding",
                   r->folder);
  TW_TRY(tw_byte_level_defaults(r));
  TW_TRY(take_prefix_space(r));
  TW_TRY(tw_json_tokenizer_new(r->tokenizer, where, &t));
  tw_status status = take(r, t);
  tw_json_tokenizer_free(t);
  if (status == TW_OK && frame) status = check_own(r, frame);
  if (status == TW_OK && frame) status = check_frame(r, "cls_token", "cls");
  if (status == TW_OK && frame) status = check_frame(r, "sep_token", "sep");
  return status;
}
