#include "io/hf_families.h"

#include <stddef.h>
#include <string.h>

// Names and defaults as in transformers 5.24, configuration_*.py of each.
// clang-format off
#define BERT_FIELDS(width, head_count, middle, vocabulary) \
  .kind = TW_HF_ENCODER, .layers = {"num_hidden_layers", 12, NULL}, .hidden = {"hidden_size", width, NULL}, \
  .heads = {"num_attention_heads", head_count, NULL}, .inner = {"intermediate_size", middle, NULL}, \
  .positions = {"max_position_embeddings", 512, NULL}, .words = {"vocab_size", vocabulary, NULL}, \
  .types = {"type_vocab_size", 2, NULL}, .activation = "hidden_act", .usual_activation = "gelu", \
  .epsilon = "layer_norm_eps", .usual_epsilon = 1e-12
#define ROBERTA_FIELDS(vocabulary) \
  BERT_FIELDS(768, 12, 3072, vocabulary), .positions_after_padding = true, .head_activation = "tanh"
#define LLAMA_FIELDS(middle, vocabulary, rows) \
  .layers = {"num_hidden_layers", 32, NULL}, .hidden = {"hidden_size", 4096, NULL}, \
  .heads = {"num_attention_heads", 32, NULL}, .inner = {"intermediate_size", middle, NULL}, \
  .positions = {"max_position_embeddings", rows, NULL}, \
  .words = {"vocab_size", vocabulary, NULL}, .head_dim = {"head_dim", 0, NULL}, .activation = "hidden_act", \
  .usual_activation = "silu", .epsilon = "rms_norm_eps", .usual_epsilon = 1e-6

static const tw_hf_family families[] = {
    {"bert", "bert", "Bert", BERT_FIELDS(768, 12, 3072, 30522), .head_activation = "tanh"},
    {"roberta", "roberta", "Roberta", ROBERTA_FIELDS(50265)},
    {"xlm-roberta", "roberta", "XLMRoberta", ROBERTA_FIELDS(30522)},
    {"camembert", "roberta", "Camembert", ROBERTA_FIELDS(30522)},
    {"distilbert", "distilbert", "DistilBert", TW_HF_ENCODER, .layers = {"n_layers", 6, "num_hidden_layers"},
     .hidden = {"dim", 768, "hidden_size"}, .heads = {"n_heads", 12, "num_attention_heads"},
     .inner = {"hidden_dim", 3072, NULL}, .positions = {"max_position_embeddings", 512, NULL},
     .words = {"vocab_size", 30522, NULL}, .activation = "activation", .usual_activation = "gelu",
     .usual_epsilon = 1e-12, .head_activation = "relu"},
    {"electra", "electra", "Electra", BERT_FIELDS(256, 4, 1024, 30522), .embedding = {"embedding_size", 128, NULL},
     .head_activation = "gelu"},
    {"gpt2", "gpt2", "GPT2", TW_HF_GPT2, .layers = {"n_layer", 12, "num_hidden_layers"},
     .hidden = {"n_embd", 768, "hidden_size"}, .heads = {"n_head", 12, "num_attention_heads"},
     .inner = {"n_inner", 0, NULL}, .positions = {"n_positions", 1024, "max_position_embeddings"},
     .words = {"vocab_size", 50257, NULL}, .activation = "activation_function", .usual_activation = "gelu_new",
     .epsilon = "layer_norm_epsilon", .usual_epsilon = 1e-5, .tied = true},
    {"gpt_neo", "gpt_neo", "GPTNeo", TW_HF_NEO, .layers = {"num_layers", 24, "num_hidden_layers"},
     .hidden = {"hidden_size", 2048, NULL}, .heads = {"num_heads", 16, "num_attention_heads"},
     .inner = {"intermediate_size", 0, NULL}, .positions = {"max_position_embeddings", 2048, NULL},
     .words = {"vocab_size", 50257, NULL}, .activation = "activation_function", .usual_activation = "gelu_new",
     .epsilon = "layer_norm_epsilon", .usual_epsilon = 1e-5, .tied = true},
    {"llama", "llama", "Llama", TW_HF_LLAMA, LLAMA_FIELDS(11008, 32000, 2048),
     .kv_heads = {"num_key_value_heads", 0, NULL}},
    {"qwen2", "llama", "Qwen2", TW_HF_QWEN2, LLAMA_FIELDS(22016, 151936, 32768),
     .kv_heads = {"num_key_value_heads", 32, NULL}}};
// clang-format on

const tw_hf_family *tw_hf_family_by_type(const char *type) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (strcmp(families[i].type, type) == 0) return &families[i];
  return NULL;
}

const char *tw_hf_family_types(void) {
  return "bert, roberta, xlm-roberta, camembert, distilbert, electra, gpt2, gpt_neo, llama, qwen2";
}
