// config.json and its neighbours: the files below in this order, a zero byte between them; an empty one is left out.
#include "io/hf_config.h"
#include "jobs/import.h"
#include "tests/fuzz/fuzz.h"

static const char *const files[] = {"config.json", "tokenizer_config.json", "modules.json", "vocab.txt"};
enum { FILES = sizeof files / sizeof *files };

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char bert[] =
      "{\"architectures\":[\"BertModel\"],\"model_type\":\"bert\",\"hidden_size\":16,\"num_hidden_layers\":2,"
      "\"num_attention_heads\":2,\"intermediate_size\":32,\"hidden_act\":\"gelu\",\"layer_norm_eps\":1e-12,"
      "\"max_position_embeddings\":32,\"type_vocab_size\":2,\"vocab_size\":6,\"pad_token_id\":0,"
      "\"position_embedding_type\":\"absolute\"}\0{\"do_lower_case\":true,\"tokenizer_class\":\"BertTokenizer\"}\0"
      "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},{\"idx\":2,"
      "\"name\":\"2\",\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}]\0"
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n##s\n";
  static const char bare[] =
      "{\"model_type\":\"bert\",\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
      "\"intermediate_size\":8,\"max_position_embeddings\":4,\"vocab_size\":5}";
  fuzz_seed("bert", bert, sizeof bert - 1);
  fuzz_seed("bare", bare, sizeof bare - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  for (int i = 0; i < FILES; i++) {
    size_t n;
    const uint8_t *part = fuzz_take_part(&b, SIZE_MAX, &n);
    if (n)
      fuzz_write(files[i], part, n);
    else
      fuzz_remove(files[i]);
  }
  tw_hf_config config;
  if (tw_hf_config_read(fuzz_folder(), &config) == TW_OK)
    fuzz_must(tw_model_config_check("accepted", &config.model) == TW_OK, "an accepted shape is in reach");
  char **vocabulary;
  if (tw_vocabulary_read(fuzz_path("vocab.txt"), 16, &vocabulary) == TW_OK) tw_vocabulary_free(vocabulary, 16);
  return 0;
}
