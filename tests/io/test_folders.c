// Model folders as people have them: of transformers and sentence-transformers, old and new, complete and not.
#define _GNU_SOURCE
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/json_read.h"
#include "jobs/models/import.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

// ---- a folder of one's own

static const char *const files[] = {"config.json", "tokenizer_config.json", "modules.json",
                                    "vocab.txt",   "model.safetensors",     "1_Pooling/config.json"};
enum { FILES = sizeof files / sizeof *files };

static void put(const char *file, const char *text) { dump(in_folder(file), (const uint8_t *)text, strlen(text)); }

static void fresh(void) {
  static const char *const others[] = {"sentence_bert_config.json", "config_sentence_transformers.json",
                                       "2_Normalize/config.json", "model.safetensors.index.json",
                                       "adapter_config.json"};
  size_t bytes;
  mkdir(in_folder("1_Pooling"), 0700);
  mkdir(in_folder("2_Normalize"), 0700);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) unlink(in_folder(others[i]));
  for (int i = 0; i < FILES; i++) {
    char from[128];
    snprintf(from, sizeof from, "tiny-bert/f32/%s", files[i]);
    unlink(in_folder(files[i]));
    uint8_t *data = slurp(vector_path(from), &bytes);
    dump(in_folder(files[i]), data, bytes);
    free(data);
  }
}

// Members of the JSON text `more` (without braces) join the object in `file`; those called "-NAME" leave it.
static void change(const char *file, const char *more) {
  char text[2048];
  json_t *json, *with;
  const char *key;
  json_t *value;
  CU_ASSERT_EQUAL_FATAL(tw_json_read(in_folder(file), true, &json), TW_OK);
  snprintf(text, sizeof text, "{%s}", more);
  CU_ASSERT_EQUAL_FATAL(tw_json_parse("test", text, strlen(text), &with), TW_OK);
  json_object_foreach(with, key, value) {
    if (*key == '-')
      json_object_del(json, key + 1);
    else
      json_object_set(json, key, value);
  }
  char *out = json_dumps(json, 0);
  put(file, out);
  free(out);
  json_decref(json);
  json_decref(with);
}

static tw_model model;
static tw_client client;
static tw_notes notes;

static void forget(void) {
  tw_model_free(&model);
  tw_client_free(&client);
  free(notes.text);
  notes.text = NULL;
}

static void taken(void) {
  tw_status status = tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes);
  if (status != TW_OK) printf("\n  refused: %s\n", tw_error_message());
  CU_ASSERT_EQUAL_FATAL(status, TW_OK);
}

static void refused(const char *one, const char *two) {
  tw_status status = tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes);
  if (status == TW_OK) printf("\n  taken, not refused with: %s\n", one);
  CU_ASSERT_EQUAL(status, TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has(one) && message_has(two));
  forget();
}

static void noted(const char *text) {
  bool there = notes.text && strstr(notes.text, text);
  if (!there) printf("\n  no note says %s: %s\n", text, notes.text ? notes.text : "(none)");
  CU_ASSERT_TRUE(there);
}

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
  refused("num_hidden_layers must be a positive integer", "config.json");
  change("config.json", "\"num_hidden_layers\": 2.0");
  refused("num_hidden_layers must be a positive integer", "config.json");
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
      {"\"model_type\": \"roberta\", \"architectures\": [\"BertModel\"]", "model_type is \"roberta\""},
      {"\"auto_map\": {\"AutoModel\": \"x--modeling_bert.JinaBertModel\"}", "auto_map.AutoModel"},
      {"\"position_embedding_type\": \"alibi\"", "position_embedding_type is \"alibi\""},
      {"\"hidden_act\": \"relu\"", "hidden_act is \"relu\""},
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
  static const char *const names[] = {"gelu", "silu", "sigmoid", "tanh"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char field[64];
    snprintf(field, sizeof field, "\"hidden_act\": \"%s\"", names[i]);
    fresh();
    change("config.json", field);
    taken();
    CU_ASSERT_STRING_EQUAL(model.config.activation, names[i]);
    forget();
  }
  fresh();
  change("config.json", "\"hidden_act\": 1");
  refused("hidden_act is \"(no text)\"; only gelu, silu, sigmoid, tanh are supported", "config.json");
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

// ---- sentence-transformers

static void pooling_modes(void) {
  static const struct {
    const char *config, *wanted;  // wanted: an output, or words of the refusal
  } cases[] = {
      {"{\"word_embedding_dimension\": 32, \"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}",
       "cls"},
      {"{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}", "pooled"},
      {"{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": false}", "pooled"},
      {"{\"word_embedding_dimension\": 32}", "pooled"},
      {"{\"embedding_dimension\": 32, \"pooling_mode\": \"mean\", \"include_prompt\": true}", "pooled"},
      {"{\"embedding_dimension\": 32, \"pooling_mode\": \"cls\"}", "cls"},
      {"{\"pooling_mode\": [\"cls\"]}", "cls"},
      {"{\"pooling_mode\": \"mean\", \"pooling_mode_cls_token\": true}", "pooled"},
      {"{\"include_prompt\": false, \"pooling_mode\": \"mean\"}", "pooled"},
      {"{\"pooling_mode\": [\"mean\", \"mean\"]}", "pools in several ways at once (mean, mean)"},
      {"{\"pooling_mode\": [\"cls\", \"mean\"]}", "pools in several ways at once (cls, mean)"},
      {"{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}", "pools in several ways"},
      {"{\"pooling_mode_max_tokens\": true}", "pooling by max"},
      {"{\"pooling_mode_mean_sqrt_len_tokens\": true}", "pooling by mean_sqrt_len_tokens"},
      {"{\"pooling_mode_weightedmean_tokens\": true}", "pooling by weightedmean"},
      {"{\"pooling_mode\": \"lasttoken\"}", "pooling by lasttoken"},
      {"{\"pooling_mode\": \"first\"}", "pooling by first"},
      {"{\"pooling_mode\": 3}", "neither a name nor a list"},
      {"{\"pooling_mode\": []}", "neither a name nor a list"},
      {"{\"pooling_mode_cls_token\": \"yes\"}", "not true or false"},
      {"[]", "not a JSON object"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tw_model_output output;
    fresh();
    put("1_Pooling/config.json", cases[i].config);
    if (tw_output_parse(cases[i].wanted, &output) != TW_OK) {
      refused(cases[i].wanted, "1_Pooling/config.json");
      CU_ASSERT_EQUAL(tw_import_folder_noting(scratch_folder(), true, &model, &client, &notes), TW_OK);
      output = TW_OUTPUT_TOKENS;
      CU_ASSERT_FALSE(model.config.normalise_output);
    } else {
      taken();
    }
    CU_ASSERT_EQUAL(model.config.output, output);
    CU_ASSERT_EQUAL(client.config.output, output);
    forget();
  }
  fresh();
  unlink(in_folder("1_Pooling/config.json"));
  CU_ASSERT_EQUAL(tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("1_Pooling/config.json"));
  forget();
}

// modules.json with these types and paths, each "TYPE PATH".
static void list_modules(const char *const *modules) {
  json_t *list = json_array();
  for (int i = 0; i < 4 && modules[i]; i++) {
    const char *space = strchr(modules[i], ' ');
    json_array_append_new(list, json_pack("{s:i, s:s%, s:s}", "idx", i, "type", modules[i],
                                          (size_t)(space - modules[i]), "path", space + 1));
  }
  char *text = json_dumps(list, 0);
  put("modules.json", text);
  free(text);
  json_decref(list);
}

#define OLD "sentence_transformers.models."
#define NEW "sentence_transformers.sentence_transformer.modules."
#define BASE "sentence_transformers.base.modules."

static void lists_of_modules(void) {
  static const struct {
    const char *modules[4], *refusal;  // NULL: taken
    bool normalise;
  } cases[] = {
      {{OLD "Transformer ", OLD "Pooling 1_Pooling"}, NULL, false},
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "Normalize 2_Normalize"}, NULL, true},
      {{BASE "transformer.Transformer ", NEW "pooling.Pooling 1_Pooling", BASE "normalize.Normalize 2_Normalize"},
       NULL,
       true},
      {{BASE "transformer.Transformer ", NEW "pooling.Pooling 1_Pooling", NEW "normalize.Normalize 2_Normalize"},
       NULL,
       true},
      {{OLD "Transformer ", OLD "Pooling ./1_Pooling/", OLD "Dropout 2_Dropout"}, NULL, false},
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "Dense 2_Dense"}, "models.Dense is not supported", false},
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "LayerNorm 2_LayerNorm"}, "LayerNorm is not supported", false},
      {{OLD "Transformer ", OLD "WeightedLayerPooling 1_Pooling"}, "WeightedLayerPooling is not supported", false},
      {{"custom_st.Transformer ", OLD "Pooling 1_Pooling"}, "custom_st.Transformer is not supported", false},
      {{OLD "Transformer ", "modeling.Pooling 1_Pooling"}, "modeling.Pooling is not supported", false},
      {{OLD "Pooling 1_Pooling", OLD "Transformer "}, "one Transformer stands first", false},
      {{OLD "Transformer ", OLD "Transformer ", OLD "Pooling 1_Pooling"}, "one Transformer stands first", false},
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "Pooling 1_Pooling"}, "two Pooling", false},
      {{OLD "Transformer ", OLD "Normalize 2_Normalize", OLD "Pooling 1_Pooling"}, "before Pooling", false},
      {{OLD "Transformer ", OLD "Pooling "}, "no folder of its own", false},
      {{OLD "Transformer ", OLD "Pooling ../1_Pooling"}, "leads out of the folder", false},
      {{OLD "Transformer ", OLD "Pooling x/../../1_Pooling"}, "leads out of the folder", false},
      {{OLD "Transformer ", OLD "Pooling /1_Pooling"}, "leads out of the folder", false},
      {{NULL}, "list of modules", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh();
    list_modules(cases[i].modules);
    if (cases[i].refusal) {
      refused(cases[i].refusal, "modules.json");
      continue;
    }
    taken();
    CU_ASSERT_EQUAL(model.config.output, TW_OUTPUT_POOLED);
    CU_ASSERT_EQUAL(model.config.normalise_output, cases[i].normalise);
    forget();
  }
  fresh();
  put("2_Normalize/config.json", "{\"module_input_name\": \"sentence_embedding\", \"module_output_name\": null}");
  taken();
  forget();
  put("2_Normalize/config.json", "{\"module_input_name\": \"token_embeddings\"}");
  refused("module_input_name is not", "2_Normalize/config.json");
}

// Folders of the first versions have the encoder in a folder of its own.
static void encoder_below(void) {
  fresh();
  mkdir(in_folder("0_Transformer"), 0700);
  for (int i = 0; i < FILES; i++) {
    char below[64];
    snprintf(below, sizeof below, "0_Transformer/%s", files[i]);
    if (!strchr(files[i], '/') && strcmp(files[i], "modules.json") != 0)
      CU_ASSERT_EQUAL(rename(in_folder(files[i]), in_folder(below)), 0);
  }
  list_modules((const char *[]){OLD "Transformer 0_Transformer", OLD "Pooling 1_Pooling", NULL});
  put("0_Transformer/sentence_bert_config.json", "{\"max_seq_length\": 11}");
  taken();
  CU_ASSERT_EQUAL(client.max_seq_length, 11);
  CU_ASSERT_STRING_EQUAL(client.vocabulary[45], "the");
  forget();
}

static void prompts(void) {
  static const struct {
    const char *config, *prompt, *words;  // words: of the refusal, or of a note
    bool refusal;
  } cases[] = {
      {"{}", NULL, NULL, false},
      {"{\"prompts\": {\"q\": \"query: \"}, \"default_prompt_name\": \"q\"}", "query: ", NULL, false},
      {"{\"prompts\": {\"q\": \"query: \", \"d\": \"\"}, \"default_prompt_name\": null}", NULL,
       "prompt q is put before no text by itself; where you want it, begin with \"query: \"", false},
      {"{\"prompts\": {\"q\": \"\"}, \"default_prompt_name\": \"q\"}", NULL, NULL, false},
      {"{\"prompts\": {}, \"default_prompt_name\": \"query\"}", NULL, NULL, false},
      {"{\"prompts\": {\"q\": \"query: \"}, \"default_prompt_name\": \"p\"}", NULL, "default_prompt_name p", true},
      {"{\"prompts\": {\"q\": null}, \"default_prompt_name\": \"q\"}", NULL, NULL, false},
      {"{\"prompts\": {\"q\": 3}, \"default_prompt_name\": \"q\"}", NULL, "default_prompt_name q", true},
      {"{\"truncate_dim\": 16}", NULL, "truncate_dim", true},
      {"{\"truncate_dim\": null}", NULL, NULL, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh();
    put("config_sentence_transformers.json", cases[i].config);
    if (cases[i].refusal) {
      refused(cases[i].words, "config_sentence_transformers.json");
      continue;
    }
    taken();
    CU_ASSERT_STRING_EQUAL(client.default_prompt ? client.default_prompt : "(none)",
                           cases[i].prompt ? cases[i].prompt : "(none)");
    if (cases[i].words) noted(cases[i].words);
    forget();
  }
  fresh();
  put("config_sentence_transformers.json", cases[1].config);
  put("1_Pooling/config.json", "{\"pooling_mode\": \"mean\", \"include_prompt\": false}");
  refused("include_prompt false", "config_sentence_transformers.json");
  put("config_sentence_transformers.json", cases[2].config);
  taken();
  forget();
  unlink(in_folder("modules.json"));  // without it sentence-transformers looks at none of its other files
  put("config_sentence_transformers.json", cases[1].config);
  put("sentence_bert_config.json", "{\"max_seq_length\": 11}");
  taken();
  CU_ASSERT_PTR_NULL(client.default_prompt);
  CU_ASSERT_EQUAL(client.max_seq_length, 0);
  forget();
}

static void lengths(void) {
  static const struct {
    const char *sentence, *tokenizer;
    int wanted;
    const char *refusal;
  } cases[] = {
      {"{\"max_seq_length\": 10, \"do_lower_case\": false}", "\"model_max_length\": 12", 10, NULL},
      {"{\"max_seq_length\": 500}", "\"model_max_length\": 12", 24, NULL},  // the model has 24 positions
      {"{\"max_seq_length\": null}", "\"model_max_length\": 12", 12, NULL},
      {"{}", "\"model_max_length\": 512", 24, NULL},
      {"{}", "\"x\": 1", 0, NULL},
      {"{\"transformer_task\": \"feature-extraction\", \"module_output_name\": \"token_embeddings\", "
       "\"modality_config\": {\"text\": {\"method\": \"forward\", \"method_output_name\": \"last_hidden_state\"}}}",
       "\"model_max_length\": 12", 12, NULL},
      {"{\"max_seq_length\": 0}", "\"x\": 1", 0, "max_seq_length must be"},
      {"{\"max_seq_length\": 1.5}", "\"x\": 1", 0, "max_seq_length must be"},
      {"{\"modality_config\": {\"text\": {\"method_output_name\": \"pooler_output\"}}}", "\"x\": 1", 0,
       "another output"},
      {"{\"processing_kwargs\": {\"text\": {\"add_special_tokens\": false}}}", "\"x\": 1", 0, "processing_kwargs"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh();
    put("sentence_bert_config.json", cases[i].sentence);
    change("tokenizer_config.json", cases[i].tokenizer);
    if (cases[i].refusal) {
      refused(cases[i].refusal, "sentence_bert_config.json");
      continue;
    }
    taken();
    CU_ASSERT_EQUAL(client.max_seq_length, cases[i].wanted);
    forget();
  }
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
                                     {"pooling modes", pooling_modes},
                                     {"lists of modules", lists_of_modules},
                                     {"encoder below", encoder_below},
                                     {"prompts", prompts},
                                     {"lengths", lengths},
                                     {"git-lfs pointers", git_lfs_pointers},
                                     {"links to nothing", links_to_nothing},
                                     {"nothing for promises", nothing_for_promises},
                                     {"adapters", adapters},
                                     {"random damage", random_damage}};
  if (scratch_open() != 0) return 2;
  int status = suite_run("folders", tests, sizeof tests / sizeof *tests);
  return scratch_close() != 0 ? 1 : status;
}
