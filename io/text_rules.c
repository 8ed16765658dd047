#include "io/text_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/text_rules_parts.h"

tw_status tw_text_rules_add(tw_text_rules *rules, const tw_added_token *token) {
  tw_added_token *grown = realloc(rules->added, ((size_t)rules->added_count + 1) * sizeof *grown);
  if (!grown) return tw_fail(TW_ERR_MEMORY, "out of memory");
  rules->added = grown;
  grown[rules->added_count] = *token;
  grown[rules->added_count].text = strdup(token->text);
  if (!grown[rules->added_count].text) return tw_fail(TW_ERR_MEMORY, "out of memory");
  rules->added_count++;
  return TW_OK;
}

void tw_text_rules_free(tw_text_rules *rules) {
  for (int i = 0; i < rules->added_count; i++) free(rules->added[i].text);
  free(rules->added);
  free(rules->tokenizer);
  free(rules->chat);
  *rules = (tw_text_rules){0};
}

static tw_text_rules plain_rules(void) {
  return (tw_text_rules){
      .normaliser = {.clean_text = true, .split_chinese = true, .strip_accents = true, .lower_case = true},
      .prefix = "##",
      .longest_word = 100,
      .special = {.pad = 0, .unknown = 1, .start = 2, .end = 3},
      .pair_types = true};
}

tw_status tw_text_rules_default(tw_text_rules *out) {
  static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  *out = plain_rules();
  for (int id = 0; id < 4; id++)
    TW_TRY(tw_text_rules_add(out, &(tw_added_token){.text = (char *)names[id], .id = id, .special = true}));
  return TW_OK;
}

// ---- looking up

int tw_piece_id(const tw_text_reader *r, const char *piece) {
  const json_t *id = json_object_get(r->ids, piece);
  return id ? (int)json_integer_value(id) : -1;
}

const char *tw_token_text(const json_t *value) {
  return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

// special_tokens_map.json counts where tokenizer_config.json has no added_tokens_decoder.
const json_t *tw_special_value(const tw_text_reader *r, const char *field) {
  const json_t *value = NULL;
  if (!json_object_get(r->config, "added_tokens_decoder")) value = json_object_get(r->map, field);
  if (!value) value = json_object_get(r->config, field);
  if (!value && !r->general) value = json_object_get(r->defaults, field);
  return json_is_null(value) ? NULL : value;
}

const char *tw_special_name(const tw_text_reader *r, const char *field) {
  return tw_token_text(tw_special_value(r, field));
}

// ---- the class

typedef struct {
  const char *name;  // without "Fast"
  bool general, pair_types;
} known_class;

// Which classes transformers computes as BertTokenizer does. DistilBERT's and the general one of transformers 5 give no
// token types: BERT then takes 0 for both texts of a pair.
static const known_class classes[] = {{"BertTokenizer", false, true},
                                      {"DistilBertTokenizer", false, false},
                                      {"ElectraTokenizer", false, true},
                                      {"MobileBertTokenizer", false, true},
                                      {"ConvBertTokenizer", false, true},
                                      {"SqueezeBertTokenizer", false, true},
                                      {"LayoutLMTokenizer", false, true},
                                      {"LxmertTokenizer", false, true},
                                      {"RetriBertTokenizer", false, false},
                                      {"DPRQuestionEncoderTokenizer", false, true},
                                      {"DPRContextEncoderTokenizer", false, true},
                                      {"PreTrainedTokenizer", true, true},
                                      {"TokenizersBackend", true, false}};

static tw_status choose_class(tw_text_reader *r, const json_t *model) {
  const json_t *named = json_object_get(r->config, "tokenizer_class");
  const char *file = "tokenizer_config.json";
  if (!named || json_is_null(named)) {
    named = json_object_get(model, "tokenizer_class");
    file = "config.json";
  }
  r->class = json_string_value(named);
  if (!r->class) r->class = "BertTokenizer";
  size_t n = strlen(r->class);
  if (n > 4 && strcmp(r->class + n - 4, "Fast") == 0) n -= 4;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    if (strlen(classes[i].name) != n || strncmp(classes[i].name, r->class, n) != 0) continue;
    r->general = classes[i].general;
    r->rules->pair_types = classes[i].pair_types;
    return TW_OK;
  }
  return tw_fail(TW_ERR_FORMAT,
                 "%s/%s: tokenizer_class is %s, which splits text in its own way; without a tokenizer.json "
                 "(AutoTokenizer's save_pretrained writes one) only BertTokenizer and its kin (DistilBertTokenizer, "
                 "ElectraTokenizer, PreTrainedTokenizerFast ...) are supported",
                 r->folder, file, r->class);
}

// ---- settings of tokenizer_config.json

static tw_status take_setting(const tw_text_reader *r, const char *field, bool otherwise, bool null_allowed,
                              bool *out) {
  const json_t *value = json_object_get(r->config, field);
  *out = value && !json_is_null(value) ? json_is_true(value) : otherwise;
  if (!value || json_is_boolean(value) || (null_allowed && json_is_null(value))) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s/tokenizer_config.json: %s is neither true nor false", r->folder, field);
}

// A class of its own makes its normaliser from here, whatever tokenizer.json says.
static tw_status take_settings(tw_text_reader *r) {
  if (r->general) return TW_OK;
  tw_normaliser n = {.clean_text = r->rules->normaliser.clean_text};
  TW_TRY(take_setting(r, "do_lower_case", true, false, &n.lower_case));
  TW_TRY(take_setting(r, "strip_accents", n.lower_case, true, &n.strip_accents));
  TW_TRY(take_setting(r, "tokenize_chinese_chars", true, false, &n.split_chinese));
  const tw_normaliser *file = &r->rules->normaliser;
  if (r->tokenizer && (file->lower_case != n.lower_case || file->strip_accents != n.strip_accents ||
                       file->split_chinese != n.split_chinese))
    TW_TRY(
        tw_note(r->notes,
                "%s: tokenizer.json and tokenizer_config.json (do_lower_case, strip_accents, tokenize_chinese_chars) "
                "disagree; as in transformers the latter counts for %s: lower case %s, accents %s, ideographs %s",
                r->folder, r->class, n.lower_case ? "yes" : "no", n.strip_accents ? "stripped" : "kept",
                n.split_chinese ? "split" : "kept together"));
  r->rules->normaliser = n;
  return TW_OK;
}

static tw_status take_sides(tw_text_reader *r) {
  const char *side = json_string_value(json_object_get(r->config, "truncation_side"));
  if (!side) side = json_string_value(json_object_get(json_object_get(r->tokenizer, "truncation"), "direction"));
  r->rules->cut_left = side && strcasecmp(side, "left") == 0;
  const json_t *inputs = json_object_get(r->config, "model_input_names"), *value;
  size_t i;
  if (!json_is_array(inputs)) {
    if (!r->general || !r->rules->pair_types) return TW_OK;
    return tw_note(
        r->notes,
        "%s: tokenizer_class %s: second texts of pairs get token type 1, as from transformers 4; transformers 5 "
        "gives no types",
        r->folder, r->class);
  }
  r->rules->pair_types = false;
  json_array_foreach(inputs, i, value) {
    const char *name = json_string_value(value);
    if (name && strcmp(name, "token_type_ids") == 0) r->rules->pair_types = true;
  }
  return TW_OK;
}

// ---- special ids

static tw_status require(const tw_text_reader *r, const char *field, const char *name, int *id) {
  *id = name ? tw_piece_id(r, name) : -1;
  if (*id >= 0) return TW_OK;
  return tw_fail(
      TW_ERR_FORMAT,
      "%s: the vocabulary lacks %s (%s; %zu pieces, config.json's vocab_size is %d); it is cut, or not BERT's: "
      "download it again",
      r->folder, name ? name : "a token", field, json_object_size(r->ids), r->vocab_size);
}

static tw_status agree(const tw_text_reader *r, const char *field, const char *in_json) {
  const char *name = tw_special_name(r, field);
  if (r->general || (name && strcmp(name, in_json) == 0)) return TW_OK;
  return tw_fail(
      TW_ERR_FORMAT,
      "%s: tokenizer.json takes \"%s\" for what tokenizer_config.json calls %s \"%s\"; transformers 4 follows "
      "the first, 5 the second: make them equal",
      r->folder, in_json, field, name ? name : "(no text)");
}

static tw_status take_special_ids(tw_text_reader *r) {
  tw_special_ids *s = &r->rules->special;
  if (r->tokenizer) {
    TW_TRY(agree(r, "unk_token", r->unknown));
    TW_TRY(agree(r, "cls_token", r->start));
    TW_TRY(agree(r, "sep_token", r->end));
  } else {
    r->unknown = tw_special_name(r, "unk_token");
    r->start = tw_special_name(r, "cls_token");
    r->end = tw_special_name(r, "sep_token");
  }
  TW_TRY(require(r, "unk_token", r->unknown, &s->unknown));
  TW_TRY(require(r, "cls_token", r->start, &s->start));
  TW_TRY(require(r, "sep_token", r->end, &s->end));
  const char *pad = tw_special_name(r, "pad_token");
  if (pad || !r->general) return require(r, "pad_token", pad, &s->pad);
  s->pad = s->end;  // a general class without: any token will do, padding is not attended to
  return TW_OK;
}

// ---- the whole

// Model makers round the embedding table up to a multiple of 8 or more; a vocabulary that lacks more is a cut one. A
// tokenizer.json that is cut is no JSON, and Qwen's tables have some 300 rows to spare.
tw_status tw_check_vocabulary_size(const tw_text_reader *r, int used) {
  int missing = r->vocab_size - used;
  if (missing == 0) return TW_OK;
  if (r->vocab_size % 8 == 0 && missing < (r->tokenizer ? 1024 : 64) && missing <= used / 16)
    return tw_note(
        r->notes,
        "warning: %s: the vocabulary has only %d of the %d tokens of config.json's vocab_size; the last rows "
        "of the embedding table are taken for padding",
        r->folder, used, r->vocab_size);
  return tw_fail(TW_ERR_FORMAT,
                 "%s: the vocabulary has only %d of the %d tokens of config.json's vocab_size; the file is cut, or of "
                 "another model: download it again",
                 r->folder, used, r->vocab_size);
}

static tw_status list_pieces(const tw_text_reader *r, char ***out) {
  const char *piece;
  json_t *value;
  int used = 0;
  TW_TRY(tw_alloc((size_t)r->vocab_size * sizeof **out, (void **)out));
  char **pieces = *out;
  json_object_foreach(r->ids, piece, value) {
    int id = (int)json_integer_value(value);
    if (pieces[id])
      return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: model.vocab: \"%s\" and \"%s\" have the same id %d", r->folder,
                     pieces[id], piece, id);
    if (!(pieces[id] = strdup(piece))) return tw_fail(TW_ERR_MEMORY, "out of memory");
    if (id >= used) used = id + 1;
  }
  for (int i = 0; i < r->rules->added_count; i++)
    if (r->rules->added[i].id >= used) used = r->rules->added[i].id + 1;
  for (int id = 0; id < r->vocab_size; id++)
    if (!pieces[id] && !(pieces[id] = strdup(""))) return tw_fail(TW_ERR_MEMORY, "out of memory");
  return tw_check_vocabulary_size(r, used);
}

static tw_status read_rules(tw_text_reader *r, bool lower_first, char ***vocabulary) {
  r->defaults = json_pack("{s:s, s:s, s:s, s:s, s:s}", "unk_token", "[UNK]", "sep_token", "[SEP]", "pad_token", "[PAD]",
                          "cls_token", "[CLS]", "mask_token", "[MASK]");
  if (!r->defaults) return tw_fail(TW_ERR_MEMORY, "out of memory");
  TW_TRY(tw_hf_object_read(r->folder, "special_tokens_map.json", false, &r->map));
  TW_TRY(tw_hf_object_read(r->folder, "added_tokens.json", false, &r->added));
  TW_TRY(tw_hf_object_read(r->folder, "tokenizer.json", false, &r->tokenizer));
  if (!r->tokenizer) TW_TRY(tw_merges_txt_read(r));
  if (!r->tokenizer) TW_TRY(tw_sentencepiece_read(r));
  if (tw_json_is_whole(r->tokenizer)) {
    TW_TRY(tw_json_take_whole(r, lower_first));
    return take_sides(r);
  }
  TW_TRY(choose_class(r, r->model));
  TW_TRY(take_sides(r));
  if (!r->tokenizer && r->general)
    return tw_fail(TW_ERR_FORMAT, "%s: tokenizer_class %s needs tokenizer.json, which is not there", r->folder,
                   r->class);
  TW_TRY(r->tokenizer ? tw_tokenizer_json_take(r) : tw_vocab_txt_read(r));
  TW_TRY(take_settings(r));
  TW_TRY(take_special_ids(r));
  TW_TRY(tw_added_tokens_read(r));
  r->rules->normaliser.lower_case |= lower_first;
  return list_pieces(r, vocabulary);
}

tw_status tw_text_rules_read(const char *folder, const tw_hf_json *json, int vocab_size, bool lower_first,
                             tw_text_rules *rules, char ***vocabulary, tw_notes *notes) {
  *rules = plain_rules();
  *vocabulary = NULL;
  tw_text_reader r = {.folder = folder,
                      .model = json->config,
                      .config = json->tokenizer,
                      .vocab_size = vocab_size,
                      .rules = rules,
                      .notes = notes};
  tw_status status = read_rules(&r, lower_first, vocabulary);
  json_t *const files[] = {r.map, r.added, r.tokenizer, r.ids, r.defaults};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) json_decref(files[i]);
  if (status != TW_OK) {
    tw_vocabulary_free(*vocabulary, vocab_size);
    *vocabulary = NULL;
    tw_text_rules_free(rules);
  }
  return status;
}
