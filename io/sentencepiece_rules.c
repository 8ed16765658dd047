// Folders whose tokenizer is a model of sentencepiece without a tokenizer.json: tokenizer.model of LLaMA's kind,
// sentencepiece.bpe.model of XLM-R's. They become what a tokenizer.json would say, with the model file inside, so that
// sentencepiece's library runs it. Token ids are those of transformers' slow tokenizers.
#define _GNU_SOURCE
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_model.h"
#include "io/json_read.h"
#include "io/text_rules_parts.h"

typedef struct {
  const char *class, *models;  // as in json_rules.c
  const char *file;
  int shift;  // of sentencepiece's ids: XLM-R has <pad> besides
} kind;

static const kind kinds[] = {{"LlamaTokenizer", " llama mistral ", "tokenizer.model", 0},
                             {"XLMRobertaTokenizer", " xlm-roberta ", "sentencepiece.bpe.model", 1}};

static const kind *kind_of(const tw_text_reader *r) {
  const char *name = json_string_value(json_object_get(r->config, "tokenizer_class"));
  const char *type = json_string_value(json_object_get(r->model, "model_type"));
  char wanted[64];
  if (!name) name = json_string_value(json_object_get(r->model, "tokenizer_class"));
  snprintf(wanted, sizeof wanted, " %.40s ", type ? type : "?");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    size_t n = strlen(kinds[i].class);
    bool fits = name ? strncmp(name, kinds[i].class, n) == 0 && (!name[n] || strcmp(name + n, "Fast") == 0)
                     : strstr(kinds[i].models, wanted) != NULL;
    if (fits) return &kinds[i];
  }
  return NULL;
}

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory"); }

// ---- the model

static tw_status pack_model(const kind *k, const char *bytes, size_t n, json_t **model) {
  size_t room = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL);
  char *base64 = n < 1 << 28 ? malloc(room) : NULL;
  if (!base64) return out_of_memory();
  sodium_bin2base64(base64, room, (const unsigned char *)bytes, n, sodium_base64_VARIANT_ORIGINAL);
  json_t *unknown = k->shift ? json_integer(3) : json_null();
  *model =
      json_pack("{s:s, s:s, s:i, s:o}", "type", "SentencePiece", "proto", base64, "shift", k->shift, "unk_id", unknown);
  free(base64);
  return *model ? TW_OK : out_of_memory();
}

// *model: of a tokenizer.json; NULL: the folder has no such file.
static tw_status read_model(const tw_text_reader *r, const kind *k, json_t **model) {
  char *path, *bytes = NULL;
  size_t n;
  *model = NULL;
  if (asprintf(&path, "%s/%s", r->folder, k->file) < 0) return out_of_memory();
  tw_status status = tw_file_read_whole(path, false, &bytes, &n);
  if (status == TW_OK && bytes) status = tw_lfs_check(path, bytes, n);
  if (status == TW_OK && bytes) status = pack_model(k, bytes, n, model);
  free(bytes);
  free(path);
  return status;
}

// ---- special and added tokens

static json_t *token(const char *text, int id, const json_t *flags, bool special, bool left) {
  bool told = json_is_object(flags);
  return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text, "single_word", 0, "lstrip",
                   told ? json_is_true(json_object_get(flags, "lstrip")) : left, "rstrip",
                   told && json_is_true(json_object_get(flags, "rstrip")), "normalized", 0, "special", special);
}

static bool has(const json_t *list, const char *text) {
  const json_t *one;
  size_t i;
  json_array_foreach((json_t *)list, i, one) {
    const char *own = json_string_value(json_object_get(one, "content"));
    if (own && strcmp(own, text) == 0) return true;
  }
  return false;
}

// What is one word and what is not slow tokenizers decide in a way of their own.
static tw_status refuse_single_word(const tw_text_reader *r, const kind *k, const char *text) {
  return tw_fail(TW_ERR_FORMAT,
                 "%s/tokenizer_config.json: added_tokens_decoder: \"%s\" is looked for as a whole word (single_word), "
                 "which is not supported with %s: save the tokenizer again, so that there is a tokenizer.json "
                 "(AutoTokenizer's save_pretrained)",
                 r->folder, text, k->file);
}

// Tokens that the files number themselves.
static tw_status add_numbered(const tw_text_reader *r, const kind *k, const tw_pieces *pieces, json_t *added) {
  json_t *value;
  const char *key;
  json_object_foreach(json_object_get(r->config, "added_tokens_decoder"), key, value) {
    const char *text = tw_token_text(value);
    int id = atoi(key);
    if (!text || id < 0 || id >= 1 << 24 ||
        (k->shift == 0 && tw_pieces_find(pieces, text, strlen(text)) != id && id < pieces->count))
      return tw_fail(TW_ERR_FORMAT, "%s/tokenizer_config.json: added_tokens_decoder: token %s is not %s's", r->folder,
                     key, k->file);
    if (json_is_true(json_object_get(value, "single_word"))) return refuse_single_word(r, k, text);
    json_array_append_new(added, token(text, id, value, json_is_true(json_object_get(value, "special")), false));
  }
  json_object_foreach(r->added, key, value) {
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= 1 << 24)
      return tw_fail(TW_ERR_FORMAT, "%s/added_tokens.json: \"%s\" has no id", r->folder, key);
    if (!has(added, key)) json_array_append_new(added, token(key, (int)id, NULL, false, false));
  }
  return TW_OK;
}

typedef struct {
  const char *field, *name;  // name: where the folder says none
  int id;                    // -1: as the model has it
} special;

// count: how many pieces the model has, shifted.
static tw_status add_special(const tw_text_reader *r, const kind *k, const tw_pieces *pieces, json_t *added) {
  const special llama[] = {
      {"bos_token", "<s>", -1}, {"eos_token", "</s>", -1}, {"unk_token", "<unk>", -1}, {"pad_token", NULL, -1}};
  const special xlm[] = {{"cls_token", "<s>", 0},
                         {"pad_token", "<pad>", 1},
                         {"sep_token", "</s>", 2},
                         {"unk_token", "<unk>", 3},
                         {"mask_token", "<mask>", pieces->count}};
  size_t count = k->shift ? sizeof xlm / sizeof *xlm : sizeof llama / sizeof *llama;
  tw_text_reader named = *r;
  named.defaults = NULL;
  for (size_t i = 0; i < count; i++) {
    const special *s = k->shift ? &xlm[i] : &llama[i];
    const json_t *value = tw_special_value(&named, s->field);
    const char *name = tw_token_text(value) ? tw_token_text(value) : s->name;
    if (!name || has(added, name)) continue;
    int id = s->id >= 0 ? s->id : tw_pieces_find(pieces, name, strlen(name));
    if (id < 0)
      return tw_fail(
          TW_ERR_FORMAT,
          "%s: %s is \"%s\", which %s lacks and no file numbers: save the tokenizer again, so that there is a "
          "tokenizer.json (AutoTokenizer's save_pretrained)",
          r->folder, s->field, name, k->file);
    json_array_append_new(added, token(name, id, value, true, s->id > 3));
  }
  return TW_OK;
}

// ---- the tokens around a text

static bool told(const tw_text_reader *r, const char *field, bool otherwise) {
  const json_t *value = json_object_get(r->config, field);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static void put(json_t *list, const char *kind_of_item, const char *id) {
  json_array_append_new(list, json_pack("{s:{s:s, s:i}}", kind_of_item, "id", id, "type_id", 0));
}

// LLaMA: bos A eos, of which the folder may leave out either; XLM-R: <s> A </s></s> B </s>.
static json_t *frame_of(const tw_text_reader *r, const kind *k, const json_t *added) {
  json_t *single = json_array(), *pair = json_array(), *ids = json_object();
  tw_text_reader named = *r;
  named.defaults = NULL;
  const char *bos = tw_special_name(&named, k->shift ? "cls_token" : "bos_token");
  const char *eos = tw_special_name(&named, k->shift ? "sep_token" : "eos_token");
  bool first = k->shift || told(r, "add_bos_token", true), last = k->shift || told(r, "add_eos_token", false);
  if (!bos) bos = "<s>";
  if (!eos) eos = "</s>";
  for (int second = 0; second < 2; second++) {
    if (first) put(pair, "SpecialToken", second && k->shift ? eos : bos);
    put(pair, "Sequence", second ? "B" : "A");
    if (last) put(pair, "SpecialToken", eos);
    if (!second) json_array_extend(single, pair);
  }
  const json_t *one;
  size_t i;
  json_array_foreach((json_t *)added, i, one) {
    const char *text = json_string_value(json_object_get(one, "content"));
    if (strcmp(text, bos) == 0 || strcmp(text, eos) == 0)
      json_object_set_new(
          ids, text, json_pack("{s:s, s:[O], s:[s]}", "id", text, "ids", json_object_get(one, "id"), "tokens", text));
  }
  return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                   "special_tokens", ids);
}

// Marks become blanks, <0x41> a byte, and the blank that was put before the text goes.
static json_t *decoder(void) {
  return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders",
                   "type", "Replace", "pattern", "String", "\u2581", "content", " ", "type", "ByteFallback", "type",
                   "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0);
}

// ---- all

static tw_status make(tw_text_reader *r, const kind *k, json_t *model, const tw_pieces *pieces) {
  json_t *added = json_array();
  tw_status status = add_numbered(r, k, pieces, added);
  if (status == TW_OK) status = add_special(r, k, pieces, added);
  if (status == TW_OK)
    r->tokenizer =
        json_pack("{s:s, s:O, s:n, s:n, s:o, s:o, s:O}", "version", "1.0", "added_tokens", added, "normalizer",
                  "pre_tokenizer", "post_processor", frame_of(r, k, added), "decoder", decoder(), "model", model);
  json_decref(added);
  return status == TW_OK && !r->tokenizer ? out_of_memory() : status;
}

static tw_status read_pieces(tw_text_reader *r, const kind *k, json_t *model) {
  char where[512];
  tw_json_model *m;
  snprintf(where, sizeof where, "%s/%s", r->folder, k->file);
  if (!k->shift && json_is_false(json_object_get(r->config, "legacy")))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: tokenizer_config.json says legacy false, which changes %s's blanks behind special tokens: save "
                   "the tokenizer again, so that there is a tokenizer.json (AutoTokenizer's save_pretrained)",
                   r->folder, k->file);
  TW_TRY(tw_json_model_new(model, where, &m));
  tw_status status = make(r, k, model, tw_json_model_pieces(m));
  tw_json_model_free(m);
  return status;
}

tw_status tw_sentencepiece_read(tw_text_reader *r) {
  const kind *k = kind_of(r);
  json_t *model;
  if (!k) return TW_OK;
  TW_TRY(read_model(r, k, &model));
  tw_status status = model ? read_pieces(r, k, model) : TW_OK;
  json_decref(model);
  return status;
}
