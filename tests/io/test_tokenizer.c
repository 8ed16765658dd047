// The tokenizer against token ids by transformers (tests/vectors/tokenizer.json, made by tools/make_reference.py).
#include <CUnit/Basic.h>
#include <sodium.h>
#include <string.h>
#include <utf8proc.h>

#include "io/tokenizer.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static char **pieces;
static int piece_count;
static tw_text_rules rules[2];  // of the pieces: cased, lower case

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

static int id_of(const char *piece) {
  for (int i = 0; i < piece_count; i++)
    if (strcmp(pieces[i], piece) == 0) return i;
  return -1;
}

static bool make_rules(void) {
  for (int lower = 0; lower < 2; lower++) {
    tw_text_rules *r = &rules[lower];
    tw_added_token mask = {.text = "[MASK]", .special = true};
    if (tw_text_rules_default(r) != TW_OK || tw_text_rules_add(r, &mask) != TW_OK) return false;
    r->normaliser.lower_case = r->normaliser.strip_accents = lower;
    for (int i = 0; i < r->added_count; i++) r->added[i].id = id_of(r->added[i].text);
    r->special = (tw_special_ids){id_of("[PAD]"), id_of("[UNK]"), id_of("[CLS]"), id_of("[SEP]")};
  }
  return true;
}

static void free_pieces(void) {
  for (int lower = 0; lower < 2; lower++) tw_text_rules_free(&rules[lower]);

  for (int i = 0; i < piece_count; i++) free(pieces[i]);
  free(pieces);
}

static bool same_ids(const tw_tokenizer *t, const char *text, const json_t *wanted) {
  tw_encoding e;
  int wanted_count, *expected = vector_ints(wanted, &wanted_count);
  bool same = tw_tokenizer_encode(t, text, NULL, 0, &e) == TW_OK && e.count == wanted_count && e.whole == e.count &&
              memcmp(e.ids, expected, (size_t)e.count * sizeof *e.ids) == 0;
  if (!same) {
    fprintf(stderr, "\n'%s' gives:", text);
    for (int i = 0; i < e.count; i++) fprintf(stderr, " %d", e.ids[i]);
    fprintf(stderr, ", expected:");
    for (int i = 0; i < wanted_count; i++) fprintf(stderr, " %d", expected[i]);
  }
  tw_encoding_free(&e);
  free(expected);
  return same;
}

static void test_reference(void) {
  json_t *json = vector_load("tokenizer.json"), *list = json_object_get(json, "strings");
  CU_ASSERT_TRUE(json_array_size(list) >= 60);
  for (int lower = 0; lower < 2; lower++) {
    tw_tokenizer *t;
    CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, &rules[lower], &t), TW_OK);
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
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, &rules[1], &t), TW_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tw_encoding e;
    CU_ASSERT_EQUAL(tw_tokenizer_encode(t, cases[i].text, NULL, 0, &e), TW_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(e.ids);
    CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), cases[i].place));
  }
  tw_tokenizer_free(t);
}

// Any bytes: refused, or framed ids of the vocabulary. Mostly multi-byte fragments, so that many inputs are valid.
static void test_random_text(void) {
  static const char *const bits[] = {"a", "Z",      " ", "\t", ".", "é",      "e\u0301", "中",   "😀",    "[SEP]",
                                     "[", "\u200b", "İ", "Σ",  "Ⱥ", "\uFFFD", "가",      "\x01", "\xff", "\xe4\xb8"};
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, &rules[1], &t), TW_OK);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 3000; round++) {
    char text[512] = "";
    uint32_t n = randombytes_uniform(40), most = randombytes_uniform(2) ? 18 : 20;
    for (uint32_t i = 0; i < n; i++) strcat(text, bits[randombytes_uniform(most)]);
    tw_encoding e;
    if (tw_tokenizer_encode(t, text, NULL, 0, &e) != TW_OK) {
      refused++;
      CU_ASSERT_EQUAL(most, 20);
      continue;
    }
    accepted++;
    bool framed = e.count >= 2 && e.ids[0] == 101 && e.ids[e.count - 1] == 102;
    for (int i = 0; framed && i < e.count; i++)
      framed = e.ids[i] >= 0 && e.ids[i] < piece_count && pieces[e.ids[i]][0] && e.types[i] == 0;
    CU_ASSERT_TRUE(framed);
    tw_encoding_free(&e);
  }
  CU_ASSERT_TRUE(accepted > 500 && refused > 500);
  tw_tokenizer_free(t);
}

// Ids of the rules that the vocabulary does not have.
static void test_missing_special(void) {
  tw_text_rules r;
  tw_tokenizer *t;
  char *few[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##a"};
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_default(&r), TW_OK);
  r.special.end = 6;
  CU_ASSERT_EQUAL(tw_tokenizer_new(few, 6, &r, &t), TW_ERR_FORMAT);
  r.special.end = 3;
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_add(&r, &(tw_added_token){.text = "[E]", .id = 6}), TW_OK);
  CU_ASSERT_EQUAL(tw_tokenizer_new(few, 6, &r, &t), TW_ERR_FORMAT);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "[E]"));
  tw_text_rules_free(&r);
}

// transformers takes one of the two at random.
static void test_same_tokens(void) {
  tw_text_rules r;
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_default(&r), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_add(&r, &(tw_added_token){.text = "Covid", .id = 7, .normalised = true}), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_add(&r, &(tw_added_token){.text = "covid", .id = 8, .normalised = true}), TW_OK);
  CU_ASSERT_EQUAL(tw_tokenizer_new(NULL, 30, &r, &t), TW_ERR_FORMAT);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), "\"Covid\" (id 7) and \"covid\" (id 8)"));
  r.added[5].normalised = false;
  CU_ASSERT_EQUAL(tw_tokenizer_new(NULL, 30, &r, &t), TW_OK);
  tw_tokenizer_free(t);
  r.added[5].text[0] = '\0';
  r.added[5].normalised = true;
  CU_ASSERT_EQUAL(tw_tokenizer_new(NULL, 30, &r, &t), TW_ERR_FORMAT);
  tw_text_rules_free(&r);
}

// Without a vocabulary: one id a word, equal words alike, special ids never hit.
static void test_hashed(void) {
  tw_text_rules r;
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_default(&r), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(NULL, 30522, &r, &t), TW_OK);
  tw_encoding e;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_encode(t, "The cat, the Cat and thé dog", NULL, 0, &e), TW_OK);
  CU_ASSERT_EQUAL_FATAL(e.count, 10);
  const int *ids = e.ids;
  CU_ASSERT_TRUE(ids[0] == 2 && ids[9] == 3 && e.unknown == 0);
  CU_ASSERT_TRUE(ids[1] == ids[4] && ids[1] == ids[7] && ids[2] == ids[5] && ids[2] != ids[8]);
  for (int i = 1; i < 9; i++) CU_ASSERT_TRUE(ids[i] >= 4 && ids[i] < 30522);
  tw_encoding_free(&e);
  tw_tokenizer_free(t);
  tw_text_rules_free(&r);
}

// A pair, cut to every length; what is left is a beginning of each text (an end, with cut_left), the longer one cut
// first.
static void test_pairs(void) {
  tw_text_rules r;
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_text_rules_default(&r), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(NULL, 1000, &r, &t), TW_OK);
  for (int left = 0; left < 2; left++)
    for (int most = 1; most < 16; most++) {
      tw_encoding all, e;
      r.cut_left = left;
      r.pair_types = most % 2;
      CU_ASSERT_EQUAL_FATAL(tw_tokenizer_encode(t, "a b c d e f g", "h i j", 0, &all), TW_OK);
      tw_status status = tw_tokenizer_encode(t, "a b c d e f g", "h i j", most, &e);
      CU_ASSERT_EQUAL(status, most < 5 ? TW_ERR_RANGE : TW_OK);
      if (status == TW_OK) {
        int room = most - 3 < 10 ? most - 3 : 10, second = room / 2 < 3 ? room / 2 : 3, first = room - second;
        if (first < second) first = second;
        CU_ASSERT_TRUE(all.whole == 13 && e.whole == 13 && e.count == room + 3);
        CU_ASSERT_EQUAL(memcmp(e.ids + 1, all.ids + 1 + (left ? 7 - first : 0), (size_t)first * sizeof(int)), 0);
        CU_ASSERT_EQUAL(memcmp(e.ids + first + 2, all.ids + 9 + (left ? 3 - second : 0), (size_t)second * sizeof(int)),
                        0);
        CU_ASSERT_TRUE(e.ids[first + 1] == 3 && e.ids[e.count - 1] == 3);
        for (int i = 0; i < e.count; i++) CU_ASSERT_EQUAL(e.types[i], i > first + 1 && most % 2);
      }
      tw_encoding_free(&all);
      tw_encoding_free(&e);
    }
  tw_tokenizer_free(t);
  tw_text_rules_free(&r);
}

// Long words and lines: in time, and no word longer than the rules allow is looked up.
static void test_long(void) {
  enum { MEGABYTE = 1 << 20 };
  static const char *const units[] = {"a", "é", "[SEP]", "[", " ", "\u4e2d", "e\u0301"};
  tw_tokenizer *t;
  char *text = malloc(MEGABYTE + 8);
  tw_text_rules r = rules[1];
  for (int unbounded = 0; unbounded < 2; unbounded++) {
    r.longest_word = unbounded ? 1 << 30 : 100;
    CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, &r, &t), TW_OK);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
      size_t used = 0, n = strlen(units[i]);
      for (; used + n <= MEGABYTE; used += n) memcpy(text + used, units[i], n);
      text[used] = '\0';
      tw_encoding e;
      CU_ASSERT_EQUAL_FATAL(tw_tokenizer_encode(t, text, NULL, 0, &e), TW_OK);
      CU_ASSERT_TRUE(e.count >= 2);
      if (i == 0 && !unbounded) CU_ASSERT_TRUE(e.count == 3 && e.unknown == 1);
      if (i == 2) CU_ASSERT_EQUAL(e.count, MEGABYTE / 5 + 2);
      tw_encoding_free(&e);
    }
    tw_tokenizer_free(t);
  }
  free(text);
}

// Random bytes are refused or give ids; random code points are taken.
static void test_random_bytes(void) {
  tw_tokenizer *t;
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, piece_count, &rules[1], &t), TW_OK);
  for (int round = 0; round < 4000; round++) {
    char text[260];
    size_t n = 1 + randombytes_uniform(64), used = 0;
    bool valid = randombytes_uniform(2);
    for (size_t i = 0; i < n; i++) {
      uint32_t c = 1 + randombytes_uniform(valid ? 0x10ffff : 255);
      if (c >= 0xd800 && c < 0xe000) c -= 0x800;
      if (valid)
        used += (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)text + used);
      else
        text[used++] = (char)c;
    }
    text[used] = '\0';
    tw_encoding e;
    tw_status status = tw_tokenizer_encode(t, text, randombytes_uniform(2) ? text : NULL, 0, &e);
    CU_ASSERT_TRUE(status == TW_OK || (!valid && status == TW_ERR_FORMAT));
    for (int i = 0; i < e.count; i++) CU_ASSERT_TRUE(e.ids[i] >= 0 && e.ids[i] < piece_count);
    tw_encoding_free(&e);
  }
  tw_tokenizer_free(t);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 1;
  load_pieces();
  if (!make_rules()) return 1;
  CU_pSuite suite = CU_add_suite("tokenizer", NULL, NULL);
  CU_add_test(suite, "token ids as by transformers", test_reference);
  CU_add_test(suite, "invalid UTF-8 is refused with its place", test_not_utf8);
  CU_add_test(suite, "random text", test_random_text);
  CU_add_test(suite, "missing special token", test_missing_special);
  CU_add_test(suite, "added tokens that cannot be told apart", test_same_tokens);
  CU_add_test(suite, "pairs and cuts", test_pairs);
  CU_add_test(suite, "words and lines of a megabyte", test_long);
  CU_add_test(suite, "random bytes and code points", test_random_bytes);
  CU_add_test(suite, "hashed words of synthetic models", test_hashed);
  int bad = suite_end();
  free_pieces();
  return bad;
}
