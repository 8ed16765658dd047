// tokenizer.json files against the tokenizers library (tests/vectors/tokenizers.json, made by
// tools/compare_tokenizers.py), to ids and back, and what is refused.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static bool same_numbers(const json_t *wanted, const int *found, int count) {
  if ((int)json_array_size(wanted) != count) return false;
  for (int i = 0; i < count; i++)
    if (json_integer_value(json_array_get(wanted, (size_t)i)) != found[i]) return false;
  return true;
}

static void check_text(const tw_json_tokenizer *t, const char *kind, const json_t *row) {
  const json_t *text = json_object_get(row, "text");
  const char *first = json_string_value(json_array_get(text, 0)), *second = json_string_value(json_array_get(text, 1));
  tw_encoding e;
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_encode(t, first, second, true, 0, false, &e), TW_OK);
  bool same = same_numbers(json_object_get(row, "ids"), e.ids, e.count) &&
              same_numbers(json_object_get(row, "types"), e.types, e.count);
  if (!same) fprintf(stderr, "\n%s: other ids of \"%s\"\n", kind, first);
  CU_ASSERT(same);
  tw_encoding_free(&e);
}

// row: ids, their text without special tokens, and with them.
static void check_back(const tw_json_tokenizer *t, const char *kind, const json_t *row) {
  int count, *ids = vector_ints(json_array_get(row, 0), &count);
  for (int skip = 1; skip >= 0; skip--) {
    const json_t *wanted = json_array_get(row, skip ? 1 : 2);
    char *text;
    size_t bytes;
    CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_decode(t, ids, count, skip, &text, &bytes), TW_OK);
    bool same = bytes == json_string_length(wanted) && memcmp(text, json_string_value(wanted), bytes) == 0;
    if (!same) fprintf(stderr, "\n%s: not '%s' but '%s'\n", kind, json_string_value(wanted), text);
    CU_ASSERT(same);
    free(text);
  }
  free(ids);
}

static void against_tokenizers(void) {
  json_t *json = vector_load("tokenizers.json"), *kind, *row;
  size_t i, j, texts = 0, back = 0;
  json_array_foreach(json_object_get(json, "kinds"), i, kind) {
    const char *name = json_string_value(json_object_get(kind, "name"));
    tw_json_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_new(json_object_get(kind, "tokenizer"), name, &t), TW_OK);
    json_array_foreach(json_object_get(kind, "texts"), j, row) check_text(t, name, row);
    texts += j;
    json_array_foreach(json_object_get(kind, "decoded"), j, row) check_back(t, name, row);
    back += j;
    tw_json_tokenizer_free(t);
  }
  CU_ASSERT(texts >= 400);
  CU_ASSERT(back >= 700);
  json_decref(json);
}

// The first kind of the vectors with a part in the place of its own.
static void refuses(const char *part, const char *value, const char *said) {
  json_t *json = vector_load("tokenizers.json"), *kind = json_array_get(json_object_get(json, "kinds"), 0);
  json_t *root = json_object_get(kind, "tokenizer"), *model = json_object_get(root, "model");
  json_t *new = json_loads(value, JSON_DECODE_ANY, NULL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(new);
  json_object_set_new(strncmp(part, "model.", 6) == 0 ? model : root, part + (strncmp(part, "model.", 6) == 0 ? 6 : 0),
                      new);
  tw_json_tokenizer *t = NULL;
  tw_status status = tw_json_tokenizer_new(root, "some/tokenizer.json", &t);
  CU_ASSERT_EQUAL(status, TW_ERR_FORMAT);
  bool found = strstr(tw_error_message(), said) && strstr(tw_error_message(), "some/tokenizer.json");
  if (!found) fprintf(stderr, "\n%s: not '%s': %s\n", part, said, tw_error_message());
  CU_ASSERT_TRUE(found);
  if (status == TW_OK) tw_json_tokenizer_free(t);
  json_decref(json);
}

// An unknown rule is refused, never left out or replaced.
static void unknown_rules(void) {
  refuses("model.type", "\"WordLevel\"", "model is WordLevel");
  refuses("normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"\"}", "Precompiled");
  refuses("normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Nmt\"}]}", "Nmt");
  refuses("pre_tokenizer", "{\"type\": \"UnicodeScripts\"}", "UnicodeScripts");
  refuses("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}, \"behavior\": \"Isolated\"}", "(");
  refuses("post_processor", "{\"type\": \"Novelty\"}", "Novelty");
  refuses("decoder", "{\"type\": \"Novelty\"}", "Novelty");
  refuses("model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix");
  refuses("model.merges", "[[\"a\", \"no piece of this name\"]]", "merges");
  refuses("added_tokens", "[{\"content\": \"x\"}]", "added_tokens");
}

static void cuts_and_texts(void) {
  json_t *json = vector_load("tokenizers.json"), *kind = json_array_get(json_object_get(json, "kinds"), 2);
  tw_json_tokenizer *t;
  tw_encoding whole, cut;
  CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(kind, "name")), "roberta");
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_new(json_object_get(kind, "tokenizer"), "roberta", &t), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_encode(t, "one two three four", NULL, true, 0, false, &whole), TW_OK);
  for (int left = 0; left < 2; left++) {
    CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_encode(t, "one two three four", NULL, true, 5, left, &cut), TW_OK);
    CU_ASSERT_EQUAL_FATAL(cut.count, 5);
    CU_ASSERT_EQUAL(cut.whole, whole.count);
    CU_ASSERT_EQUAL(cut.ids[0], whole.ids[0]);
    CU_ASSERT_EQUAL(cut.ids[4], whole.ids[whole.count - 1]);
    for (int i = 1; i < 4; i++) CU_ASSERT_EQUAL(cut.ids[i], whole.ids[left ? whole.count - 5 + i : i]);
    tw_encoding_free(&cut);
  }
  CU_ASSERT_EQUAL(tw_json_tokenizer_encode(t, "a", NULL, true, 2, false, &cut), TW_ERR_RANGE);
  CU_ASSERT_EQUAL(tw_json_tokenizer_encode(t, "ab\xff", NULL, true, 0, false, &cut), TW_ERR_FORMAT);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "byte 2"));
  CU_ASSERT_STRING_EQUAL(tw_json_tokenizer_piece(t, 0), "<s>");
  CU_ASSERT_EQUAL(tw_json_tokenizer_id(t, "</s>"), 2);
  CU_ASSERT_EQUAL(tw_json_tokenizer_id(t, "no such piece"), -1);
  CU_ASSERT_PTR_NULL(tw_json_tokenizer_piece(t, tw_json_tokenizer_vocabulary(t)));
  tw_encoding_free(&whole);
  tw_json_tokenizer_free(t);
  json_decref(json);
}

SUITE_MAIN("JSON tokenizer", {"against tokenizers", against_tokenizers}, {"unknown rules", unknown_rules},
           {"cuts and texts", cuts_and_texts})
