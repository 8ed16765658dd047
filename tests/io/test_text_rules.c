// What a folder says about text, against token ids by transformers (tests/vectors/tokens.json, by
// tools/compare_tokens.py), and folders that are refused.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <ftw.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/text_rules.h"
#include "io/tokenizer.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static char scratch[] = "text-rules-test-XXXXXX";
static json_t *vectors;

static const char *in_scratch(const char *file) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", scratch, file);
  return path;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk) {
  (void)st, (void)type;
  return walk->level ? remove(path) : 0;
}

static void empty_scratch(void) { nftw(scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

static void write_text(const char *file, const char *text) {
  FILE *f = fopen(in_scratch(file), "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  fputs(text, f);
  CU_ASSERT_EQUAL_FATAL(fclose(f), 0);
}

static void write_json(const char *file, const json_t *value) {
  CU_ASSERT_EQUAL_FATAL(json_dump_file(value, in_scratch(file), JSON_ENCODE_ANY), 0);
}

static void write_vocabulary(const json_t *list, size_t count) {
  FILE *f = fopen(in_scratch("vocab.txt"), "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  for (size_t i = 0; i < count; i++) fprintf(f, "%s\n", json_string_value(json_array_get(list, i)));
  fclose(f);
}

static tw_status read_rules(int size, bool lower_first, tw_text_rules *rules, char ***pieces, tw_notes *notes) {
  tw_hf_json json;
  *rules = (tw_text_rules){0};
  tw_status status = tw_hf_json_read(scratch, false, &json);
  if (status == TW_OK) status = tw_text_rules_read(scratch, &json, size, lower_first, rules, pieces, notes);
  tw_hf_json_free(&json);
  return status;
}

// ---- the vectors

static void write_folder(json_t *folder) {
  json_t *files = json_object_get(folder, "files"), *list = json_object_get(vectors, "vocabulary"), *value;
  const char *name;
  size_t i;
  empty_scratch();
  json_t *tokenizer = json_object_get(files, "tokenizer.json");
  if (tokenizer) {
    json_t *pieces = json_object();
    json_array_foreach(list, i, value)
        json_object_set_new(pieces, json_string_value(value), json_integer((json_int_t)i));
    json_object_set_new(json_object_get(tokenizer, "model"), "vocab", pieces);
  } else {
    write_vocabulary(list, json_array_size(list));
  }
  json_object_foreach(files, name, value) write_json(name, value);
}

static bool same(const tw_tokenizer *t, const char *first, const char *second, int most, const json_t *ids,
                 const json_t *types, const char *folder) {
  tw_encoding e;
  bool good = tw_tokenizer_encode(t, first, second, most, &e) == TW_OK && (size_t)e.count == json_array_size(ids);
  for (int i = 0; good && i < e.count; i++)
    good = e.ids[i] == json_integer_value(json_array_get(ids, (size_t)i)) &&
           (!types || e.types[i] == json_integer_value(json_array_get(types, (size_t)i)));
  if (!good) fprintf(stderr, "\n%s: '%s' '%s' differs (%d tokens)\n", folder, first, second ? second : "", e.count);
  tw_encoding_free(&e);
  return good;
}

static int compare_folder(const tw_tokenizer *t, json_t *folder) {
  json_t *lines = json_object_get(vectors, "lines"), *value;
  const char *name = json_string_value(json_object_get(folder, "name"));
  size_t i;
  int compared = 0;
  json_array_foreach(json_object_get(folder, "single"), i, value) {
    const char *text = json_string_value(json_array_get(lines, i));
    CU_ASSERT_TRUE(same(t, text, NULL, 0, value, NULL, name));
    compared++;
  }
  for (int cut = 0; cut < 2; cut++) json_array_foreach(json_object_get(folder, cut ? "cut" : "pairs"), i, value) {
      const char *first = json_string_value(json_array_get(lines, 2 * i)),
                 *second = json_string_value(json_array_get(lines, 2 * i + 1));
      CU_ASSERT_TRUE(same(t, first, second, cut ? 9 : 0, json_array_get(value, 0), json_array_get(value, 1), name));
      compared++;
    }
  return compared;
}

static void test_reference(void) {
  json_t *folder;
  size_t i;
  int compared = 0;
  json_array_foreach(json_object_get(vectors, "folders"), i, folder) {
    int size = (int)json_integer_value(json_object_get(folder, "vocab_size"));
    tw_text_rules rules;
    char **pieces;
    tw_notes notes = {NULL};
    tw_tokenizer *t;
    write_folder(folder);
    CU_ASSERT_EQUAL_FATAL(read_rules(size, false, &rules, &pieces, &notes), TW_OK);
    // "word" may be a piece: then it keeps that id, and the file's is noted
    CU_ASSERT_TRUE(!notes.text || strstr(json_string_value(json_object_get(folder, "name")), "added"));
    free(notes.text);
    CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, size, &rules, &t), TW_OK);
    compared += compare_folder(t, folder);
    tw_tokenizer_free(t);
    tw_vocabulary_free(pieces, size);
    tw_text_rules_free(&rules);
  }
  CU_ASSERT_TRUE(i >= 20 && compared >= 3000);
}

// ---- small folders, one question each

static const char small[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\nthe\n##s\nTHE\nu\nü\nx\n@@y\n##y\n";
enum { SMALL = 14 };

static json_t *small_json(void) {
  static const char start[] =
      "{'added_tokens': [], 'truncation': null, 'padding': null, 'normalizer': {'type': 'BertNormalizer', "
      "'clean_text': "
      "true, 'handle_chinese_chars': true, 'strip_accents': null, 'lowercase': true}, 'pre_tokenizer': {'type': "
      "'BertPreTokenizer'}, 'post_processor': {'type': 'BertProcessing', 'sep': ['[SEP]', 3], 'cls': ['[CLS]', 2]}, "
      "'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##', "
      "'max_input_chars_per_word': 100, 'vocab': {}}}";
  char text[sizeof start], line[64];
  memcpy(text, start, sizeof start);
  for (char *at = text; *at; at++)
    if (*at == '\'') *at = '"';
  json_t *json = json_loads(text, 0, NULL), *pieces = json_object_get(json_object_get(json, "model"), "vocab");
  int id = 0;
  for (const char *at = small; sscanf(at, "%63[^\n]", line) == 1; at += strlen(line) + 1)
    json_object_set_new(pieces, line, json_integer(id++));
  return json;
}

// The ids of a text, or the message of the folder's refusal, as text; notes behind "| ".
static const char *answer(int size, bool lower_first, const char *first, const char *second) {
  static char said[4096];
  tw_text_rules rules;
  char **pieces;
  tw_notes notes = {NULL};
  tw_tokenizer *t;
  tw_encoding e;
  size_t used = 0;
  if (read_rules(size, lower_first, &rules, &pieces, &notes) != TW_OK) {
    snprintf(said, sizeof said, "refused: %s", tw_error_message());
    free(notes.text);
    return said;
  }
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_new(pieces, size, &rules, &t), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_tokenizer_encode(t, first, second, 0, &e), TW_OK);
  for (int i = 0; i < e.count; i++)
    used += (size_t)snprintf(said + used, sizeof said - used, "%s%d%s", i ? " " : "", e.ids[i], e.types[i] ? "'" : "");
  if (notes.text) snprintf(said + used, sizeof said - used, "| %s", notes.text);
  tw_encoding_free(&e);
  tw_tokenizer_free(t);
  tw_vocabulary_free(pieces, size);
  tw_text_rules_free(&rules);
  free(notes.text);
  return said;
}

static void expect(const char *said, const char *wanted) {
  bool found = wanted[0] == '*' ? strstr(said, wanted + 1) != NULL : strcmp(said, wanted) == 0;
  if (!found) fprintf(stderr, "\nwanted %s\nsaid   %s\n", wanted, said);
  CU_ASSERT_TRUE(found);
}

// Settings of tokenizer_config.json beside vocab.txt. Each answer is transformers 4's and 5's.
static void test_settings(void) {
  static const struct {
    const char *config, *text, *wanted;
  } cases[] = {
      {"{}", "The cats ü", "2 6 5 7 9 3"},
      {"{\"do_lower_case\": false}", "THE cats ü", "2 8 5 7 10 3"},
      {"{\"strip_accents\": false}", "The Ü", "2 6 10 3"},
      {"{\"strip_accents\": true, \"do_lower_case\": false}", "THE ü", "2 8 9 3"},
      {"{\"cls_token\": \"cat\", \"sep_token\": {\"content\": \"the\"}}", "x", "5 11 6"},
      {"{\"never_split\": [\"xü\"], \"do_basic_tokenize\": false}", "The xy", "2 6 11 13 3"},
      {"{}", "the [SEP] cat [MASK][mask]", "*2 6 3 5 4 1"},
      {"{\"split_special_tokens\": true}", "[SEP]", "2 1 1 1 3"},
      {"{\"additional_special_tokens\": [\"cat\"]}", "xcats CAT", "2 11 5 1 5 3"},
      {"{\"unk_token\": \"[MASK]\"}", "q", "2 4 3"},
      {"{\"unk_token\": \"<unk>\"}", "q", "*refused: "},
      {"{\"additional_special_tokens\": [\"[E1]\"]}", "q", "*\"[E1]\" has id 14, but the embedding table ends at 13"},
      {"{\"do_lower_case\": \"no\"}", "q", "*do_lower_case is neither true nor false"},
      {"{\"tokenizer_class\": \"RobertaTokenizer\"}", "q", "*tokenizer_class is RobertaTokenizer"},
      {"{\"tokenizer_class\": \"BertJapaneseTokenizer\"}", "q", "*tokenizer_class is BertJapaneseTokenizer"},
      {"{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", "q", "*needs tokenizer.json"},
      {"{\"tokenizer_class\": \"ElectraTokenizerFast\"}", "cat", "2 5 3"},
      {"[]", "q", "*tokenizer_config.json: not a JSON object"},
      {"{\"do_lower_case\": ", "q", "*tokenizer_config.json: line 1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    empty_scratch();
    write_text("vocab.txt", small);
    write_text("tokenizer_config.json", cases[i].config);
    expect(answer(SMALL, false, cases[i].text, NULL), cases[i].wanted);
  }
}

static void test_pair_types(void) {
  static const struct {
    const char *config, *wanted;
  } cases[] = {{"{}", "2 5 3 6' 3'"},
               {"{\"tokenizer_class\": \"DistilBertTokenizer\"}", "2 5 3 6 3"},
               {"{\"model_input_names\": [\"input_ids\"]}", "2 5 3 6 3"},
               {"{\"tokenizer_class\": \"TokenizersBackend\"}", "2 5 3 6 3"},
               {"{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", "*2 5 3 6' 3'| "}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *json = small_json();
    empty_scratch();
    write_json("tokenizer.json", json);
    write_text("tokenizer_config.json", cases[i].config);
    expect(answer(SMALL, false, "cat", "the"), cases[i].wanted);
    json_decref(json);
  }
  write_text("tokenizer_config.json", "{\"tokenizer_class\": null}");
  write_text("config.json", "{\"tokenizer_class\": \"BertweetTokenizer\"}");
  expect(answer(SMALL, false, "cat", NULL), "*config.json: tokenizer_class is BertweetTokenizer");
}

// A value of tokenizer.json put in at a path of two names; config as of the general class or of BertTokenizer.
static void test_tokenizer_json(void) {
  static const struct {
    bool general;
    const char *one, *two, *value, *text, *wanted;
  } cases[] = {
      {false, "model", "unk_token", "\"[UNK]\"", "The cats ü", "2 6 5 7 9 3"},
      {true, "normalizer", "lowercase", "false", "THE ü", "2 8 10 3"},
      {true, "normalizer", "strip_accents", "false", "THE Ü", "2 6 10 3"},
      {false, "normalizer", "lowercase", "false", "THE", "*2 6 3| "},
      {true, "normalizer", "clean_text", "false", "cat\x01", "2 1 3"},
      {true, "model", "continuing_subword_prefix", "\"@@\"", "xy", "2 11 12 3"},
      {false, "model", "continuing_subword_prefix", "\"@@\"", "xy", "*2 11 12 3| "},
      {true, "model", "max_input_chars_per_word", "3", "cats cat", "2 1 5 3"},
      {true, "model", "unk_token", "\"the\"", "q", "2 6 3"},
      {false, "model", "unk_token", "\"the\"", "q", "*make them equal"},
      {true, "model", "type", "\"WordLevel\"", "q", "*model is WordLevel; only WordPiece"},
      {true, "model", "type", "\"BPE\"", "q", "*model.continuing_subword_prefix is set"},
      {true, "model", "vocab", "[[\"a\", 0]]", "q", "*model.vocab"},
      {true, "model", "vocab", "{\"a\": 99}", "q", "*\"a\" has id 99"},
      {true, "model", "vocab", "{\"[UNK]\": 0, \"[CLS]\": 0}", "q", "*refused: "},
      {true, "pre_tokenizer", "type", "\"Whitespace\"", "q", "*pre_tokenizer is Whitespace"},
      {true, "normalizer", "type", "\"NFKC\"", "q", "*normalizer is NFKC"},
      {true, "post_processor", "type", "\"RobertaProcessing\"", "q", "*post_processor is RobertaProcessing"},
      {true, "post_processor", "cls", "[\"the\", 6]", "cat", "6 5 3"},
      {false, "post_processor", "cls", "[\"the\", 6]", "cat", "*make them equal"},
      {true, "post_processor", "cls", "[\"the\", 7]", "cat", "*another id than the vocabulary"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *json = small_json();
    json_object_set_new(json_object_get(json, cases[i].one), cases[i].two,
                        json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
    empty_scratch();
    write_json("tokenizer.json", json);
    write_text("vocab.txt", "not\nasked\n");  // tokenizer.json counts
    write_text("tokenizer_config.json", cases[i].general ? "{\"tokenizer_class\": \"TokenizersBackend\"}" : "{}");
    expect(answer(SMALL, false, cases[i].text, NULL), cases[i].wanted);
    json_decref(json);
  }
}

// A token of a template stands for a list of ids; more than one is refused, not shortened.
static void test_templates(void) {
  static const struct {
    const char *ids, *wanted;
  } cases[] = {{"[5]", "5 6 3"}, {"[]", "5 6 3"}, {"[5, 6]", "*2 ids for cat"}, {"[6]", "*another id than"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *json = small_json();
    json_t *frame = json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[], s:{s:{s:o}, s:{s:[i]}}}",
                              "type", "TemplateProcessing", "single", "SpecialToken", "id", "cat", "type_id", 0,
                              "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", "[SEP]", "type_id", 0, "pair",
                              "special_tokens", "cat", "ids", json_loads(cases[i].ids, 0, NULL), "[SEP]", "ids", 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
    json_object_set_new(json, "post_processor", frame);
    empty_scratch();
    write_json("tokenizer.json", json);
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"TokenizersBackend\"}");
    expect(answer(SMALL, false, "the", NULL), cases[i].wanted);
    json_decref(json);
  }
}

// sentence-transformers: small letters whatever the tokenizer does, accents as the tokenizer says.
static void test_lower_first(void) {
  empty_scratch();
  write_text("vocab.txt", small);
  write_text("tokenizer_config.json", "{\"do_lower_case\": false}");
  expect(answer(SMALL, false, "THE Ü", NULL), "2 8 1 3");
  expect(answer(SMALL, true, "THE Ü", NULL), "2 6 10 3");
}

static void test_added(void) {
  static const struct {
    const char *added;
    int size;
    const char *text, *wanted;
  } cases[] = {
      {"{\"[E1]\": 14, \"covid\": 15}", 16, "x[E1]COVIDs", "*2 11 14 15 1 3"},
      {"{\"[E1]\": 20}", 15, "[e1] [E1]", "*2 14 14 3| "},
      {"{\"cat\": 14}", 14, "CATcat", "*2 5 5 3| "},
      {"{\"[E1]\": 14}", 14, "q", "*\"[E1]\" has id 14, but the embedding table ends at 13"},
      {"{\"[E1]\": \"14\"}", 15, "q", "*without text (content) or id"},
      {"{\"E\": 14, \"e\": 15}", 16, "q", "*refused"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases - 1; i++) {
    empty_scratch();
    write_text("vocab.txt", small);
    write_text("added_tokens.json", cases[i].added);
    expect(answer(cases[i].size, false, cases[i].text, NULL), cases[i].wanted);
  }
  empty_scratch();  // a piece that is there twice: the id behind the vocabulary would be another piece's
  write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\nthe\n##s\nTHE\nu\ncat\nx\n@@y\n##y\n");
  write_text("added_tokens.json", "{\"[E1]\": 14}");
  expect(answer(15, false, "[E1] cat ##y", NULL), "*2 14 10 1 1 1 3| ");
  write_text("added_tokens.json", "{\"[E1]\": 3}");
  expect(answer(15, false, "q", NULL), "*is that of a piece");
}

static void test_cut_vocabulary(void) {
  const json_t *list = json_object_get(vectors, "vocabulary");
  size_t all = json_array_size(list);
  char message[64];
  empty_scratch();
  for (int round = 0; round < 20; round++) {
    size_t kept = 5 + randombytes_uniform((uint32_t)(all - 5));
    write_vocabulary(list, kept);
    snprintf(message, sizeof message, "*only %zu of the %zu tokens", kept, all | 1);
    expect(answer((int)(all | 1), false, "q", NULL), message);
  }
  size_t padded = (all + 7) / 8 * 8;  // as model makers do
  write_vocabulary(list, padded - 8);
  snprintf(message, sizeof message, "*| warning: %s: the vocabulary has only", scratch);
  expect(answer((int)padded, false, "q", NULL), message);
  write_vocabulary(list, all);
  expect(answer((int)all - 1, false, "q", NULL), "*pieces, more than the");
  write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\nthe\na\nb\n");
  expect(answer(6, false, "q", NULL), "*lacks [SEP]");
  write_text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xff\nb\n");
  expect(answer(6, false, "q", NULL), "*line 5 is not UTF-8");
  write_text("vocab.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 231508\n");
  expect(answer(6, false, "q", NULL), "*git-lfs");
  unlink(in_scratch("vocab.txt"));
  expect(answer(6, false, "q", NULL), "*vocab.txt: No such file");
}

// Damage anywhere is refused or harmless, never a crash.
static void test_random_damage(void) {
  json_t *json = small_json();
  char *text = json_dumps(json, 0);
  size_t bytes = strlen(text);
  int refused = 0;
  empty_scratch();
  for (int round = 0; round < 3000; round++) {
    char *copy = strdup(text);
    for (uint32_t i = 1 + randombytes_uniform(3); i > 0; i--)
      copy[randombytes_uniform((uint32_t)bytes)] = (char)(1 + randombytes_uniform(255));
    if (randombytes_uniform(4) == 0) copy[randombytes_uniform((uint32_t)bytes)] = '\0';
    write_text("tokenizer.json", copy);
    free(copy);
    tw_text_rules rules;
    char **pieces;
    tw_notes notes = {NULL};
    tw_status status = read_rules(SMALL, false, &rules, &pieces, &notes);
    CU_ASSERT_TRUE(status == TW_OK || status == TW_ERR_FORMAT || status == TW_ERR_IO);
    refused += status != TW_OK;
    if (status == TW_OK) tw_vocabulary_free(pieces, SMALL);
    tw_text_rules_free(&rules);
    free(notes.text);
  }
  CU_ASSERT_TRUE(refused > 1000);
  free(text);
  json_decref(json);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS || !mkdtemp(scratch)) return 1;
  vectors = vector_load("tokens.json");
  CU_pSuite suite = CU_add_suite("text rules", NULL, NULL);
  CU_add_test(suite, "folders as transformers reads them", test_reference);
  CU_add_test(suite, "settings beside vocab.txt", test_settings);
  CU_add_test(suite, "types of pairs", test_pair_types);
  CU_add_test(suite, "tokenizer.json", test_tokenizer_json);
  CU_add_test(suite, "templates", test_templates);
  CU_add_test(suite, "small letters first", test_lower_first);
  CU_add_test(suite, "added tokens", test_added);
  CU_add_test(suite, "cut, padded and foreign vocabularies", test_cut_vocabulary);
  CU_add_test(suite, "random damage", test_random_damage);
  int bad = suite_end();
  json_decref(vectors);
  empty_scratch();
  rmdir(scratch);
  return bad;
}
