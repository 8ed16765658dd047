// Two texts and a tokenizer.json with byte-pair encoding: most tokens (a byte, its top bit: cut on the left), then the
// texts and the file, a zero byte between them; an empty second text is none.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_tokenizer.h"
#include "io/normalise.h"
#include "tests/fuzz/fuzz.h"

void fuzz_begin(void) {}

#define BPE(added, normalizer, split, frame, decoder, vocabulary, merges)                                           \
  "{\"version\":\"1.0\",\"added_tokens\":[" added "],\"normalizer\":" normalizer ",\"pre_tokenizer\":" split        \
  ",\"post_processor\":" frame ",\"decoder\":" decoder                                                              \
  ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","                                                           \
  "\"byte_fallback\":true,\"fuse_unk\":true,\"ignore_merges\":false,\"vocab\":{" vocabulary "},\"merges\":[" merges \
  "]}}"
#define SEQUENCE(name, list) "{\"type\":\"Sequence\",\"" name "\":[" list "]}"
#define PIECES "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"a\":3,\"b\":4,\"ab\":5,\"\304\240\":6,\"\304\240a\":7,\"<0xE2>\":8"
#define START                                                                                                 \
  "{\"id\":1,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":true,\"rstrip\":false,\"normalized\":true," \
  "\"special\":true}"

void fuzz_seeds(void) {
  static const char bytes[] =
      "\0ab  a<s>b \xe2\x82\xac\0b\0" BPE(START, "{\"type\":\"NFC\"}",
                                          SEQUENCE("pretokenizers",
                                                   "{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":"
                                                   "\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}"),
                                          "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",1]}",
                                          "{\"type\":\"ByteLevel\"}", PIECES, "\"a b\",[\"\304\240\",\"a\"]");
  static const char marks[] = "\4ab, a\0\0" BPE(
      START,
      SEQUENCE("normalizers",
               "{\"type\":\"Prepend\",\"prepend\":\"_\"},{\"type\":\"Replace\",\"pattern\":{"
               "\"String\":\" \"},\"content\":\"_\"},{\"type\":\"Strip\"},{\"type\":\"Lowercase\"}"),
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\\\s\\\\p{P}]+(?!\\\\S)|a{1,3}\"},\"behavior\":"
      "\"MergedWithNext\",\"invert\":false}",
      "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
      "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
      "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":"
      "[1],\"tokens\":[\"<s>\"]}}}",
      SEQUENCE("decoders",
               "{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},\"content\":\" \"},{\"type\":"
               "\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
               "\"stop\":0}"),
      PIECES, "\"a b\"");
  static const char metaspace[] =
      "\203 a b ab\0a\0" BPE("", "null", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}",
                             "null", "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", PIECES, "");
  fuzz_seed("bytes", bytes, sizeof bytes - 1);
  fuzz_seed("marks", marks, sizeof marks - 1);
  fuzz_seed("metaspace", metaspace, sizeof metaspace - 1);
}

static void encode(const tw_json_tokenizer *t, const char *first, const char *second, int most, bool left) {
  tw_encoding e;
  char *text;
  size_t bytes;
  if (tw_json_tokenizer_encode(t, first, second, true, most, left, &e) != TW_OK) return;
  fuzz_must(e.whole >= e.count && (most == 0 || e.count <= most), "as many tokens as asked for");
  for (int i = 0; i < e.count; i++) fuzz_must(e.ids[i] >= 0, "an id");
  if (tw_json_tokenizer_decode(t, e.ids, e.count, false, &text, &bytes) == TW_OK) {
    fuzz_must(tw_utf8_valid(text, bytes) == bytes, "decoded text is UTF-8");
    free(text);
  }
  tw_encoding_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  int control = fuzz_take(&b);
  size_t n, m;
  const uint8_t *one = fuzz_take_part(&b, SIZE_MAX, &n), *two = fuzz_take_part(&b, SIZE_MAX, &m);
  char *first = strndup((const char *)one, n), *second = m ? strndup((const char *)two, m) : NULL;
  fuzz_must(first && (second || !m), "memory");
  json_t *root = json_loadb((const char *)b.at, b.left, 0, NULL);
  tw_json_tokenizer *t;
  if (root && tw_json_tokenizer_new(root, "tokenizer.json", &t) == TW_OK) {
    encode(t, first, second, control & 127, control & 128);
    tw_json_tokenizer_free(t);
  }
  json_decref(root);
  free(first);
  free(second);
  return 0;
}
