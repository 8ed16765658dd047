// A text and a model of sentencepiece: the text, a zero byte, then the model file.
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "io/normalise.h"
#include "io/sentencepiece.h"
#include "tests/fuzz/fuzz.h"
#include "tests/vectors/load.h"

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char text[] = "the quick 92 \xe2\x82\xac  b";
  json_t *json = vector_load("sentencepiece.json"), *kind, *base64;
  const char *name;
  size_t i;
  json_array_foreach(json_object_get(json, "kinds"), i, kind)
      json_object_foreach(json_object_get(kind, "model"), name, base64) {
    size_t length = json_string_length(base64), used;
    unsigned char *bytes = malloc(sizeof text + length);
    fuzz_must(bytes != NULL, "memory");
    memcpy(bytes, text, sizeof text);
    fuzz_must(sodium_base642bin(bytes + sizeof text, length, json_string_value(base64), length, NULL, &used, NULL,
                                sodium_base64_VARIANT_ORIGINAL) == 0,
              "the vectors are base64");
    fuzz_seed(name, bytes, sizeof text + used);
    free(bytes);
  }
  json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  size_t n;
  const uint8_t *text = fuzz_take_part(&b, SIZE_MAX, &n);
  tw_sentencepiece *s;
  tw_ids ids = {0};
  if (tw_sentencepiece_new(b.at, b.left, "tokenizer.model", &s) != TW_OK) return 0;
  n = tw_utf8_valid((const char *)text, n);
  int count = tw_sentencepiece_count(s);
  for (int i = 0; i < count; i++) fuzz_must(tw_sentencepiece_piece(s, i) != NULL, "a piece");
  if (tw_sentencepiece_encode(s, (const char *)text, n, &ids) == TW_OK)
    for (int i = 0; i < ids.count; i++) fuzz_must(ids.ids[i] >= 0 && ids.ids[i] < count, "an id of the vocabulary");
  free(ids.ids);
  tw_sentencepiece_free(s);
  return 0;
}
