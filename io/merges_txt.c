// Folders of before tokenizer.json: vocab.json and merges.txt of GPT-2's kind, as the fast tokenizers convert them.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_read.h"
#include "io/text_rules_parts.h"

// Lines of two pieces with a blank between; the first may tell a version.
static tw_status take_merges(const char *path, char *text, json_t *merges) {
  int line = 0;
  for (char *rest = text, *one; (one = strsep(&rest, "\n"));) {
    size_t n = strlen(one);
    line++;
    if (n && one[n - 1] == '\r') one[--n] = '\0';
    if (n == 0 || (line == 1 && strncmp(one, "#version", 8) == 0)) continue;
    const char *blank = strchr(one, ' ');
    if (!blank || blank == one || !blank[1] || strchr(blank + 1, ' '))
      return tw_fail(TW_ERR_FORMAT, "%s: line %d is not two pieces", path, line);
    json_t *merge = json_string(one);
    if (!merge) return tw_fail(TW_ERR_FORMAT, "%s: line %d is not UTF-8", path, line);
    json_array_append_new(merges, merge);
  }
  return TW_OK;
}

static tw_status read_merges(const tw_text_reader *r, json_t *merges) {
  char *path, *text = NULL;
  size_t bytes;
  if (asprintf(&path, "%s/merges.txt", r->folder) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_file_read_whole(path, true, &text, &bytes);
  if (status == TW_OK && strlen(text) != bytes) status = tw_fail(TW_ERR_FORMAT, "%s: holds a zero byte", path);
  if (status == TW_OK) status = take_merges(path, text, merges);
  free(text);
  free(path);
  return status;
}

// Special tokens with the flags that the files give them; a mask takes the blank before it along.
static tw_status add_special(const tw_text_reader *r, const json_t *vocabulary, json_t *added) {
  static const char *const fields[] = {"cls_token", "pad_token", "sep_token", "unk_token", "mask_token"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const json_t *value = tw_special_value(r, fields[i]);
    const char *name = tw_token_text(value);
    if (!name) continue;
    const json_t *id = json_object_get(vocabulary, name);
    if (!id) return tw_fail(TW_ERR_FORMAT, "%s/vocab.json: lacks %s (%s)", r->folder, name, fields[i]);
    bool mask = strcmp(fields[i], "mask_token") == 0, told = json_is_object(value);
    if (mask && !told)
      TW_TRY(
          tw_note(r->notes,
                  "%s: %s takes the blank before it along, as in transformers 4; in 5 it does so only where the files "
                  "say lstrip",
                  r->folder, name));
    bool left = told ? json_is_true(json_object_get(value, "lstrip")) : mask;
    json_array_append_new(added,
                          json_pack("{s:O, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", name, "single_word",
                                    json_is_true(json_object_get(value, "single_word")), "lstrip", left, "rstrip",
                                    json_is_true(json_object_get(value, "rstrip")), "normalized", 0, "special", 1));
  }
  return TW_OK;
}

static json_t *frame_of(const tw_text_reader *r, const json_t *vocabulary, bool framed) {
  const char *start = tw_special_name(r, "cls_token"), *end = tw_special_name(r, "sep_token");
  if (!framed) return json_pack("{s:s, s:b}", "type", "ByteLevel", "trim_offsets", 1);
  return json_pack("{s:s, s:[s, O], s:[s, O]}", "type", "RobertaProcessing", "sep", end,
                   json_object_get(vocabulary, end), "cls", start, json_object_get(vocabulary, start));
}

static tw_status make(tw_text_reader *r, json_t *vocabulary, bool framed) {
  json_t *merges = json_array(), *added = json_array();
  tw_status status = read_merges(r, merges);
  if (status == TW_OK && framed) status = add_special(r, vocabulary, added);
  if (status == TW_OK)
    r->tokenizer =
        json_pack("{s:s, s:O, s:n, s:{s:s, s:b, s:b}, s:o, s:{s:s}, s:{s:s, s:O, s:O}}", "version", "1.0",
                  "added_tokens", added, "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0,
                  "use_regex", 1, "post_processor", frame_of(r, vocabulary, framed), "decoder", "type", "ByteLevel",
                  "model", "type", "BPE", "vocab", vocabulary, "merges", merges);
  json_decref(merges);
  json_decref(added);
  if (status == TW_OK && !r->tokenizer) status = tw_fail(TW_ERR_MEMORY, "%s: out of memory", r->folder);
  return status;
}

tw_status tw_merges_txt_read(tw_text_reader *r) {
  const char *name = json_string_value(json_object_get(r->config, "tokenizer_class")),
             *type = json_string_value(json_object_get(r->model, "model_type"));
  if (!name) name = type && strcmp(type, "roberta") == 0 ? "RobertaTokenizer" : "";
  bool roberta = strncmp(name, "RobertaTokenizer", 16) == 0;
  json_t *vocabulary;
  if (!roberta && strncmp(name, "GPT2Tokenizer", 13) != 0) return TW_OK;
  TW_TRY(tw_hf_object_read(r->folder, "vocab.json", false, &vocabulary));
  if (!vocabulary) return TW_OK;
  tw_status status = tw_roberta_defaults(r);
  if (status == TW_OK) status = make(r, vocabulary, roberta);
  json_decref(vocabulary);
  return status;
}
