// tokenizer.json of the tokenizers library: what of it BERT's tokenizers have.
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "io/text_rules_parts.h"

static tw_status refuse(const tw_text_reader *r, const char *part, const json_t *value, const char *wanted) {
  const char *type = json_string_value(json_is_object(value) ? json_object_get(value, "type") : value);
  return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: %s is %s; only %s is supported", r->folder, part,
                 type ? type : "of an unknown form", wanted);
}

static bool is_type(const json_t *value, const char *type) {
  const char *text = json_string_value(json_object_get(value, "type"));
  return text && strcmp(text, type) == 0;
}

// ---- the model

static tw_status take_vocabulary(tw_text_reader *r, const json_t *model) {
  json_t *pieces = json_object_get(model, "vocab"), *value;
  const char *piece;
  if (!json_is_object(pieces)) return refuse(r, "model.vocab", pieces, "a table of pieces and ids");
  json_object_foreach(pieces, piece, value) {
    if (!json_is_integer(value) || json_integer_value(value) < 0)
      return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: model.vocab: the id of \"%s\" is not a number", r->folder,
                     piece);
    if (json_integer_value(value) >= r->vocab_size)
      return tw_fail(
          TW_ERR_FORMAT,
          "%s/tokenizer.json: model.vocab: \"%s\" has id %lld, of %zu pieces; config.json's vocab_size is %d: "
          "they do not belong together",
          r->folder, piece, (long long)json_integer_value(value), json_object_size(pieces), r->vocab_size);
  }
  r->ids = json_incref(pieces);
  return TW_OK;
}

static tw_status take_model(tw_text_reader *r) {
  const json_t *model = json_object_get(r->tokenizer, "model"), *type = json_object_get(model, "type");
  if (!json_is_object(model) || (type && !is_type(model, "WordPiece"))) return refuse(r, "model", model, "WordPiece");
  const char *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix"));
  const json_t *longest = json_object_get(model, "max_input_chars_per_word");
  r->unknown = json_string_value(json_object_get(model, "unk_token"));
  if (!prefix || !json_is_integer(longest) || json_integer_value(longest) < 0 || !r->unknown)
    return tw_fail(
        TW_ERR_FORMAT,
        "%s/tokenizer.json: model lacks continuing_subword_prefix, max_input_chars_per_word or unk_token; it "
        "is not WordPiece",
        r->folder);
  if (strlen(prefix) >= TW_PREFIX_ROOM)
    return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: model: continuing_subword_prefix is too long", r->folder);
  snprintf(r->rules->prefix, sizeof r->rules->prefix, "%s", prefix);
  json_int_t most = json_integer_value(longest);
  r->rules->longest_word = most > INT_MAX ? INT_MAX : (int)most;
  if (!r->general && (strcmp(prefix, "##") != 0 || most != 100))
    TW_TRY(
        tw_note(r->notes,
                "%s/tokenizer.json: continuing_subword_prefix \"%s\" and max_input_chars_per_word %lld are followed, "
                "as by transformers 4; transformers 5's %s takes \"##\" and 100",
                r->folder, prefix, (long long)most, r->class));
  return take_vocabulary(r, model);
}

// ---- the normaliser

static tw_status take_flag(const tw_text_reader *r, const json_t *bert, const char *field, bool *out) {
  const json_t *value = json_object_get(bert, field);
  if (!json_is_boolean(value)) return refuse(r, "a setting of normalizer", value, "true or false");
  *out = json_is_true(value);
  return TW_OK;
}

static tw_status take_bert_normalizer(tw_text_reader *r, const json_t *bert) {
  tw_normaliser *n = &r->rules->normaliser;
  const json_t *accents = json_object_get(bert, "strip_accents");
  TW_TRY(take_flag(r, bert, "clean_text", &n->clean_text));
  TW_TRY(take_flag(r, bert, "handle_chinese_chars", &n->split_chinese));
  TW_TRY(take_flag(r, bert, "lowercase", &n->lower_case));
  if (accents && !json_is_null(accents) && !json_is_boolean(accents))
    return refuse(r, "normalizer.strip_accents", accents, "null, true or false");
  n->strip_accents = json_is_boolean(accents) ? json_is_true(accents) : n->lower_case;
  if (!n->clean_text && !r->general)
    TW_TRY(tw_note(r->notes,
                   "%s/tokenizer.json: clean_text false is followed, as by transformers 4; transformers 5's %s cleans",
                   r->folder, r->class));
  return TW_OK;
}

// A Sequence of Lowercase and BertNormalizer is what sentence-transformers 6 saves for do_lower_case.
static tw_status take_normalizer(tw_text_reader *r) {
  const json_t *normalizer = json_object_get(r->tokenizer, "normalizer"), *one;
  const char *wanted = "BertNormalizer";
  if (is_type(normalizer, wanted)) return take_bert_normalizer(r, normalizer);
  if (!is_type(normalizer, "Sequence")) {
    if (!normalizer || json_is_null(normalizer))
      return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: normalizer is null; only %s is supported", r->folder, wanted);
    return refuse(r, "normalizer", normalizer, wanted);
  }
  bool lower = false, bert = false;
  size_t i;
  json_array_foreach(json_object_get(normalizer, "normalizers"), i, one) {
    if (!bert && is_type(one, "Lowercase")) {
      lower = true;
    } else if (!bert && is_type(one, wanted)) {
      TW_TRY(take_bert_normalizer(r, one));
      bert = true;
    } else {
      return refuse(r, "one of the normalizers", one, wanted);
    }
  }
  if (!bert) return refuse(r, "normalizer", normalizer, wanted);
  r->rules->normaliser.lower_case |= lower;
  return TW_OK;
}

// ---- the frame

static tw_status odd_template(const tw_text_reader *r, const char *part) {
  return tw_fail(
      TW_ERR_FORMAT,
      "%s/tokenizer.json: post_processor.%s does not frame texts as BERT does ([CLS] A [SEP], types 0; B [SEP], "
      "types 1); that is not supported",
      r->folder, part);
}

// "[CLS]" of an entry {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, or "A" of a Sequence; else NULL.
static const char *entry_of(const json_t *list, size_t i, const char *kind, int *type) {
  const json_t *entry = json_object_get(json_array_get(list, i), kind), *number = json_object_get(entry, "type_id");
  *type = json_is_integer(number) ? (int)json_integer_value(number) : -1;
  return json_string_value(json_object_get(entry, "id"));
}

static tw_status check_id(const tw_text_reader *r, const char *token, const json_t *id) {
  if (!id || (json_is_integer(id) && json_integer_value(id) == tw_piece_id(r, token))) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: post_processor gives %s another id than the vocabulary", r->folder,
                 token);
}

// A token of a template stands for one id here. The library takes a list of them.
static tw_status check_ids(const tw_text_reader *r, const json_t *special, const char *token) {
  const json_t *ids = json_object_get(json_object_get(special, token), "ids");
  if (json_array_size(ids) > 1)
    return tw_fail(TW_ERR_FORMAT,
                   "%s/tokenizer.json: post_processor puts %zu ids for %s around a text; with WordPiece only one is "
                   "supported",
                   r->folder, json_array_size(ids), token);
  return check_id(r, token, json_array_get(ids, 0));
}

static tw_status take_pair(tw_text_reader *r, const json_t *pair) {
  if (json_array_size(pair) == 0) return TW_OK;
  int type[5];
  const char *start = entry_of(pair, 0, "SpecialToken", &type[0]), *a = entry_of(pair, 1, "Sequence", &type[1]),
             *end = entry_of(pair, 2, "SpecialToken", &type[2]), *b = entry_of(pair, 3, "Sequence", &type[3]),
             *last = entry_of(pair, 4, "SpecialToken", &type[4]);
  if (json_array_size(pair) != 5 || !start || !a || !end || !b || !last || strcmp(start, r->start) != 0 ||
      strcmp(a, "A") != 0 || strcmp(end, r->end) != 0 || strcmp(b, "B") != 0 || strcmp(last, r->end) != 0 || type[0] ||
      type[1] || type[2] || type[3] != type[4] || type[3] < 0 || type[3] > 1)
    return odd_template(r, "pair");
  if (type[3] == 0 && !r->general) return odd_template(r, "pair");
  if (type[3] == 0) r->rules->pair_types = false;
  return TW_OK;
}

static tw_status take_template(tw_text_reader *r, const json_t *post) {
  const json_t *single = json_object_get(post, "single"), *special = json_object_get(post, "special_tokens");
  int type[3];
  const char *start = entry_of(single, 0, "SpecialToken", &type[0]), *text = entry_of(single, 1, "Sequence", &type[1]),
             *end = entry_of(single, 2, "SpecialToken", &type[2]);
  if (json_array_size(single) != 3 || !start || !text || !end || strcmp(text, "A") != 0 || type[0] || type[1] ||
      type[2])
    return odd_template(r, "single");
  r->start = start;
  r->end = end;
  TW_TRY(check_ids(r, special, start));
  TW_TRY(check_ids(r, special, end));
  return take_pair(r, json_object_get(post, "pair"));
}

static tw_status take_post_processor(tw_text_reader *r) {
  const json_t *post = json_object_get(r->tokenizer, "post_processor");
  if (is_type(post, "TemplateProcessing")) return take_template(r, post);
  if (!is_type(post, "BertProcessing")) {
    if (!post || json_is_null(post))
      return tw_fail(TW_ERR_FORMAT,
                     "%s/tokenizer.json: post_processor is null: transformers 4 and 5 frame texts differently; only "
                     "TemplateProcessing and BertProcessing are supported",
                     r->folder);
    return refuse(r, "post_processor", post, "TemplateProcessing or BertProcessing");
  }
  const json_t *start = json_object_get(post, "cls"), *end = json_object_get(post, "sep");
  r->start = json_string_value(json_array_get(start, 0));
  r->end = json_string_value(json_array_get(end, 0));
  if (!r->start || !r->end) return odd_template(r, "cls");
  TW_TRY(check_id(r, r->start, json_array_get(start, 1)));
  return check_id(r, r->end, json_array_get(end, 1));
}

tw_status tw_tokenizer_json_take(tw_text_reader *r) {
  if (!json_is_object(r->tokenizer)) return tw_fail(TW_ERR_FORMAT, "%s/tokenizer.json: not a JSON object", r->folder);
  const json_t *split = json_object_get(r->tokenizer, "pre_tokenizer");
  TW_TRY(take_model(r));
  TW_TRY(take_normalizer(r));
  if (!is_type(split, "BertPreTokenizer")) return refuse(r, "pre_tokenizer", split, "BertPreTokenizer");
  return take_post_processor(r);
}
