// Folders with a model of sentencepiece against transformers' slow tokenizers (tests/vectors/sentencepiece.json, by
// tools/compare_tokenizers.py), and those that are refused. Where twain is built without the library, it says so.
#include <jansson.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "io/sentencepiece.h"
#include "io/sentencepiece_check.h"
#include "io/text_rules.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static json_t *vectors;

static void write_kind(json_t *kind) {
  json_t *value;
  const char *name;
  remove(in_folder("tokenizer.model"));
  remove(in_folder("sentencepiece.bpe.model"));
  json_object_foreach(json_object_get(kind, "files"), name, value) {
    char *text = json_dumps(value, 0);
    dump(in_folder(name), (const uint8_t *)text, strlen(text));
    free(text);
  }
  json_object_foreach(json_object_get(kind, "model"), name, value) {
    size_t length = json_string_length(value), used = 0;
    unsigned char *bytes = malloc(length);
    CU_ASSERT_FATAL(bytes && sodium_base642bin(bytes, length, json_string_value(value), length, NULL, &used, NULL,
                                               sodium_base64_VARIANT_ORIGINAL) == 0);
    dump(in_folder(name), bytes, used);
    free(bytes);
  }
}

static tw_status read_rules(int size, tw_text_rules *rules) {
  tw_hf_json json;
  tw_notes notes = {NULL};
  char **pieces = NULL;
  *rules = (tw_text_rules){0};
  tw_status status = tw_hf_json_read(scratch_folder(), false, &json);
  if (status == TW_OK) status = tw_text_rules_read(scratch_folder(), &json, size, false, rules, &pieces, &notes);
  CU_ASSERT_PTR_NULL(pieces);
  CU_ASSERT_PTR_NULL(notes.text);
  tw_hf_json_free(&json);
  free(notes.text);
  return status;
}

static int size_of(const json_t *kind) { return (int)json_integer_value(json_object_get(kind, "size")); }

static bool built_without(void) {
  tw_text_rules rules;
  json_t *kind = json_array_get(json_object_get(vectors, "kinds"), 0);
  write_kind(kind);
  tw_status status = read_rules(size_of(kind), &rules);
  tw_text_rules_free(&rules);
  return status != TW_OK && message_has("built without libsentencepiece");
}

static bool same(const tw_json_tokenizer *t, const char *first, const char *second, const json_t *ids) {
  tw_encoding e;
  bool good = tw_json_tokenizer_encode(t, first, second, true, 0, false, &e) == TW_OK &&
              (size_t)e.count == json_array_size(ids);
  for (int i = 0; good && i < e.count; i++) good = e.ids[i] == json_integer_value(json_array_get(ids, (size_t)i));
  if (!good) fprintf(stderr, "\n'%s' '%s' differs (%d tokens)\n", first, second ? second : "", e.count);
  tw_encoding_free(&e);
  return good;
}

// The text of a text's ids is that text.
static void check_back(const tw_json_tokenizer *t, const char *wanted) {
  tw_encoding e;
  char *text;
  size_t bytes;
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_encode(t, wanted, NULL, true, 0, false, &e), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_decode(t, e.ids, e.count, true, &text, &bytes), TW_OK);
  CU_ASSERT_STRING_EQUAL(text, wanted);
  free(text);
  tw_encoding_free(&e);
}

static void check_kind(const char *rules, const json_t *kind) {
  json_t *root = json_loads(rules, 0, NULL), *row;
  tw_json_tokenizer *t;
  size_t i, j;
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_new(root, "rules", &t), TW_OK);
  json_array_foreach(json_object_get(kind, "texts"), i, row)
      CU_ASSERT_TRUE(same(t, json_string_value(json_array_get(row, 0)), NULL, json_array_get(row, 1)));
  json_array_foreach(json_object_get(kind, "pairs"), j, row) CU_ASSERT_TRUE(same(
      t, json_string_value(json_array_get(row, 0)), json_string_value(json_array_get(row, 1)), json_array_get(row, 2)));
  CU_ASSERT(i == 40 && j == 10);
  check_back(t, "92 20");
  tw_json_tokenizer_free(t);
  json_decref(root);
}

static void against_slow_tokenizers(void) {
  json_t *kind;
  size_t i;
  if (built_without()) {
    puts("built without libsentencepiece: left out");
    CU_PASS("left out");
    return;
  }
  json_array_foreach(json_object_get(vectors, "kinds"), i, kind) {
    tw_text_rules rules;
    write_kind(kind);
    tw_status status = read_rules(size_of(kind), &rules);
    if (status != TW_OK) fprintf(stderr, "\n%s\n", tw_error_message());
    CU_ASSERT_EQUAL_FATAL(status, TW_OK);
    check_kind(rules.tokenizer, kind);
    tw_text_rules_free(&rules);
  }
  CU_ASSERT(i == 2);
}

// LLaMA's folder with a setting of its own.
static void refuses(const char *setting, json_t *value, int more, const char *said) {
  json_t *kind = json_deep_copy(json_array_get(json_object_get(vectors, "kinds"), 0));
  json_t *config = json_object_get(json_object_get(kind, "files"), "tokenizer_config.json");
  tw_text_rules rules;
  if (setting) json_object_set_new(config, setting, value);
  write_kind(kind);
  if (!setting) dump(in_folder("tokenizer.model"), (const uint8_t *)"\x0a\x05<unk>", 7);
  CU_ASSERT_EQUAL(read_rules(size_of(kind) + more, &rules), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has(said));
  CU_ASSERT_TRUE(message_has(scratch_folder()));
  tw_text_rules_free(&rules);
  json_decref(kind);
}

static void refusals(void) {
  if (built_without()) {
    CU_PASS("left out");
    return;
  }
  refuses("legacy", json_false(), 0, "legacy false");
  refuses("pad_token", json_string("<|none|>"), 0, "which tokenizer.model lacks");
  refuses("added_tokens_decoder", json_pack("{s:{s:s}}", "0", "content", "<s>"), 0, "token 0 is not tokenizer.model's");
  refuses("added_tokens_decoder", json_pack("{s:{s:s, s:b}}", "400", "content", "word", "single_word", 1), 0,
          "\"word\" is looked for as a whole word");
  refuses("add_bos_token", json_true(), -1, "vocab_size is 367");
  refuses(NULL, NULL, 0, "sentencepiece");
}

// XLM-R's model has a table of characters, which the library follows without looking.
static void damage(void) {
  json_t *kind = json_array_get(json_object_get(vectors, "kinds"), 1);
  write_kind(kind);
  size_t bytes;
  int refused = 0;
  uint64_t random = 88172645463325252u;
  uint8_t *model = slurp(in_folder("sentencepiece.bpe.model"), &bytes);
  CU_ASSERT_EQUAL(tw_sentencepiece_check(model, bytes, "m"), TW_OK);
  for (size_t n = 0; n < bytes; n++) CU_ASSERT(tw_sentencepiece_check(model, n, "m") != TW_ERR_INTERNAL);
  for (int i = 0; i < 3000; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    size_t at = bytes / 2 + random % (bytes / 2);  // pieces come first
    uint8_t bit = (uint8_t)(1 << (random >> 40 & 7));
    tw_sentencepiece *s;
    tw_ids ids = {0};
    model[at] ^= bit;
    tw_status status = tw_sentencepiece_new(model, bytes, "some.model", &s);
    refused += status != TW_OK;
    if (status == TW_OK) {
      CU_ASSERT_EQUAL(tw_sentencepiece_encode(s, "\uff21\u030a \ufb01\u3000", 13, &ids), TW_OK);
      tw_sentencepiece_free(s);
    } else {
      CU_ASSERT_TRUE(message_has("some.model"));
    }
    free(ids.ids);
    model[at] ^= bit;
  }
  CU_ASSERT(refused > 100);
  free(model);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("models of sentencepiece", scratch_open, scratch_close);
  vectors = vector_load("sentencepiece.json");
  CU_add_test(suite, "against slow tokenizers", against_slow_tokenizers);
  CU_add_test(suite, "refusals", refusals);
  CU_add_test(suite, "damage", damage);
  int bad = suite_end();
  json_decref(vectors);
  return bad;
}
