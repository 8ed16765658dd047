// Tokenizers that a tokenizer.json describes whole (byte-pair encoding, Unigram): which classes of transformers run it
// as it stands, and what of tokenizer_config.json changes it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "io/text_rules_parts.h"

static bool is_type(const json_t *value, const char *type) {
  const char *text = json_string_value(json_object_get(value, "type"));
  return text && strcmp(text, type) == 0;
}

static bool absent(const json_t *value) { return !value || json_is_null(value); }

bool tw_json_is_whole(const json_t *tokenizer) {
  const json_t *model = json_object_get(tokenizer, "model"), *type = json_object_get(model, "type");
  return type ? !is_type(model, "WordPiece") : json_object_get(model, "merges") != NULL;
}

// ---- classes of their own: transformers 5 makes the tokenizer anew from vocabulary and merges, 4 follows the file

static bool as_gpt2(const json_t *t) {
  const json_t *split = json_object_get(t, "pre_tokenizer");
  return absent(json_object_get(t, "normalizer")) && is_type(split, "ByteLevel") &&
         !json_is_false(json_object_get(split, "use_regex"));
}

static bool as_roberta(const json_t *t) {
  return as_gpt2(t) && is_type(json_object_get(t, "post_processor"), "RobertaProcessing");
}

static bool as_qwen(const json_t *t) {
  static const char regex[] =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
      "\\s+(?!\\S)|\\s+";
  const json_t *steps = json_object_get(json_object_get(t, "pre_tokenizer"), "pretokenizers"),
               *split = json_array_get(steps, 0), *bytes = json_array_get(steps, 1);
  const char *own = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
  const char *cut = json_string_value(json_object_get(split, "behavior"));
  return is_type(json_object_get(t, "normalizer"), "NFC") && json_array_size(steps) == 2 && is_type(split, "Split") &&
         own && strcmp(own, regex) == 0 && cut && strcmp(cut, "Isolated") == 0 &&
         !json_is_true(json_object_get(split, "invert")) && is_type(bytes, "ByteLevel") &&
         json_is_false(json_object_get(bytes, "use_regex"));
}

static bool has_byte_level(const json_t *split) {
  const json_t *one;
  size_t i;
  if (is_type(split, "ByteLevel")) return true;
  json_array_foreach((json_t *)json_object_get(split, "pretokenizers"), i, one) if (has_byte_level(one)) return true;
  return false;
}

static bool is_metaspace(const json_t *split, const char *scheme) {
  const char *mark = json_string_value(json_object_get(split, "replacement"));
  const char *own = json_string_value(json_object_get(split, "prepend_scheme"));
  return is_type(split, "Metaspace") && mark && strcmp(mark, "\u2581") == 0 && own && strcmp(own, scheme) == 0;
}

// Of a file with ByteLevel (LLaMA 3) transformers 5 sees that the class is wrong.
static bool as_llama(const json_t *t) {
  const json_t *split = json_object_get(t, "pre_tokenizer");
  return has_byte_level(split) || (absent(json_object_get(t, "normalizer")) && is_metaspace(split, "first") &&
                                   json_is_false(json_object_get(split, "split")));
}

static bool as_xlm_roberta(const json_t *t) {
  const json_t *steps = json_object_get(json_object_get(t, "pre_tokenizer"), "pretokenizers"),
               *form = json_object_get(t, "normalizer");
  return (absent(form) || is_type(form, "Precompiled")) && json_array_size(steps) == 2 &&
         is_type(json_array_get(steps, 0), "WhitespaceSplit") && is_metaspace(json_array_get(steps, 1), "always");
}

typedef struct {
  const char *name;    // without "Fast"
  const char *models;  // whose config.json means this class where no file names one
  bool (*as_own)(const json_t *tokenizer);
  bool strict;  // a file that says otherwise is refused
  bool starts;  // transformers 4 puts bos_token before a text unless add_bos_token is false, whatever the file says
  const char *bos, *eos;  // where the folder does not name them; NULL: none
} own_class;

#define END "<|endoftext|>"
static const own_class classes[] = {
    {"RobertaTokenizer", " roberta ", as_roberta, true, false, "<s>", "</s>"},
    {"GPT2Tokenizer", " gpt2 gpt_neo ", as_gpt2, false, false, END, END},
    {"LlamaTokenizer", " llama mistral ", as_llama, false, true, "<s>", "</s>"},
    {"Qwen2Tokenizer", " qwen2 ", as_qwen, false, false, NULL, END},
    {"XLMRobertaTokenizer", " xlm-roberta ", as_xlm_roberta, false, false, "<s>", "</s>"}};
#undef END

static const own_class *class_of_model(const tw_text_reader *r) {
  const char *type = json_string_value(json_object_get(r->model, "model_type"));
  char wanted[64];
  if (!type || strlen(type) > 32) return NULL;
  snprintf(wanted, sizeof wanted, " %s ", type);
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (strstr(classes[i].models, wanted)) return &classes[i];
  return NULL;
}

static tw_status choose_class(tw_text_reader *r, const own_class **own) {
  const char *name = json_string_value(json_object_get(r->config, "tokenizer_class"));
  if (!name) name = json_string_value(json_object_get(r->model, "tokenizer_class"));
  *own = NULL;
  if (!name) *own = class_of_model(r);
  if (!name) name = *own ? (*own)->name : "PreTrainedTokenizerFast";
  size_t n = strlen(name);
  if (n > 4 && strcmp(name + n - 4, "Fast") == 0) n -= 4;
  r->class = name;
  r->general = (n == 19 && strncmp(name, "PreTrainedTokenizer", n) == 0) || strcmp(name, "TokenizersBackend") == 0;
  r->rules->pair_types = r->general && strcmp(name, "TokenizersBackend") != 0;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (strlen(classes[i].name) == n && strncmp(classes[i].name, name, n) == 0) *own = &classes[i];
  if (r->general || *own) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: tokenizer_class is %s, which changes tokenizer.json in its own way; only RobertaTokenizer, "
                 "GPT2Tokenizer, LlamaTokenizer, Qwen2Tokenizer, XLMRobertaTokenizer and PreTrainedTokenizerFast are "
                 "supported with such a file",
                 r->folder, name);
}

static tw_status check_own(const tw_text_reader *r, const own_class *own) {
  if (own->as_own(r->tokenizer)) return TW_OK;
  if (own->strict)
    return tw_fail(TW_ERR_FORMAT,
                   "%s/tokenizer.json: normalizer, pre_tokenizer or post_processor are not %s's own (null, ByteLevel, "
                   "RobertaProcessing): transformers 4 follows the file, 5 the class; make them equal",
                   r->folder, r->class);
  return tw_note(r->notes,
                 "%s: tokenizer.json cuts text otherwise than %s does; the file is followed, as by transformers 4; "
                 "transformers 5 follows the class",
                 r->folder, r->class);
}

// ---- the tokens around a text

static bool told(const tw_text_reader *r, const char *field, bool otherwise) {
  const json_t *value = json_object_get(r->config, field);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

// add_bos_token and add_eos_token of tokenizer_config.json count for some classes and versions, the file for the
// others: both must say the same.
static tw_status check_ends(const tw_text_reader *r, const own_class *own, const tw_json_tokenizer *t) {
  bool starts = own && own->starts;
  const json_t *config = r->config;
  if (!starts && !json_is_boolean(json_object_get(config, "add_bos_token")) &&
      !json_is_boolean(json_object_get(config, "add_eos_token")))
    return TW_OK;
  const char *bos = tw_special_name(r, "bos_token"), *eos = tw_special_name(r, "eos_token");
  int wanted[2], n = 0;
  if (starts && !bos) bos = own->bos;
  if (bos && told(r, "add_bos_token", starts)) wanted[n++] = tw_json_tokenizer_id(t, bos);
  if (eos && told(r, "add_eos_token", false)) wanted[n++] = tw_json_tokenizer_id(t, eos);
  tw_encoding e;
  TW_TRY(tw_json_tokenizer_encode(t, "", NULL, true, 0, false, &e));
  bool same = e.count == n && memcmp(e.ids, wanted, (size_t)n * sizeof *wanted) == 0;
  tw_encoding_free(&e);
  if (same) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: tokenizer.json (post_processor) puts other tokens around a text than add_bos_token (%s) and "
                 "add_eos_token (%s) of tokenizer_config.json ask for; versions of transformers follow different ones: "
                 "make them equal",
                 r->folder, told(r, "add_bos_token", starts) ? "true" : "false",
                 told(r, "add_eos_token", false) ? "true" : "false");
}

// A class of its own has it from tokenizer_config.json; of the general ones transformers 4 does so, 5 takes the file.
static tw_status take_prefix_space(tw_text_reader *r) {
  json_t *split = json_object_get(r->tokenizer, "pre_tokenizer"), *file = json_object_get(split, "add_prefix_space");
  if (!is_type(split, "ByteLevel")) return TW_OK;
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

tw_status tw_roberta_defaults(tw_text_reader *r) {
  json_decref(r->defaults);
  r->defaults = json_pack("{s:s, s:s, s:s, s:s, s:s}", "unk_token", "<unk>", "sep_token", "</s>", "pad_token", "<pad>",
                          "cls_token", "<s>", "mask_token", "<mask>");
  return r->defaults ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
}

static tw_status take_all(tw_text_reader *r, const own_class *own, const tw_json_tokenizer *t) {
  TW_TRY(take(r, t));
  TW_TRY(tw_chat_read(r, own ? own->bos : NULL, own ? own->eos : NULL));
  if (!own) return check_ends(r, own, t);
  if (!is_type(json_object_get(r->tokenizer, "model"), "SentencePiece")) TW_TRY(check_own(r, own));
  TW_TRY(check_ends(r, own, t));
  TW_TRY(check_frame(r, "cls_token", "cls"));
  return check_frame(r, "sep_token", "sep");
}

tw_status tw_json_take_whole(tw_text_reader *r, bool lower_first) {
  const own_class *own;
  char where[512];
  tw_json_tokenizer *t;
  TW_TRY(choose_class(r, &own));
  snprintf(where, sizeof where, "%s/tokenizer.json", r->folder);
  if (lower_first)
    return tw_fail(TW_ERR_FORMAT, "%s: do_lower_case of sentence-transformers is not supported with this tokenizer",
                   r->folder);
  TW_TRY(tw_roberta_defaults(r));
  TW_TRY(take_prefix_space(r));
  TW_TRY(tw_json_tokenizer_new(r->tokenizer, where, &t));
  tw_status status = take_all(r, own, t);
  tw_json_tokenizer_free(t);
  return status;
}
