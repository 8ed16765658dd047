// The likeliest next tokens of a decoder's logits, and their texts, with tokenizers of tests/vectors/tokenizers.json.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "io/split_rules.h"
#include "jobs/models/words.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static void likeliest(void) {
  enum { WORDS = 500 };
  double logits[WORDS], sum = 0;
  tw_word top[6];
  for (int i = 0; i < WORDS; i++) logits[i] = 700 + ((i * 7919) % 997) / 100.0;
  logits[17] = logits[444] = 712;
  logits[3] = -1e4;
  tw_words_likeliest(logits, WORDS, 6, top);
  CU_ASSERT(top[0].id == 17 && top[1].id == 444);
  CU_ASSERT_EQUAL(top[0].probability, top[1].probability);
  for (int i = 0; i < 6; i++) {
    int larger = 0;
    for (int k = 0; k < WORDS; k++) larger += logits[k] > logits[top[i].id];
    CU_ASSERT(larger <= i);
    CU_ASSERT_DOUBLE_EQUAL(log(top[i].probability), tw_words_log_probability(logits, WORDS, top[i].id), 1e-12);
  }
  for (int i = 0; i < WORDS; i++) sum += exp(tw_words_log_probability(logits, WORDS, i));
  CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-12);
  tw_words_likeliest(logits, 3, 3, top);
  CU_ASSERT(top[0].probability >= top[1].probability && top[1].probability >= top[2].probability);
  CU_ASSERT_DOUBLE_EQUAL(top[0].probability + top[1].probability + top[2].probability, 1, 1e-12);
}

static void open_kind(const char *name, tw_client *client, tw_json_tokenizer **t) {
  json_t *json = vector_load("tokenizers.json"), *kind;
  size_t i;
  *client = (tw_client){.config = {.name = "some", .vocab = 1 << 20}};
  json_array_foreach(json_object_get(json, "kinds"), i,
                     kind) if (strcmp(json_string_value(json_object_get(kind, "name")), name) == 0) {
    client->rules.tokenizer = json_dumps(json_object_get(kind, "tokenizer"), 0);
    CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_new(json_object_get(kind, "tokenizer"), name, t), TW_OK);
  }
  CU_ASSERT_PTR_NOT_NULL_FATAL(client->rules.tokenizer);
  json_decref(json);
}

// The texts of a text's tokens, one after the other, are the text.
static void texts_of(const char *name, const char *text) {
  tw_client client;
  tw_json_tokenizer *t;
  tw_words *words;
  tw_encoding e;
  char whole[400] = "";
  open_kind(name, &client, &t);
  CU_ASSERT_EQUAL_FATAL(tw_words_new(&client, &words), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_json_tokenizer_encode(t, text, NULL, false, 0, false, &e), TW_OK);
  CU_ASSERT(e.count > 4);
  for (int i = 0; i < e.count; i++) {
    char *quoted;
    CU_ASSERT_EQUAL_FATAL(tw_words_text(words, e.ids, i, e.ids[i], &quoted), TW_OK);
    json_t *value = json_loads(quoted, JSON_DECODE_ANY, NULL);
    CU_ASSERT_FATAL(json_is_string(value));
    strcat(whole, json_string_value(value));
    json_decref(value);
    free(quoted);
  }
  CU_ASSERT_STRING_EQUAL(whole, text);
  tw_encoding_free(&e);
  tw_words_free(words);
  tw_json_tokenizer_free(t);
  free(client.rules.tokenizer);
}

static void texts(void) {
  texts_of("gpt2", "the quick brown fox jumps 12 \"over\"\n");
  texts_of("llama 2", "the quick brown fox 12 the quick");  // its decoder takes the first blank of a text away
  texts_of("metaspace, always", "the quick brown fox the quick");
}

static void others(void) {
  static char *vocabulary[] = {"[PAD]", "##s"};
  tw_client client;
  tw_json_tokenizer *t;
  tw_words *words;
  char *text;
  open_kind("gpt2", &client, &t);
  CU_ASSERT_EQUAL_FATAL(tw_words_new(&client, &words), TW_OK);
  CU_ASSERT_EQUAL(tw_words_text(words, NULL, 0, 1 << 19, &text), TW_OK);  // a row of padding
  CU_ASSERT_STRING_EQUAL(text, "#524288");
  free(text);
  int euro[] = {-1, -1, -1};
  for (int i = 0; i < 3; i++) {
    static const unsigned char bytes[] = {0xe2, 0x82, 0xac};
    for (int id = 0; id < tw_json_tokenizer_vocabulary(t); id++) {
      const char *piece = tw_json_tokenizer_piece(t, id);
      char letter[5] = "";
      letter[tw_utf8_put(tw_byte_letter(bytes[i]), letter)] = '\0';
      if (piece && strcmp(piece, letter) == 0) euro[i] = id;
    }
    CU_ASSERT_EQUAL(tw_words_text(words, euro, i, euro[i], &text), TW_OK);
    CU_ASSERT_STRING_EQUAL(text, i < 2 ? "\"\xef\xbf\xbd\"" : "\"\xe2\x82\xac\"");
    free(text);
  }
  tw_words_free(words);
  tw_json_tokenizer_free(t);
  free(client.rules.tokenizer);
  client = (tw_client){.config = {.vocab = 2}, .vocabulary = vocabulary};
  CU_ASSERT_EQUAL_FATAL(tw_words_new(&client, &words), TW_OK);
  CU_ASSERT_EQUAL(tw_words_text(words, NULL, 0, 1, &text), TW_OK);
  CU_ASSERT_STRING_EQUAL(text, "\"##s\"");
  free(text);
  tw_words_free(words);
}

SUITE_MAIN("words", {"likeliest", likeliest}, {"texts", texts}, {"others", others})
