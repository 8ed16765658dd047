// Model folders as people have them: of transformers and sentence-transformers, old and new, complete and not.
#define _GNU_SOURCE
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/model_folder.h"

// ---- JSON as Python reads it

static void integers(void) {
  char text[] =
      "{\"a\": 1000000000000000019884624838656, \"b\": 9223372036854775807, \"c\": -9223372036854775809, "
      "\"d\": [\"99999999999999999999\\\"99999999999999999999\", 7], \"e\": 1.5, \"f\": 18446744073709551616}";
  json_t *json;
  CU_ASSERT_EQUAL_FATAL(tw_json_parse("test", text, strlen(text), &json), TW_OK);
  CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(json, "a")), 1e30, 1e15);
  CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "b")), INT64_MAX);
  CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(json, "c")), -0x1p63, 1e4);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(json, "d"), 0)),
                         "99999999999999999999\"99999999999999999999");
  CU_ASSERT_EQUAL(json_integer_value(json_array_get(json_object_get(json, "d"), 1)), 7);
  CU_ASSERT_TRUE(json_is_real(json_object_get(json, "e")));
  CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(json, "f")), 0x1p64, 1e5);
  json_decref(json);
  char long_one[512] = "[-";
  memset(long_one + 2, '9', 400);
  strcpy(long_one + 402, ", 3]");
  CU_ASSERT_EQUAL_FATAL(tw_json_parse("test", long_one, strlen(long_one), &json), TW_OK);
  CU_ASSERT_EQUAL(json_real_value(json_array_get(json, 0)), -1e308);
  CU_ASSERT_EQUAL(json_integer_value(json_array_get(json, 1)), 3);
  json_decref(json);
  static const char *const damaged[] = {"{\"a\": 99999999999999999999x}", "[000000000000000000000000000000]",
                                        "{\"a\": 1, \"a\": 99999999999999999999}", "99999999999999999999",
                                        "[99999999999999999999"};
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    char copy[64];
    strcpy(copy, damaged[i]);
    CU_ASSERT_EQUAL(tw_json_parse("test", copy, strlen(copy), &json), TW_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(json);
  }
}

static void large_numbers_in_a_folder(void) {
  const char *number = "\"x\": 1000000000000000019884624838656, \"model_max_length\": 1000000000000000019884624838656";
  fresh();
  for (int i = 0; i < FILES; i++)
    if (strstr(files[i], "config.json")) change(files[i], number);
  taken();
  CU_ASSERT_EQUAL(client.max_seq_length, 0);
  CU_ASSERT_EQUAL(model.config.hidden, 32);
  forget();
  change("config.json", "\"num_hidden_layers\": 1000000000000000019884624838656");
  refused("; a positive integer is needed", "num_hidden_layers is ");
  change("config.json", "\"num_hidden_layers\": 2.0");
  refused("; a positive integer is needed", "num_hidden_layers is ");
}

// ---- config.json

static void kinds_of_config(void) {
  static const char *const sound[] = {"\"-model_type\": 0, \"architectures\": [\"BertForMaskedLM\", \"BertModel\"]",
                                      "\"-model_type\": 0",
                                      "\"-model_type\": 0, \"pad_token_id\": 0",
                                      "\"model_type\": null, \"architectures\": [\"BertModel\"]",
                                      "\"-hidden_act\": 0, \"-layer_norm_eps\": 0, \"-position_embedding_type\": 0",
                                      "\"auto_map\": {\"AutoTokenizer\": [\"x.Y\", null]}"};
  static const char *const damaged[][2] = {
      {"\"-model_type\": 0, \"architectures\": [\"RobertaModel\"]", "RobertaModel"},
      {"\"-model_type\": 0, \"pad_token_id\": 1", "pad_token_id"},
      {"\"model_type\": \"mpnet\", \"architectures\": [\"BertModel\"]", "model_type is \"mpnet\""},
      {"\"auto_map\": {\"AutoModel\": \"x--modeling_bert.JinaBertModel\"}", "auto_map.AutoModel"},
      {"\"position_embedding_type\": \"alibi\"", "position_embedding_type is \"alibi\""},
      {"\"hidden_act\": \"relu6\"", "hidden_act is \"relu6\""},
      {"\"quantization_config\": {\"bits\": 4}", "quantization_config"}};
  for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
    fresh();
    change("config.json", sound[i]);
    taken();
    forget();
  }
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    fresh();
    change("config.json", damaged[i][0]);
    refused(damaged[i][1], "config.json");
  }
}

static void every_activation(void) {
  static const char *const names[][2] = {{"gelu", "gelu"},
                                         {"gelu_new", "gelu_new"},
                                         {"gelu_fast", "gelu_fast"},
                                         {"gelu_pytorch_tanh", "gelu_pytorch_tanh"},
                                         {"gelu_python", "gelu"},
                                         {"quick_gelu", "quick_gelu"},
                                         {"relu", "relu"},
                                         {"silu", "silu"},
                                         {"swish", "silu"},
                                         {"sigmoid", "sigmoid"},
                                         {"tanh", "tanh"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char field[64];
    snprintf(field, sizeof field, "\"hidden_act\": \"%s\"", names[i][0]);
    fresh();
    change("config.json", field);
    taken();
    CU_ASSERT_STRING_EQUAL(model.config.activation, names[i][1]);
    forget();
  }
  fresh();
  change("config.json", "\"hidden_act\": 1");
  refused("hidden_act is 1; only gelu, gelu_new, gelu_fast, ", "config.json");
}

static void adapters(void) {
  fresh();
  put("adapter_config.json", "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"x\"}");
  refused("holds an adapter", "adapter_config.json");
}

// ---- what the file of weights has beside the encoder

// Adds zeros under these names (NULL ends the list) to model.safetensors.
static void add_tensors(const char *const *names, int elements) {
  size_t bytes;
  uint8_t *data = slurp(in_folder("model.safetensors"), &bytes);
  uint64_t length;
  memcpy(&length, data, 8);
  json_t *header = json_loadb((const char *)data + 8, length, 0, NULL);
  size_t at = bytes - 8 - length, more = 0;
  for (; *names; names++, more += 4u * elements)
    json_object_set_new(header, *names,
                        json_pack("{s:s, s:[i], s:[I, I]}", "dtype", "F32", "shape", elements, "data_offsets",
                                  (json_int_t)(at + more), (json_int_t)(at + more + 4u * elements)));
  char *text = json_dumps(header, JSON_COMPACT);
  uint64_t now = strlen(text);
  uint8_t *out = calloc(1, 8 + now + at + more);
  memcpy(out, &now, 8);
  memcpy(out + 8, text, now);
  memcpy(out + 8 + now, data + 8 + length, at);
  dump(in_folder("model.safetensors"), out, 8 + now + at + more);
  free(out);
  free(text);
  free(data);
  json_decref(header);
}

static void heads_are_named(void) {
  static const char *const names[] = {"pooler.dense.weight",
                                      "pooler.dense.bias",
                                      "classifier.weight",
                                      "classifier.bias",
                                      "cls.predictions.transform.dense.weight",
                                      "cls.predictions.bias",
                                      "cls.seq_relationship.weight",
                                      "embeddings.position_ids",
                                      "encoder.layer.2.output.dense.bias",
                                      "encoder.layer.12.output.dense.bias",
                                      "encoder.layer.0.attention.self.query.lora_A.weight",
                                      NULL};
  fresh();
  taken();
  CU_ASSERT_PTR_NULL(notes.text);
  forget();
  change("config.json", "\"architectures\": [\"BertForSequenceClassification\"]");
  add_tensors(names, 3);
  taken();
  noted("architectures is BertForSequenceClassification: only its encoder is run");
  noted("left out: pooler.dense (2 tensors)\n");
  noted("left out: classifier (2 tensors)\n");
  noted("left out: cls.predictions (2 tensors)\n");
  noted("left out: cls.seq_relationship (1 tensor)\n");
  noted("left out: encoder.layer.*.output.dense.bias (2 tensors)\n");
  noted("left out: encoder.layer.*.attention.self.query.lora_A.weight (1 tensor)\n");
  CU_ASSERT_PTR_NULL(strstr(notes.text, "position_ids"));
  forget();
}

static void config_against_weights(void) {
  static const char *const table[] = {"encoder.layer.0.attention.self.distance_embedding.weight", NULL};
  fresh();
  change("config.json", "\"position_embedding_type\": \"relative_key\", \"dtype\": \"bfloat16\"");
  taken();
  noted("absolute ones are computed");
  noted("dtype is bfloat16, the weights are float32 and taken as they are");
  forget();
  add_tensors(table, 5);
  refused("the weights hold tables for them", "position_embedding_type");
  change("config.json", "\"position_embedding_type\": \"absolute\", \"dtype\": \"float32\"");
  taken();
  noted("left out: encoder.layer.*.attention.self.distance_embedding.weight (1 tensor)");
  CU_ASSERT_PTR_NULL(strstr(notes.text, "dtype"));
  forget();
}

// ---- files that are not there

static void git_lfs_pointers(void) {
  static const char pointer[] =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 90868376\n";
  static const char *const more[] = {"sentence_bert_config.json", "config_sentence_transformers.json",
                                     "2_Normalize/config.json"};
  for (int i = 0; i < FILES + 3; i++) {
    const char *file = i < FILES ? files[i] : more[i - FILES];
    fresh();
    put(file, pointer);
    refused("git-lfs pointer", file);
    CU_ASSERT_TRUE(message_has("git lfs pull"));
  }
  fresh();
  unlink(in_folder("model.safetensors"));
  put("model.safetensors.index.json", pointer);
  refused("git-lfs pointer", "model.safetensors.index.json");
}

// A cache that was copied without what its links point to: an absent file would mean something else.
static void links_to_nothing(void) {
  static const char *const linked[] = {"modules.json", "tokenizer_config.json", "config.json"};
  for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
    fresh();
    unlink(in_folder(linked[i]));
    CU_ASSERT_EQUAL_FATAL(symlink("../blobs/nothing", in_folder(linked[i])), 0);
    CU_ASSERT_EQUAL(tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("a link to a file that is not there") && message_has(linked[i]));
    forget();
    unlink(in_folder(linked[i]));
  }
}

static long peak_kilobytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// A config.json that promises gigabytes takes no memory before the tensors are seen.
static void nothing_for_promises(void) {
  static const char *const promises[][2] = {
      {"\"num_hidden_layers\": 1024", "encoder.layer.2.attention.self.query.weight is missing"},
      {"\"num_hidden_layers\": 1024, \"hidden_size\": 65536", "encoder.layer.0.attention.self.query.weight has shape"},
      {"\"intermediate_size\": 1048576", "encoder.layer.0.intermediate.dense.weight has shape"},
      {"\"vocab_size\": 16777216", "embeddings.word_embeddings.weight has shape"},
      {"\"max_position_embeddings\": 1048576", "embeddings.position_embeddings.weight has shape"},
      {"\"type_vocab_size\": 65536", "embeddings.token_type_embeddings.weight has shape"}};
  fresh();
  taken();
  forget();
  long before = peak_kilobytes();
  for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
    fresh();
    change("config.json", promises[i][0]);
    refused(promises[i][1], "model.safetensors");
  }
  CU_ASSERT_TRUE(peak_kilobytes() - before < 16 << 10);
}

// Random bytes in every JSON file: refused or taken, never more than that (run under the sanitizers).
static void random_damage(void) {
  static const char *const small[] = {"config.json",
                                      "tokenizer_config.json",
                                      "modules.json",
                                      "1_Pooling/config.json",
                                      "config_sentence_transformers.json",
                                      "sentence_bert_config.json"};
  static const char alphabet[] = "{}[]\",:-+.eE0123456789 nulltruefalse\\\x01\x80";
  int failed = 0;
  for (int round = 0; round < 600; round++) {
    size_t bytes;
    fresh();
    put("config_sentence_transformers.json", "{\"prompts\": {\"q\": \"query: \"}, \"default_prompt_name\": \"q\"}");
    put("sentence_bert_config.json", "{\"max_seq_length\": 10, \"x\": 100000000000000000000}");
    const char *file = small[round % 6];
    uint8_t *data = slurp(in_folder(file), &bytes);
    for (uint32_t i = 1 + randombytes_uniform(4); i > 0; i--)
      data[randombytes_uniform((uint32_t)bytes)] = (uint8_t)alphabet[randombytes_uniform(sizeof alphabet)];
    dump(in_folder(file), data, bytes - (randombytes_uniform(4) ? 0 : randombytes_uniform((uint32_t)bytes)));
    free(data);
    failed += tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes) != TW_OK;
    forget();
  }
  CU_ASSERT_TRUE(failed > 200 && failed < 600);
}

int main(void) {
  static const suite_test tests[] = {{"integers", integers},
                                     {"large numbers in a folder", large_numbers_in_a_folder},
                                     {"kinds of config.json", kinds_of_config},
                                     {"every activation", every_activation},
                                     {"heads are named", heads_are_named},
                                     {"config against weights", config_against_weights},
                                     {"git-lfs pointers", git_lfs_pointers},
                                     {"links to nothing", links_to_nothing},
                                     {"nothing for promises", nothing_for_promises},
                                     {"adapters", adapters},
                                     {"random damage", random_damage}};
  if (scratch_open() != 0) return 2;
  int status = suite_run("folders", tests, sizeof tests / sizeof *tests);
  return scratch_close() != 0 ? 1 : status;
}
