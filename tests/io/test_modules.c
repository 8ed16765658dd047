// sentence-transformers: what the files beside the encoder say is done, noted or refused.
#define _GNU_SOURCE
#include "tests/io/model_folder.h"

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
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "LSTM 2_LSTM"}, "models.LSTM is not supported", false},
      {{OLD "Transformer ", OLD "Dense 2_Dense", OLD "Pooling 1_Pooling"}, "Dense is supported once", false},
      {{OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "Normalize 2_Normalize", OLD "Dense 2_Dense"},
       "before Normalize",
       false},
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

// What of Dense is not computed is refused; a sound one asks for its weights next.
static void dense_configs(void) {
  static const char *const cases[][2] = {
      {"{\"out_features\": 4, \"use_residual\": true}", "use_residual is true"},
      {"{\"out_features\": 4, \"bias\": false}", "bias is false"},
      {"{\"out_features\": 0}", "out_features"},
      {"{\"out_features\": 4, \"activation_function\": \"torch.nn.modules.activation.ELU\"}", "activation.ELU"},
      {"{\"out_features\": 4, \"activation_function\": \"torch.nn.modules.activation.Tanh\", "
       "\"module_input_name\": \"token_embeddings\"}",
       "module_input_name is not"}};
  fresh();
  list_modules((const char *[]){OLD "Transformer ", OLD "Pooling 1_Pooling", OLD "Dense 2_Dense", NULL});
  mkdir(in_folder("2_Dense"), 0700);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put("2_Dense/config.json", cases[i][0]);
    refused(cases[i][1], "2_Dense/config.json");
  }
  put("2_Dense/config.json", "{\"out_features\": 4, \"activation_function\": \"torch.nn.modules.linear.Identity\"}");
  CU_ASSERT_NOT_EQUAL(tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes), TW_OK);
  CU_ASSERT_TRUE(message_has("2_Dense") && message_has("safetensors"));
  forget();
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

int main(void) {
  static const suite_test tests[] = {
      {"pooling modes", pooling_modes}, {"Dense", dense_configs}, {"lists of modules", lists_of_modules},
      {"encoder below", encoder_below}, {"prompts", prompts},     {"lengths", lengths}};
  if (scratch_open() != 0) return 2;
  int status = suite_run("modules", tests, sizeof tests / sizeof *tests);
  return scratch_close() != 0 ? 1 : status;
}
