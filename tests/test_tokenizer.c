// The tokenizer against token ids by transformers (tests/vectors/tokenizer.json, made by tools/make_reference.py).
#include <CUnit/Basic.h>
#include <sodium.h>
#include <string.h>

#include "io/tokenizer.h"
#include "vectors/load.h"

static char **pieces;
static int piece_count;

// All the pieces that can occur in the test strings, at their own ids; the other ids are "".
static void load_pieces(void) {
  json_t *json = vector_load("pieces.json");
  piece_count = (int)json_integer_value(json_object_get(json, "size"));
  pieces = malloc((size_t)piece_count * sizeof *pieces);
  for (int i = 0; i < piece_count; i++) pieces[i] = strdup("");
  const char *id;
  json_t *piece;
  json_object_foreach(json_object_get(json, "pieces"), id, piece) {
    free(pieces[atoi(id)]);
    pieces[atoi(id)] = strdup(json_string_value(piece));
  }
  json_decref(json);
}

static void free_pieces(void) {
  for (int i = 0; i < piece_count; i++) free(pieces[i]);
  free(pieces);
}

static bool same_ids(const tw_tokenizer *t, const char *text, const json_t *wanted) {
  int *ids, count, wanted_count, *expected = vector_ints(wanted, &wanted_count);
  bool same = tw_tokenizer_encode(t, text, &ids, &count) == TW_OK && count == wanted_count &&
              memcmp(ids, expected, (size_t)count * sizeof *ids) == 0;
  if (!same) {
    fprintf(stderr, "\n'%s' gives:", text);
    for (int i = 0; i < count; i++) fprintf(stderr, " %d", ids[i]);
    fprintf(stderr, ", expected:");
    for (int i = 0; i < wanted_count; i++) fprintf(stderr, " %d", expected[i]);
  }
  free(ids);
  free(expected);
  return same;
}

static void test_reference(void) {
  json_t *json = vector_load("tokenizer.json"), *list = json_object_get(json, "strings");
  CU_ASSERT_TRUE(json_array_size(list) >= 60);
  for (int lower = 0; lower < 2; lower++) {
    tw_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, lower, &t), TW_OK);
    for (size_t i = 0; i < json_array_size(list); i++) {
      const json_t *item = json_array_get(list, i);
      const char *text = json_string_value(json_object_get(item, "text"));
      CU_ASSERT_TRUE(same_ids(t, text, json_object_get(item, lower ? "lower" : "cased")));
    }
    tw_tokenizer_free(t);
  }
  json_decref(json);
}

static void test_not_utf8(void) {
  static const struct {
    const char *text, *place;
  } cases[] = {{"\xff", "byte 0;"},
               {"ab\xc3", "byte 2;"},
               {"ab\xc3(", "byte 2;"},
               {"\xc0\x80", "byte 0;"},
               {"x\xed\xa0\x80", "byte 1;"},
               {"caf\xe9 au lait", "byte 3;"},
               {"\xf5\x80\x80\x80", "byte 0;"},
               {"\xe2\x82", "byte 0;"},
               {"a\x80", "byte 1;"}};
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, true, &t), TW_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int *ids, count;
    CU_ASSERT_EQUAL(tw_tokenizer_encode(t, cases[i].text, &ids, &count), TW_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(ids);
    CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), cases[i].place));
  }
  tw_tokenizer_free(t);
}

// Any bytes: refused, or framed ids of the vocabulary. Mostly multi-byte fragments, so that many inputs are valid.
static void test_random_text(void) {
  static const char *const bits[] = {"a", "Z",      " ", "\t", ".", "é",      "e\u0301", "中",   "😀",    "[SEP]",
                                     "[", "\u200b", "İ", "Σ",  "Ⱥ", "\uFFFD", "가",      "\x01", "\xff", "\xe4\xb8"};
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, true, &t), TW_OK);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 3000; round++) {
    char text[512] = "";
    uint32_t n = randombytes_uniform(40), most = randombytes_uniform(2) ? 18 : 20;
    for (uint32_t i = 0; i < n; i++) strcat(text, bits[randombytes_uniform(most)]);
    int *ids, count;
    if (tw_tokenizer_encode(t, text, &ids, &count) != TW_OK) {
      refused++;
      CU_ASSERT_EQUAL(most, 20);
      continue;
    }
    accepted++;
    bool framed = count >= 2 && ids[0] == 101 && ids[count - 1] == 102;
    for (int i = 0; framed && i < count; i++) framed = ids[i] >= 0 && ids[i] < piece_count && pieces[ids[i]][0];
    CU_ASSERT_TRUE(framed);
    free(ids);
  }
  CU_ASSERT_TRUE(accepted > 500 && refused > 500);
  tw_tokenizer_free(t);
}

static void test_missing_special(void) {
  char *few[] = {"[PAD]", "[UNK]", "[CLS]", "a", "b", "##a"};
  tw_tokenizer *t;
  CU_ASSERT_EQUAL(tw_tokenizer_new(few, 6, true, &t), TW_ERR_FORMAT);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "[SEP]"));
}

// Without a vocabulary: one id a word, equal words alike, special ids never hit.
static void test_hashed(void) {
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(NULL, 30522, true, &t), TW_OK);
  int *ids, count;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_encode(t, "The cat, the Cat and thé dog", &ids, &count), TW_OK);
  CU_ASSERT_EQUAL_FATAL(count, 10);
  CU_ASSERT_TRUE(ids[0] == 2 && ids[9] == 3);
  CU_ASSERT_TRUE(ids[1] == ids[4] && ids[1] == ids[7] && ids[2] == ids[5] && ids[2] != ids[8]);
  for (int i = 1; i < 9; i++) CU_ASSERT_TRUE(ids[i] >= 4 && ids[i] < 30522);
  free(ids);
  tw_tokenizer_free(t);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 1;
  load_pieces();
  CU_pSuite suite = CU_add_suite("tokenizer", NULL, NULL);
  CU_add_test(suite, "token ids as by transformers", test_reference);
  CU_add_test(suite, "invalid UTF-8 is refused with its place", test_not_utf8);
  CU_add_test(suite, "random text", test_random_text);
  CU_add_test(suite, "missing special token", test_missing_special);
  CU_add_test(suite, "hashed words of synthetic models", test_hashed);
  CU_basic_run_tests();
  int failures = (int)CU_get_number_of_failures();
  CU_cleanup_registry();
  free_pieces();
  return failures != 0;
}
