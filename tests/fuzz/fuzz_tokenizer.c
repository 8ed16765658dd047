// Two texts, and what a folder says about text: most tokens (a byte), then the texts and the files below in this order,
// a zero byte between them; an empty file is left out, an empty second text is none.
#include <stdlib.h>
#include <string.h>

#include "io/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static const char *const files[] = {"vocab.txt",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "tokenizer.json",
                                    "config.json",
                                    "vocab.json",
                                    "merges.txt"};
enum { FILES = sizeof files / sizeof *files, PIECES = 16 };

#define PIECES_OF_SEEDS \
  "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\ncafe\nun\n##able\n\xe6\x97\xa5\n!\nA\n##b\na"

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char plain[] =
      "\0The caf\xc3\xa9's cats, unable! \xe6\x97\xa5\xe6\x9c\xac\0\0" PIECES_OF_SEEDS "\0{\"do_lower_case\":true}";
  static const char pair[] =
      "\5Ab [MASK]a\xe2\x80\x8b"
      "b\0\xc4\xb0\xcc\x80 A<x>b\0" PIECES_OF_SEEDS
      "\0{\"do_lower_case\":false,\"tokenizer_class\":\"BertTokenizer\",\"strip_accents\":false,"
      "\"tokenize_chinese_chars\":false,\"truncation_side\":\"left\"}\0{\"mask_token\":"
      "\"[MASK]\",\"cls_token\":{\"content\":\"[CLS]\",\"lstrip\":false,\"rstrip\":true,"
      "\"normalized\":false,\"single_word\":false}}\0{\"<x>\":15}";
  static const char json[] =
      "\0the cats\0\0\0\0\0\0{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"[PAD]\",\"single_word\":"
      "false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":{\"type\":"
      "\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
      "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":["
      "\"[SEP]\",3],\"cls\":[\"[CLS]\",2]},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
      "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
      "\"max_input_chars_per_word\":100,\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"the\":4,\"cat\":5,"
      "\"##s\":6}}}";
  static const char merges[] =
      "\0the "
      "cats\0\0\0{\"tokenizer_class\":\"RobertaTokenizer\"}\0\0\0\0\0{\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3,"
      "\"<mask>\":4,\"t\":5,\"h\":6,\"th\":7}\0#version: 0.2\nt h\n";
  fuzz_seed("merges", merges, sizeof merges - 1);
  fuzz_seed("plain", plain, sizeof plain - 1);
  fuzz_seed("pair", pair, sizeof pair - 1);
  fuzz_seed("json", json, sizeof json - 1);
}

static void encode(const tw_tokenizer *t, const char *first, const char *second, int most) {
  tw_encoding e;
  if (tw_tokenizer_encode(t, first, second, most, &e) != TW_OK) return;
  fuzz_must(e.count >= 2 && e.whole >= e.count && (most == 0 || e.count <= most), "as many tokens as asked for");
  for (int i = 0; i < e.count; i++)
    fuzz_must(e.ids[i] >= 0 && e.ids[i] < PIECES && (e.types[i] == 0 || e.types[i] == 1), "an id of the vocabulary");
  tw_encoding_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  int most = fuzz_take(&b);
  size_t n, m;
  const uint8_t *one = fuzz_take_part(&b, SIZE_MAX, &n), *two = fuzz_take_part(&b, SIZE_MAX, &m);
  char *first = strndup((const char *)one, n), *second = m ? strndup((const char *)two, m) : NULL;
  fuzz_must(first && (second || !m), "memory");
  fuzz_take_files(&b, files, FILES);
  tw_text_rules rules;
  tw_tokenizer *t;
  tw_notes notes = {NULL};
  char **vocabulary;
  tw_hf_json json;
  tw_status status = tw_hf_json_read(fuzz_folder(), false, &json);
  if (status == TW_OK) status = tw_text_rules_read(fuzz_folder(), &json, PIECES, false, &rules, &vocabulary, &notes);
  tw_hf_json_free(&json);
  if (status == TW_OK) {
    if (vocabulary && tw_tokenizer_new(vocabulary, PIECES, &rules, &t) == TW_OK) {
      encode(t, first, second, most);
      tw_tokenizer_free(t);
    }
    tw_vocabulary_free(vocabulary, PIECES);
    tw_text_rules_free(&rules);
  }
  free(notes.text);
  free(first);
  free(second);
  return 0;
}
