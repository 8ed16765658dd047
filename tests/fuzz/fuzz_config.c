// config.json and its neighbours: the files below in this order, a zero byte between them; an empty one is left out.
// The folder has weights, but not those of any encoder: import must find that before it takes memory.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/hf_config.h"
#include "jobs/models/import.h"
#include "tests/fuzz/fuzz.h"

static const char *const files[] = {"config.json",
                                    "modules.json",
                                    "1_Pooling/config.json",
                                    "sentence_bert_config.json",
                                    "config_sentence_transformers.json",
                                    "tokenizer_config.json",
                                    "vocab.txt"};
enum { FILES = sizeof files / sizeof *files };

void fuzz_begin(void) {
  static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
  uint8_t weights[128] = {sizeof header - 1};
  memcpy(weights + 8, header, sizeof header - 1);
  fuzz_write("model.safetensors", weights, 8 + sizeof header - 1 + 8);
  fuzz_must(mkdir(fuzz_path("1_Pooling"), 0700) == 0, "a folder");
}

void fuzz_seeds(void) {
  static const char sentences[] =
      "{\"architectures\":[\"BertModel\"],\"model_type\":\"bert\",\"hidden_size\":16,\"num_hidden_layers\":2,"
      "\"num_attention_heads\":2,\"intermediate_size\":32,\"hidden_act\":\"gelu\",\"layer_norm_eps\":1e-12,"
      "\"max_position_embeddings\":32,\"type_vocab_size\":2,\"vocab_size\":6,\"pad_token_id\":0,"
      "\"position_embedding_type\":\"absolute\",\"torch_dtype\":\"float32\"}\0"
      "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},{\"idx\":1,"
      "\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"},{\"idx\":2,"
      "\"name\":\"2\",\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}]\0"
      "{\"word_embedding_dimension\":16,\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}\0"
      "{\"max_seq_length\":24,\"do_lower_case\":false}\0{\"prompts\":{\"query\":\"find: \"},\"default_prompt_name\":"
      "\"query\"}\0{\"do_lower_case\":true,\"tokenizer_class\":\"BertTokenizer\"}\0[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b";
  static const char bare[] =
      "{\"model_type\":\"bert\",\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
      "\"intermediate_size\":8,\"max_position_embeddings\":4,\"vocab_size\":5}\0"
      "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},{\"idx\":1,"
      "\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"}]\0"
      "{\"pooling_mode\":\"cls\"}";
  fuzz_seed("sentences", sentences, sizeof sentences - 1);
  fuzz_seed("bare", bare, sizeof bare - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  fuzz_take_files(&b, files, FILES);
  tw_hf_config config;
  tw_notes notes = {NULL};
  if (tw_hf_config_read(fuzz_folder(), false, &config, &notes) == TW_OK)
    fuzz_must(tw_model_config_check("accepted", &config.model) == TW_OK, "an accepted shape is in reach");
  tw_hf_config_free(&config);
  free(notes.text);
  tw_model model;
  tw_client client;
  fuzz_must(tw_import_folder(fuzz_folder(), &model, &client) != TW_OK, "without its weights a model is refused");
  return 0;
}
